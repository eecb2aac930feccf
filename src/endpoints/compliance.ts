// What every kind of endpoint must do, as one suite that each kind's tests run with a harness of its own.
//
// The rule it must not break: it knows nothing of a kind but its harness; what it demands here is what the data path relies on.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { BURST_MAX, PF_DROPPED, REASON_RUNT } from '../kernels/layout.ts'
import type { EpollSet } from '../linux/epoll.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import { isTestFrame, testFrame } from './compliance-frames.ts'
import type { EndpointComponents, EndpointControl, EndpointEvents, EndpointQueue, QueuePlan } from './endpoint.ts'

/** The other side of an endpoint. */
export interface CompliancePeer {
  /** Sends a frame to the switch. Returns false if it can't be taken now. */
  send(frame: Uint8Array): boolean
  /** The next frame from the switch, null if none waits. */
  receive(): Uint8Array | null
  /** Goes away without a word, as a killed process does. */
  vanish(): void
}

/** A processor's side of an endpoint: test/support/data-half.ts is one. */
export interface ComplianceHalf {
  readonly memory: SharedMemory
  readonly epoll: EpollSet
  readonly events: EndpointEvents
  readonly linkUp: boolean
  readonly plans: readonly QueuePlan[]
  readonly queues: readonly EndpointQueue[]
  /** Frames taken so far, dropped ones without bytes. */
  readonly inbox: { readonly bytes: Buffer; readonly flags: number; readonly reason: number }[]
  /** The first queue pair. */
  queue(): EndpointQueue
  /** One receive and complete. Returns how many frames went to the inbox. */
  take(max?: number): number
  /** Delivers frames whose payload lies in `segments` pieces. Returns how many were taken. */
  deliver(frames: readonly Uint8Array[], options?: { segments?: number }): number
  /** Works like a processor until `done` returns true; throws if that takes too long. */
  until(done: () => boolean, what: string): Promise<void>
  close(): void
}

export interface EndpointHarness<Control extends EndpointControl = EndpointControl> {
  /** Why this machine can't run the suite; undefined if it can. */
  readonly skip?: string | undefined
  /** A fresh processor's side. */
  half(): ComplianceHalf
  /** A fresh endpoint, not yet open. Called several times, one at a time. */
  create(components: EndpointComponents): Control
  /** A peer for an open endpoint. `half` works meanwhile; the suite waits for the link. */
  connect(control: Control, half: ComplianceHalf): CompliancePeer | Promise<CompliancePeer>
  /** Frame lengths to try (default: 14 to 9014). */
  readonly lengths?: readonly number[]
  /** False where the peer always reads (a kernel interface). */
  readonly backpressure?: boolean
  /** False where frames below 14 bytes can't even be sent. */
  readonly runts?: boolean
  /** Endpoints that can't be opened, and what the error must say. */
  readonly refusals?: readonly {
    readonly title: string
    readonly says: RegExp
    create(components: EndpointComponents): EndpointControl
  }[]
}

const LENGTHS = [14, 60, 64, 128, 129, 1514, 9014]
const NEVER_READ_MAX = 400_000
const ROUNDS = 20

