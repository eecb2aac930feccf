import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness } from '../../../test/support/data-path-harness.ts'
import { etherFrame, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { HASH_TYPES_ALL, HashType, PUBLISHED_HASH_KEY } from './hash-types.ts'
import { ReceiveHash } from './receive-hash.ts'
import { Toeplitz } from './toeplitz.ts'

const toeplitz = new Toeplitz(PUBLISHED_HASH_KEY)
const macs = { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02' }
const GRE = 47

interface Hashed {
  readonly type: number
  readonly value: number
}

function hash(frame: Uint8Array, types: number = HASH_TYPES_ALL, encapsulation = true): Hashed {
  const harness = new DataPathHarness()
  harness.fill(0, 1, frame)
  harness.kernels.parse(harness.pool.base, 0, 1)
  const found = new ReceiveHash(harness.pool)
  found.of(0, types, toeplitz, encapsulation)
  return { type: found.type, value: found.type === 0 ? 0 : found.value >>> 0 }
}

// Destination and source with their ports, the hash over addresses, the hash over addresses and ports: verifying-the-rss-hash-calculation.
const vectors: readonly (readonly [string, number, string, number, number, number])[] = [
  ['161.142.100.80', 1766, '66.9.149.187', 2794, 0x323e8fc2, 0x51ccc178],
  ['65.69.140.83', 4739, '199.92.111.2', 14230, 0xd718262a, 0xc626b0ea],
  ['12.22.207.184', 38024, '24.19.198.95', 12898, 0xd2d0a5de, 0x5c2b394a],
  ['209.142.163.6', 2217, '38.27.205.30', 48228, 0x82989176, 0xafc7327f],
  ['202.188.127.2', 1303, '153.39.163.191', 44251, 0x5d1809c5, 0x10e828a2],
  ['3ffe:2501:200:3::1', 1766, '3ffe:2501:200:1fff::7', 2794, 0x2cc18cd5, 0x40207d3d],
]

for (const [destination, destinationPort, source, sourcePort, addresses, ports] of vectors)
  test(`the published hash of ${source} to ${destination} comes out`, () => {
    const isIpv6 = source.includes(':')
    const frame = tcpFrame({ ...macs, source, destination }, sourcePort, destinationPort)
    const [withPorts, only] = isIpv6 ? [HashType.tcpIpv6, HashType.ipv6] : [HashType.tcpIpv4, HashType.ipv4]
    assert.deepEqual(hash(frame), { type: withPorts, value: ports })
    assert.deepEqual(hash(frame, only), { type: only, value: addresses })
    assert.deepEqual(hash(udpFrame({ ...macs, source, destination }, 7, 9)), { type: only, value: addresses })
  })

test('what is no IP packet, or of no enabled type, has no hash; fragments are hashed over addresses', () => {
  const addresses = { ...macs, source: '66.9.149.187', destination: '161.142.100.80' }
  const tcp = tcpFrame(addresses, 2794, 1766)
  assert.equal(hash(etherFrame(macs.destinationMac, macs.sourceMac, 0x0806, new Uint8Array(28))).type, 0)
  assert.equal(hash(tcp, HashType.ipv6 | HashType.tcpIpv6).type, 0)
  assert.equal(hash(tcp, 0).type, 0)
  const fragment = Uint8Array.from(tcp)
  fragment[20] = 0x20 // more fragments
  assert.deepEqual(hash(fragment), { type: HashType.ipv4, value: 0x323e8fc2 })
})

const inGre = (outer: { source: string; destination: string }, inner: Uint8Array): Uint8Array =>
  ipFrame({ ...macs, ...outer }, GRE, Uint8Array.from([0x20, 0, 0x65, 0x58, 0, 0x10, 0, 1, ...inner]))

test('inner TCP and UDP are hashed by their 4-tuple, whatever the outer version; other payload by the outer addresses (VQ-162, VQ-163, VQ-167)', () => {
  const outer4 = { source: '66.9.149.187', destination: '161.142.100.80' }
  const outer6 = { source: '3ffe:2501:200:1fff::7', destination: '3ffe:2501:200:3::1' }
  const inside = { ...macs, source: '199.92.111.2', destination: '65.69.140.83' }
  const expected = { type: HashType.tcpIpv4, value: 0xc626b0ea }
  for (const outer of [outer4, outer6]) {
    assert.deepEqual(hash(inGre(outer, tcpFrame(inside, 14230, 4739))), expected)
    assert.deepEqual(hash(inGre(outer, udpFrame(inside, 14230, 4739))), expected)
  }
  const icmp = ipFrame(inside, 1, new Uint8Array(8))
  assert.deepEqual(hash(inGre(outer4, icmp)), { type: HashType.ipv4, value: 0x323e8fc2 })
  assert.deepEqual(hash(inGre(outer6, icmp)), { type: HashType.ipv6, value: 0x2cc18cd5 })
  // Without task offload for encapsulated packets only the outer headers count.
  assert.deepEqual(hash(inGre(outer4, tcpFrame(inside, 14230, 4739)), HASH_TYPES_ALL, false), {
    type: HashType.ipv4,
    value: 0x323e8fc2,
  })
  const cut = inGre(outer4, tcpFrame(inside, 14230, 4739)).subarray(0, 60)
  assert.deepEqual(hash(cut), { type: HashType.ipv4, value: 0x323e8fc2 })
})

test('a key has 40 bytes', () => {
  assert.throws(() => new Toeplitz(new Uint8Array(39)), { name: 'RangeError', message: /40 bytes, not 39/ })
})
