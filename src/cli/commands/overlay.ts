// `vmswitch overlay [show|records|record|routes|route|subnet]`: tunnels to other hosts with what goes through them, where guests are, and ways
// between virtual subnets.
import type { OverlayStatus, RecordFilter, RouteFilter, RouteKey } from '../../manage/overlay/overlay-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { bytes, count } from '../units.ts'

const NONE = 'the switch has no overlay: overlay in its configuration makes one (docs/overlays.md)'

export async function showOverlay({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).overlay()
  if (terminal.json) return terminal.data(answer)
  if (answer === null) return terminal.line(NONE)
  terminal.line(headline(answer))
  terminal.table(
    [
      { title: 'TUNNEL TO' },
      { title: 'NEXT HOP' },
      { title: 'SENT', align: 'right' },
      { title: 'BYTES', align: 'right' },
      { title: 'RECEIVED', align: 'right' },
      { title: 'BYTES', align: 'right' },
    ],
    answer.tunnels.map(({ provider, nextHop, counters }) => [
      provider,
      nextHop ?? 'not known',
      count(counters.sentFrames),
      bytes(counters.sentBytes),
      count(counters.receivedFrames),
      bytes(counters.receivedBytes),
    ]),
    'there are no tunnels yet',
  )
  terminal.table(
    [
      { title: 'SUBNET', align: 'right' },
      { title: 'DOMAIN' },
      { title: 'RECORDS', align: 'right' },
      { title: 'GATEWAYS', flexible: true },
      { title: 'PEERS', flexible: true },
      { title: 'PORTS', flexible: true },
    ],
    answer.subnets.map(({ vsid, routingDomain, gateways, peers, ports, records }) => [
      String(vsid),
      routingDomain ?? '',
      count(records),
      gateways.join(' '),
      peers.join(' '),
      ports.join(' '),
    ]),
    'there are no virtual subnets',
  )
  if (answer.unplaced > 0) terminal.line(`without room in the table of addresses: ${count(answer.unplaced)}`)
  for (const { reason, frames } of answer.drops) terminal.line(`dropped, ${reason}: ${count(frames)}`)
}

function headline({ kind, providerAddresses, providerMac, udpPort, guestMtu, learning, records }: OverlayStatus): string {
  const port = udpPort === null ? '' : `, UDP port ${udpPort}`
  const learned = learning ? ', learning' : ''
  return `${kind} from ${providerAddresses.join(', ')} (${providerMac})${port}; guests' MTU ${guestMtu}, ${count(records)} records${learned}`
}

export async function listRecords({ terminal, connect }: CommandContext, filter: RecordFilter): Promise<void> {
  const answer = await (await connect()).overlayRecords(filter)
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'SUBNET', align: 'right' },
      { title: 'MAC' },
      { title: 'PROVIDER' },
      { title: 'KIND' },
      { title: 'ADDRESSES', flexible: true },
    ],
    answer.map(({ vsid, mac, provider, kind, addresses }) => [String(vsid), mac, provider, kind, addresses.join(' ')]),
    'there are no records',
  )
}

export interface NewRecord {
  readonly vsid: number
  readonly mac: string
  readonly provider: string
  readonly addresses: readonly string[]
}

export async function addRecord({ terminal, connect }: CommandContext, record: NewRecord): Promise<void> {
  const answer = await (await connect()).setOverlayRecord({ ...record, addresses: [...record.addresses] })
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.mac} of virtual subnet ${answer.vsid} is at ${answer.provider}`)
}

export async function removeRecord({ terminal, connect }: CommandContext, vsid: number, mac: string): Promise<void> {
  await (await connect()).removeOverlayRecord({ vsid, mac })
  if (terminal.json) terminal.data({})
  else terminal.line(`${mac} of virtual subnet ${vsid} has no record any more`)
}

export async function listRoutes({ terminal, connect }: CommandContext, filter: RouteFilter): Promise<void> {
  const answer = await (await connect()).overlayRoutes(filter)
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'DOMAIN' },
      { title: 'PREFIX' },
      { title: 'SUBNET', align: 'right' },
      { title: 'NEXT HOP' },
      { title: 'METRIC', align: 'right' },
      { title: 'KIND' },
    ],
    answer.map(({ routingDomain, vsid, prefix, nextHop, metric, kind }) => [
      routingDomain,
      prefix,
      String(vsid),
      nextHop ?? '',
      String(metric),
      kind,
    ]),
    'there are no routes',
  )
}

const wayOf = ({ vsid, prefix, nextHop }: RouteKey): string =>
  `${prefix} leads into virtual subnet ${vsid}${nextHop === undefined ? '' : ` through ${nextHop}`}`

const keyOf = ({ vsid, prefix, nextHop }: RouteKey): RouteKey => ({ vsid, prefix, ...(nextHop === undefined ? {} : { nextHop }) })

export async function addRoute(
  { terminal, connect }: CommandContext,
  { metric, ...route }: RouteKey & { readonly metric: number },
): Promise<void> {
  const answer = await (await connect()).setOverlayRoute({ ...keyOf(route), metric })
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${wayOf({ ...answer, nextHop: answer.nextHop ?? undefined })}, metric ${answer.metric}`)
}

export async function removeRoute({ terminal, connect }: CommandContext, route: RouteKey): Promise<void> {
  await (await connect()).removeOverlayRoute(keyOf(route))
  if (terminal.json) terminal.data({})
  else terminal.line(`no longer: ${wayOf(route)}`)
}

export interface SubnetWords {
  readonly domain?: string
  readonly prefixes?: string
  readonly gateways?: string
  readonly peers?: string
}

/** What is not said stays as it is. */
export async function setSubnet({ terminal, connect }: CommandContext, vsid: number, words: SubnetWords): Promise<void> {
  const host = await connect()
  const overlay = await host.overlay()
  if (overlay === null) throw new CliError('no-overlay', NONE, '', ExitCode.failed)
  const before = overlay.subnets.find((subnet) => subnet.vsid === vsid)
  const routingDomain = words.domain ?? before?.routingDomain ?? undefined
  const [peers, prefixes, gateways] = (['peers', 'prefixes', 'gateways'] as const).map((key) =>
    words[key] === undefined ? [...(before?.[key] ?? [])] : words[key].split(',').filter((word) => word !== ''),
  )
  const answer = await host.setOverlaySubnet({
    vsid,
    peers,
    ...(routingDomain === undefined ? {} : { routingDomain }),
    ...(prefixes?.length === 0 ? {} : { prefixes }),
    ...(gateways?.length === 0 ? {} : { gateways }),
  })
  if (terminal.json) return terminal.data(answer)
  terminal.line(`virtual subnet ${vsid}: peers ${answer.peers.join(', ') || 'none'}`)
}

export async function removeSubnet({ terminal, connect }: CommandContext, vsid: number): Promise<void> {
  await (await connect()).removeOverlaySubnet(vsid)
  if (terminal.json) terminal.data({})
  else terminal.line(`virtual subnet ${vsid} was removed`)
}
