// Guards against guests that hide what they send: random messages behind random tags, LLC, options, extension headers, fragments and padding,
// some bytes of them changed. A receiver that believes everything, written apart from the switch, says what it would take them for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import { IPV6, icmp, ipv4, ipv4Bytes, ipv6, ipv6Bytes, udp } from '../../../test/support/guard-frames.ts'

const OWN4 = '10.0.0.1'
const OWN6 = 'fd00::1'
const OTHER4 = '10.0.0.2'
const OTHER6 = 'fd00::2'
const OWN_MAC = [2, 0, 0, 0, 0, 1]
const OTHER_MAC = [2, 0, 0, 0, 0, 9]

const neighbour = (type: number, target: string, address: readonly number[] = []): number[] =>
  icmp(type, [0, 0, 0, 0, ...ipv6Bytes(target), ...(address.length === 0 ? [] : [type === 136 ? 2 : 1, 1, ...address])])
const solicitation = (address: readonly number[]): number[] => icmp(133, [0, 0, 0, 0, 1, 1, ...address])

interface Message {
  readonly source: string
  /** Number of the protocol, and the packet behind the IP header. */
  readonly protocol: number
  readonly payload: readonly number[]
}

const lies4: readonly Message[] = [
  { source: OWN4, protocol: 17, payload: udp(67, 68, 2) },
  { source: OWN4, protocol: 17, payload: udp(4000, 68, 2) },
  { source: OWN4, protocol: 17, payload: udp(67, 67, 2) },
  { source: OWN4, protocol: 1, payload: icmp(5) },
  { source: OWN4, protocol: 1, payload: icmp(9) },
  { source: OTHER4, protocol: 6, payload: udp(1, 2, 3) },
]
const lies6: readonly Message[] = [
  { source: OWN6, protocol: IPV6.udp, payload: udp(547, 546, 2) },
  { source: OWN6, protocol: IPV6.udp, payload: udp(547, 547, 13) },
  { source: OWN6, protocol: IPV6.icmp, payload: icmp(134) },
  { source: OWN6, protocol: IPV6.icmp, payload: icmp(137) },
  { source: OTHER6, protocol: 6, payload: udp(1, 2, 3) },
  { source: OWN6, protocol: IPV6.icmp, payload: neighbour(136, OTHER6) },
  { source: OWN6, protocol: IPV6.icmp, payload: neighbour(136, OWN6, OTHER_MAC) },
  { source: OWN6, protocol: IPV6.icmp, payload: neighbour(135, OTHER6, OTHER_MAC) },
  { source: OWN6, protocol: IPV6.icmp, payload: solicitation(OTHER_MAC) },
  { source: '::', protocol: IPV6.icmp, payload: neighbour(135, OTHER6) },
]
const honest4: readonly Message[] = [
  { source: '0.0.0.0', protocol: 17, payload: udp(68, 67, 1) },
  { source: OWN4, protocol: 17, payload: udp(67, 67, 1) },
  { source: '0.0.0.0', protocol: 2, payload: [0x16, 0, 0, 0, 224, 0, 0, 251] },
  { source: OWN4, protocol: 1, payload: icmp(8) },
  { source: OWN4, protocol: 6, payload: udp(68, 67, 2) },
]
const honest6: readonly Message[] = [
  { source: OWN6, protocol: IPV6.udp, payload: udp(546, 547, 1) },
  { source: '::', protocol: IPV6.icmp, payload: icmp(133) },
  { source: OWN6, protocol: IPV6.icmp, payload: neighbour(136, OWN6, OWN_MAC) },
  { source: OWN6, protocol: IPV6.icmp, payload: neighbour(135, OTHER6, OWN_MAC) },
  { source: OWN6, protocol: IPV6.icmp, payload: solicitation(OWN_MAC) },
  { source: OWN6, protocol: IPV6.icmp, payload: icmp(128) },
]

