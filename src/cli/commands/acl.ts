// `vmswitch acl list|add|remove|meter`: the ACLs of ports and what they count.
import type { AclStatus } from '../../manage/policies/acl-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { parseValue } from './property.ts'

export interface AclWords {
  readonly extended?: boolean | undefined
}

type Entry = Readonly<Record<string, unknown>>

const condition = (entry: Entry): string =>
  Object.entries(entry)
    .filter(([name]) => !['action', 'direction', 'name', 'weight'].includes(name))
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ') || 'ANY'

export async function listAcls({ terminal, connect }: CommandContext, port: string | undefined): Promise<void> {
  const answer = await (await connect()).acls({ port })
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'LIST' },
      { title: '#' },
      { title: 'NAME', flexible: true },
      { title: 'DIRECTION' },
      { title: 'ACTION' },
      { title: 'WEIGHT' },
      { title: 'MATCH', flexible: true },
      { title: 'PACKETS' },
      { title: 'BYTES' },
      { title: 'NETWORK', flexible: true },
    ],
    answer.map(({ port: of, extended, index, name, entry, packets, bytes, network }) => [
      of,
      extended ? 'extended' : 'acl',
      String(index),
      name,
      String(entry.direction),
      String(entry.action),
      extended ? String(entry.weight ?? 0) : '',
      condition(entry),
      String(packets),
      String(bytes),
      network ?? '',
    ]),
    'there are no ACLs',
  )
}

/** What was metered, by VM, port, prefix and direction. */
export async function meterAcls({ terminal, connect }: CommandContext, port: string | undefined): Promise<void> {
  const answer = (await (await connect()).acls({ port })).filter(({ entry }) => entry.action === 'meter')
  const side = ({ entry }: AclStatus): string =>
    entry.localIPAddress !== undefined || entry.localMacAddress !== undefined ? 'local' : 'remote'
  const report = answer.map((one) => ({
    vm: one.vm,
    port: one.port,
    direction: one.entry.direction,
    side: side(one),
    prefix: one.name,
    packets: one.packets,
    bytes: one.bytes,
  }))
  if (terminal.json) return terminal.data(report)
  terminal.table(
    [
      { title: 'VM', flexible: true },
      { title: 'PORT', flexible: true },
      { title: 'DIRECTION' },
      { title: 'SIDE' },
      { title: 'PREFIX', flexible: true },
      { title: 'PACKETS' },
      { title: 'BYTES' },
    ],
    report.map((row) => Object.values(row).map(String)),
    'nothing is metered',
  )
}

export async function addAcl(
  context: CommandContext,
  port: string,
  words: readonly string[],
  { extended = false }: AclWords,
): Promise<void> {
  const entry = parseValue(words)
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
    throw new CliError(
      'usage',
      `"${words.join(' ')}" is no entry`,
      'write NAME=VALUE pairs: action=deny direction=outbound remoteIPAddress=10.0.0.0/8',
      ExitCode.usage,
    )
  await (await context.connect()).addAcl({ port, extended, entry: entry as Entry })
  return listAcls(context, port)
}

/** `which`: place in its list, or name. */
export async function removeAcl(
  context: CommandContext,
  port: string,
  which: string,
  { extended = false }: AclWords,
): Promise<void> {
  await (await context.connect()).removeAcl({ port, extended, which })
  return listAcls(context, port)
}