/** Declares the suite for one kind. */
export function endpointCompliance<Control extends EndpointControl>(name: string, harness: EndpointHarness<Control>): void {
  const lengths = harness.lengths ?? LENGTHS
  describe(`endpoint compliance: ${name}`, { skip: harness.skip ?? false }, () => {
    test('frames of all lengths reach the switch byte-exact and in order', () =>
      withPeer(harness, async ({ half, peer }) => {
        const frames = lengths.flatMap((length, i) => [testFrame(length, i), testFrame(length, i + 100)])
        await sendAll(half, peer, frames)
        await half.until(() => arrived(half).length >= frames.length, `${frames.length} frames from the peer`)
        assertFrames(arrived(half), frames)
      }))

    test('frames of all lengths reach the peer byte-exact and in order', () =>
      withPeer(harness, async ({ half, peer }) => {
        const frames = lengths.flatMap((length, i) => [testFrame(length, i), testFrame(length, i + 100)])
        assertFrames(await exchange(half, peer, frames), frames)
      }))

    test('full bursts pass in both directions at once', () =>
      withPeer(harness, async ({ half, peer }) => {
        for (let round = 0; round < 8; round++) {
          half.inbox.length = 0
          const up = burst(round, (i) => 60 + ((i * 37) % 1400))
          const down = burst(round + 50, (i) => 64 + ((i * 53) % 1400))
          await sendAll(half, peer, up)
          assertFrames(await exchange(half, peer, down), down)
          await half.until(() => arrived(half).length >= up.length, 'a burst from the peer')
          assertFrames(arrived(half), up)
        }
      }))

    test('a burst to many destinations stays in order', () =>
      withPeer(harness, async ({ half, peer }) => {
        const frames = Array.from({ length: BURST_MAX }, (_, i) => testFrame(100 + i, i, 1000 + i, 2000 + (i % 7)))
        assertFrames(await exchange(half, peer, frames), frames)
      }))

    test('a payload in several segments is delivered in one piece', () =>
      withPeer(harness, async ({ half, peer }) => {
        const frames = lengths.filter((length) => length > 128).map((length, i) => testFrame(length, i))
        for (const segments of [2, 3, 24]) assertFrames(await exchange(half, peer, frames, { segments }), frames)
      }))

    test(
      'a frame shorter than an Ethernet header is dropped with a reason',
      { skip: harness.runts === false && 'nothing can send a runt through this kind' },
      () =>
        withPeer(harness, async ({ half, peer }) => {
          const good = testFrame(60, 1)
          await sendAll(half, peer, [Buffer.alloc(13, 1), good])
          await half.until(() => arrived(half).length >= 1, 'the frame after the runt')
          assertFrames(arrived(half), [good])
          const dropped = half.inbox.filter((frame) => (frame.flags & PF_DROPPED) !== 0)
          assert.deepEqual(
            dropped.map((frame) => frame.reason),
            [REASON_RUNT],
          )
        }),
    )

    test('receive takes no more frames than asked for and loses none', () =>
      withPeer(harness, async ({ half, peer }) => {
        const frames = Array.from({ length: 10 }, (_, i) => testFrame(200, i))
        await sendAll(half, peer, frames, () => {})
        const end = performance.now() + 10_000
        while (arrived(half).length < frames.length && performance.now() < end) {
          assert.ok(half.take(3) <= 3)
          await sleep(0)
        }
        assertFrames(arrived(half), frames)
      }))

    test(
      'a peer that never reads costs refusals, not time, and hears in order once it reads',
      {
        skip:
          harness.backpressure === false &&
          'what a reader that stops does here is told by a reason, and tests, of this kind alone',
      },
      () =>
        withPeer(harness, async ({ half, peer }) => {
          const taken: Buffer[] = []
          let refused = 0
          while (refused < 3 && taken.length < NEVER_READ_MAX) {
            const frames = burst(taken.length, () => 1514)
            const count = half.deliver(frames)
            taken.push(...frames.slice(0, count))
            if (count < frames.length) {
              refused++
              assert.equal(half.queue().refusal, DropReason.peerNotReading)
            }
          }
          assert.equal(refused, 3, 'the peer took everything')
          const heard = await drain(half, peer, taken.length)
          assertFrames(heard, taken)
          const next = [testFrame(300, 9)]
          assertFrames(await exchange(half, peer, next), next)
        }),
    )

    test('a peer that vanishes in the middle of a burst harms nothing and may come back', () =>
      withPeer(harness, async ({ control, half, peer, reconnect }) => {
        half.deliver(burst(1, () => 1514))
        peer.send(testFrame(60, 1))
        peer.vanish()
        for (let i = 0; i < 50; i++) {
          if (half.queues.length > 0) half.deliver(burst(i, () => 1514))
          half.take()
          await sleep(1)
        }
        const again = await reconnect(control)
        await drain(half, again, Number.POSITIVE_INFINITY)
        half.inbox.length = 0
        const frames = burst(77, () => 500)
        assertFrames(await exchange(half, again, frames), frames)
        await sendAll(half, again, frames)
        await half.until(() => arrived(half).length >= frames.length, 'frames of the peer that came back')
        assertFrames(arrived(half), frames)
      }))

    test('a sleeper is woken by traffic and never misses a frame that came before it slept', () =>
      withPeer(harness, async ({ half, peer }) => {
        for (let round = 0; round < 200; round++) {
          half.inbox.length = 0
          const early = round % 2 === 0
          if (early) assert.ok(peer.send(testFrame(64, round)))
          const awake = half.queue().arm(half.epoll)
          if (!early) assert.ok(peer.send(testFrame(64, round)))
          const end = performance.now() + 5000
          if (!awake) assert.ok(half.epoll.wait(5000) > 0, `round ${round}: nothing woke the sleeper`)
          half.queue().disarm(half.epoll)
          while (arrived(half).length === 0 && performance.now() < end) half.take()
          assertFrames(arrived(half), [testFrame(64, round)])
        }
        while (half.take() > 0);
        half.queue().arm(half.epoll)
        assert.equal(half.epoll.wait(0), 0, 'an idle queue keeps its processor awake')
        half.queue().disarm(half.epoll)
      }))

    test('close gives every descriptor and all memory back', async () => {
      await withPeer(harness, async () => {}) // what the process opens once and keeps
      const descriptors = readdirSync('/proc/self/fd').length
      const half = harness.half()
      half.close()
      const room = roomOf(half.memory)
      for (let round = 0; round < ROUNDS; round++)
        await withPeer(harness, async ({ half: inner, peer }) => {
          peer.send(testFrame(64, round))
          inner.deliver([testFrame(64, round)])
        })
      assert.equal(readdirSync('/proc/self/fd').length, descriptors)
      assert.equal(roomOf(half.memory), room)
    })

    test('an endpoint can be opened again after it was closed, and closed twice', () =>
      withPeer(harness, async ({ control, half, peer, reconnect }) => {
        peer.vanish()
        await control.close()
        await control.close()
        assert.equal(half.linkUp, false)
        assert.equal(half.plans.length, 0)
        await control.open()
        control.begin?.()
        const again = await reconnect(control)
        half.inbox.length = 0
        const frames = [testFrame(64, 1), testFrame(1514, 2)]
        assertFrames(await exchange(half, again, frames), frames)
      }))

    test('an endpoint whose plans no processor takes gives everything back', async () => {
      const half = harness.half()
      const descriptors = readdirSync('/proc/self/fd').length
      const room = roomOf(half.memory)
      const events: EndpointEvents = {
        ...half.events,
        async plans(plans) {
          if (plans.length > 0) throw new Error('no processor')
        },
      }
      const control = harness.create({ memory: half.memory, events })
      const peer = await control.open().then(
        () => harness.connect(control, half), // a server serves from its first peer on
        (error: Error) => {
          assert.equal(error.message, 'no processor')
          return null
        },
      )
      await sleep(20)
      peer?.vanish()
      await control.close()
      assert.equal(half.linkUp, false)
      assert.equal(roomOf(half.memory), room)
      assert.equal(readdirSync('/proc/self/fd').length, descriptors)
      half.close()
    })

    for (const refusal of harness.refusals ?? [])
      test(`open refuses ${refusal.title} with a remedy`, async () => {
        const half = harness.half()
        const control = refusal.create({ memory: half.memory, events: half.events })
        const descriptors = readdirSync('/proc/self/fd').length
        await assert.rejects(control.open(), (error: Error) => {
          assert.match(error.message, refusal.says)
          return true
        })
        assert.equal(readdirSync('/proc/self/fd').length, descriptors)
        await control.close()
        half.close()
      })
  })
}

