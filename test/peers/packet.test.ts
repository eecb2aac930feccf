// Uplinks over AF_PACKET against the kernel: veth pairs, VLAN tags, segmentation, and what happens to interfaces. Needs root.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { endpointCompliance } from '../../src/endpoints/compliance.ts'
import { testFrame } from '../../src/endpoints/compliance-frames.ts'
import { UplinkEndpoint, type UplinkOptions } from '../../src/endpoints/uplink/uplink-endpoint.ts'
import { BURST_MAX } from '../../src/kernels/layout.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { DataHalf } from '../support/data-half.ts'
import { asNobody } from '../support/machine.ts'
import { type UplinkTest, withUplink as withUplinkOn } from '../support/open-uplink.ts'
import { PacketPeer } from '../support/packet-peer.ts'
import { ip, VethPair, whyNoVeth } from '../support/veth.ts'

const skip = whyNoVeth()
const pair = skip === undefined ? new VethPair(9100) : null
after(() => pair?.delete())

endpointCompliance('uplink over AF_PACKET', {
  half: () => new DataHalf(),
  skip,
  create: (components) => new UplinkEndpoint({ port: 5, interface: pair!.near, via: 'packet' }, components),
  connect: () => new PacketPeer(pair!.far),
  backpressure: false,
  runts: false,
  refusals: [
    {
      title: 'an interface that does not exist',
      says: /nothere: ENODEV .*"ip link" lists them/,
      create: (components) => new UplinkEndpoint({ port: 1, interface: 'nothere' }, components),
    },
    {
      title: 'more queues than there may be',
      says: /1 to 16 queues, not 17/,
      create: (components) => new UplinkEndpoint({ port: 1, interface: pair!.near, queues: 17 }, components),
    },
  ],
})