const arp = (sender: string, address: readonly number[], operation: number): number[] => [
  ...[0, 1, 8, 0, 6, 4, 0, operation, ...address],
  ...ipv4Bytes(sender),
  ...[0, 0, 0, 0, 0, 0, ...ipv4Bytes('10.0.0.9')],
]
const operations = [1, 2] as const
const lies = operations.flatMap((operation) => [arp(OTHER4, OWN_MAC, operation), arp(OWN4, OTHER_MAC, operation)])
const honest = operations.map((operation) => arp(OWN4, OWN_MAC, operation))

/** Headers of IPv6 before one of `protocol`: kinds and lengths in words of 8 bytes. A fragment is one alone, or the first of several. */
type Chain = readonly { readonly kind: number; readonly words: number; readonly more: boolean }[]

function behind(chain: Chain, protocol: number, payload: readonly number[]): { next: number; payload: readonly number[] } {
  let next = protocol
  let bytes = [...payload]
  for (const { kind, words, more } of [...chain].reverse()) {
    const fragment = kind === IPV6.fragment
    // The length of an authentication header counts in words of 4, without two.
    const length = fragment ? 0 : kind === 51 ? words * 2 : words
    const body = fragment ? [0, more ? 1 : 0, 0, 0, 0, 7] : Array<number>(6 + words * 8).fill(0)
    bytes = [next, length, ...body, ...bytes]
    next = kind
  }
  return { next, payload: bytes }
}

interface Wrapping {
  readonly tags: readonly (readonly [type: number, tci: number])[]
  readonly snap: boolean
  readonly options: number
  readonly more: boolean
  readonly chain: Chain
  readonly padding: readonly number[]
}

const kinds = fc.constantFrom(IPV6.hopByHop, IPV6.routing, IPV6.options, IPV6.fragment, 51)
const wrappings = (deep: boolean): fc.Arbitrary<Wrapping> =>
  fc.record({
    tags: fc.array(fc.tuple(fc.constantFrom(0x8100, 0x88a8, 0x9100), fc.constantFrom(0, 5, 0xe007)), { maxLength: deep ? 4 : 2 }),
    snap: deep ? fc.constantFrom(false, false, false, true) : fc.constant(false),
    options: fc.integer({ min: 0, max: 10 }).map((words) => words * 4),
    more: fc.boolean(),
    chain: fc.array(
      fc.record({ kind: kinds, words: fc.integer({ min: 0, max: deep ? 3 : 0 }), more: fc.boolean() }),
      { maxLength: deep ? 10 : 2 }, // the shortest of them fit into what the switch reads
    ),
    padding: fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: deep ? 40 : 0 }),
  })

function inFrame(payload: readonly number[], etherType: number, { tags, snap, padding }: Wrapping): Buffer {
  const type = [etherType >> 8, etherType & 0xff]
  const body = snap ? [0, payload.length + 8, 0xaa, 0xaa, 3, 0, 0, 0, ...type, ...payload] : [...type, ...payload]
  const tagBytes = tags.flatMap(([kind, tci]) => [kind >> 8, kind & 0xff, tci >> 8, tci & 0xff])
  const address = mac(1)
    .split(':')
    .map((octet) => Number.parseInt(octet, 16))
  const bytes = Buffer.from([...Array<number>(6).fill(0xff), ...address, ...tagBytes, ...body, ...padding])
  return bytes.length < 60 ? Buffer.concat([bytes, Buffer.alloc(60 - bytes.length)]) : bytes
}

const packet4 = ({ source, protocol, payload }: Message, wrapping: Wrapping): Buffer => {
  const { options, more } = wrapping
  const destination = '10.0.0.9'
  const bytes = ipv4({ source, destination, protocol, options, moreFragments: more }, payload).subarray(14)
  return inFrame([...bytes.subarray(0, 20 + options + payload.length)], 0x0800, wrapping)
}
const packet6 = ({ source, protocol, payload }: Message, wrapping: Wrapping): Buffer => {
  const { next, payload: all } = behind(wrapping.chain, protocol, payload)
  return inFrame([...ipv6({ source }, next, all).subarray(14, 54 + all.length)], 0x86dd, wrapping)
}

// ---- the receiver -------------------------------------------------------------------------------------------------------

