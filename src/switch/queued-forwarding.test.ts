import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { QUEUE_TARGETS_BYTES } from '../kernels/layout.ts'
import { createQueueTwin } from '../kernels/twin-queued.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import { portCounterNames } from './counters.ts'
import { PortFlag, type VlanEntry, VlanMode } from './port-table.ts'
import { QueuedForwarding } from './queued-forwarding.ts'

const EXTERNAL = 1
/** VMs' ports; the queue of a VM has the number of its port. */
const VMS = [2, 3, 4]
const PORTS = 5

interface Scene {
  readonly bursts: readonly (readonly { to: number; from: number; tag: number }[])[]
  readonly down: number
  readonly vlan: VlanEntry | undefined
  /** An extension that gives every third frame to another VM. */
  readonly rewrites: boolean
  /** Whole bursts get their destinations at once. */
  readonly together: boolean
}

const oneFrame = fc.record({
  to: fc.constantFrom(2, 2, 3, 4, 5, 9, 0xff),
  from: fc.integer({ min: 20, max: 23 }),
  tag: fc.constantFrom(-1, -1, 0, 7, 9),
})
const scenes: fc.Arbitrary<Scene> = fc.record({
  bursts: fc.array(
    fc.oneof(
      fc.array(oneFrame, { minLength: 1, maxLength: 64 }),
      fc
        .tuple(fc.constantFrom(2, 3, 4), fc.array(oneFrame, { minLength: 1, maxLength: 64 }))
        .map(([to, frames]) => frames.map((one) => ({ ...one, to }))),
    ),
    { maxLength: 8 },
  ),
  down: fc.constantFrom(0, 0, 0, 3),
  vlan: fc.constantFrom<VlanEntry | undefined>(undefined, undefined, { mode: VlanMode.access, primary: 7 }),
  rewrites: fc.boolean(),
  together: fc.boolean(),
})

function bytes(to: number, from: number, tag: number, number: number): Buffer {
  const whole = frame(to === 0xff ? 'ff:ff:ff:ff:ff:ff' : mac(to), mac(from), `n${number}`)
  return tag < 0 ? whole : Buffer.concat([whole.subarray(0, 12), Buffer.from([0x81, 0x00, 0x20, tag]), whole.subarray(12)])
}

/** Everything that can be seen from outside after the scene was played, and how many frames tables were asked for. */
function play({ bursts, down, vlan, rewrites, together }: Scene, withQueues: boolean): { seen: unknown; direct: number } {
  const harness = new DataPathHarness({ shortCut: true, spareBytes: QUEUE_TARGETS_BYTES })
  const { dataPath, pool, ports, macs } = harness
  for (let port = 1; port <= PORTS; port++) {
    const flags = port === EXTERNAL ? PortFlag.learn | PortFlag.unknownUnicast | PortFlag.external : PortFlag.checkSource
    harness.connectPort(port, port === down ? flags | PortFlag.linkDown : flags)
    if (port !== EXTERNAL) macs.addStatic(mac(port), 0, port)
  }
  if (vlan) ports.setVlan(3, vlan)
  if (rewrites)
    harness.install([
      { class: 'filtering' },
      () => ({
        ingress(batch) {
          for (let i = 0; i < batch.length; i += 3) batch.setU8(i, 5, 4)
        },
      }),
    ])
  const queued = new QueuedForwarding(EXTERNAL, {
    pool,
    ports,
    macs,
    owners: { generation: 1, port: (queue) => (VMS.includes(queue) ? queue : 0) },
    state: dataPath.forwarding,
    isUnseen: () => dataPath.stack.modules.length === 0,
    buffer: harness.buffer,
    targets: harness.spare,
    ...(together ? { bursts: createQueueTwin(harness.buffer) } : {}),
  })
  if (withQueues) dataPath.choice.queued = queued
  let number = 0
  let left = 0
  for (const frames of bursts) {
    dataPath.forwarding.nowSeconds++
    const queues = frames.map(({ to }) => (VMS.includes(to) ? to : 0))
    pool.receiveQueue.set(queues)
    queued.verified = queues.every((queue) => queue === queues[0]) ? queues[0]! : -1
    queued.oneSender = frames.every(({ from, tag }) => from === frames[0]!.from && tag < 0)
    harness.send(EXTERNAL, ...frames.map(({ to, from, tag }) => bytes(to, from, tag, number++)))
    left += frames.length
  }
  const all = Array.from({ length: PORTS + 1 }, (_, port) => port)
  return {
    direct: left - harness.counters.readProcessor(9),
    seen: {
      frames: all.slice(1).map((port) => harness.sink(port).frames.map((sent) => sent.toString('hex'))),
      counters: all.map((port) => portCounterNames.map((name) => [name, harness.portCounter(port, name)])),
      drops: all.map((port) => Array.from({ length: DROP_REASONS_MAX }, (_, reason) => harness.counters.readDrop(port, reason))),
      learned: macs.entries(100).sort((a, b) => `${a.mac}${a.vlan}`.localeCompare(`${b.mac}${b.vlan}`)),
    },
  }
}

test('every packet of a queue has the fate that the switch gives it, also where an extension writes another address (VQ-104)', () => {
  fc.assert(
    fc.property(scenes, (scene) => {
      assert.deepEqual(play(scene, true).seen, play(scene, false).seen)
    }),
    { numRuns: 150 },
  )
})

test('no table is asked for packets of queues, and for all others one is', () => {
  const burst = [2, 3, 2, 9, 0xff, 4].map((to) => ({ to, from: 20, tag: -1 }))
  const scene = { bursts: [burst], down: 0, vlan: undefined, rewrites: false, together: true }
  assert.deepEqual([play(scene, true).direct, play(scene, false).direct], [4, 0])
  assert.equal(play({ ...scene, together: false }, true).direct, 4)
  const whole = Array.from({ length: 64 }, () => ({ to: 2, from: 20, tag: -1 }))
  assert.equal(play({ ...scene, bursts: [whole, whole] }, true).direct, 128)
})