interface Session<Control> {
  readonly control: Control
  readonly half: ComplianceHalf
  readonly peer: CompliancePeer
  reconnect(control: Control): Promise<CompliancePeer>
}

async function withPeer<Control extends EndpointControl>(
  harness: EndpointHarness<Control>,
  run: (session: Session<Control>) => Promise<void>,
): Promise<void> {
  const half = harness.half()
  const control = harness.create({ memory: half.memory, events: half.events })
  const peers: CompliancePeer[] = []
  const reconnect = async (of: Control): Promise<CompliancePeer> => {
    const peer = await harness.connect(of, half)
    peers.push(peer)
    await half.until(() => half.linkUp && half.queues.length > 0, `the link of ${of.kind}`)
    return peer
  }
  try {
    await control.open()
    control.begin?.()
    await run({ control, half, peer: await reconnect(control), reconnect })
  } finally {
    for (const peer of peers) peer.vanish()
    await control.close()
    half.close()
  }
}

const burst = (seed: number, length: (i: number) => number): Buffer[] =>
  Array.from({ length: BURST_MAX }, (_, i) => testFrame(length(i), seed + i))

/** Memory that nobody has taken. */
const roomOf = (memory: SharedMemory): number => memory.controlBytesAvailable + memory.guestBytesAvailable

