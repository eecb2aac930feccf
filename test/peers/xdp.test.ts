// Uplinks over AF_XDP on veth pairs: frames, the program that steers them, and what is left of it. Needs root.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { endpointCompliance } from '../../src/endpoints/compliance.ts'
import { testFrame } from '../../src/endpoints/compliance-frames.ts'
import { UplinkEndpoint, type UplinkOptions } from '../../src/endpoints/uplink/uplink-endpoint.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { DataHalf } from '../support/data-half.ts'
import { type UplinkTest, withUplink as withUplinkOn } from '../support/open-uplink.ts'
import { PacketPeer } from '../support/packet-peer.ts'
import { ip, VethPair, whyNoVeth } from '../support/veth.ts'

/** Why there is no AF_XDP here: what an uplink that asks for it says. */
async function whyNoXdp(): Promise<string | undefined> {
  const reason = whyNoVeth()
  if (reason !== undefined) return reason
  const pair = new VethPair()
  const half = new DataHalf()
  const control = new UplinkEndpoint({ port: 1, interface: pair.near, via: 'xdp' }, { memory: half.memory, events: half.events })
  await control.open()
  const fallback = half.told.find(({ code }) => code === 'uplink-fallback')
  await control.close()
  half.close()
  pair.delete()
  return fallback?.message
}

const skip = await whyNoXdp()
const pair = skip === undefined ? new VethPair() : null
after(() => pair?.delete())

endpointCompliance('uplink over AF_XDP', {
  half: () => new DataHalf(),
  skip,
  create: (components) => new UplinkEndpoint({ port: 5, interface: pair!.near, via: 'xdp' }, components),
  connect: () => new PacketPeer(pair!.far),
  lengths: [14, 60, 64, 128, 129, 1514],
  backpressure: false,
  runts: false,
})

const programs = (name: string): boolean => /xdp/.test(ip('link', 'show', 'dev', name))

