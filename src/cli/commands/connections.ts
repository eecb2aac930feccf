// `vmswitch acl connections PORT`: what stateful rules of a port let through and follow, page by page.
import type { ConnectionStatus } from '../../manage/diagnosis/diagnosis-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { bytes, count } from '../units.ts'

const names: Readonly<Record<number, string>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 47: 'gre', 58: 'icmpv6', 132: 'sctp' }

const end = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)

const flow = ({ packets, bytes: of }: ConnectionStatus['sent']): string => `${count(packets)} (${bytes(of)})`

const row = (one: ConnectionStatus): string[] => [
  names[one.protocol] ?? String(one.protocol),
  end(one.localAddress, one.localPort),
  one.opened === 'outbound' ? '>' : '<',
  end(one.remoteAddress, one.remotePort),
  one.isolationId === 0 ? '' : String(one.isolationId),
  one.state,
  `${one.idleSeconds} s`,
  `${one.expiresInSeconds} s`,
  flow(one.sent),
  flow(one.received),
]

export async function listConnections(
  { terminal, connect }: CommandContext,
  port: string,
  words: { readonly after?: string | undefined; readonly limit: number },
): Promise<void> {
  const answer = await (await connect()).connections({ port, ...words })
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'PROTOCOL' },
      { title: 'LOCAL', flexible: true },
      { title: '' },
      { title: 'REMOTE', flexible: true },
      { title: 'ISOLATION' },
      { title: 'STATE' },
      { title: 'IDLE', align: 'right' },
      { title: 'ENDS IN', align: 'right' },
      { title: 'SENT', align: 'right' },
      { title: 'RECEIVED', align: 'right' },
    ],
    answer.items.map(row),
    'no connection of this port is followed',
  )
  if (answer.next !== null) terminal.line(`more: vmswitch acl connections ${port} --after ${answer.next}`)
}
