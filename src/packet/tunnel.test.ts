import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { get16, put16 } from './bytes.ts'
import { internetChecksum } from './checksum.ts'
import { decapsulateEcn, resizeTunnel, TunnelFormat, TunnelReader, TunnelTemplate, TunnelVerdict, tunnelBytes } from './tunnel.ts'

const FORMATS = Object.values(TunnelFormat)
const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const UDP_PORT = 4789

const packets = fc
  .record({
    format: fc.constantFrom(...FORMATS),
    isIpv4: fc.boolean(),
    addresses: octets(32),
    inner: fc.uint8Array({ minLength: 14, maxLength: 200 }),
    vsid: fc.integer({ min: 0, max: 0xffffff }),
    flow: fc.integer(),
    trafficClass: fc.integer({ min: 0, max: 255 }),
  })
  .map(({ format, isIpv4, addresses, inner, vsid, flow, trafficClass }) => {
    const size = isIpv4 ? 4 : 16
    const template = new TunnelTemplate({
      format,
      source: addresses.slice(0, size),
      destination: addresses.slice(16, 16 + size),
      sourceMac: Uint8Array.of(2, 0, 0, 0, 0, 1),
      destinationMac: Uint8Array.of(2, 0, 0, 0, 0, 2),
      udpPort: UDP_PORT,
      ttl: 64,
    })
    const packet = new Uint8Array(template.length + inner.length)
    template.write(packet, 0, inner.length, vsid, flow, trafficClass)
    packet.set(inner, template.length)
    return { format, isIpv4, addresses, size, inner, vsid, trafficClass, packet, length: template.length }
  })

test('what a template writes is read back, with right lengths and checksum, whatever the frame', () => {
  fc.assert(
    fc.property(packets, ({ format, isIpv4, addresses, size, inner, vsid, trafficClass, packet, length }) => {
      const reader = new TunnelReader(format, UDP_PORT)
      assert.equal(reader.read(packet, 0, packet.length, packet.length), TunnelVerdict.sound)
      assert.deepEqual([reader.headers, reader.inner, reader.vsid, reader.ecn], [length, inner.length, vsid, trafficClass & 3])
      assert.equal(length, tunnelBytes(format, isIpv4))
      assert.deepEqual(packet.slice(reader.source, reader.source + size), addresses.slice(0, size))
      assert.deepEqual(packet.slice(reader.destination, reader.destination + size), addresses.slice(16, 16 + size))
      if (isIpv4) assert.equal(internetChecksum(packet, 14, 34), 0)
      // Headers for a frame that is shorter by one.
      const cut = packet.slice(0, -1)
      if (inner.length === 14) return
      resizeTunnel(cut, 0, length, inner.length - 1)
      assert.equal(reader.read(cut, 0, cut.length, cut.length), TunnelVerdict.sound)
      assert.equal(reader.inner, inner.length - 1)
    }),
  )
})

test('no bytes make the reader look beyond their end, or find more than there is', () => {
  const hostile = fc.tuple(packets, fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 6 }), fc.nat(300))
  fc.assert(
    fc.property(hostile, ([{ format, packet }, changes, cut]) => {
      const bytes = packet.slice(0, Math.max(0, packet.length - cut))
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      const guarded = new Proxy(bytes, {
        get(target, key) {
          const index = typeof key === 'string' ? Number(key) : Number.NaN
          if (Number.isInteger(index)) assert.ok(index < target.length, `octet ${index} of ${target.length}`)
          const value: unknown = Reflect.get(target, key)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
      const reader = new TunnelReader(format, UDP_PORT)
      if (reader.read(guarded, 0, bytes.length, bytes.length) !== TunnelVerdict.sound) return
      assert.ok(reader.inner >= 14 && reader.headers + reader.inner <= bytes.length)
    }),
    { numRuns: 2000 },
  )
})

test('Geneve options are passed over, unless one is critical; NVGRE has a key and nothing else', () => {
  fc.assert(
    fc.property(packets, ({ format, packet, length, inner }) => {
      const reader = new TunnelReader(format, UDP_PORT)
      const above = length - 8
      if (format === TunnelFormat.nvgre) {
        packet[above] = 0xa0
        assert.equal(reader.read(packet, 0, packet.length, packet.length), TunnelVerdict.malformed)
        return
      }
      if (format === TunnelFormat.vxlan) {
        packet[above] = 0
        assert.equal(reader.read(packet, 0, packet.length, packet.length), TunnelVerdict.malformed)
        return
      }
      const longer = new Uint8Array(packet.length + 8)
      longer.set(packet.subarray(0, length))
      longer.set([1, 2, 3, 1, 9, 9, 9, 9], length)
      longer.set(packet.subarray(length), length + 8)
      longer[above] = 2
      resizeTunnel(longer, 0, length, inner.length + 8)
      assert.equal(reader.read(longer, 0, longer.length, longer.length), TunnelVerdict.sound)
      assert.deepEqual([reader.headers, reader.inner], [length + 8, inner.length])
      longer[length + 2] = 0x83
      assert.equal(reader.read(longer, 0, longer.length, longer.length), TunnelVerdict.critical)
      longer[length + 2] = 3
      longer[above + 1] = 0x40
      assert.equal(reader.read(longer, 0, longer.length, longer.length), TunnelVerdict.critical)
    }),
  )
})

test('congestion bits come in as RFC 6040 says, and the IPv4 checksum follows', () => {
  // By outer and inner bits: what the inner ones become; -1: dropped.
  const expected = [
    [0, 1, 2, 3],
    [0, 1, 1, 3],
    [0, 1, 2, 3],
    [-1, 3, 3, 3],
  ]
  for (const isIpv4 of [true, false])
    for (let outer = 0; outer < 4; outer++)
      for (let inner = 0; inner < 4; inner++) {
        const packet = new Uint8Array(40)
        packet[0] = isIpv4 ? 0x45 : 0x60
        if (isIpv4) {
          packet[1] = 0xb8 | inner
          put16(packet, 10, internetChecksum(packet, 0, 20))
        } else packet[1] = inner << 4
        const goesOn = decapsulateEcn(packet, 0, outer)
        const bits = isIpv4 ? packet[1]! & 3 : (packet[1]! >> 4) & 3
        assert.equal(goesOn ? bits : -1, expected[outer]![inner], `outer ${outer}, inner ${inner}`)
        if (isIpv4) assert.equal(internetChecksum(packet, 0, 20), 0)
        assert.equal(get16(packet, 12), 0)
      }
})
