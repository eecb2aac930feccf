// Random sequences of what extensions may call, right and wrong, on packets in batches and by handle: forged, used-up and foreign handles,
// destinations grown, written, committed, excluded in any order.
//
// What must hold whatever they do: a frame arrives only where the forwarding extension committed a destination for it, never at a
// port that is not connected; and when all modules are gone, nothing of the pool is in use and no port is pinned.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Batch, PacketHandle, SwitchHandle } from 'vmswitch/extension'
import { NicState, PortState } from '../../src/ndis/oids.ts'
import { HELD_SLOTS } from '../../src/ndis/pool.ts'
import { PortFlag } from '../../src/switch/port-table.ts'
import { frame } from '../support/data-path-harness.ts'
import { type Bench, filtering, forwarding, stackOf } from './handlers.ts'

const CONNECTED = 4 // ports 1…4; port 5 is disconnected, 6 only created, 7 does not exist
const PORTS = 7
const OPERATIONS = 24

/** One step: which operation, and three numbers that it takes its arguments from. */
type Step = readonly [operation: number, a: number, b: number, c: number]
const steps = fc.array(fc.tuple(fc.nat(OPERATIONS - 1), fc.nat(1000), fc.nat(1000), fc.nat(1000)), {
  minLength: 30,
  maxLength: 160,
  size: 'max',
})

class Run {
  readonly bench: Bench
  readonly #tape: Step[]
  /** Handles that each module was ever given. */
  readonly #handles: [PacketHandle[], PacketHandle[]] = [[1024 + 256], [2048 + 257]]
  /** Ports that were committed for a text. */
  readonly #allowed = new Map<string, Set<number>>()
  #originated = 0

  constructor(tape: readonly Step[], shortCut: boolean) {
    this.#tape = [...tape]
    const part = (module: 0 | 1) => ({
      name: module === 0 ? 'F' : 'X',
      ingress: (batch: Batch, sw: SwitchHandle) => this.#handle(batch, sw, module),
      egress: (batch: Batch, sw: SwitchHandle) => this.#handle(batch, sw, module),
    })
    this.bench = stackOf(CONNECTED, [filtering(part(0)), forwarding(part(1))], shortCut)
    const { harness } = this.bench
    for (const [port, nicState] of [
      [5, NicState.disconnected],
      [6, NicState.created],
    ] as const) {
      harness.connectPort(port)
      harness.ports.set(port, { portState: PortState.created, nicState, flags: PortFlag.checkSource, mac: undefined, vlan: 0 })
    }
  }

  go(): void {
    const { harness } = this.bench
    const blocks = harness.pool.freeBlocks
    for (let n = 0; n < 4 && this.#tape.length > 0; n++) {
      harness.send(1, frame(2, 1, `p${n}`), frame(0xff, 1, `q${n}`.padEnd(300, '.')))
      for (const [module, sw] of this.bench.handles.entries()) this.#byHandle(sw, module as 0 | 1)
      while (harness.dataPath.flushInjections());
    }
    this.#check()
    harness.dataPath.stack.set([])
    harness.injections.remap(
      () => -1,
      () => -1,
    )
    while (harness.dataPath.flushInjections());
    assert.equal(harness.pool.freeSlots, HELD_SLOTS)
    assert.equal(harness.pool.freeBlocks, blocks)
    for (let port = 0; port <= PORTS; port++) assert.equal(harness.ports.pins(port), 0, `pins of port ${port}`)
  }

  // What arrived, before the switch itself forwards what held packets are left.
  #check(): void {
    for (let port = 1; port <= CONNECTED; port++)
      for (const bytes of this.bench.harness.sink(port).frames) {
        const text = nameOf(bytes.subarray(14))
        assert.ok(this.#allowed.get(text)?.has(port), `"${text}" arrived at port ${port}, where nobody sent it`)
      }
    for (const port of [5, 6]) assert.deepEqual(this.bench.harness.got(port), [], `port ${port} is not connected`)
  }

