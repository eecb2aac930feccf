import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DataHalf } from '../../../test/support/data-half.ts'
import { DatagramPeer } from '../../../test/support/socket-peers.ts'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { PF_DROPPED } from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { endpointCompliance } from '../compliance.ts'
import { testFrame } from '../compliance-frames.ts'
import { createUnixDgramEndpoint } from './unix-dgram-endpoint.ts'

const directory = temporaryDirectory()
const path = join(directory, 'switch.sock')
let peers = 0
const newPeer = (greet: boolean): DatagramPeer =>
  new DatagramPeer({ path: join(directory, `guest-${peers++}.sock`), to: path, connect: true, greet })

endpointCompliance('unix-dgram with a greeting (vfkit)', {
  half: () => new DataHalf(),
  create: (components) => createUnixDgramEndpoint({ port: 3, path }, components),
  connect: () => newPeer(true),
})

endpointCompliance('unix-dgram without a greeting (libkrun)', {
  half: () => new DataHalf(),
  create: (components) => createUnixDgramEndpoint({ port: 3, path }, components),
  async connect(_control, half) {
    const peer = newPeer(false)
    peer.send(testFrame(60, 0)) // a guest of this kind is known by its first frame
    const before = half.inbox.length
    await half.until(() => half.inbox.length > before, 'the first frame')
    half.inbox.length = before
    return peer
  },
})

async function withEndpoint(run: (half: DataHalf, codes: () => string[]) => Promise<void>): Promise<void> {
  const half = new DataHalf()
  const control = createUnixDgramEndpoint({ port: 3, path }, { memory: half.memory, events: half.events })
  await control.open()
  try {
    await run(half, () => half.told.map(({ code }) => code))
  } finally {
    await control.close()
    half.close()
  }
}

describe('unix-dgram endpoint', () => {
  test('the link is down and frames are refused until a guest has introduced itself', () =>
    withEndpoint(async (half) => {
      assert.equal(half.linkUp, false)
      assert.equal(half.deliver([testFrame(60, 1)]), 0)
      assert.equal(half.queue().refusal, DropReason.linkDown)
      const peer = newPeer(true)
      await half.until(() => half.linkUp, 'the link')
      assert.equal(half.inbox.length, 0, 'a greeting is no frame')
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
      assert.ok(Buffer.from(peer.receive()!).equals(testFrame(60, 1)))
      peer.vanish()
    }))

  test('a greeting between frames does not disturb them', () =>
    withEndpoint(async (half) => {
      const peer = newPeer(false)
      peer.send(testFrame(300, 1))
      peer.send(Buffer.from('VFKT'))
      peer.send(testFrame(400, 2))
      await half.until(() => half.inbox.length === 2, 'two frames')
      assert.ok(half.inbox[0]!.bytes.equals(testFrame(300, 1)))
      assert.ok(half.inbox[1]!.bytes.equals(testFrame(400, 2)))
      peer.vanish()
    }))

  test('a stranger is not heard while the guest lives, and takes its place when it has died', () =>
    withEndpoint(async (half, codes) => {
      const guest = newPeer(true)
      await half.until(() => half.linkUp, 'the link')
      const stranger = newPeer(false)
      stranger.send(testFrame(60, 9))
      await half.until(() => half.inbox.length === 1, 'the frame of the stranger')
      assert.ok((half.inbox[0]!.flags & PF_DROPPED) !== 0)
      assert.equal(half.inbox[0]!.reason, DropReason.sourceNotConnected)
      await half.until(() => codes().includes('second-peer'), 'the event')
      half.deliver([testFrame(60, 1)])
      assert.equal(stranger.receive(), null)
      assert.ok(guest.receive())
      guest.die()
      stranger.send(testFrame(60, 10))
      await half.until(() => half.inbox.length === 2, 'the frame of the successor')
      assert.ok(half.inbox[1]!.bytes.equals(testFrame(60, 10)))
      assert.equal(half.deliver([testFrame(60, 2)]), 1)
      assert.ok(stranger.receive())
      stranger.vanish()
    }))

  test('the link goes down when the guest is gone and comes back with the next', () =>
    withEndpoint(async (half, codes) => {
      const guest = newPeer(true)
      await half.until(() => half.linkUp, 'the link')
      guest.vanish()
      assert.equal(half.deliver([testFrame(60, 1)]), 0)
      await half.until(() => !half.linkUp, 'the end of the link')
      await sleep(1)
      assert.deepEqual(codes(), ['peer-found', 'peer-lost'])
      const next = newPeer(false)
      next.send(testFrame(60, 2))
      await half.until(() => half.linkUp, 'the new link')
      assert.equal(half.deliver([testFrame(60, 1)]), 1)
      next.vanish()
    }))
})
