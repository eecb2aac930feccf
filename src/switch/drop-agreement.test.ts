// Two counters that know nothing of each other, those of ports and reasons and that of the ring of last drops: whatever is dropped, by whichever
// policy, extension or receiver, they say the same.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DataPathHarness } from '../../test/support/data-path-harness.ts'
import { policyCases, policyWorld, UPLINK, web } from '../../test/support/policy-cases.ts'
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'
import { PortCounter } from './counters.ts'
import { DROP_RING_BYTES, DropRing, DropRingReader } from './drop-ring.ts'

const PORTS = 16

interface Counted {
  readonly harness: DataPathHarness
  readonly reader: DropRingReader
}

function counted(shortCut: boolean): Counted {
  const harness = policyWorld({ shortCut, spareBytes: DROP_RING_BYTES })
  const ring = new DropRing(harness.buffer, harness.spare, { seconds: 1, nanoseconds: 0 })
  harness.dataPath.lost.ring = ring
  harness.delivery.drops = ring
  return { harness, reader: new DropRingReader(harness.buffer, harness.spare) }
}

/** Frames that each of the two, and the ports' own counters, say were dropped. */
function agree({ harness, reader }: Counted): string[] {
  const { counters, reasons } = harness
  const met: string[] = []
  let total = 0
  let ofPorts = 0
  for (let reason = 0; reason < DROP_REASONS_MAX; reason++) {
    let byPort = 0
    for (let port = 0; port < PORTS; port++) byPort += counters.readDrop(port, reason)
    assert.equal(reader.count(reason), byPort, reasons.name(reason))
    if (byPort > 0) met.push(reasons.name(reason))
    total += byPort
  }
  for (let port = 0; port < PORTS; port++)
    ofPorts += counters.readPort(port, PortCounter.receivedDropped) + counters.readPort(port, PortCounter.sendDropped)
  assert.equal(total, ofPorts)
  let kept = 0
  for (const { frames, unkept } of reader.entries()) kept += frames + unkept
  assert.ok(kept <= total)
  return met
}

// Modules that drop, exclude, hold, and fail.
function installModules(harness: DataPathHarness): void {
  harness.install(
    [
      { name: 'dropper', class: 'filtering' },
      () => ({
        ingress(batch) {
          for (let i = 0; i < batch.length; i++) if (batch.u8(i, 5) === 3) batch.drop(i, 'to-three')
        },
        egress(batch) {
          for (let i = 0; i < batch.length; i++)
            for (let k = 0; k < batch.destinationCount(i); k++)
              if (batch.destinationPortId(i, k) === 4) batch.exclude(i, k, 'not-to-four')
        },
      }),
    ],
    [
      { name: 'fragile', class: 'filtering', onFailure: 'closed' },
      () => ({
        ingress(batch) {
          if (batch.length > 5) throw new Error('too many')
        },
      }),
    ],
  )
}

test('the two counters agree in random worlds of policies, extensions, full receivers and wrong frames', () => {
  const met = new Set<string>()
  const port = fc.constantFrom(1, 2, 3, 4, UPLINK)
  const frames = [...policyCases.map(([, { bytes }]) => bytes), web(443), new Uint8Array(9)]
  const burst = fc.record({
    port,
    frames: fc.array(fc.constantFrom(...frames), { minLength: 1, maxLength: 8 }),
    full: fc.boolean(),
  })
  const world = fc.record({
    names: fc.uniqueArray(fc.constantFrom(...policyCases.map(([name]) => name)), { maxLength: 6 }),
    modules: fc.boolean(),
    shortCut: fc.boolean(),
    bursts: fc.array(burst, { minLength: 1, maxLength: 8 }),
  })
  fc.assert(
    fc.property(world, ({ names, modules, shortCut, bursts }) => {
      const both = counted(shortCut)
      const { harness } = both
      if (modules) installModules(harness)
      for (const [name, { set }] of policyCases) if (names.includes(name)) set(harness)
      for (const { port, frames: sent, full } of bursts) {
        const sink = harness.sink(2)
        sink.capacity = full ? sink.frames.length : Number.POSITIVE_INFINITY
        harness.nowMs += 3
        harness.send(port, ...sent)
        for (const reason of agree(both)) met.add(reason)
      }
    }),
    { numRuns: 80 },
  )
  assert.ok(met.size >= 8, [...met].join(', '))
})

for (const [name, { set, port, bytes }] of policyCases)
  test(`the two counters agree on what is dropped: ${name}`, () => {
    for (const shortCut of [false, true]) {
      const both = counted(shortCut)
      set(both.harness)
      for (let times = 0; times < 3; times++) both.harness.send(port, bytes, bytes)
      agree(both)
    }
  })