const isForeignMac = (bytes: Buffer, at: number): boolean =>
  at + 6 <= bytes.length && !bytes.subarray(at, at + 6).equals(Buffer.from(OWN_MAC))

/** What a receiver takes from an ICMPv6 message that no router and no other host may say. */
function seesIn6(bytes: Buffer, unspecified: boolean, whole: boolean): string | undefined {
  const type = bytes[0]
  if (type === 134 || type === 137) return 'router'
  if (!whole || (type !== 133 && type !== 135 && type !== 136)) return undefined // RFC 6980
  const own = [OWN6, 'fe80::ff:fe00:1'].some((text) => bytes.subarray(8, 24).equals(Buffer.from(ipv6Bytes(text))))
  if (type !== 133 && bytes.length < 24) return undefined
  if ((type === 136 || (type === 135 && unspecified)) && !own) return 'foreign'
  for (let at = type === 133 ? 8 : 24; at + 8 <= bytes.length && bytes[at + 1] !== 0; at += bytes[at + 1]! * 8)
    if ((bytes[at] === 1 || bytes[at] === 2) && isForeignMac(bytes, at + 2)) return 'foreign'
  return undefined
}

function seesInUdp(bytes: Buffer, client: number): string | undefined {
  if (bytes.length < 8) return undefined
  const server = client === 68 ? 67 : 547
  const ports = [bytes.readUInt16BE(0), bytes.readUInt16BE(2)]
  if (ports[1] === client) return 'server'
  if (ports[1] !== server || bytes.length < 9) return undefined
  return bytes[8] === (client === 68 ? 2 : 13) ? 'server' : undefined
}

function seesIn(etherType: number, bytes: Buffer): string | undefined {
  if (etherType === 0x0806) {
    if (bytes.length < 28 || bytes.readUInt32BE(2) !== 0x08000604) return undefined
    const isProbe = bytes.readUInt32BE(14) === 0
    const isOwn = bytes.subarray(14, 18).equals(Buffer.from(ipv4Bytes(OWN4)))
    return (!isProbe && !isOwn) || isForeignMac(bytes, 8) ? 'foreign' : undefined
  }
  if (etherType === 0x0800) {
    const header = (bytes[0]! & 15) * 4
    if (bytes.length < 20 || bytes[0]! >> 4 !== 4 || header < 20) return undefined
    const total = bytes.readUInt16BE(2)
    if (total < header || total > bytes.length) return undefined
    const source = bytes.subarray(12, 16)
    if (!source.equals(Buffer.from(ipv4Bytes(OWN4))) && source.readUInt32BE() !== 0) return 'foreign'
    if ((bytes.readUInt16BE(6) & 0x1fff) !== 0) return undefined
    const payload = bytes.subarray(header, total)
    if (bytes[9] === 17) return seesInUdp(payload, 68)
    return bytes[9] === 1 && (payload[0] === 5 || payload[0] === 9) ? 'router' : undefined
  }
  if (etherType !== 0x86dd || bytes.length < 40 || bytes[0]! >> 4 !== 6) return undefined
  const end = 40 + bytes.readUInt16BE(4)
  if (end > bytes.length) return undefined
  const source = bytes.subarray(8, 24)
  const unspecified = source.every((octet) => octet === 0)
  const own = [OWN6, 'fe80::ff:fe00:1'].some((text) => source.equals(Buffer.from(ipv6Bytes(text))))
  if (!unspecified && !own) return 'foreign'
  let at = 40
  let next = bytes[6]!
  let whole = true
  while (at + 8 <= end && [0, 43, 44, 51, 60].includes(next)) {
    if (next === 44) {
      whole = false
      if ((bytes.readUInt16BE(at + 2) & 0xfff8) !== 0) return undefined
    }
    const size = next === 44 ? 8 : next === 51 ? (bytes[at + 1]! + 2) * 4 : (bytes[at + 1]! + 1) * 8
    next = bytes[at]!
    at += size
  }
  if (at > end) return undefined
  if (next === 17) return seesInUdp(bytes.subarray(at, end), 546)
  return next === 58 ? seesIn6(bytes.subarray(at, end), unspecified, whole) : undefined
}

