// Guests of the extension `dhcp-dns` in tests: how they ask for an address, and what they are told.
import assert from 'node:assert/strict'
import { DhcpType } from '../../src/extensions/dhcp-dns/dhcp4-message.ts'
import dhcpDns from '../../src/extensions/dhcp-dns/index.ts'
import { formatIpv4, formatIpv6, parseMac } from '../../src/packet/addresses.ts'
import { BROADCAST_MAC, ipBytes, ipFrame, udpFrame } from '../../src/packet/build.ts'
import { foldSum, pseudoSumIpv6, sumBytes, transportChecksum } from '../../src/packet/checksum.ts'
import { DnsType, dnsNameBytes, dnsTarget, readDnsMessage } from '../../src/packet/dns.ts'
import { ipv4ChecksumIsRight } from '../../src/packet/ipv4.ts'
import { ExtensionHost } from './extension-host.ts'

export const A = '02:00:00:00:00:01'
export const B = '02:00:00:00:00:02'
export const SERVER = '02:76:6d:73:00:01'
export const LINK = 'fe80::76:6dff:fe73:1'
export const ipv4 = { address: '10.77.0.1/24', pool: '10.77.0.100-10.77.0.103', router: '10.77.0.254', ntp: '10.77.0.9' }
export const ipv6 = { address: 'fd77::1/64' }

export async function lab(options: object = {}) {
  const host = new ExtensionHost([{ definition: dhcpDns, options: { ipv4, ipv6, domain: 'lab.test', ...options } }])
  await host.addPorts({ name: 'alpha', mac: A }, { name: 'beta', mac: B }, 'many') // many sends from any address
  const take = (port: string): Uint8Array[] => host.delivered(port)
  host.advance(1)
  take('alpha')
  take('beta')
  return { host, take, counters: host.modules[0]!.counters, module: host.modules[0]!.module }
}
export type Lab = Awaited<ReturnType<typeof lab>>

export const bootp = (
  mac: string,
  type: number,
  options: readonly number[] = [],
  clientAddress = '0.0.0.0',
): Uint8Array<ArrayBuffer> => {
  const message = new Uint8Array(300)
  message.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef])
  message.set(ipBytes(clientAddress), 12)
  message.set(parseMac(mac), 28)
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...options, 255], 236)
  return message
}
export const dhcp = (mac: string, type: number, options?: readonly number[], clientAddress = '0.0.0.0'): Uint8Array =>
  udpFrame(
    { sourceMac: mac, destinationMac: BROADCAST_MAC, source: clientAddress, destination: '255.255.255.255' },
    68,
    67,
    bootp(mac, type, options, clientAddress),
  )
interface Told {
  readonly type: number
  readonly address: string
  readonly options: ReadonlyMap<number, readonly number[]>
}
export function told(frame: Uint8Array | undefined): Told | undefined {
  if (!frame) return undefined
  assert.ok(ipv4ChecksumIsRight(frame, 14))
  assert.equal(transportChecksum(frame, 14, 17, 34, 14 + ((frame[16]! << 8) | frame[17]!)), 0)
  const message = frame.subarray(42)
  const options = new Map<number, number[]>()
  for (let at = 240; message[at] !== 255; at += 2 + message[at + 1]!)
    options.set(message[at]!, [...message.subarray(at + 2, at + 2 + message[at + 1]!)])
  return { type: options.get(53)![0]!, address: formatIpv4(new DataView(message.slice(16, 20).buffer).getUint32(0)), options }
}
export const says = ({ host, take }: Lab, port: string, frame: Uint8Array): Told | undefined => {
  take(port)
  host.send(port, frame)
  const got = take(port)
  assert.ok(got.length <= 1)
  return told(got[0])
}
export const requested = (address: string): number[] => [50, 4, ...ipBytes(address)]
export const toServer = [54, 4, 10, 77, 0, 1]
export const named = (name: string): number[] => [12, name.length, ...Buffer.from(name)]
// DISCOVER to ACK; the address.
export function comesUp(one: Lab, port: string, mac: string, options: readonly number[] = []): string {
  const offer = says(one, port, dhcp(mac, DhcpType.discover))
  assert.equal(offer?.type, DhcpType.offer)
  const ack = says(one, port, dhcp(mac, DhcpType.request, [...requested(offer.address), ...toServer, ...options]))
  assert.deepEqual([ack?.type, ack?.address], [DhcpType.ack, offer.address])
  return offer.address
}

export const icmp6 = (source: string, destination: string, message: Uint8Array<ArrayBuffer>, mac = A): Uint8Array =>
  ipFrame({ sourceMac: mac, destinationMac: '33:33:00:00:00:02', source, destination, hops: 255 }, 58, message, 2)
export const isSummed = (frame: Uint8Array, protocol: number): boolean => {
  const length = (frame[18]! << 8) | frame[19]!
  return foldSum(sumBytes(frame, 54, 54 + length, pseudoSumIpv6(frame, 14, protocol, length))) === 0
}

/** Asks the server at 10.77.0.1 for `name` from port alpha; what it says, undefined if nothing. */
export const asks = (one: Lab, name: string, type: number, more: readonly number[] = []) => {
  const extra = more.length > 0 ? 1 : 0
  const query = Uint8Array.from([0, 5, 1, 0, 0, 1, 0, 0, 0, 0, 0, extra, ...dnsNameBytes(name), 0, type, 0, 1, ...more])
  one.take('alpha')
  one.host.send(
    'alpha',
    udpFrame({ sourceMac: A, destinationMac: SERVER, source: '10.77.0.100', destination: '10.77.0.1' }, 4000, 53, query),
  )
  const [frame] = one.take('alpha')
  if (!frame) return undefined
  const bytes = frame.slice(42, 14 + ((frame[16]! << 8) | frame[17]!))
  const message = readDnsMessage(bytes, 0, bytes.length)!
  const text = message.answers.map((record) => {
    if (record.type === DnsType.a) return formatIpv4(new DataView(bytes.buffer).getUint32(record.dataAt))
    return record.type === DnsType.aaaa ? formatIpv6(bytes, record.dataAt) : dnsTarget(bytes, record, 0, bytes.length)
  })
  return { code: message.code, text, asked: Buffer.from(bytes.subarray(12, 12 + name.length + 1)).toString('latin1') }
}
