import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import type { PacketHandle, SwitchHandle } from '../extension.ts'
import { HELD_SLOTS } from '../ndis/pool.ts'
import { ProcessorCounter } from './counters.ts'
import { PortFlag } from './port-table.ts'

test('a frame with payload in several segments is copied, held and delivered whole', () => {
  const harness = new DataPathHarness().connect(2)
  const bytes = frame(2, 1, 'z'.repeat(9000))
  for (let i = 14; i < bytes.length; i++) bytes[i] = i * 7
  let held: PacketHandle = 0
  let copy = Buffer.alloc(0)
  const [module] = harness.install(() => ({
    ingress(batch) {
      copy = Buffer.alloc(batch.frameLength(0))
      assert.equal(batch.copyBytes(0, 0, copy.length, copy, 0), copy.length)
      held = batch.hold(0)
    },
  }))
  harness.send(1, { bytes, segments: 3 })
  assert.deepEqual(copy, bytes)
  assert.deepEqual(harness.got(2), [])
  assert.equal(module!.handle.forward(held), 0)
  assert.equal(harness.dataPath.flushInjections(), true)
  assert.deepEqual(harness.sink(2).frames, [bytes])
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
  assert.equal(harness.counters.readProcessor(ProcessorCounter.held), 1)
})

test('a packet held on ingress goes on below its module; on egress above it, with its destinations (ES-351)', () => {
  const harness = new DataPathHarness().connect(4)
  const seen: string[] = []
  const note = (name: string) => ({
    ingress: () => void seen.push(`${name} down`),
    egress: (batch: { destinationCount(i: number): number; isExcluded(i: number, k: number): boolean }) =>
      void seen.push(`${name} up ${batch.destinationCount(0)} ${batch.isExcluded(0, 0)}`),
  })
  let handles: PacketHandle[] = []
  const modules = harness.install(
    () => note('top'),
    () => ({
      ingress(batch) {
        seen.push('middle down')
        if (batch.u8(0, 14) === 0x69) handles.push(batch.hold(0))
      },
      egress(batch) {
        seen.push('middle up')
        if (batch.u8(0, 14) === 0x65) {
          batch.exclude(0, 0, 'x')
          handles.push(batch.hold(0))
        }
      },
    }),
    () => note('bottom'),
  )
  const handle = modules[1]!.handle
  harness.send(1, frame(2, 1, 'ingress'))
  assert.deepEqual(seen.splice(0), ['top down', 'middle down'])
  for (const held of handles) handle.forward(held)
  harness.dataPath.flushInjections()
  assert.deepEqual(seen.splice(0), ['bottom down', 'bottom up 1 false', 'middle up', 'top up 1 false'])
  handles = []
  harness.send(1, frame(0xff, 1, 'egress'))
  seen.length = 0
  harness.send(1, frame(0xff, 1, 'between')) // the arena is used by others meanwhile
  seen.length = 0
  for (const held of handles) assert.equal(handle.forward(held), 0)
  harness.dataPath.flushInjections()
  assert.deepEqual(seen, ['top up 3 true'])
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port)),
    [
      ['ingress', 'between'],
      ['between', 'egress'],
      ['between', 'egress'],
    ],
  )
})

test('a packet held on egress with one destination keeps it over other bursts', () => {
  const harness = new DataPathHarness().connect(3)
  let held: PacketHandle = 0
  const [module] = harness.install(() => ({
    egress(batch) {
      if (batch.u8(0, 14) === 0x68) held = batch.hold(0)
    },
  }))
  harness.send(1, frame(2, 1, 'held'))
  harness.send(1, frame(3, 1, 'a'), frame(0xff, 1, 'b'))
  module!.handle.forward(held)
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), ['b', 'held'])
})

