import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import type { ExtensionHandlers } from '../extension.ts'
import { HELD_SLOTS } from '../ndis/pool.ts'
import { checkOrder } from './stack.ts'

const named = (name: string, extensionClass: 'capturing' | 'filtering' | 'forwarding') => ({ name, class: extensionClass })

test('the order is capturing, filtering, forwarding; any number of the first two, one of the last (ES-011, ES-014, ES-015, ES-016, ES-018)', () => {
  checkOrder([])
  checkOrder([
    named('a', 'capturing'),
    named('b', 'capturing'),
    named('c', 'filtering'),
    named('d', 'filtering'),
    named('e', 'forwarding'),
  ])
  assert.throws(
    () => checkOrder([named('a', 'filtering'), named('b', 'capturing')]),
    /"a" \(filtering\) cannot stand above "b" \(capturing\)/,
  )
  assert.throws(() => checkOrder([named('a', 'forwarding'), named('b', 'filtering')]), /cannot stand above/)
  assert.throws(
    () => checkOrder([named('a', 'forwarding'), named('b', 'forwarding')]),
    /at most one forwarding extension.*"a" and "b"/,
  )
})

// One program of actions, run by the generated function and by the loop for the sampled burst.
const program = (trace: string[], name: string): ExtensionHandlers => ({
  ingress(batch) {
    trace.push(`${name} down ${batch.length}`)
    if (name === 'b') batch.drop(0, 'b')
  },
  egress(batch) {
    trace.push(`${name} up ${batch.length}`)
    if (name === 'a') batch.exclude(batch.length - 1, 0, 'a')
  },
})

test('the burst that is sampled takes the same way as all others', () => {
  const harness = new DataPathHarness().connect(2)
  const trace: string[] = []
  const modules = harness.install(
    [{ class: 'capturing' }, () => program(trace, 'c')],
    () => program(trace, 'a'),
    () => program(trace, 'b'),
  )
  const traces = new Set<string>()
  for (let burst = 0; burst < 2100; burst++) {
    trace.length = 0
    harness.sink(2).frames.length = 0
    harness.send(1, frame(2, 1, 'x'), frame(2, 1, 'y'), frame(2, 1, 'z'))
    traces.add(`${trace.join()}: ${harness.got(2).join()}`)
    harness.nowMs += 0.001
  }
  assert.deepEqual([...traces], ['c down 3,a down 3,b down 3,b up 2,a up 2,c up 1: y'])
  for (const module of modules) assert.ok(module.sampledPackets > 0, `${module.name} was timed`)
  assert.ok(modules[2]!.sampledPackets % 5 === 0, 'in both directions: 3 on ingress, 2 on egress')
})

test("where code can't be generated the loop does the same", () => {
  const real = globalThis.Function
  const run = (): { trace: string[]; got: string[] } => {
    const harness = new DataPathHarness().connect(2)
    const trace: string[] = []
    harness.install(
      () => program(trace, 'a'),
      () => program(trace, 'b'),
    )
    for (let burst = 0; burst < 3; burst++) harness.send(1, frame(2, 1, 'x'), frame(2, 1, 'y'), frame(2, 1, 'z'))
    return { trace, got: harness.got(2) }
  }
  const generated = run()
  globalThis.Function = class {
    constructor() {
      throw new EvalError('code generation is forbidden here')
    }
  } as unknown as FunctionConstructor
  try {
    assert.deepEqual(run(), generated)
  } finally {
    globalThis.Function = real
  }
})

for (const direction of ['ingress', 'egress'] as const)
  for (const onFailure of ['open', 'closed'] as const)
    test(`a module that throws on ${direction} and fails ${onFailure} harms nobody else`, () => {
      const harness = new DataPathHarness().connect(2)
      const seen: string[] = []
      let calls = 0
      const modules = harness.install(
        () => ({ ingress: () => void seen.push('top down'), egress: () => void seen.push('top up') }),
        [
          { name: 'bad', onFailure },
          () => ({
            [direction](batch: { drop(i: number, reason: string): void }) {
              calls++
              batch.drop(0, 'before the fall')
              throw new Error('boom')
            },
          }),
        ],
        () => ({ ingress: () => void seen.push('bottom down'), egress: () => void seen.push('bottom up') }),
      )
      harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'))
      harness.send(1, frame(2, 1, 'c'))
      assert.equal(calls, 1, 'it is called no more')
      assert.equal(modules[1]!.state, 'failed')
      assert.equal(modules[1]!.faults, 1)
      assert.match(modules[1]!.lastFault, /boom/)
      assert.deepEqual(
        harness.reports.map(({ module, code }) => [module, code]),
        [['bad', 'extension-failed']],
      )
      assert.deepEqual(harness.got(2), onFailure === 'open' ? ['b', 'c'] : [])
      const port = direction === 'ingress' ? 1 : 2
      assert.equal(harness.drops(port)['before the fall'], 1)
      const failed = [1, 2].reduce((sum, at) => sum + (harness.drops(at)['extension-failed'] ?? 0), 0)
      assert.equal(failed, onFailure === 'open' ? 0 : 2)
      assert.ok(seen.includes('top down'))
    })

test('things that are no errors may be thrown too', () => {
  for (const thrown of [undefined, null, 'text', 7, { odd: true }, Symbol('s'), Object.create(null)]) {
    const harness = new DataPathHarness().connect(2)
    const [module] = harness.install(() => ({
      ingress() {
        throw thrown
      },
    }))
    harness.send(1, frame(2, 1, 'a'))
    assert.equal(module!.state, 'failed')
    assert.deepEqual(harness.got(2), ['a'])
  }
})

