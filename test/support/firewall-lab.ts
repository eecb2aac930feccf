// The firewall between two groups of VMs and a port of neither, in memory: what its tests have in common.
import firewall from '../../src/extensions/firewall/index.ts'
import { type FrameAddresses, ipBytes, tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { DnsType, dnsNameBytes } from '../../src/packet/dns.ts'
import { ExtensionHost } from './extension-host.ts'

export const VM = '02:00:00:00:00:01'
export const OTHER = '02:00:00:00:00:02'
export const DB = '02:00:00:00:00:03'
export const OUT = '02:00:00:00:00:09'
const resolvers = ['192.0.2.53', '2001:db8::53']
const rules = [
  { name: 'mirror', to: ['198.51.100.0/24', '2001:db8:1::/48'], protocol: 'tcp', ports: 443 },
  { name: 'names', domains: ['www.example.org', '*.deb.example.org'], protocol: 'tcp', ports: [80] },
  { name: 'pings', to: ['198.51.100.0/24', '2001:db8:1::/48'], protocol: 'icmp' },
  { name: 'data', groups: ['db'], protocol: 'tcp', ports: 5432 },
]
const groups = [
  { name: 'web', ports: ['web*'], egress: rules, ingress: [{ name: 'ssh', from: 'any', protocol: 'tcp', ports: 22 }] },
  { name: 'db', ports: ['db'] },
]

type Options = Readonly<Record<string, unknown>>
export async function lab(options: Options = {}, group: Options = {}) {
  const host = new ExtensionHost([
    { definition: firewall, options: { resolvers, groups: [{ ...groups[0], ...group }, groups[1]], ...options } },
  ])
  await host.addPorts({ name: 'web1', mac: VM }, { name: 'web2', mac: OTHER }, { name: 'db', mac: DB }, { name: 'out', mac: OUT })
  const { counters, module, sinks } = host.modules[0]!
  const passes = (from: string, to: string, ...frames: Uint8Array[]): number => {
    host.delivered(to)
    host.send(from, ...frames)
    return host.delivered(to).length
  }
  const lines = (): Record<string, unknown>[] =>
    new TextDecoder()
      .decode(sinks.get('audit')!.contents())
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return { host, counters, module, sinks, passes, lines }
}

export const v4 = { source: '10.0.0.5', destination: '198.51.100.7' }
export const v6 = { source: '2001:db8:5::5', destination: '2001:db8:1::7' }
export const toOut = (pair: { source: string; destination: string }): FrameAddresses => ({
  sourceMac: VM,
  destinationMac: OUT,
  ...pair,
})
export const back = ({ source, destination, sourceMac, destinationMac }: FrameAddresses): FrameAddresses => ({
  source: destination,
  destination: source,
  sourceMac: destinationMac,
  destinationMac: sourceMac,
})

export const query = (id: number, name: string, type: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...dnsNameBytes(name), 0, type, 0, 1])
export interface Answer {
  readonly name: string
  readonly type: number
  readonly ttl?: number
  readonly data: ArrayLike<number>
}
export const response = (id: number, name: string, type: number, answers: readonly Answer[]): Uint8Array<ArrayBuffer> => {
  const asked = query(id, name, type)
  asked.set([0x81, 0x80], 2)
  asked[7] = answers.length
  const records = answers.flatMap((one) => [
    ...dnsNameBytes(one.name),
    ...[0, one.type, 0, 1, 0, 0, (one.ttl ?? 60) >> 8, (one.ttl ?? 60) & 255, 0, one.data.length],
    ...Array.from(one.data),
  ])
  return Uint8Array.from([...asked, ...records])
}
export const toResolver = toOut({ source: v4.source, destination: resolvers[0]! })
export const asks = (port: number, id: number, name: string, type: number = DnsType.a): Uint8Array =>
  udpFrame(toResolver, port, 53, query(id, name, type))
export const answers = (port: number, id: number, name: string, list: readonly Answer[], type: number = DnsType.a): Uint8Array =>
  udpFrame(back(toResolver), 53, port, response(id, name, type, list))
export const a = (name: string, address: string, ttl?: number): Answer => ({
  name,
  type: address.includes(':') ? DnsType.aaaa : DnsType.a,
  data: ipBytes(address),
  ...(ttl === undefined ? {} : { ttl }),
})
export const cname = (name: string, target: string, ttl?: number): Answer => ({
  name,
  type: DnsType.cname,
  data: dnsNameBytes(target),
  ...(ttl === undefined ? {} : { ttl }),
})
export const reach = (address: string, port = 80): Uint8Array =>
  tcpFrame(toOut({ source: address.includes(':') ? v6.source : v4.source, destination: address }), 4000, port)