test('a clone is seen by the modules below on ingress and by all on egress, with the source of the original (ES-314, ES-388, ES-395)', () => {
  const harness = new DataPathHarness().connect(2)
  const seen: string[] = []
  const note = (name: string) => ({
    ingress: (batch: { sourcePortId(i: number): number }) => void seen.push(`${name} down ${batch.sourcePortId(0)}`),
    egress: () => void seen.push(`${name} up`),
  })
  harness.install(
    () => note('top'),
    (sw) => ({
      ingress(batch) {
        const clone = batch.clone(0)
        batch.drop(0, 'replaced')
        assert.equal(sw.send(clone), 0)
      },
      egress: () => void seen.push('middle up'),
    }),
    () => note('bottom'),
  )
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(seen, ['top down 1', 'bottom down 1', 'bottom up', 'middle up', 'top up'])
  assert.deepEqual(harness.got(2), ['x'])
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
})

test('a clone of a packet that was dropped before in the same handler is sent all the same', () => {
  const harness = new DataPathHarness().connect(2)
  harness.install(
    (sw) => ({
      ingress(batch) {
        batch.drop(0, 'replaced')
        sw.send(batch.clone(0))
      },
    }),
    () => ({ ingress: (batch) => void batch.setU8(0, 14, 0x58) }), // settles the batch
  )
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), ['X'])
})

test('an originated packet has source 0, is safe, bypasses source policy, and is delivered (ES-372, ES-380, ES-341)', () => {
  const harness = new DataPathHarness().connect(3)
  const seen: string[] = []
  const [top] = harness.install(
    () => ({}),
    () => ({
      ingress: (batch) => void seen.push(`${batch.sourcePortId(0)} ${batch.isDataSafe(0)} ${batch.isOriginated(0)}`),
    }),
  )
  const packet = top!.handle.originate(frame(0xff, 77, 'made'))
  assert.notEqual(packet, 0)
  assert.equal(top!.handle.send(packet), 0)
  harness.dataPath.flushInjections()
  assert.deepEqual(seen, ['0 true true'])
  assert.deepEqual(
    [1, 2, 3].map((port) => harness.got(port)),
    [['made'], ['made'], ['made']],
  )
})