describe('uplink over AF_PACKET', { skip: skip ?? false }, () => {
  let veth: VethPair
  before(() => {
    veth = new VethPair()
  })
  after(() => veth.delete())

  const withUplink = (options: Partial<UplinkOptions>, run: UplinkTest): Promise<void> =>
    withUplinkOn(veth, { via: 'packet', ...options }, run)
  const codes = (half: DataHalf): string[] => half.told.map(({ code }) => code)

  test('a VLAN tag that the kernel takes off stands in the frame again, and one that we send arrives', () =>
    withUplink({}, async (half, _control, peer) => {
      for (const length of [60, 131, 132, 133, 1518]) {
        const frame = testFrame(length, length)
        frame.writeUInt16BE(0x8100, 12)
        frame.writeUInt16BE(0x6123, 14)
        frame.writeUInt16BE(0x88b5, 16)
        half.inbox.length = 0
        assert.ok(peer.send(frame))
        await half.until(() => half.inbox.length > 0, 'the tagged frame')
        assert.deepEqual(half.inbox[0]!.bytes, frame)
        assert.equal(half.deliver([frame], { segments: 2 }), 1)
      }
    }))

  test('a frame longer than the MTU is refused with a reason, and the next one passes', () =>
    withUplink({}, async (half, _control, peer) => {
      assert.equal(half.deliver([testFrame(1600, 1), testFrame(60, 2)]), 1)
      assert.equal(half.queue().refusal, DropReason.receiveBufferTooSmall)
      assert.deepEqual(peer.receive(), testFrame(60, 2))
    }))

  test('frames that overrun the ring are lost, counted once, and harm none that come after', () =>
    withUplink({}, async (half, _control, peer) => {
      while (half.take() > 0);
      const sent = 2048 + 500
      for (let i = 0; i < sent; i++) assert.ok(peer.send(testFrame(60, i)))
      await half.until(() => half.inbox.length >= 2048, 'a full ring')
      assert.ok(peer.send(testFrame(60, 1)))
      await half.until(() => half.inbox.length >= 2049, 'the frame after')
      assert.equal(half.queue().takeLost!(), sent - 2048)
      assert.equal(half.queue().takeLost!(), 0)
    }))

  test('a jumbo MTU set while running lets jumbo frames through, with an event', () =>
    withUplink({}, async (half, control, peer) => {
      for (const name of [veth.near, veth.far]) ip('link', 'set', name, 'mtu', '9000')
      await half.until(() => codes(half).includes('interface-mtu'), 'the event')
      assert.equal(control.describe().mtu, 9000)
      const frames = [testFrame(9014, 1), testFrame(60, 2), testFrame(9014, 3)]
      for (const frame of frames) assert.ok(peer.send(frame))
      await half.until(() => half.inbox.length >= 3, 'jumbo frames')
      for (const [i, frame] of frames.entries()) assert.ok(half.inbox[i]!.bytes.equals(frame), `frame ${i}`)
      assert.equal(half.deliver(frames), 3)
      for (const frame of frames) assert.ok(Buffer.from(peer.receive()!).equals(frame))
      for (const name of [veth.near, veth.far]) ip('link', 'set', name, 'mtu', '1500')
    }))

  test('an interface set down takes the link down, lets the processor sleep, and goes on when it is up again', () =>
    withUplink({}, async (half, _control, peer) => {
      half.queue().arm(half.epoll)
      half.queue().disarm(half.epoll)
      ip('link', 'set', veth.near, 'down')
      await half.until(() => !half.linkUp, 'the end of the link')
      assert.equal(half.deliver([testFrame(60, 1)]), 0)
      assert.equal(half.queue().refusal, DropReason.linkDown)
      half.queue().arm(half.epoll)
      assert.equal(half.epoll.wait(0), 0, 'a dead interface keeps the processor awake')
      half.queue().disarm(half.epoll)
      ip('link', 'set', veth.near, 'up')
      await half.until(() => half.linkUp, 'the link')
      half.inbox.length = 0
      assert.ok(peer.send(testFrame(60, 2)))
      await half.until(() => half.inbox.length > 0, 'a frame')
      assert.equal(half.deliver([testFrame(60, 3)]), 1)
      assert.deepEqual(codes(half), ['interface-down', 'interface-up'])
    }))

  test('a carrier that the other side loses takes the link down', () =>
    withUplink({}, async (half) => {
      ip('link', 'set', veth.far, 'down')
      await half.until(() => !half.linkUp, 'the end of the link')
      ip('link', 'set', veth.far, 'up')
      await half.until(() => half.linkUp, 'the link')
    }))

  test('a renamed interface goes on under its new name', () =>
    withUplink({}, async (half, control, peer) => {
      const renamed = `${veth.near}r`.slice(0, 15)
      ip('link', 'set', veth.near, 'down')
      ip('link', 'set', veth.near, 'name', renamed)
      ip('link', 'set', renamed, 'up')
      await half.until(() => codes(half).includes('interface-renamed') && half.linkUp, 'the event')
      assert.equal(control.describe().interface, renamed)
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
      assert.deepEqual(peer.receive(), testFrame(60, 1))
      ip('link', 'set', renamed, 'down')
      ip('link', 'set', renamed, 'name', veth.near)
      ip('link', 'set', veth.near, 'up')
    }))

  test('an interface removed while running ends the link with an event; one of the same name is served again', () =>
    withUplink({}, async (half, control) => {
      half.queue().arm(half.epoll)
      veth.delete()
      await half.until(() => half.plans.length === 0, 'the end of the queues')
      assert.equal(half.linkUp, false)
      assert.deepEqual(codes(half).slice(-1), ['interface-removed'])
      assert.equal(control.describe().removed, true)
      veth.create()
      await half.until(() => half.linkUp && codes(half).includes('interface-returned'), 'its return')
      const peer = new PacketPeer(veth.far)
      assert.equal(half.deliver([testFrame(60, 7)]), 1)
      assert.deepEqual(peer.receive(), testFrame(60, 7))
      peer.vanish()
    }))

  test('several queues share the flows, each flow on one queue and in order', () =>
    withUplink({ queues: 3 }, async (half, _control, peer) => {
      const byQueue = new Map<number, Set<number>>()
      const last = new Map<number, number>()
      for (let i = 0; i < 400; i++) assert.ok(peer.send(testFrame(64, i, 1, 0)) && peer.send(udp(i % 20, i)))
      const end = performance.now() + 5000
      let seen = 0
      while (seen < 400 && performance.now() < end)
        for (let queue = 0; queue < 3; queue++) {
          half.inbox.length = 0
          half.take(BURST_MAX, queue)
          for (const { bytes } of half.inbox) {
            if (bytes.readUInt16BE(12) !== 0x0800) continue
            const flow = bytes.readUInt16BE(34)
            const number = bytes.readUInt32BE(42)
            assert.ok(number > (last.get(flow) ?? -1), `flow ${flow} out of order`)
            last.set(flow, number)
            byQueue.set(flow, (byQueue.get(flow) ?? new Set()).add(queue))
            seen++
          }
        }
      assert.equal(seen, 400)
      assert.ok([...byQueue.values()].every((queues) => queues.size === 1))
      assert.ok(new Set([...byQueue.values()].flatMap((queues) => [...queues])).size > 1, 'all flows went to one queue')
      for (let queue = 0; queue < 3; queue++) {
        assert.equal(half.deliver([testFrame(60, queue)], {}, queue), 1)
        assert.deepEqual(peer.receive(), testFrame(60, queue))
        assert.equal(half.take(BURST_MAX, queue), 0, 'an uplink hears itself')
      }
    }))

  test('a user without the capability is told which', () =>
    asNobody(async () => {
      const half = new DataHalf()
      const control = new UplinkEndpoint(
        { port: 6, interface: veth.near, via: 'packet' },
        { memory: half.memory, events: half.events },
      )
      await assert.rejects(control.open(), /EPERM.*CAP_NET_RAW/)
      half.close()
    }))
})

/** A UDP frame of flow `flow` with the number `number` in it; nobody here listens for it. */
function udp(flow: number, number: number): Buffer {
  const frame = testFrame(64, 0)
  frame.writeUInt16BE(0x0800, 12)
  frame.set([0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2], 14)
  frame.writeUInt16BE(flow, 34)
  frame.writeUInt16BE(9, 36)
  frame.writeUInt16BE(30, 38)
  frame.writeUInt32BE(number, 42)
  return frame
}
