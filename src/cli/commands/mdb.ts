// `vmswitch mdb [on|off]`: which ports joined which multicast groups, and snooping on and off.
import type { SnoopingConfig, SnoopingStatus } from '../../manage/policies/snooping-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { count } from '../units.ts'
import { parseValue } from './property.ts'

const seconds = (value: number | null): string => (value === null ? '-' : `${value} s`)

/** The database of multicast groups. */
export async function mdb({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).mdb()
  if (terminal.json) return terminal.data(answer)
  if (answer.settings === null) return terminal.line('snooping is off: multicast frames go to all ports (vmswitch mdb on)')
  const { used, capacity, share } = answer.table
  const { reports, queries, invalid } = answer.counters
  terminal.table(
    [
      { title: 'VLAN', align: 'right' },
      { title: 'GROUP', flexible: true },
      { title: 'PORT', flexible: true },
      { title: 'EXPIRES', align: 'right' },
    ],
    answer.groups.map(({ vlan, group, port, expiresSeconds }) => [String(vlan), group, port, seconds(expiresSeconds)]),
    'no groups are joined',
  )
  for (const { vlan, family, port, kind, expiresSeconds } of answer.routers)
    terminal.line(
      `router port ${port}, ${vlan === null ? 'all VLANs' : `VLAN ${vlan}, ${family}`}: ${kind}${expiresSeconds === null ? '' : `, ${seconds(expiresSeconds)}`}`,
    )
  for (const { vlan, family, kind, address, port, expiresSeconds } of answer.queriers)
    terminal.line(
      kind === 'built-in'
        ? `querier of VLAN ${vlan}, ${family}: the switch, ${address}`
        : `querier of VLAN ${vlan}, ${family}: ${address} at ${port}, ${seconds(expiresSeconds)}`,
    )
  for (const { port, groups, refused } of answer.ports)
    if (refused > 0) terminal.line(`port ${port}: ${count(groups)} groups, ${count(refused)} joins refused`)
  terminal.line(
    `${count(used)} of ${count(capacity)} places, ${count(share)} a port; ${count(reports)} reports, ${count(queries)} queries, ${count(invalid)} invalid`,
  )
}

function shown({ terminal }: CommandContext, answer: SnoopingStatus): void {
  if (terminal.json) terminal.data(answer)
  else terminal.line(answer.settings === null ? 'snooping is off' : `snooping is on: ${JSON.stringify(answer.settings)}`)
}

/** Switches snooping on with these settings: JSON, or NAME=VALUE pairs; those that are not named have their defaults. */
export async function mdbOn(context: CommandContext, words: readonly string[]): Promise<void> {
  const settings = (words.length === 0 ? {} : parseValue(words)) as SnoopingConfig
  shown(context, await (await context.connect()).setSnooping(settings))
}

export async function mdbOff(context: CommandContext): Promise<void> {
  shown(context, await (await context.connect()).setSnooping(null))
}
