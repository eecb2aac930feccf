// An adapter in VMQ mode on a veth pair: two VMs (vhost-user front-ends) on two processors, whose frames the kernel puts on the rings of
// their processors. Needs root.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import type { QueueStatus } from '../../src/engine/queue-config.ts'
import { wireFrame } from '../support/adapter-harness.ts'
import { PacketPeer } from '../support/packet-peer.ts'
import { VethPair, whyNoVeth } from '../support/veth.ts'
import { FrontEnd } from '../support/vhost-front-end.ts'

const skip = whyNoVeth() ?? false
const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const PEER = '02:00:00:00:00:99'
const WAIT_MS = 30_000
const RING = 256

const textOf = (frame: Uint8Array): string => Buffer.from(frame.subarray(14)).toString('latin1').replace(/\0+$/, '')

interface Stage {
  readonly running: RunningSwitch
  readonly peer: PacketPeer
  readonly a: FrontEnd
  readonly b: FrontEnd
  readonly queue: (port: string | null) => QueueStatus
  readonly until: (done: () => boolean, what: () => string) => Promise<void>
}

async function onStage(veth: VethPair, via: 'packet' | 'xdp', work: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'vmq-'))
  const events: string[] = []
  const closers: (() => void)[] = [() => rmSync(directory, { recursive: true })]
  const guestPort = (name: string, mac: string) =>
    ({
      name,
      mac,
      macSpoofing: 'off',
      learning: false,
      link: 'up',
      endpoint: {
        kind: 'vhost-user',
        path: join(directory, `${name}.sock`),
        mode: 'server',
        queuePairs: 1,
        mtu: 1500,
        requireSeals: true,
      },
    }) as const
  const uplink = { kind: 'uplink', interface: veth.near, via, queues: 1, promiscuous: true, qdiscBypass: false } as const
  try {
    const running = await createSwitch(
      {
        name: 'vmq',
        type: 'external',
        processors: 2,
        extensions: [],
        ports: [
          {
            name: 'up',
            mac: null,
            macSpoofing: 'off',
            learning: true,
            link: 'up',
            endpoint: { kind: 'adapter', adapter: 'nic' },
          },
          guestPort('a', A),
          guestPort('b', B),
        ],
        adapters: [
          {
            name: 'nic',
            mode: 'vmq',
            mac: '02:00:00:00:00:f0',
            uplink,
            vfs: 0,
            queues: 4,
            rebalanceSeconds: 0,
            mtu: 1500,
            speedMbps: 0,
            order: 'deferred',
          },
        ],
        macTable: { entries: 256, ageingSeconds: 300 },
        directory,
      },
      { log: ({ source, code, message }) => events.push(`${source}: ${code}: ${message}`) },
    )
    closers.unshift(() => void running.close())
    const until: Stage['until'] = async (done, what) => {
      for (const end = performance.now() + WAIT_MS; !done(); await sleep(1))
        if (performance.now() > end)
          assert.fail(
            `waited for ${what()}\n${JSON.stringify({ events, queues: running.adapters.queues.list(), drops: running.drops() }, null, 1)}`,
          )
    }
    const guest = async (name: string): Promise<FrontEnd> => {
      const front = FrontEnd.connect(join(directory, `${name}.sock`))
      closers.unshift(() => front.close())
      await front.setUp({ size: RING })
      return front
    }
    const [a, b] = [await guest('a'), await guest('b')]
    await until(
      () => running.ports().every(({ connected }) => connected),
      () => 'all connected',
    )
    const peer = new PacketPeer(veth.far)
    closers.unshift(() => peer.vanish())
    const queue = (port: string | null): QueueStatus => running.adapters.queues.list().find((one) => one.port === port)!
    try {
      await work({ running, peer, a, b, queue, until })
    } finally {
      await running.close()
    }
  } finally {
    for (const close of closers) close()
  }
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`)

for (const via of ['packet', 'xdp'] as const)
  describe(`queues of VMs over ${via}`, { skip }, () => {
    const veth = skip === false ? new VethPair() : null
    after(() => veth?.delete())

    test("each VM's frames come by its queue on its processor: none is looked up, none handed over", (t) =>
      onStage(veth!, via, async ({ running, peer, a, b, queue, until }) => {
        if (running.ports()[0]!.detail.via !== via) return t.skip(`${via} does not open here`)
        if (queue('a').steering !== 'kernel') return t.skip(queue('a').steeringReason ?? 'the kernel steers nothing here')
        assert.deepEqual(new Set([queue('a').processor, queue('b').processor]), new Set([0, 1]))
        assert.equal(queue(null).steering, 'kernel')
        const lookUps = (): number => running.processors().reduce((sum, { counters }) => sum + counters.lookUps!, 0)
        const before = lookUps()
        const [gotA, gotB]: [string[], string[]] = [[], []]
        for (let i = 0; i < 2000; i++) {
          assert.ok(peer.send(wireFrame(A, PEER, `${i}`)))
          assert.ok(peer.send(wireFrame(B, PEER, `${i}`)))
          if (i % 100 !== 99) continue
          await until(
            () => {
              gotA.push(...a.receive().map(textOf))
              gotB.push(...b.receive().map(textOf))
              return gotA.length > i && gotB.length > i
            },
            () => `${i + 1} frames each, got ${gotA.length} and ${gotB.length}`,
          )
        }
        assert.deepEqual([gotA, gotB], [numbers(2000), numbers(2000)])
        for (const port of ['a', 'b'])
          assert.deepEqual([queue(port).counters.receivedFrames, queue(port).counters.handedOver], [2000, 0])
        assert.ok(lookUps() - before < 40, `${lookUps() - before} look-ups for 4000 frames`)
        assert.ok(b.send(wireFrame(PEER, B, 'out')))
        let out: Uint8Array | null = null
        await until(
          () => {
            out = peer.receive()
            return out !== null
          },
          () => 'the frame of b',
        )
        assert.equal(textOf(out!), 'out')
      }))

    test('a VM that moves from processor to processor while frames come loses none and gets them in order (VQ-031, VQ-114)', () =>
      onStage(veth!, via, async ({ running, peer, a, b, queue, until }) => {
        const { queues } = running.adapters
        const [gotA, gotB]: [string[], string[]] = [[], []]
        let moving: Promise<unknown> = Promise.resolve()
        let moves = 0
        const total = 6000
        for (let i = 0; i < total; i++) {
          assert.ok(peer.send(wireFrame(A, PEER, `${i}`)))
          assert.ok(peer.send(wireFrame(B, PEER, `${i}`)))
          if (i % 50 !== 49) continue
          const busy = await Promise.race([moving.then(() => false), sleep(0, true)])
          if (!busy) moving = queues.setProcessor('a', ++moves % 2)
          await until(
            () => {
              gotA.push(...a.receive().map(textOf))
              gotB.push(...b.receive().map(textOf))
              return i - gotA.length < RING / 2 && i - gotB.length < RING / 2
            },
            () => `${i + 1} frames, got ${gotA.length} and ${gotB.length}`,
          )
        }
        await moving
        await until(
          () => {
            gotA.push(...a.receive().map(textOf))
            gotB.push(...b.receive().map(textOf))
            return gotA.length >= total && gotB.length >= total
          },
          () => `${total} frames each, got ${gotA.length} and ${gotB.length}`,
        )
        assert.deepEqual(gotA, numbers(total))
        assert.deepEqual(gotB, numbers(total))
        assert.ok(moves > 5, `${moves} moves`)
        assert.equal(queue('a').processor, moves % 2)
        assert.deepEqual([queue('a').counters.dropped, queue('b').counters.dropped], [0, 0])
      }))

    test('a guest that takes nothing loses its own frames; the other one loses none', () =>
      onStage(veth!, via, async ({ running, peer, b, until }) => {
        const got: string[] = []
        for (let i = 0; i < 3 * RING; i++) {
          assert.ok(peer.send(wireFrame(A, PEER, `${i}`)))
          assert.ok(peer.send(wireFrame(B, PEER, `${i}`)))
          if (i % 64 !== 63) continue
          await until(
            () => {
              got.push(...b.receive().map(textOf))
              return got.length > i
            },
            () => `${i + 1} frames, got ${got.length}`,
          )
        }
        assert.deepEqual(got, numbers(3 * RING))
        const dropped = () => running.drops().find(({ port }) => port === 'a')?.reasons['receive-ring-full'] ?? 0
        await until(
          () => dropped() >= 2 * RING,
          () => `the drops of a, ${dropped()} so far`,
        )
        assert.equal(
          running.drops().find(({ port }) => port === 'b'),
          undefined,
        )
      }))
  })