test('when a forwarding extension fails open, the switch forwards, the packets in its hands included (ES-331)', () => {
  const harness = new DataPathHarness().connect(3)
  harness.install([
    { class: 'forwarding', onFailure: 'open' },
    () => ({
      ingress(batch) {
        batch.addDestination(0, 3)
        throw new Error('boom')
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'a'), frame(2, 1, 'b'))
  harness.send(1, frame(2, 1, 'c'))
  assert.deepEqual(harness.got(2), ['a', 'b', 'c'])
  assert.deepEqual(harness.got(3), [])
})

test('what a module holds when it fails open goes on past it, in order; when it fails closed it is dropped', () => {
  for (const onFailure of ['open', 'closed'] as const) {
    const harness = new DataPathHarness().connect(2)
    let bursts = 0
    harness.install([
      { onFailure },
      () => ({
        ingress(batch) {
          if (++bursts === 5) throw new Error('boom')
          for (let i = 0; i < batch.length; i++) batch.hold(i)
        },
      }),
    ])
    for (let burst = 0; burst < 6; burst++) harness.send(1, frame(2, 1, `${burst}a`), frame(2, 1, `${burst}b`))
    const held = ['0a', '0b', '1a', '1b', '2a', '2b', '3a', '3b']
    assert.deepEqual(harness.got(2), onFailure === 'open' ? ['4a', '4b', ...held, '5a', '5b'] : [])
    assert.deepEqual(harness.drops(1), onFailure === 'open' ? {} : { 'extension-failed': 12 })
    assert.equal(harness.pool.freeSlots, HELD_SLOTS)
  }
})

test('an observer of drops that throws fails alone', () => {
  const harness = new DataPathHarness().connect(2)
  const seen: string[] = []
  const [first] = harness.install(
    [
      { class: 'capturing' },
      () => ({
        filtered() {
          throw new Error('boom')
        },
      }),
    ],
    [{ class: 'capturing' }, () => ({ filtered: (_batch, reason) => void seen.push(reason(0)) })],
    () => ({ ingress: (batch) => batch.drop(0, 'x') }),
  )
  harness.send(1, frame(2, 1, 'a'))
  harness.send(1, frame(2, 1, 'b'))
  assert.equal(first!.state, 'failed')
  assert.deepEqual(seen, ['x', 'x'])
})

test('a module that is not running gets no packets, and none pass its place (ES-051, ES-054)', () => {
  const harness = new DataPathHarness().connect(2)
  let calls = 0
  const module = harness.module('m', {}, () => ({ ingress: () => void calls++ }))
  harness.dataPath.stack.set([module])
  assert.equal(module.state, 'paused')
  harness.send(1, frame(2, 1, 'a'))
  assert.equal(calls, 0)
  module.restart()
  harness.dataPath.stack.compile()
  harness.send(1, frame(2, 1, 'b'))
  assert.equal(calls, 1)
  assert.deepEqual(harness.got(2), ['b'])
})

test('a module goes through its states in order, and a handler that throws leaves it failed or detached (ES-043, ES-044, ES-045, ES-046, ES-047)', () => {
  const harness = new DataPathHarness()
  const calls: string[] = []
  const module = harness.module('m', {}, () => ({
    restart: () => void calls.push(`restart ${module.state}`),
    pause: () => void calls.push(`pause ${module.state}`),
    detach: () => void calls.push(`detach ${module.state}`),
  }))
  assert.equal(module.state, 'paused')
  module.pause()
  module.restart()
  module.restart()
  assert.equal(module.state, 'running')
  module.pause()
  assert.equal(module.state, 'paused')
  module.detach()
  module.detach()
  assert.equal(module.state, 'detached')
  assert.deepEqual(calls, ['restart restarting', 'pause pausing', 'detach detached'])
})

test('an attach that returns no handlers, or a promise of them, is refused', () => {
  const harness = new DataPathHarness()
  for (const handlers of [undefined, null, 7, Promise.resolve({})])
    assert.throws(
      () => harness.module('m', {}, () => handlers as ExtensionHandlers),
      /"attach" must return an object of handlers/,
    )
})

test('what a module attaches with may not send before it is in the stack (ES-053, ES-055)', () => {
  const harness = new DataPathHarness().connect(2)
  const packets: number[] = []
  const module = harness.module('m', {}, (sw) => {
    packets.push(sw.originate(frame(2, 1, 'early')))
    return { restart: () => void packets.push(sw.originate(frame(2, 1, 'early'))) }
  })
  module.restart()
  harness.dataPath.stack.set([module])
  assert.deepEqual(packets, [0, 0])
  assert.equal(harness.pool.freeSlots, HELD_SLOTS)
})

test("a capturing module's breaches are counted, reported once, and change nothing (ES-306, ES-307, ES-308, ES-309, ES-310)", () => {
  const harness = new DataPathHarness().connect(2)
  const [module] = harness.install([
    { name: 'cheeky', class: 'capturing' },
    () => ({
      ingress(batch) {
        batch.drop(0, 'x')
        batch.setU8(0, 14, 0)
        batch.addDestination(0, 2)
        batch.hold(0)
        batch.clone(0)
      },
      egress: (batch) => batch.exclude(0, 0, 'x'),
    }),
  ])
  harness.send(1, frame(2, 1, 'a'))
  assert.deepEqual(harness.got(2), ['a'])
  assert.equal(module!.breaches, 6)
  assert.deepEqual(
    harness.reports.map(({ module: name, code }) => [name, code]),
    [['cheeky', 'ES-306']],
  )
})