const arrived = (half: ComplianceHalf): Buffer[] =>
  half.inbox.filter((frame) => (frame.flags & PF_DROPPED) === 0 && isTestFrame(frame.bytes)).map((frame) => frame.bytes)

/** Sends frames, letting the switch take some whenever the peer can't go on. */
async function sendAll(
  half: ComplianceHalf,
  peer: CompliancePeer,
  frames: readonly Uint8Array[],
  relieve: () => void = () => half.take(),
): Promise<void> {
  for (const frame of frames) {
    for (let tries = 0; !peer.send(frame); tries++) {
      assert.ok(tries < 10_000, 'the peer can send no more')
      relieve()
      if (tries > 10) half.take()
      await sleep(0)
    }
  }
}

/** Delivers frames, letting the peer read whenever it does not take all. Returns what the peer heard. */
async function exchange(
  half: ComplianceHalf,
  peer: CompliancePeer,
  frames: readonly Uint8Array[],
  options: { segments?: number } = {},
): Promise<Uint8Array[]> {
  const heard: Uint8Array[] = []
  let done = 0
  const end = performance.now() + 10_000
  while (heard.length < frames.length && performance.now() < end) {
    if (done < frames.length) done += half.deliver(frames.slice(done, done + BURST_MAX), options)
    const before = heard.length
    for (let frame = peer.receive(); frame; frame = peer.receive()) if (isTestFrame(frame)) heard.push(frame)
    if (heard.length === before) await sleep(1)
  }
  return heard
}

/** Reads what the peer has been sent, up to `count` frames or until nothing comes any more; the queue flushes what it kept back. */
async function drain(half: ComplianceHalf, peer: CompliancePeer, count: number): Promise<Uint8Array[]> {
  const heard: Uint8Array[] = []
  for (let silent = 0; heard.length < count && silent < 50; silent++) {
    half.take()
    for (let frame = peer.receive(); frame; frame = peer.receive()) {
      if (isTestFrame(frame)) heard.push(frame)
      silent = 0
    }
    if (silent > 0) await sleep(1)
  }
  return heard
}

function assertFrames(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  assert.deepEqual(
    actual.map((frame) => frame.length),
    expected.map((frame) => frame.length),
    'lengths or order differ',
  )
  for (const [i, frame] of expected.entries())
    assert.ok(Buffer.compare(actual[i]!, frame) === 0, `frame ${i} of ${frame.length} bytes differs`)
}