describe('uplink over AF_XDP', { skip: skip ?? false }, () => {
  let veth: VethPair
  before(() => {
    veth = new VethPair()
  })
  after(() => veth.delete())

  const withUplink = (options: Partial<UplinkOptions>, run: UplinkTest): Promise<void> =>
    withUplinkOn(veth, { via: 'xdp', ...options }, run)
  const fallback = (half: DataHalf): string => half.told.find(({ code }) => code === 'uplink-fallback')?.message ?? ''

  test('the program is on the interface while the uplink is open, and its state is described', async () => {
    await withUplink({}, async (half, control) => {
      assert.ok(programs(veth.near))
      const { via, mode, program } = control.describe()
      assert.equal(via, 'xdp')
      assert.ok(mode === 'copy' || mode === 'zero-copy')
      assert.ok(program === 'driver' || program === 'generic')
      assert.deepEqual(half.told, [])
    })
    assert.equal(programs(veth.near), false)
  })

  test('a frame longer than a chunk is refused with a reason, and the next one passes', () =>
    withUplink({}, async (half, _control, peer) => {
      assert.equal(half.deliver([testFrame(3000, 1), testFrame(60, 2)]), 1)
      assert.equal(half.queue().refusal, DropReason.receiveBufferTooSmall)
      await half.until(() => true, '')
      assert.deepEqual(peer.receive(), testFrame(60, 2))
    }))

  test('more frames than there are chunks pass over time, in both directions', () =>
    withUplink({}, async (half, _control, peer) => {
      for (let i = 0; i < 6000; i++) {
        assert.ok(peer.send(testFrame(100, i)))
        if (i % 50 === 0) while (half.take() > 0);
        assert.equal(half.deliver([testFrame(100, i)]), 1)
        const heard = peer.receive()
        assert.ok(heard !== null && Buffer.from(heard).equals(testFrame(100, i)), `frame ${i}`)
      }
      await half.until(() => half.inbox.length >= 6000, 'all frames')
      for (const [i, { bytes }] of half.inbox.entries()) assert.ok(bytes.equals(testFrame(100, i)), `frame ${i}`)
    }))

  test('where the driver does not share its buffers, auto takes AF_PACKET and says why', () =>
    withUplink({ via: 'auto' }, async (half, control) => {
      if (control.describe().via === 'xdp') return
      assert.match(fallback(half), /uses AF_PACKET, not AF_XDP: .*(zero-copy|E[A-Z]+)/)
      assert.equal(programs(veth.near), false)
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
    }))

  test('an MTU that no chunk holds, and a program of somebody else, lead to AF_PACKET with the reason', async () => {
    ip('link', 'set', veth.near, 'mtu', '9000')
    await withUplink({}, async (half) => assert.match(fallback(half), /MTU of 9000 bytes is above/))
    ip('link', 'set', veth.near, 'mtu', '1500')
    await withUplink({}, () => withUplink({}, async (half) => assert.match(fallback(half), /EBUSY/)))
  })

  test('an MTU that changes while running opens AF_XDP with larger chunks, AF_PACKET where none holds it, and AF_XDP again', () =>
    withUplink({}, async (half, control, peer) => {
      const mtus: number[] = []
      half.heardMtu = (bytes) => mtus.push(bytes)
      for (const [mtu, via, chunkBytes] of [
        [3000, 'xdp', 4096],
        [9000, 'packet', undefined],
        [1500, 'xdp', 2048],
      ] as const) {
        // The kernel keeps the far side's within what the program near takes.
        if (mtu === 1500) ip('link', 'set', veth.far, 'mtu', `${mtu}`)
        ip('link', 'set', veth.near, 'mtu', `${mtu}`)
        await half.until(() => mtus.at(-1) === mtu && half.plans.length > 0, `an MTU of ${mtu}`)
        ip('link', 'set', veth.far, 'mtu', `${mtu}`)
        const described = control.describe()
        assert.deepEqual([described.via, described.chunkBytes, described.mtu], [via, chunkBytes, mtu])
        assert.equal(programs(veth.near), via === 'xdp')
        half.inbox.length = 0
        const frame = testFrame(mtu + 14, mtu)
        assert.ok(peer.send(frame))
        await half.until(() => half.inbox.length > 0, 'a frame')
        assert.ok(half.inbox[0]!.bytes.equals(frame))
        assert.equal(half.deliver([frame]), 1)
        assert.ok(Buffer.from(peer.receive()!).equals(frame))
      }
      assert.match(fallback(half), /MTU of 9000 bytes is above/)
    }))

  test('an interface set down takes the link down, and frames pass when it is up again', () =>
    withUplink({}, async (half, _control, peer) => {
      ip('link', 'set', veth.near, 'down')
      await half.until(() => !half.linkUp, 'the end of the link')
      half.queue().arm(half.epoll)
      assert.equal(half.epoll.wait(0), 0, 'a dead interface keeps the processor awake')
      half.queue().disarm(half.epoll)
      ip('link', 'set', veth.near, 'up')
      await half.until(() => half.linkUp, 'the link')
      half.inbox.length = 0
      assert.ok(peer.send(testFrame(60, 2)))
      await half.until(() => half.inbox.length > 0, 'a frame')
      assert.equal(half.deliver([testFrame(60, 3)]), 1)
      assert.deepEqual(peer.receive(), testFrame(60, 3))
    }))

  test('frames that overrun the ring are lost, counted once, and harm none that come after', () =>
    withUplink({}, async (half, _control, peer) => {
      // veth may give up some before the ring does: the sum is at most what was sent.
      const lostNow = (): number => Array.from({ length: 100 }, () => half.queue().takeLost!()).reduce((sum, n) => sum + n, 0)
      let sent = 0
      let lost = 0
      for (; lost === 0 && sent < 100_000; sent += 2500) {
        for (let i = 0; i < 2500; i++) assert.ok(peer.send(testFrame(60, i)))
        lost += lostNow()
      }
      let taken = 0
      for (let got = half.take(); got > 0; got = half.take()) taken += got
      lost += lostNow()
      assert.ok(lost > 0 && taken >= 2048 && taken + lost <= sent, `${sent} sent, ${taken} taken, ${lost} lost`)
      for (let i = 0; i < 100; i++) assert.equal(half.queue().takeLost!(), 0)
      half.inbox.length = 0
      assert.ok(peer.send(testFrame(60, 1)))
      await half.until(() => half.inbox.length > 0, 'the frame after')
    }))

  test('an interface removed while running takes the link down; the program goes with it', () =>
    withUplink({}, async (half) => {
      half.queue().arm(half.epoll)
      veth.delete()
      await half.until(() => half.plans.length === 0, 'the end of the queues')
      assert.equal(half.linkUp, false)
      veth.create()
      await half.until(() => half.linkUp, 'its return')
      assert.ok(programs(veth.near))
    }))

  test('a process that is killed leaves no program behind', async () => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('../support/hold-uplink.ts', import.meta.url)), veth.near], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    assert.ok(programs(veth.near))
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
    for (let i = 0; i < 3000 && programs(veth.near); i++) await sleep(10)
    assert.equal(programs(veth.near), false)
  })
})
