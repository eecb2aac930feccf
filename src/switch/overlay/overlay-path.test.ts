import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { frame, type TestFrame, textOf } from '../../../test/support/data-path-harness.ts'
import {
  OWN_ADDRESS,
  OWN_IPV6,
  OWN_MAC,
  overlayHarness,
  PEER_ADDRESS,
  PEER_IPV6,
  PEER_MAC,
  SUBNET,
  UPLINK,
  VSID,
} from '../../../test/support/overlay-harness.ts'
import { tunnelled } from '../../../test/support/tunnelled.ts'
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, VNET_NEEDS_CSUM } from '../../kernels/layout.ts'
import { parseMac } from '../../packet/addresses.ts'
import { arpRequestFrame, ipBytes, tcpFrame, udpFrame } from '../../packet/build.ts'
import { get16, put16 } from '../../packet/bytes.ts'
import { internetChecksum, transportChecksum } from '../../packet/checksum.ts'
import { TunnelFormat, TunnelReader, TunnelVerdict } from '../../packet/tunnel.ts'
import { PortFlag } from '../port-table.ts'
import { Flooding } from './plan.ts'

const REMOTE = '02:00:00:00:00:21'
const REMOTE6 = '02:00:00:00:00:22'
const addresses = (destinationMac: string, port = 1) => ({
  sourceMac: `02:00:00:00:00:0${port}`,
  destinationMac,
  source: '10.0.0.1',
  destination: '10.0.0.2',
})

// The frame in a tunnel packet, with its virtual subnet.
function taken(packet: Uint8Array, format: TunnelFormat = TunnelFormat.vxlan, udpPort = 4789) {
  const reader = new TunnelReader(format, udpPort)
  assert.equal(reader.read(packet, 0, packet.length, packet.length), TunnelVerdict.sound)
  return { vsid: reader.vsid, inner: Buffer.from(packet.subarray(reader.headers)), ecn: reader.ecn, headers: reader.headers }
}