test("setSource takes connected sources only and makes the switch apply that port's rules (ES-429, ES-440)", () => {
  const harness = new DataPathHarness().connect(3)
  harness.connectPort(4, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  const [module] = harness.install(() => ({}))
  const sw = module!.handle
  const packet = sw.originate(frame(0xff, 1, 'made'))
  assert.notEqual(sw.setSource(packet, 9), 0)
  assert.notEqual(sw.setSource(packet, 1, 1), 0)
  assert.notEqual(sw.setSource(packet, 1, -1), 0)
  assert.equal(sw.setSource(packet, 4, 1), 0)
  assert.equal(sw.setSource(packet, 1), 0)
  sw.send(packet)
  harness.dataPath.flushInjections()
  assert.deepEqual(
    [1, 2, 3, 4].map((port) => harness.got(port).length),
    [0, 1, 1, 1],
  )
})

test('addDestination refuses what is not connected and NIC indices that the port does not have (ES-322, ES-430, ES-441)', () => {
  const harness = new DataPathHarness().connect(2)
  harness.connectPort(3, PortFlag.external | PortFlag.unknownUnicast)
  const results: boolean[] = []
  harness.install([
    { class: 'forwarding' },
    () => ({
      ingress(batch) {
        results.push(
          batch.addDestination(0, 9),
          batch.addDestination(0, 0),
          batch.addDestination(0, 2, 1),
          batch.addDestination(0, 2, -1),
          batch.addDestination(0, 1.5),
          batch.addDestination(0, 70000),
          batch.addDestination(7, 2),
          batch.addDestination(0, 3, 1),
          batch.addDestination(0, 2),
        )
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(results, [false, false, false, false, false, false, false, true, true])
  assert.deepEqual(harness.got(2), ['x'])
  assert.deepEqual(harness.got(3), ['x'])
})

test('many destinations of many packets grow without mixing (ES-411, ES-416)', () => {
  const harness = new DataPathHarness().connect(15)
  harness.install([
    { class: 'forwarding' },
    () => ({
      ingress(batch) {
        for (let port = 2; port <= 15; port++)
          for (let i = 0; i < batch.length; i++) if ((i + port) % 2 === 0) batch.addDestination(i, port)
      },
    }),
  ])
  harness.send(1, ...Array.from({ length: 32 }, (_, i) => frame(2, 1, `${i}`)))
  for (let port = 2; port <= 15; port++)
    assert.deepEqual(
      harness.got(port).map(Number),
      Array.from({ length: 32 }, (_, i) => i).filter((i) => (i + port) % 2 === 0),
    )
})

test('an extension that amplifies without end does not stop the switch', () => {
  const harness = new DataPathHarness().connect(2)
  harness.install((sw) => ({
    egress(batch) {
      for (let i = 0; i < batch.length; i++) sw.send(batch.clone(i))
    },
  }))
  harness.send(1, frame(2, 1, 'x'))
  assert.ok(harness.got(2).length > 100)
  assert.ok(harness.got(2).length < 1000)
})

test("an extension that keeps every packet for ever takes the pool's room and no more; the rest goes on", () => {
  const BURSTS = Math.ceil(HELD_SLOTS / 64) + 8
  const harness = new DataPathHarness().connect(2)
  harness.install(() => ({
    ingress(batch) {
      for (let i = 0; i < batch.length; i++) batch.hold(i)
    },
  }))
  for (let burst = 0; burst < BURSTS; burst++)
    harness.send(1, ...Array.from({ length: 64 }, (_, i) => frame(2, 1, `${burst}.${i}`)))
  assert.equal(harness.got(2).length, BURSTS * 64 - HELD_SLOTS)
  assert.equal(harness.injections.heldCount(), HELD_SLOTS)
})

test('handles used twice, forged, stale or of another module are refused and harm nothing', () => {
  const harness = new DataPathHarness().connect(2)
  let held: PacketHandle = 0
  const handles: SwitchHandle[] = []
  harness.install(
    (sw) => {
      handles.push(sw)
      return {
        ingress(batch) {
          held = batch.hold(0)
        },
      }
    },
    (sw) => {
      handles.push(sw)
      return {}
    },
  )
  harness.send(1, frame(2, 1, 'x'))
  const [own, other] = handles as [SwitchHandle, SwitchHandle]
  assert.notEqual(other.forward(held), 0)
  assert.notEqual(other.release(held), 0)
  assert.notEqual(own.send(held), 0) // held, not its own
  assert.notEqual(own.setSource(held, 2), 0)
  for (const forged of [0, -1, 1, 255, 1023, held + 1, held + 1024, held - 1, Number.NaN, 1.5, 2 ** 40]) {
    assert.notEqual(own.forward(forged), 0, `forward ${forged}`)
    assert.notEqual(own.send(forged), 0, `send ${forged}`)
    assert.notEqual(own.release(forged), 0, `release ${forged}`)
  }
  assert.equal(own.forward(held), 0)
  assert.notEqual(own.forward(held), 0)
  assert.notEqual(own.release(held), 0)
  harness.dataPath.flushInjections()
  assert.notEqual(own.forward(held), 0)
  assert.deepEqual(harness.got(2), ['x'])
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
})

test('releasing a held packet counts it as dropped for the reason given', () => {
  const harness = new DataPathHarness().connect(2)
  const [module] = harness.install((sw) => ({
    ingress(batch) {
      sw.release(batch.hold(0), 'late')
      sw.release(batch.hold(1))
      sw.release(batch.hold(2), 5000)
      sw.release(batch.clone(3), 'a clone is not counted')
    },
  }))
  harness.send(1, ...['a', 'b', 'c', 'd'].map((text) => frame(2, 1, text)))
  assert.deepEqual(harness.got(2), ['d'])
  assert.deepEqual(harness.drops(1), { late: 1, 'given-up-by-extension': 1, 'reason 95': 1 })
  assert.equal(module!.breaches, 0)
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
})

test('a reason number that nobody registered is counted as the last one, at the right port', () => {
  const harness = new DataPathHarness().connect(2)
  harness.install(() => ({
    ingress(batch) {
      for (const [i, reason] of [96, -1, 1.5, Number.NaN].entries()) batch.drop(i, reason)
    },
  }))
  harness.send(1, ...['a', 'b', 'c', 'd'].map((text) => frame(2, 1, text)))
  assert.deepEqual(harness.drops(1), { 'reason 95': 4 })
  assert.deepEqual(harness.drops(2), {})
  assert.equal(harness.portCounter(2, 'receivedFrames'), 0)
})

test('positions outside the batch touch no packet', () => {
  const harness = new DataPathHarness().connect(2)
  harness.install(
    () => ({ ingress: (batch) => batch.drop(0, 'first') }),
    () => ({
      ingress(batch) {
        assert.equal(batch.length, 3)
        batch.drop(3, 'outside') // stands for the slot of the last packet
        batch.drop(-1, 'outside')
        assert.equal(batch.hold(3), 0)
        assert.equal(batch.clone(3), 0)
        assert.equal(batch.setU8(3, 14, 0), false)
      },
      egress: (batch) => batch.exclude(3, 0, 'outside'),
    }),
  )
  harness.send(1, ...['a', 'b', 'c', 'd'].map((text) => frame(2, 1, text)))
  assert.deepEqual(harness.got(2), ['b', 'c', 'd'])
  assert.deepEqual(harness.drops(1), { first: 1 })
})

test('a packet to several destinations is held for one of them alone; the others get it at once, nothing is reported (ES-351, ES-420)', () => {
  const harness = new DataPathHarness().connect(4)
  let held: PacketHandle = 0
  const [module] = harness.install((sw) => ({
    egress(batch) {
      if (held !== 0) return
      for (let k = 0; k < batch.destinationCount(0); k++) {
        if (batch.destinationPortId(0, k) !== 3) continue
        held = batch.hold(0, k)
        assert.equal(batch.hold(0, k), 0, 'it is held for this destination already')
        assert.equal(sw.destinationCount(held), 1)
      }
    },
  }))
  harness.send(1, frame('ff:ff:ff:ff:ff:ff', 1, 'flooded'))
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port).length),
    [1, 0, 1],
  )
  assert.equal(harness.ports.pins(3), 1)
  assert.equal(harness.ports.pins(4), 0)
  assert.equal(module!.handle.forward(held), 0)
  harness.dataPath.flushInjections()
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port).length),
    [1, 1, 1],
  )
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
  assert.equal(harness.ports.pins(3), 0)
})

