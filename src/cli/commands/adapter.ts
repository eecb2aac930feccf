// `vmswitch adapter …`: the SR-IOV adapters of a running switch, and the cards of the host.
//
// The rule it must not break: the host's cards are shown without a switch too, and never fail because there is none.
import type { HostAdapter } from '../../linux/sriov/host-adapters.ts'
import type { AdapterOidRequest, AdapterStatus } from '../../manage/adapters/adapter-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode, explainFailure, howToStart } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import { count } from '../units.ts'
import { endpointPlace } from './ports.ts'
import { showHostFunctions, showVfs } from './vf.ts'

const cards = () => import('../../linux/sriov/host-adapters.ts')

/** The adapters of the running switch; null where no switch runs. */
async function ofSwitch({ connect }: CommandContext): Promise<readonly AdapterStatus[] | null> {
  try {
    return await (await connect()).adapters()
  } catch (error) {
    if (explainFailure(error).exitCode === ExitCode.notRunning) return null
    throw error
  }
}

function uplinkText({ uplink }: AdapterStatus): string {
  if (uplink === null) return '-'
  const place = endpointPlace(uplink)
  return uplink.kind === 'uplink' ? place : `${uplink.kind} ${place}`.trim()
}

async function reasonText({ reasons }: HostAdapter): Promise<string> {
  const { hostReasons } = await cards()
  return reasons.map((code) => `${hostReasons[code]} (${code})`).join('; ')
}

export async function listAdapters(context: CommandContext): Promise<void> {
  const { terminal } = context
  const adapters = await ofSwitch(context)
  const host = (await cards()).listHostAdapters()
  if (terminal.json) return terminal.data({ adapters: adapters ?? [], host })
  terminal.table(
    [
      { title: 'ADAPTER', flexible: true },
      { title: 'OF' },
      { title: 'STATE' },
      { title: 'LINK' },
      { title: 'MAC' },
      { title: 'VFS', align: 'right' },
      { title: 'USED', align: 'right' },
      { title: 'UPLINK', flexible: true },
    ],
    [
      ...(adapters ?? []).map((one) => [
        one.name,
        'switch',
        one.state,
        one.link,
        one.mac,
        count(one.vfs.total),
        count(one.vfs.allocated),
        uplinkText(one),
      ]),
      ...host.map((one) => [
        one.interface,
        'host',
        one.driver ?? 'no driver',
        one.link,
        one.mac,
        count(one.vfs.total),
        count(one.vfs.enabled),
        `pci ${one.pci}`,
      ]),
    ],
    adapters === null
      ? 'no switch runs, and the host has no card with SR-IOV'
      : 'the switch has no SR-IOV adapter, and the host no card with SR-IOV',
  )
  for (const one of host) if (one.reasons.length > 0) terminal.line(`${one.interface}: ${await reasonText(one)}`)
}

/** An adapter of the switch, or a card of the host. Throws `no-such-adapter`. */
export async function findAdapter(
  context: CommandContext,
  name: string,
): Promise<{ readonly adapter: AdapterStatus } | { readonly card: HostAdapter }> {
  const adapters = await ofSwitch(context)
  const adapter = adapters?.find((candidate) => candidate.name === name)
  if (adapter !== undefined) return { adapter }
  const { listHostAdapters, readHostAdapter } = await cards()
  const card = readHostAdapter(name)
  if (card !== null) return { card }
  const { didYouMean } = await import('../../manage/config/suggest.ts')
  const names = [...(adapters ?? []).map((one) => one.name), ...listHostAdapters().map((one) => one.interface)]
  if (adapters === null)
    throw new CliError('no-such-adapter', `no switch runs, and the host has no SR-IOV adapter "${name}"`, howToStart)
  throw new CliError(
    'no-such-adapter',
    `neither the switch nor the host has an SR-IOV adapter "${name}"`,
    didYouMean(name, names),
  )
}