  #allow(text: string, port: number): void {
    const known = this.#allowed.get(text) ?? new Set()
    this.#allowed.set(text, known.add(port))
  }

  #pick(module: 0 | 1, a: number): PacketHandle {
    const own = this.#handles[a % 5 === 0 ? 1 - module : module]!
    const handle = own[a % own.length]!
    return [handle, handle, handle, handle + 1024, handle ^ 1, a, -handle, handle + 0.5][a % 8]!
  }

  #got(module: 0 | 1, handle: PacketHandle): void {
    if (handle !== 0) this.#handles[module].push(handle)
  }

  #handle(batch: Batch, sw: SwitchHandle, module: 0 | 1): void {
    for (let i = 0; i < batch.length; i++) {
      // X gives most packets a destination, so that something is delivered.
      if (module === 1 && batch.ingress && (this.#tape[0]?.[1] ?? 1) % 3 !== 0 && batch.addDestination(i, 2))
        this.#allow(textAt(batch, i), 2)
      for (let n = 0; n < 3; n++) this.#onBatch(batch, i, sw, module)
    }
  }

  #onBatch(batch: Batch, i: number, sw: SwitchHandle, module: 0 | 1): void {
    const step = this.#tape.shift()
    if (!step) return
    const [operation, a, b, c] = step
    const at = a % 11 === 0 ? i + 100 : i // a position that is not there, now and then
    const port = (b % PORTS) + (b % 13 === 0 ? 60000 : 0)
    const nic = c % 9 === 0 ? c : 0
    const k = c % 5
    const before = batch.destinationCount(i)
    // Whatever was committed by an operation is where the packet may arrive.
    const committing = (done: boolean): void => {
      for (let n = before; done && n < batch.destinationCount(i); n++)
        this.#allow(textAt(batch, i), batch.destinationPortId(i, n))
    }
    const add = () => committing(batch.addDestination(at, port, nic))
    const write = () => batch.writeDestination(at, before + (c % 3), port, nic)
    const update = () => committing(batch.updateDestinations(at, 1 + (c % 3)) === 0)
    const hold = () => this.#got(module, batch.hold(i))
    const clone = () => this.#got(module, batch.clone(i, a % 2 === 0))
    const copyInfo = () => {
      const target = this.#pick(module, a)
      if (batch.copyInfo(i, target, b % 2 === 0) !== 0 || b % 2 !== 0) return
      for (let n = 0; n < before; n++) this.#allow(textOf(sw, target), batch.destinationPortId(i, n))
    }
    const operations: readonly (() => unknown)[] = [
      add,
      add,
      write,
      write,
      update,
      update,
      hold,
      hold,
      clone,
      clone,
      () => batch.growDestinations(at, b % 40),
      () => batch.exclude(at, k, 'test'),
      () => batch.setExcluded(at, k, a % 4 !== 0),
      () => batch.updateDestinations(at, 0),
      () => batch.report(at, port, a % 2 === 0, 'test'),
      () => a % 4 === 0 && batch.drop(at, 'test'),
      () => a % 4 === 0 && batch.complete(at),
      () => committing(b < batch.length && batch.addDestinationsOf(i, b)),
      () => batch.setU8(at, 100 + c, 7),
      copyInfo,
    ]
    const chosen = operations[operation]
    if (chosen) chosen()
    else this.#one(sw, module, step)
  }

  #byHandle(sw: SwitchHandle, module: 0 | 1): void {
    for (let n = 0; n < 12; n++) {
      const step = this.#tape.shift()
      if (step) this.#one(sw, module, step)
    }
  }

  #one(sw: SwitchHandle, module: 0 | 1, [operation, a, b, c]: Step): void {
    const handle = this.#pick(module, a)
    const other = this.#pick(module, b)
    const port = b % PORTS
    const nic = c % 9 === 0 ? c : 0
    const committing = (done: boolean): void => {
      if (done) this.#allow(textOf(sw, handle), port)
    }
    const originate = () => this.#got(module, sw.originate(frame(2, 9, `o${this.#originated++}`)))
    const add = () => committing(sw.addDestination(handle, port, nic))
    const write = () =>
      committing(sw.writeDestination(handle, sw.destinationCount(handle), port) && sw.updateDestinations(handle, 1) === 0)
    const copyInfo = () => {
      if (sw.copyInfo(handle, other, c % 2 === 0) !== 0 || c % 2 !== 0) return
      for (const allowed of this.#allowed.get(textOf(sw, other)) ?? []) this.#allow(textOf(sw, handle), allowed)
    }
    const operations: readonly (() => unknown)[] = [
      originate,
      originate,
      add,
      add,
      write,
      copyInfo,
      () => sw.send(handle, c % 4 === 0 ? c : 0),
      () => sw.send(handle),
      () => sw.sendAll([handle, other], 2),
      () => sw.indicate(handle),
      () => sw.indicate(handle),
      () => sw.forward(handle),
      () => sw.forward(handle),
      () => sw.release(handle),
      () => sw.release(handle),
      () => sw.growDestinations(handle, c % 30),
      () => sw.setSource(handle, port, nic),
      () => this.#got(module, sw.allocatePacket(frame(2, 9, `b${this.#originated++}`))),
      () => sw.allocateForwardingContext(handle),
      () => sw.freeForwardingContext(handle),
      () => sw.freePacket(handle),
      () => sw.write(handle, 100 + c, Uint8Array.of(1, 2, 3)),
      () => sw.read(handle, c, new Uint8Array(8)),
      () => sw.updateDestinations(handle, c % 4),
    ]
    operations[operation]!()
  }
}

/** The name of a packet: its first letter and number, which nobody overwrites. */
const nameOf = (payload: Uint8Array): string => /^[a-z]\d+/.exec(Buffer.from(payload).toString('latin1'))?.[0] ?? ''

const textAt = (batch: Batch, i: number): string => nameOf(Uint8Array.from({ length: 8 }, (_, at) => batch.u8(i, 14 + at)))

function textOf(sw: SwitchHandle, handle: PacketHandle): string {
  const bytes = new Uint8Array(8)
  sw.read(handle, 14, bytes)
  return nameOf(bytes)
}

for (const shortCut of [true, false])
  test(`whatever extensions call in whatever order, frames arrive only where they were sent, and nothing of the pool is lost (${shortCut ? 'wasm' : 'TypeScript'}) (ES-320, ES-412, ES-417, ES-420, ES-421, ES-430, ES-441)`, () => {
    fc.assert(
      fc.property(steps, (tape) => new Run(tape, shortCut).go()),
      { numRuns: 400 },
    )
  })
