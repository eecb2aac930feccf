// A data path without an engine, for unit tests: pool, tables, stack and delivery over plain memory with the TypeScript kernels, ports
// whose frames come from and go to arrays, and modules made of handlers.
//
// The rule it must not break: slots are filled as endpoints fill them (what an endpoint leaves alone stays stale here too), so that a
// test that passes here says something about the engine.
import type { ExtensionClass, ExtensionHandlers, SwitchHandle } from '../../src/extension.ts'
import { CLASSIFY_BYTES } from '../../src/kernels/classify-layout.ts'
import type { Kernels } from '../../src/kernels/kernels.ts'
import {
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  PF_DROPPED,
  REASON_RUNT,
  SEGMENTS_MAX,
  SWITCHING_BYTES,
  VNET_STRIDE,
} from '../../src/kernels/layout.ts'
import { type AllKernels, instantiateKernels } from '../../src/kernels/load.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { DropReason } from '../../src/ndis/drop-reasons.ts'
import { NicState, PortState } from '../../src/ndis/oids.ts'
import { PacketPool, POOL_TOTAL_BYTES } from '../../src/ndis/pool.ts'
import { AclTable } from '../../src/switch/acl/acl-table.ts'
import { compileRules } from '../../src/switch/acl/classifier-compiler.ts'
import { inLinearMemory, inOwnMemory, type Program } from '../../src/switch/acl/program.ts'
import type { RuleList } from '../../src/switch/acl/rule-fields.ts'
import { Counters, countersBytes, PortCounter } from '../../src/switch/counters.ts'
import { DATA_PATH_LIST_BYTES, DataPath, type SourceQueue } from '../../src/switch/data-path.ts'
import { Delivery, deliveryListBytes, type SinkQueue } from '../../src/switch/delivery.ts'
import { createSwitchHandle, type SwitchView } from '../../src/switch/handle.ts'
import { Injections } from '../../src/switch/injections.ts'
import { MacTable, macTableBytes } from '../../src/switch/mac-table.ts'
import { type FailurePolicy, Module } from '../../src/switch/module.ts'
import { PortFlag, PortTable, portTableBytes } from '../../src/switch/port-table.ts'
import { REASON_REGISTRY_BYTES, ReasonRegistry } from '../../src/switch/reason-registry.ts'
import { ShortCut } from '../../src/switch/short-cut.ts'
import { readKernels } from './kernels.ts'
import { refusingControl } from './refusing-control.ts'

const MODULE_ID = '00000000-0000-0000-0000-000000000001'
const PORTS = 16
const MAC_ENTRIES = 256
const PAYLOAD_BYTES = 4 * 1024 * 1024
const SCRATCH_BYTES = 128 * 1024
const ALIGNMENT = 4096
const WASM_PAGE = 65536
const PROGRAM_BYTES = 8 * 1024 * 1024

/** One frame that goes in: its bytes, and what a virtio-net header would have asked for. */
export interface TestFrame {
  readonly bytes: Uint8Array
  readonly needs?: number
  readonly vnet?: Uint8Array
  /** Payload segments that the bytes after the header copy are cut into (default 1). */
  readonly segments?: number
}

/** A port's sending side: takes up to `capacity` frames and keeps what it took. */
export class TestSink implements SinkQueue {
  offloads = 0
  capacity = Number.POSITIVE_INFINITY
  refusal: number = DropReason.none
  /** Reason that it gives when it is full. */
  fullReason: number = DropReason.peerNotReading
  readonly frames: Buffer[] = []
  /** Frames per deliver call. */
  readonly calls: number[] = []
  readonly #harness: DataPathHarness

  constructor(harness: DataPathHarness) {
    this.#harness = harness
  }