export async function showAdapter(context: CommandContext, name: string): Promise<void> {
  const { terminal } = context
  const found = await findAdapter(context, name)
  if (terminal.json) return terminal.data('adapter' in found ? found.adapter : found.card)
  if ('card' in found) {
    const { card } = found
    terminal.line(`${card.interface} ${card.mac}, pci ${card.pci}, driver ${card.driver ?? 'none'}, link ${card.link}`)
    terminal.line(`${card.vfs.enabled} of ${card.vfs.total} VFs are made`)
    if (card.reasons.length > 0) terminal.line(await reasonText(card))
    if (card.functions.length > 0) showHostFunctions(terminal, card.functions)
    return
  }
  const { adapter } = found
  const { wire, wireDrops } = adapter
  terminal.line(
    `${adapter.name} ${adapter.mac}, ${adapter.state}, link ${adapter.link}, uplink ${adapter.uplink === null ? 'none' : uplinkText(adapter)}`,
  )
  terminal.line(`${adapter.vfs.allocated} of ${adapter.vfs.total} VFs are given`)
  terminal.line(`wire: received ${count(wire.receivedFrames)}, sent ${count(wire.sentFrames)} frames${dropText(wireDrops)}`)
  if (adapter.shown.length > 0) showVfs(terminal, adapter.shown, adapter.assigned)
}

/** ", dropped 3 (mac-spoofing 3)", or nothing. */
export function dropText(drops: Readonly<Record<string, number>>): string {
  const reasons = Object.entries(drops)
  if (reasons.length === 0) return ''
  const total = reasons.reduce((sum, [, frames]) => sum + frames, 0)
  return `, dropped ${count(total)} (${reasons.map(([reason, frames]) => `${reason} ${count(frames)}`).join(', ')})`
}

export async function pullOrPlug({ terminal, connect }: CommandContext, verb: 'pull' | 'plug', name: string): Promise<void> {
  const host = await connect()
  const adapter = verb === 'pull' ? await host.pullAdapter(name) : await host.plugAdapter(name)
  if (terminal.json) return terminal.data(adapter)
  const used = adapter.assigned.length
  terminal.line(
    verb === 'pull'
      ? `${adapter.name} is pulled: guests go on through the switch`
      : `${adapter.name} is back, ${used === 1 ? '1 port has' : `${used} ports have`} a VF`,
  )
}

export async function provision({ terminal }: CommandContext, name: string, vfs: number): Promise<void> {
  const card = (await cards()).provisionHostVfs(name, vfs)
  if (terminal.json) return terminal.data(card)
  terminal.line(`${card.interface} has ${card.vfs.enabled} of ${card.vfs.total} VFs`)
  if (card.reasons.length > 0) terminal.line(await reasonText(card))
  if (card.functions.length > 0) showHostFunctions(terminal, card.functions)
}

export async function request(
  { terminal, connect }: CommandContext,
  name: string,
  { oid, type, payload }: { oid: string; type: AdapterOidRequest['type']; payload: string | undefined },
): Promise<number> {
  let value: unknown
  try {
    value = payload === undefined ? undefined : JSON.parse(payload)
  } catch {
    throw new CliError('usage', `the payload is no JSON: ${payload}`, 'write it in quotes: \'{"flags":0}\'', ExitCode.usage)
  }
  const oidOrNumber = /^\d+$/.test(oid) ? Number(oid) : oid
  const answer = await (await connect()).adapterRequest(name, { oid: oidOrNumber, type, payload: value })
  if (terminal.json) terminal.data(answer)
  else showAnswer(terminal, answer)
  return answer.status === 0 ? ExitCode.ok : ExitCode.failed
}

function showAnswer(terminal: Terminal, { statusName, output }: { statusName: string; output: unknown }): void {
  terminal.line(statusName)
  if (output !== null) terminal.line(JSON.stringify(output, null, 2))
}