test('a clone for one destination gets there and nowhere else, and may be indicated (ES-387, ES-392)', () => {
  const harness = new DataPathHarness().connect(4)
  let clone: PacketHandle = 0
  harness.install((sw) => ({
    egress(batch) {
      if (clone !== 0) return
      for (let k = 0; k < batch.destinationCount(0); k++) if (batch.destinationPortId(0, k) === 3) clone = batch.clone(0, true, k)
      assert.equal(sw.indicate(clone), 0)
    },
  }))
  harness.send(1, frame('ff:ff:ff:ff:ff:ff', 1, 'flooded'))
  assert.deepEqual(
    [2, 3, 4].map((port) => harness.got(port).length),
    [1, 2, 1],
  )
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
})

test('after makeSafe every byte of a frame may be changed, and what was changed is delivered (ES-399)', () => {
  const harness = new DataPathHarness().connect(2)
  const bytes = frame(2, 1, 'z'.repeat(9000))
  const wrote: boolean[] = []
  harness.install(() => ({
    ingress(batch) {
      wrote.push(batch.setU8(0, 8000, 1), batch.makeSafe(0), batch.setU8(0, 8000, 1), batch.setU8(0, 9013, 2))
      wrote.push(batch.setU8(0, 9014, 3))
    },
  }))
  harness.send(1, bytes)
  assert.deepEqual(wrote, [false, true, true, true, false])
  bytes[8000] = 1
  bytes[9013] = 2
  assert.deepEqual(harness.got(2), [Buffer.from(bytes).subarray(14).toString('latin1')])
})