  deliver(list: number, count: number): number {
    const slots = new Uint16Array(this.#harness.buffer, list, count)
    const taken = Math.max(0, Math.min(count, this.capacity - this.frames.length))
    for (let i = 0; i < taken; i++) this.frames.push(this.#harness.bytesOf(slots[i]!))
    this.calls.push(count)
    if (taken < count) this.refusal = this.fullReason
    return taken
  }
}

export interface ModuleOptions {
  readonly name?: string
  readonly class?: ExtensionClass
  readonly onFailure?: FailurePolicy
}

export type Attach = (sw: SwitchHandle) => ExtensionHandlers

/** A frame of 64 bytes or more: addresses by number (port number → 02:00:00:00:00:0N; 0xff = broadcast), and a text. */
export function frame(to: number | string, from: number | string, text = '', etherType = 0x88b5): Buffer {
  const bytes = Buffer.alloc(Math.max(60, 14 + text.length))
  bytes.set(address(to), 0)
  bytes.set(address(from), 6)
  bytes.writeUInt16BE(etherType, 12)
  bytes.write(text, 14, 'latin1')
  return bytes
}

/** The text of a frame made by `frame`. */
export const textOf = (bytes: Buffer): string => bytes.subarray(14).toString('latin1').replace(/\0+$/, '')

export const mac = (number: number): string => `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`

function address(of: number | string): number[] {
  const text = typeof of === 'string' ? of : of === 0xff ? 'ff:ff:ff:ff:ff:ff' : mac(of)
  return text.split(':').map((octet) => Number.parseInt(octet, 16))
}

export class DataPathHarness {
  readonly buffer: ArrayBufferLike
  readonly kernels: Kernels
  /** The kernels in wasm; undefined without short cuts. */
  readonly wasm: AllKernels | undefined
  readonly pool: PacketPool
  readonly ports: PortTable
  readonly acls: AclTable
  readonly macs: MacTable
  readonly counters: Counters
  readonly reasons: ReasonRegistry
  readonly injections: Injections
  readonly delivery: Delivery
  readonly dataPath: DataPath
  readonly reports: { module: string; code: string; message: string }[] = []
  readonly view: SwitchView
  nowMs = 0
  readonly #sinks = new Map<number, TestSink[]>()
  readonly #all: TestSink[] = []
  readonly #payload: number
  readonly #scratch: number
  readonly #u8: Uint8Array
  #payloadNext = 0
  #programs: number
  readonly #programsEnd: number

  /** Where programs of ACLs go: with the short cuts into linear memory, as long as there is room. */
  readonly place = (list: RuleList): Program => {
    const words = compileRules(list)
    const at = this.#programs
    if (at + words.byteLength > this.#programsEnd) return inOwnMemory(words)
    this.#programs += Math.ceil(words.byteLength / 64) * 64
    return inLinearMemory(words, this.buffer, at)
  }

  /** Whether harnesses that don't say take the wasm short cuts. */
  static shortCut = false

  /** Linear address of the spare bytes that were asked for. */
  readonly spare: number

  /** `shortCut`: bursts take the wasm short cuts, as in the engine. `spareBytes`: memory for what a test adds; `processor`: its number. */
  constructor({
    shortCut = DataPathHarness.shortCut,
    reportAll = false,
    spareBytes = 0,
    processor = 0,
  }: { shortCut?: boolean; reportAll?: boolean; spareBytes?: number; processor?: number } = {}) {
    let end = ALIGNMENT
    const place = (bytes: number): number => {
      const at = end
      end = Math.ceil((end + bytes) / ALIGNMENT) * ALIGNMENT
      return at
    }
    const pool = place(POOL_TOTAL_BYTES)
    const list = place(DATA_PATH_LIST_BYTES)
    const delivery = place(deliveryListBytes(PORTS))
    const counters = place(countersBytes(PORTS))
    const ports = place(portTableBytes(PORTS))
    const macs = place(macTableBytes(MAC_ENTRIES, PORTS))
    const reasons = place(REASON_REGISTRY_BYTES)
    this.#payload = place(PAYLOAD_BYTES)
    this.#scratch = place(SCRATCH_BYTES)
    const switching = place(SWITCHING_BYTES)
    const classify = place(CLASSIFY_BYTES)
    this.#programs = place(shortCut ? PROGRAM_BYTES : 0)
    this.#programsEnd = this.#programs + (shortCut ? PROGRAM_BYTES : 0)
    this.spare = place(spareBytes)
    const pages = Math.ceil(end / WASM_PAGE)
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    const { buffer } = memory
    this.buffer = buffer
    this.#u8 = new Uint8Array(buffer)
    this.kernels = createTwin({
      linear: buffer,
      windows: linearWindows(buffer),
      copyForeign() {
        throw new Error('these tests have no memory outside linear memory')
      },
    })
    this.pool = new PacketPool(buffer, pool, this.kernels)
    this.ports = new PortTable(buffer, ports, PORTS)
    const wasm = shortCut ? instantiateKernels(readKernels(), memory) : undefined
    this.wasm = wasm
    this.acls = new AclTable(PORTS, processor, wasm === undefined ? {} : { kernel: { kernels: wasm, buffer, block: classify } })
    this.macs = new MacTable(buffer, macs, MAC_ENTRIES, PORTS)
    this.counters = new Counters(buffer, counters, PORTS)
    this.reasons = new ReasonRegistry(buffer, reasons)
    this.injections = new Injections(this.pool)
    this.delivery = new Delivery(buffer, delivery, PORTS, {
      pool: this.pool,
      kernels: this.kernels,
      counters: this.counters,
      reasonName: (reason) => this.reasons.name(reason),
    })
    const fast = wasm
      ? new ShortCut(
          buffer,
          { pool, block: switching, portTable: ports, macTable: macs, macEntries: MAC_ENTRIES },
          { kernels: wasm, ports: this.ports, delivery: this.delivery },
        )
      : undefined
    this.dataPath = new DataPath({
      ...(fast ? { shortCut: fast } : {}),
      buffer,
      pool: this.pool,
      list,
      kernels: this.kernels,
      ports: this.ports,
      acls: this.acls,
      macs: this.macs,
      counters: this.counters,
      delivery: this.delivery,
      injections: this.injections,
      nowMs: () => this.nowMs,
      report: (module, code, message) => this.reports.push({ module, code, message }),
      reasonNumber: (_module, name) => this.reasons.number(name),
      reportAll,
    })
    this.view = {
      parameters: { switchName: 'test', switchFriendlyName: 'test', numSwitchPorts: 0, isActive: true },
      ports: [],
      nics: [],
    }
  }

  /** Connects ports 1…`count` with their addresses, guarded against spoofing, each with one sink. */
  connect(count: number): this {
    for (let port = 1; port <= count; port++) this.connectPort(port)
    return this
  }

  /** Connects a port. `flags` default to a guarded one; `queues` sinks take its frames. */
  connectPort(port: number, flags: number = PortFlag.checkSource, queues = 1, vlan = 0): TestSink[] {
    const known = flags === PortFlag.checkSource
    this.ports.set(port, {
      portState: PortState.created,
      nicState: NicState.connected,
      flags,
      mac: known ? mac(port) : undefined,
      vlan,
    })
    if (known) this.macs.addStatic(mac(port), vlan, port)
    const sinks = Array.from({ length: queues }, () => new TestSink(this))
    this.#sinks.set(port, sinks)
    this.#all.push(...sinks)
    this.delivery.setQueues(port, sinks)
    return sinks
  }

  /** Sinks that belong to no port yet. */
  spareSinks(count: number): TestSink[] {
    return Array.from({ length: count }, () => new TestSink(this))
  }

  /** Sends a burst from a physical adapter of an external port. */
  sendThrough(port: number, nicIndex: number, ...frames: (TestFrame | Uint8Array)[]): void {
    this.dataPath.turn(new TestSource(this, port, frames), port, nicIndex)
  }

  sink(port: number, queue = 0): TestSink {
    return this.#sinks.get(port)![queue]!
  }

  /** Frames that each sink of each port got over all its life, in hexadecimal: sinks replaced by a new connection included. */
  totals(): string[][] {
    return this.#all.map((sink) => sink.frames.map((bytes) => bytes.toString('hex')))
  }

  /** Texts of the frames that a port got. */
  got(port: number): string[] {
    return this.sink(port).frames.map(textOf)
  }

  /** Sends a burst from a port through the switch. */
  send(port: number, ...frames: (TestFrame | Uint8Array)[]): void {
    const source = new TestSource(this, port, frames)
    this.dataPath.turn(source, port)
    if (frames.length > 0 && source.completed !== frames.length) throw new Error('the burst was not completed')
  }

  /** Makes modules of handlers, top first, and puts them into the stack, attached and running. */
  install(...modules: (Attach | [ModuleOptions, Attach])[]): Module[] {
    const made = modules.map((entry, i) => {
      const [options, attach] = Array.isArray(entry) ? entry : [{}, entry]
      return this.module(options.name ?? `m${i}`, options, attach)
    })
    for (const module of made) module.restart()
    this.dataPath.stack.set(made)
    return made
  }

  /** Makes one attached module that is in no stack yet. */
  module(name: string, options: ModuleOptions, attach: Attach): Module {
    const { onFailure = 'open' } = options
    const position = (): number => this.dataPath.stack.modules.findIndex((module) => module.name === name)
    const handle = createSwitchHandle(
      {
        name,
        id: MODULE_ID,
        class: options.class ?? 'filtering',
        processor: 0,
        processors: 1,
        counters: new Float64Array(4),
        shared: new Map(),
        sinks: new Map(),
      },
      {
        pool: this.pool,
        kernels: this.kernels,
        injections: this.injections,
        ports: this.ports,
        reasons: this.reasons,
        counters: this.counters,
        view: this.view,
        control: refusingControl,
        wallClock: { seconds: 0, nanoseconds: 0 },
        nowMs: () => this.nowMs,
        every: () => () => {},
        timer: () => ({ at() {}, stop() {} }),
        log: (message) => this.reports.push({ module: name, code: 'log', message }),
      },
      position,
    )
    const definition = {
      id: MODULE_ID,
      name,
      version: '1.0.0',
      class: options.class ?? 'filtering',
      attach,
    } as const
    return new Module(name, definition, onFailure, handle, undefined)
  }

  /** Drops of a port by reason name. */
  drops(port: number): Record<string, number> {
    const found: Record<string, number> = {}
    for (let reason = 0; reason < 96; reason++) {
      const count = this.counters.readDrop(port, reason)
      if (count !== 0) found[this.reasons.name(reason)] = count
    }
    return found
  }

  portCounter(port: number, name: keyof typeof PortCounter): number {
    return this.counters.readPort(port, PortCounter[name])
  }

  /** The frame in a slot. */
  bytesOf(slot: number): Buffer {
    const length = this.pool.length[slot]!
    const copied = this.kernels.copyFrame(this.pool.base, slot, 0, length, this.#scratch)
    if (copied !== length) throw new Error(`copyFrame copied ${copied} of ${length} bytes`)
    return Buffer.from(this.#u8.slice(this.#scratch, this.#scratch + length))
  }

  /** Overwrites all payload that was ever filled in, as a guest may with its own memory. */
  scribble(): void {
    this.#u8.fill(0xee, this.#payload, this.#payload + this.#payloadNext)
  }

  /** Fills a slot as an endpoint does. */
  fill(slot: number, port: number, given: TestFrame | Uint8Array): void {
    const { bytes, needs = 0, vnet, segments = 1 } = given instanceof Uint8Array ? { bytes: given } : given
    const { pool } = this
    const header = Math.min(bytes.length, HEADER_COPY)
    const at = slot * HEADER_STRIDE + HEADER_START
    pool.header8.set(bytes.subarray(0, header), at)
    pool.length[slot] = bytes.length
    pool.flags[slot] = 0
    pool.head[slot] = 0
    pool.vsid[slot] = 0
    pool.destinationCount[slot] = 0
    pool.sourcePort[slot] = port
    pool.sourceNic[slot] = 0
    pool.headerOffset[slot] = HEADER_START
    pool.headerLength[slot] = header
    pool.window[slot] = 0
    pool.chain[slot] = 0
    pool.reason[slot] = 0
    pool.needs[slot] = needs
    pool.vnet.fill(0, slot * VNET_STRIDE, (slot + 1) * VNET_STRIDE)
    if (vnet) pool.vnet.set(vnet, slot * VNET_STRIDE)
    this.#fillPayload(slot, bytes.subarray(header), segments)
    if (bytes.length < 14) {
      pool.flags[slot] = PF_DROPPED
      pool.reason[slot] = REASON_RUNT
      pool.length[slot] = 0
      pool.headerLength[slot] = 0
    }
  }

  #fillPayload(slot: number, payload: Uint8Array, segments: number): void {
    const { pool } = this
    const count = payload.length === 0 ? 0 : Math.min(segments, payload.length)
    const share = count === 0 ? 0 : Math.ceil(payload.length / count)
    if (this.#payloadNext + payload.length + SEGMENTS_MAX > PAYLOAD_BYTES) this.#payloadNext = 0
    pool.segments[slot] = count
    for (let i = 0; i < count; i++) {
      const piece = payload.subarray(i * share, (i + 1) * share)
      const to = this.#payload + this.#payloadNext
      this.#u8.set(piece, to)
      this.#payloadNext += piece.length + 1
      if (i === 0) pool.address[slot] = to
      pool.segment[(slot * SEGMENTS_MAX + i) << 1] = to
      pool.segment[((slot * SEGMENTS_MAX + i) << 1) + 1] = piece.length
    }
  }
}

class TestSource implements SourceQueue {
  completed = 0
  readonly #harness: DataPathHarness
  readonly #port: number
  readonly #frames: readonly (TestFrame | Uint8Array)[]

  constructor(harness: DataPathHarness, port: number, frames: readonly (TestFrame | Uint8Array)[]) {
    this.#harness = harness
    this.#port = port
    this.#frames = frames
  }

  receive(first: number, max: number): number {
    const frames = this.#frames.slice(0, max)
    for (const [i, given] of frames.entries()) this.#harness.fill(first + i, this.#port, given)
    if (frames.length > 0) this.#harness.kernels.parse(this.#harness.pool.base, first, frames.length)
    return frames.length
  }

  complete(_first: number, count: number): void {
    this.completed += count
  }
}
