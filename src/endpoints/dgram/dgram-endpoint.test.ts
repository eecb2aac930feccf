import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { DataHalf } from '../../../test/support/data-half.ts'
import { DatagramPeer } from '../../../test/support/socket-peers.ts'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { FRAME_MAX, PF_DROPPED } from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { endpointCompliance } from '../compliance.ts'
import { testFrame } from '../compliance-frames.ts'
import { createDgramEndpoint } from './dgram-endpoint.ts'

const directory = temporaryDirectory()
const path = join(directory, 'switch.sock')
const peerPath = join(directory, 'qemu.sock')
const newPeer = (): DatagramPeer => new DatagramPeer({ path: peerPath, to: path, connect: false })

endpointCompliance('dgram', {
  half: () => new DataHalf(),
  create: (components) => createDgramEndpoint({ port: 3, path, peer: peerPath }, components),
  connect: newPeer,
  refusals: [
    {
      title: 'a directory that does not exist',
      says: /ENOENT.*mkdir -p .*nowhere/,
      create: (components) => createDgramEndpoint({ port: 1, path: join(directory, 'nowhere', 's'), peer: peerPath }, components),
    },
    {
      title: 'a peer path that is too long',
      says: /at most 107 bytes/,
      create: (components) => createDgramEndpoint({ port: 1, path, peer: join(directory, 'x'.repeat(120)) }, components),
    },
  ],
})

async function withEndpoint(run: (half: DataHalf, codes: () => string[]) => Promise<void>): Promise<void> {
  const half = new DataHalf()
  const control = createDgramEndpoint({ port: 3, path, peer: peerPath }, { memory: half.memory, events: half.events })
  await control.open()
  try {
    await run(half, () => half.told.map(({ code }) => code))
  } finally {
    await control.close()
    half.close()
  }
}

describe('dgram endpoint', () => {
  test('a peer that is not there costs refusals and one event until it comes', () =>
    withEndpoint(async (half, codes) => {
      const frames = [testFrame(60, 1), testFrame(60, 2)]
      for (let i = 0; i < 10; i++) {
        assert.equal(half.deliver(frames), 0)
        assert.equal(half.queue().refusal, DropReason.linkDown)
      }
      await half.until(() => half.told.length > 0, 'the event')
      const peer = newPeer()
      assert.equal(half.deliver(frames), 2)
      await half.until(() => half.told.length > 1, 'the second event')
      assert.deepEqual(codes(), ['peer-lost', 'peer-found'])
      assert.equal(half.linkUp, true, 'the link to a configured address stays up')
      peer.vanish()
    }))

  test('the longest possible frame passes in both directions, a longer one is dropped with a reason', () =>
    withEndpoint(async (half) => {
      const peer = newPeer()
      const frame = testFrame(FRAME_MAX, 3)
      assert.equal(half.deliver([frame]), 1)
      assert.ok(Buffer.from(peer.receive()!).equals(frame))
      for (const [i, sent] of [frame, testFrame(FRAME_MAX + 1, 4), testFrame(100_000, 4), testFrame(64, 5)].entries()) {
        assert.ok(peer.send(sent))
        await half.until(() => half.inbox.length === i + 1, `frame ${i}`)
      }
      assert.ok(half.inbox[0]!.bytes.equals(frame))
      for (const dropped of half.inbox.slice(1, 3)) {
        assert.ok((dropped.flags & PF_DROPPED) !== 0)
        assert.equal(dropped.reason, DropReason.oversize)
      }
      assert.ok(half.inbox[3]!.bytes.equals(testFrame(64, 5)))
      peer.vanish()
    }))

  test('the socket file goes with the endpoint', async () => {
    await withEndpoint(async () => assert.ok(existsSync(path)))
    assert.ok(!existsSync(path))
  })
})
