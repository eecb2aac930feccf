// `vmswitch ports`: every port with its endpoint, state and counters.
import type { EndpointConfig } from '../../manage/config/types.ts'
import type { CommandContext } from '../command-context.ts'
import { count } from '../units.ts'
import { limitText } from './bandwidth.ts'

/** Where the endpoint is, in one word: a path or an interface. */
export function endpointPlace(endpoint: EndpointConfig): string {
  switch (endpoint.kind) {
    case 'tap':
    case 'uplink':
      return endpoint.interface
    case 'pcap':
      return endpoint.replay ?? endpoint.record ?? ''
    case 'dgram':
      return endpoint.local
    case 'adapter':
      return endpoint.adapter
    case 'websocket':
      return endpoint.listen
    case 'memory':
      return ''
    default:
      return endpoint.path
  }
}

/** Where the port leads: its endpoint, and further members of a team. */
export const portPlace = (endpoint: EndpointConfig, uplinks: readonly EndpointConfig[]): string =>
  [endpoint, ...uplinks].map(endpointPlace).join(' + ')

export async function ports({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).ports()
  if (terminal.json) return terminal.data(answer)
  const isLimited = answer.some((port) => limitText(port) !== '')
  terminal.table(
    [
      { title: 'ID', align: 'right' },
      { title: 'PORT', flexible: true },
      { title: 'LINK' },
      { title: 'PEER' },
      { title: 'MAC' },
      { title: 'KIND' },
      { title: 'QUEUES', align: 'right' },
      { title: 'ENGINE' },
      { title: 'RECEIVED', align: 'right' },
      { title: 'SENT', align: 'right' },
      { title: 'DROPPED', align: 'right' },
      ...(isLimited ? [{ title: 'BANDWIDTH' }] : []),
      { title: 'ENDPOINT', flexible: true },
    ],
    answer.map((port) => [
      String(port.id),
      port.name,
      port.link,
      port.connected ? 'yes' : 'no',
      port.mac ?? 'learns',
      port.endpoint.kind,
      String(port.queues),
      port.engine ?? '-',
      count(port.counters.receivedFrames),
      count(port.counters.sentFrames),
      count(port.counters.receivedDropped + port.counters.sendDropped),
      ...(isLimited ? [limitText(port) || '-'] : []),
      portPlace(port.endpoint, port.uplinks),
    ]),
    'the switch has no ports',
  )
}