/** What a receiver that takes any number of tags, and LLC, makes of a frame; undefined: nothing that a guard is against. */
function sees(frame: Buffer): string | undefined {
  let at = 12
  while (at + 6 <= frame.length && [0x8100, 0x88a8, 0x9100].includes(frame.readUInt16BE(at))) at += 4
  let type = frame.readUInt16BE(at)
  at += 2
  if (type < 0x600) {
    if (frame.length < at + 8 || frame.readUInt32BE(at) !== 0xaaaa0300 || frame.readUInt16BE(at + 4) !== 0) return undefined
    type = frame.readUInt16BE(at + 6)
    at += 8
  }
  return seesIn(type, frame.subarray(at))
}

// ---- the properties -----------------------------------------------------------------------------------------------------

const REASONS = ['dhcp-guard', 'router-guard', 'source-guard']
const sourceGuard = {
  prefixes: [
    { address: ipv4Bytes(OWN4), bits: 32 },
    { address: ipv6Bytes(OWN6), bits: 128 },
  ],
  learned: false,
}

function guarded(shortCut: boolean): DataPathHarness {
  const harness = new DataPathHarness({ shortCut }).connect(2)
  harness.ports.setGuards(1, { dhcpGuard: true, routerGuard: true, stormLimit: [], sourceGuard })
  return harness
}
const harnesses = [guarded(true), guarded(false)]

/** True if the frame comes out; else a guard has counted it, once. */
function passes(frame: Buffer): boolean {
  const got = harnesses.map((harness) => {
    const count = (): number => REASONS.reduce((sum, reason) => sum + (harness.drops(1)[reason] ?? 0), 0)
    const before = count()
    harness.send(1, frame)
    const out = harness.sink(2).frames.splice(0).length
    assert.equal(count() - before, 1 - out, 'what is refused is counted with its reason')
    return out === 1
  })
  assert.equal(got[0], got[1], 'with and without short cuts')
  return got[0]!
}

const framesOf = (
  four: readonly Message[],
  six: readonly Message[],
  arps: readonly number[][],
  deep: boolean,
): fc.Arbitrary<Buffer> =>
  fc.oneof(
    fc.tuple(fc.constantFrom(...four), wrappings(deep)).map(([message, wrapping]) => packet4(message, wrapping)),
    fc.tuple(fc.constantFrom(...six), wrappings(deep)).map(([message, wrapping]) => packet6(message, wrapping)),
    fc.tuple(fc.constantFrom(...arps), wrappings(deep)).map(([bytes, wrapping]) => inFrame(bytes, 0x0806, wrapping)),
  )

const changes = fc.array(fc.tuple(fc.integer({ min: 12, max: 140 }), fc.integer({ min: 0, max: 255 })), { maxLength: 3 })

test('nothing that a receiver could take for a server, a router or another host gets past the guards, however it is wrapped', () => {
  let seen = 0
  fc.assert(
    fc.property(framesOf(lies4, lies6, lies, true), changes, (frame, bytes) => {
      for (const [at, value] of bytes) if (at < frame.length) frame[at] = value
      const what = sees(frame)
      if (what === undefined) return
      seen++
      assert.equal(passes(frame), false, `${what}: ${frame.toString('hex')}`)
    }),
    { numRuns: 3000 },
  )
  assert.ok(seen > 1000, `${seen} of them were lies`)
})

test('honest messages pass the guards in all wrappings that the switch can read', () => {
  fc.assert(
    fc.property(framesOf(honest4, honest6, honest, false), (frame) => {
      // Neighbour discovery in fragments is not honest (RFC 6980).
      if (frame.includes(Buffer.from([IPV6.icmp])) && frame.includes(Buffer.from([IPV6.fragment]))) return
      assert.equal(sees(frame), undefined)
      assert.equal(passes(frame), true, frame.toString('hex'))
    }),
    { numRuns: 1500 },
  )
})