for (const shortCut of [false, true])
  describe(`an overlay, short cuts ${shortCut ? 'on' : 'off'}`, () => {
    test('a port in a virtual subnet that the overlay does not know exchanges frames with nobody outside of it', () => {
      const { harness } = overlayHarness(3, {}, shortCut)
      harness.ports.setSubnet(1, 0)
      for (const port of [2, 3]) harness.ports.setSubnet(port, VSID + 1)
      harness.send(1, frame(2, 1, 'in'))
      harness.send(2, frame(1, 2, 'out'), frame(3, 2, 'own'))
      assert.deepEqual(
        [1, 2, 3, UPLINK].map((port) => harness.sink(port).frames.splice(0).map(textOf)),
        [[], [], ['own'], []],
      )
      assert.deepEqual([harness.drops(1), harness.drops(2)], [{ 'virtual-subnet': 1 }, { 'virtual-subnet': 1 }])
    })

    test('a frame to a guest that a record knows elsewhere leaves by the external port in a tunnel packet (ES-565, ES-569, ES-571)', () => {
      const { harness } = overlayHarness(2, {}, shortCut)
      const inner = udpFrame(addresses(REMOTE), 1000, 2000, new Uint8Array(300).fill(7))
      harness.send(1, inner)
      const [packet] = harness.sink(UPLINK).frames
      assert.equal(packet!.subarray(0, 12).toString('hex'), '025000000002025000000001')
      assert.equal(internetChecksum(packet!, 14, 34), 0)
      assert.deepEqual([...packet!.subarray(26, 34)], [192, 0, 2, 1, 192, 0, 2, 2])
      assert.ok(get16(packet!, 34) >= 49152)
      const { vsid, inner: got } = taken(packet!)
      assert.equal(vsid, VSID)
      assert.deepEqual(got, Buffer.from(inner))
      assert.deepEqual(harness.sink(2).frames, [])
    })

    test('the outer family follows the peer, whatever the inner one is', () => {
      const { harness } = overlayHarness(1, {}, shortCut)
      const inner = udpFrame(addresses(REMOTE6), 1000, 2000, new Uint8Array(20))
      harness.send(1, inner)
      const [packet] = harness.sink(UPLINK).frames
      assert.equal(get16(packet!, 12), 0x86dd)
      assert.deepEqual([...packet!.subarray(38, 54)], [...ipBytes(PEER_IPV6)])
      assert.deepEqual(taken(packet!).inner, Buffer.from(inner))
    })

    for (const [name, format, udpPort] of [
      ['NVGRE', TunnelFormat.nvgre, 0],
      ['Geneve', TunnelFormat.geneve, 6081],
    ] as const)
      test(`${name} carries frames both ways`, () => {
        const { harness } = overlayHarness(2, { format, udpPort }, shortCut)
        const inner = udpFrame(addresses(REMOTE), 1000, 2000, new Uint8Array(300))
        harness.send(1, inner)
        const packet = harness.sink(UPLINK).frames[0]!
        assert.deepEqual(taken(packet, format, udpPort).inner, Buffer.from(inner))
        // The same packet, from the other end, for a guest that is here.
        const back = Buffer.from(packet)
        back.set(parseMac(OWN_MAC), 0)
        back.set([192, 0, 2, 2, 192, 0, 2, 1], 26)
        back.set([2, 0, 0, 0, 0, 2], packet.length - inner.length)
        harness.send(UPLINK, back)
        assert.deepEqual(harness.drops(UPLINK), {})
        assert.deepEqual(harness.sink(2).frames[0]!.subarray(12), Buffer.from(inner).subarray(12))
      })

    test('what comes by a tunnel goes to the guest of its virtual subnet in the inner form, and into no tunnel (ES-570)', () => {
      const { harness } = overlayHarness(2, {}, shortCut)
      const inner = frame(2, REMOTE, 'hello')
      harness.send(UPLINK, tunnelled(inner), tunnelled(frame(0xff, REMOTE, 'all')), tunnelled(frame(REMOTE6, REMOTE, 'on')))
      assert.deepEqual(harness.got(2), ['hello', 'all'])
      assert.deepEqual(harness.got(1), ['all'])
      assert.deepEqual(harness.sink(UPLINK).frames, [])
      assert.deepEqual(harness.drops(UPLINK), { 'no-destination': 1 })
    })

    test('guests of one subnet on this switch reach each other, and nobody else them (ES-572)', () => {
      const { harness } = overlayHarness(2, {}, shortCut)
      harness.connectPort(3)
      harness.connectPort(4)
      harness.ports.setSubnet(4, VSID + 1)
      harness.send(1, frame(2, 1, 'near'))
      harness.send(3, frame(2, 3, 'out'), frame(0xff, 3, 'all'))
      harness.send(1, frame(3, 1, 'lost'))
      assert.deepEqual(harness.got(2), ['near', 'lost'])
      assert.deepEqual(harness.got(3), [])
      assert.deepEqual(harness.drops(3), { 'virtual-subnet': 1 })
    })

    test('the address of a group as a source is refused, also of a port that may use any (ES-526)', () => {
      const { harness } = overlayHarness(2, {}, shortCut)
      harness.connectPort(1, PortFlag.learn)
      harness.ports.setSubnet(1, VSID)
      harness.send(1, frame(2, 1, 'own'), frame(2, '01:00:5e:00:00:05', 'group'), frame(2, 9, 'other'))
      assert.deepEqual([harness.got(2), harness.drops(1)], [['own', 'other'], { 'mac-spoofing': 1 }])
    })

    test('a flood goes to each peer of the subnet, once', () => {
      const { harness } = overlayHarness(3, {}, shortCut)
      harness.send(1, frame(0xff, 1, 'all'))
      assert.deepEqual([harness.got(2), harness.got(3)], [['all'], ['all']])
      const packets = harness.sink(UPLINK).frames
      assert.deepEqual(packets.map((packet) => get16(packet, 12)).sort(), [0x0800, 0x86dd])
      for (const packet of packets) assert.match(taken(packet).inner.toString('latin1'), /all/)
    })

    test('unknown unicast frames and floods stay here where the settings say so, or go to a group once', () => {
      const dropping = overlayHarness(2, { unknownUnicast: Flooding.drop, multicast: Flooding.drop }, shortCut).harness
      dropping.send(1, frame(8, 1, 'who'), frame(0xff, 1, 'all'))
      assert.deepEqual(dropping.sink(UPLINK).frames, [])
      assert.deepEqual(dropping.got(2), ['who', 'all'])
      const grouped = overlayHarness(2, { multicast: Flooding.group, group: ipBytes('239.1.1.1') }, shortCut).harness
      grouped.send(1, frame(0xff, 1, 'all'))
      const packets = grouped.sink(UPLINK).frames
      assert.equal(packets.length, 1)
      assert.equal(packets[0]!.subarray(0, 6).toString('hex'), '01005e010101')
    })

    test('a frame from a tunnel for a guest that just left is sent on to where it is now, for seconds, and never back', () => {
      const { harness, path } = overlayHarness(1, {}, shortCut)
      const late = udpFrame(addresses(REMOTE6), 1, 2, new Uint8Array(50).fill(5))
      const back = udpFrame(addresses(REMOTE), 1, 2, new Uint8Array(50))
      const sent = (): Buffer[] => harness.sink(UPLINK).frames.splice(0)
      harness.send(UPLINK, tunnelled(late))
      assert.deepEqual([sent(), harness.drops(UPLINK)], [[], { 'no-destination': 1 }], 'it was never here')
      const departed = [REMOTE, REMOTE6].map((mac) => ({ subnet: SUBNET, mac: parseMac(mac) }))
      path.change({ peers: [], subnets: [], addresses: [], departed })
      harness.send(UPLINK, tunnelled(late), tunnelled(back))
      const packets = sent()
      assert.equal(packets.length, 1)
      assert.deepEqual(packets[0]!.subarray(38, 54), Buffer.from(ipBytes(PEER_IPV6)))
      const { vsid, inner } = taken(packets[0]!)
      assert.deepEqual([vsid, inner], [VSID, Buffer.from(late)])
      assert.deepEqual(harness.drops(UPLINK), { 'no-destination': 2 }, 'the other guest is where the frame came from')
      const big = udpFrame(addresses(REMOTE6), 1, 2, new Uint8Array(1410))
      harness.send(UPLINK, tunnelled(big))
      assert.deepEqual([sent(), harness.drops(UPLINK)], [[], { 'no-destination': 2, 'overlay-too-big': 1 }])
      harness.nowMs += 7000
      harness.send(UPLINK, tunnelled(late))
      assert.deepEqual([sent(), harness.drops(UPLINK)], [[], { 'no-destination': 3, 'overlay-too-big': 1 }])
    })

    test('a super-frame is cut within the tunnel, each piece with right headers within and without', () => {
      const { harness } = overlayHarness(1, {}, shortCut)
      const whole = tcpFrame(addresses(REMOTE), 1, 2, { flags: 0x10, sequence: 100, data: new Uint8Array(4000).fill(3) })
      const vnet = new Uint8Array(16)
      vnet[0] = VNET_NEEDS_CSUM
      vnet[1] = 1
      const view = new DataView(vnet.buffer)
      view.setUint16(4, 1400, true)
      view.setUint16(6, 34, true)
      view.setUint16(8, 16, true)
      const given: TestFrame = { bytes: whole, needs: OFFLOAD_CHECKSUM | OFFLOAD_TSO4, vnet }
      harness.send(1, given)
      const packets = harness.sink(UPLINK).frames
      assert.deepEqual(harness.drops(UPLINK), {})
      assert.equal(packets.length, 3)
      let bytes = 0
      for (const packet of packets) {
        assert.equal(internetChecksum(packet, 14, 34), 0)
        const { inner } = taken(packet)
        assert.equal(internetChecksum(inner, 14, 34), 0)
        assert.equal(transportChecksum(inner, 14, 6, 34, inner.length), 0)
        bytes += inner.length - 54
      }
      assert.equal(bytes, 4000)
    })

    test('a checksum that is open is summed over the inner frame', () => {
      const { harness } = overlayHarness(1, {}, shortCut)
      const whole = Buffer.from(tcpFrame(addresses(REMOTE), 1, 2, { flags: 0x10, data: new Uint8Array(99).fill(3) }))
      const right = Buffer.from(whole)
      // The pseudo header's sum, as a guest leaves it.
      put16(whole, 50, pseudo(whole))
      const vnet = new Uint8Array(16)
      vnet[0] = VNET_NEEDS_CSUM
      new DataView(vnet.buffer).setUint16(6, 34, true)
      new DataView(vnet.buffer).setUint16(8, 16, true)
      harness.send(1, { bytes: whole, needs: OFFLOAD_CHECKSUM, vnet })
      assert.deepEqual(taken(harness.sink(UPLINK).frames[0]!).inner, right)
    })

    test('a checksum that is open in a frame from a tunnel is summed, though its place is far behind the outer headers', () => {
      const { harness } = overlayHarness(2, {}, shortCut)
      const ends = { ...addresses('02:00:00:00:00:02'), source: 'fd00::1', destination: 'fd00::2' }
      for (const bytes of [20, 1000]) {
        const right = udpFrame(ends, 1, 2, new Uint8Array(bytes).fill(3))
        const packet = tunnelled(right, { from: PEER_IPV6, to: OWN_IPV6 })
        const headers = packet.length - right.length
        put16(packet, headers + 60, pseudo6(right))
        const vnet = new Uint8Array(16)
        vnet[0] = VNET_NEEDS_CSUM
        new DataView(vnet.buffer).setUint16(6, headers + 54, true)
        new DataView(vnet.buffer).setUint16(8, 6, true)
        harness.send(UPLINK, { bytes: packet, needs: OFFLOAD_CHECKSUM, vnet })
        assert.deepEqual(harness.sink(2).frames.at(-1), Buffer.from(right))
      }
      assert.equal(harness.sink(2).frames.length, 2)
      assert.deepEqual(harness.drops(2), {})
    })

    test('a guest is told what fits, and its connections agree on less', () => {
      const { harness } = overlayHarness(1, {}, shortCut)
      const big = Buffer.from(udpFrame(addresses(REMOTE), 1, 2, new Uint8Array(1450)))
      big[20] = 0x40
      put16(big, 24, 0)
      put16(big, 24, internetChecksum(big, 14, 34))
      harness.send(1, big)
      assert.deepEqual(harness.drops(1), { 'overlay-too-big': 1 })
      const message = harness.sink(1).frames[0]!
      assert.deepEqual([message[23], message[34], message[35], get16(message, 40)], [1, 3, 4, 1450])
      assert.equal(internetChecksum(message, 34, message.length), 0)
      const syn = Buffer.from(tcpFrame(addresses(REMOTE), 1, 2, { flags: 2 }))
      // A segment size of 1460 as option.
      const opened = Buffer.concat([syn.subarray(0, 54), Buffer.from([2, 4, 5, 0xb4])])
      opened[46] = 0x60
      put16(opened, 16, 44)
      put16(opened, 24, 0)
      put16(opened, 24, internetChecksum(opened, 14, 34))
      put16(opened, 50, 0)
      put16(opened, 50, transportChecksum(opened, 14, 6, 34, 58))
      harness.send(1, opened)
      const { inner } = taken(harness.sink(UPLINK).frames[0]!)
      assert.equal(get16(inner, 56), 1410)
      assert.equal(transportChecksum(inner, 14, 6, 34, 58), 0)
    })

    test('class and congestion bits go out, and come in as RFC 6040 says', () => {
      const { harness } = overlayHarness(2, {}, shortCut)
      const marked = (trafficClass: number, to = REMOTE): Buffer => {
        const packet = Buffer.from(udpFrame(addresses(to), 1, 2, new Uint8Array(30)))
        packet[15] = trafficClass
        put16(packet, 24, 0)
        put16(packet, 24, internetChecksum(packet, 14, 34))
        return packet
      }
      harness.send(1, marked(0xb9))
      assert.equal(harness.sink(UPLINK).frames[0]![15], 0xb9)
      const to2 = '02:00:00:00:00:02'
      for (const [outer, inner] of [
        [3, 2],
        [1, 2],
        [3, 1],
        [2, 1],
        [2, 0],
        [3, 0],
      ] as const)
        harness.send(UPLINK, tunnelled(marked(inner, to2), { trafficClass: outer }))
      assert.deepEqual(
        harness.sink(2).frames.map((packet) => packet[15]),
        [3, 1, 3, 1, 0],
      )
      for (const packet of harness.sink(2).frames) assert.equal(internetChecksum(packet, 14, 34), 0)
      assert.deepEqual(harness.drops(UPLINK), { 'overlay-malformed': 1 })
    })

    test('drops have reasons: unknown provider, subnet, next hop; nested; malformed', () => {
      const { harness, customers } = overlayHarness(1, {}, shortCut)
      const inner = frame(1, REMOTE, 'x')
      harness.send(UPLINK, tunnelled(inner, { from: '192.0.2.99' }))
      assert.deepEqual(harness.drops(UPLINK), { 'overlay-unknown-provider': 1 })
      harness.send(UPLINK, tunnelled(inner, { vsid: 6000 }))
      const nested = tunnelled(frame(OWN_MAC, REMOTE, 'x'))
      const cut = tunnelled(inner).subarray(0, 60)
      const unflagged = tunnelled(inner)
      unflagged[42] = 0
      harness.send(UPLINK, nested, cut, unflagged)
      assert.deepEqual(harness.drops(UPLINK), {
        'overlay-unknown-provider': 1,
        'overlay-unknown-subnet': 1,
        'overlay-nested': 1,
        'overlay-malformed': 2,
      })
      customers.addStatic('02:00:00:00:00:23', 7, 18)
      harness.send(1, frame('02:00:00:00:00:23', 1, 'x'), frame(REMOTE, 2, 'forged'))
      assert.deepEqual(harness.drops(1), { 'overlay-no-next-hop': 1, 'mac-spoofing': 1 })
    })

    test('questions about the provider address and packets for it are the control thread’s; nobody else sees them', () => {
      const { harness, heard } = overlayHarness(2, {}, shortCut)
      harness.connectPort(3)
      harness.send(UPLINK, arpRequestFrame(PEER_MAC, PEER_ADDRESS, OWN_ADDRESS), frame(OWN_MAC, 8, 'ping'))
      harness.send(UPLINK, arpRequestFrame(PEER_MAC, PEER_ADDRESS, '192.0.2.77'))
      assert.equal(heard.length, 2)
      assert.equal(harness.sink(3).frames.length, 1)
      assert.deepEqual(harness.sink(2).frames, [])
      assert.deepEqual(harness.drops(UPLINK), {})
    })

    test('a guest’s question about an address that a record knows is answered here', () => {
      const { harness, path } = overlayHarness(2, {}, shortCut)
      path.change({
        peers: [],
        subnets: [],
        addresses: [{ vsid: VSID, address: ipBytes('10.0.0.2'), mac: parseMac(REMOTE), gone: false }],
      })
      harness.send(1, arpRequestFrame('02:00:00:00:00:01', '10.0.0.1', '10.0.0.2'))
      assert.equal(harness.sink(1).frames[0]!.subarray(22, 28).toString('hex'), '020000000021')
      assert.deepEqual([harness.sink(2).frames, harness.sink(UPLINK).frames], [[], []])
    })

    test('what came by a tunnel is learned only if the setting says so', () => {
      for (const learning of [false, true]) {
        const { harness, customers } = overlayHarness(1, { learning }, shortCut)
        harness.send(UPLINK, tunnelled(frame(1, '02:00:00:00:00:77', 'x')))
        assert.equal(customers.lookup(0x77000000, 0x0002, 7), learning ? 16 : -1)
      }
    })
  })

const pseudo6 = (packet: Uint8Array): number => {
  let sum = 17 + packet.length - 54
  for (let at = 22; at < 54; at += 2) sum += get16(packet, at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

const pseudo = (packet: Buffer): number => {
  let sum = 6 + packet.length - 34
  for (let at = 26; at < 34; at += 2) sum += packet.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}
