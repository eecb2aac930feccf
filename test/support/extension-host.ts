// A switch with one processor around some extensions, without an engine: the real data path, control side and pool over the
// TypeScript kernels, with ports whose frames a test sends and receives. For tests of extensions.
//
// The rule it must not break: it adds no behaviour of its own; what an extension sees here is what it sees in the engine.
import type { ExtensionDefinition, Sink } from '../../src/extension.ts'
import type { Kernels } from '../../src/kernels/kernels.ts'
import { HEADER_COPY, HEADER_START, HEADER_STRIDE, SEGMENTS_MAX, VNET_STRIDE } from '../../src/kernels/layout.ts'
import { instantiateKernels } from '../../src/kernels/load.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { NicType, PortType } from '../../src/ndis/oids.ts'
import { PacketPool, POOL_TOTAL_BYTES } from '../../src/ndis/pool.ts'
import { AclTable } from '../../src/switch/acl/acl-table.ts'
import { ModuleControl } from '../../src/switch/control/module-control.ts'
import { OidPath, takesRequests } from '../../src/switch/control/oid-path.ts'
import { answerQuery } from '../../src/switch/control/queries.ts'
import { ModuleReferences, ReferenceTable, referenceTableBytes } from '../../src/switch/control/references.ts'
import { indicateUp } from '../../src/switch/control/status-path.ts'
import { type After, SwitchControl } from '../../src/switch/control.ts'
import { Counters, countersBytes } from '../../src/switch/counters.ts'
import { DATA_PATH_LIST_BYTES, DataPath, type SourceQueue } from '../../src/switch/data-path.ts'
import { Delivery, deliveryListBytes, type SinkQueue } from '../../src/switch/delivery.ts'
import { createSwitchHandle } from '../../src/switch/handle.ts'
import { Injections } from '../../src/switch/injections.ts'
import { MacTable, macTableBytes } from '../../src/switch/mac-table.ts'
import { type FailurePolicy, Module } from '../../src/switch/module.ts'
import { PortTable, portTableBytes } from '../../src/switch/port-table.ts'
import { REASON_REGISTRY_BYTES, ReasonRegistry } from '../../src/switch/reason-registry.ts'

const PORTS = 64
const MAC_ENTRIES = 1024
const PAYLOAD_BYTES = 64 * 65600
const FRAME_ROOM = 65600
const WASM_PAGE = 65536
const OID_LIMIT_MS = 1000

const after: After = (ms, callback) => {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}

/** An extension under test. */
export interface HostedExtension {
  readonly definition: object
  readonly options?: unknown
  readonly onFailure?: FailurePolicy
}

export interface HostedPort {
  readonly name: string
  readonly mac?: string
  readonly type?: PortType
}

/** A sink that keeps what is written, up to `room` records. */
export class MemorySink implements Sink {
  readonly records: { readonly bytes: Uint8Array; readonly preamble: boolean }[] = []
  room = 1_000_000
  lost = 0

  write(bytes: Uint8Array, length: number, preamble = false): boolean {
    if (this.room < 1) {
      this.lost++
      return false
    }
    this.room--
    this.records.push({ bytes: bytes.slice(0, length), preamble })
    return true
  }

  /** All bytes, as a file would hold them. */
  contents(): Uint8Array {
    return Uint8Array.from(this.records.flatMap(({ bytes }) => [...bytes]))
  }
}

/** One module's surroundings, for tests to look into. */
export interface HostedModule {
  readonly module: Module
  readonly counters: Float64Array
  readonly shared: ReadonlyMap<string, Int32Array>
  readonly sinks: ReadonlyMap<string, MemorySink>
}

class Memory {
  readonly buffer: ArrayBufferLike
  readonly wasm: WebAssembly.Memory | undefined
  #used = 1 << 20

  constructor(bytes: number, forWasm: boolean) {
    const initial = Math.ceil(bytes / WASM_PAGE)
    this.wasm = forWasm ? new WebAssembly.Memory({ initial, maximum: 65536, shared: true }) : undefined
    this.buffer = this.wasm?.buffer ?? new ArrayBuffer(bytes)
  }

  take(bytes: number): number {
    const at = this.#used
    this.#used = (at + bytes + 63) & ~63
    if (this.#used > this.buffer.byteLength)
      throw new RangeError(`the test's memory of ${this.buffer.byteLength} bytes is used up`)
    return at
  }
}

export class ExtensionHost {
  readonly control: SwitchControl
  readonly modules: readonly HostedModule[]
  readonly dataPath: DataPath
  readonly pool: PacketPool
  readonly counters: Counters
  readonly reasons: ReasonRegistry
  /** What modules logged and did wrong. */
  readonly reports: { readonly module: string; readonly code: string; readonly message: string }[] = []
  readonly wallClock = { seconds: 1_700_000_000, nanoseconds: 123_456_789 }
  nowMs = 1000
  readonly #ids = new Map<string, number>()
  readonly #delivered = new Map<string, Uint8Array[]>()
  readonly #timers: { every: number; next: number; callback: () => void }[] = []
  readonly #references = new Map<Module, ModuleReferences>()
  readonly #path: OidPath
  readonly #kernels: Kernels
  readonly #memory: Memory
  readonly #delivery: Delivery
  readonly #payloadAt: number
  readonly #scratchAt: number

  /** `kernels`: compiled ones, in place of their twins in TypeScript, for measuring. */
  constructor(extensions: readonly HostedExtension[], options: { readonly kernels?: Uint8Array } = {}) {
    const memory = new Memory(
      POOL_TOTAL_BYTES + deliveryListBytes(PORTS) + PAYLOAD_BYTES + (8 << 20),
      options.kernels !== undefined,
    )
    const { buffer } = memory
    this.#memory = memory
    this.#kernels =
      options.kernels !== undefined && memory.wasm !== undefined
        ? instantiateKernels(options.kernels, memory.wasm)
        : createTwin({
            linear: buffer,
            windows: linearWindows(buffer),
            copyForeign() {
              throw new Error('this host has no foreign memory')
            },
          })
    this.pool = new PacketPool(buffer, memory.take(POOL_TOTAL_BYTES), this.#kernels)
    this.#payloadAt = memory.take(PAYLOAD_BYTES)
    this.#scratchAt = memory.take(FRAME_ROOM)
    const ports = new PortTable(buffer, memory.take(portTableBytes(PORTS)), PORTS)
    const macs = new MacTable(buffer, memory.take(macTableBytes(MAC_ENTRIES, PORTS)), MAC_ENTRIES, PORTS)
    this.counters = new Counters(buffer, memory.take(countersBytes(PORTS)), PORTS)
    this.reasons = new ReasonRegistry(buffer, memory.take(REASON_REGISTRY_BYTES))
    const injections = new Injections(this.pool)
    const report = (module: string, code: string, message: string): void => void this.reports.push({ module, code, message })
    this.#delivery = new Delivery(buffer, memory.take(deliveryListBytes(PORTS)), PORTS, {
      pool: this.pool,
      kernels: this.#kernels,
      counters: this.counters,
      reasonName: (reason) => this.reasons.name(reason),
    })
    this.dataPath = new DataPath({
      buffer,
      pool: this.pool,
      list: memory.take(DATA_PATH_LIST_BYTES),
      kernels: this.#kernels,
      ports,
      acls: new AclTable(PORTS, 0),
      macs,
      counters: this.counters,
      delivery: this.#delivery,
      injections,
      nowMs: () => this.nowMs,
      report,
      reasonNumber: (_module, name) => this.reasons.number(name),
    })
    const references = new ReferenceTable(buffer, memory.take(referenceTableBytes(PORTS)), PORTS)
    this.control = new SwitchControl(
      { name: 'test', friendlyName: 'test', ports: PORTS },
      {
        table: ports,
        macs,
        references,
        after,
        channel: {
          issue: (request) => this.#path.issue(request),
          publish: () => {}, // modules read the control side's own view
          activate: async () => {
            for (const { module } of this.modules) module.handlers.activate?.()
          },
          indicate: async (indication) => {
            const modules = this.modules.map(({ module }) => module)
            return indicateUp(modules, modules.length, indication, report)
          },
          revoke: async (portId, nicIndex) => {
            for (const held of this.#references.values()) held.revoke(portId, nicIndex)
          },
        },
      },
    )
    this.#path = new OidPath({
      modules: () => this.modules.map(({ module }) => module),
      edge: (request) => answerQuery(request, this.control.view) ?? this.control.completeAtEdge(request),
      references: (module) => this.#references.get(module)!,
      externalPortId: () => this.control.view.externalPortId,
      isValidationPort: (portId) => this.control.view.port(portId)?.isValidationPort ?? false,
      report,
      after,
      limitMs: OID_LIMIT_MS,
    })

    this.modules = extensions.map((extension, index) => {
      const definition = extension.definition as unknown as ExtensionDefinition
      const options = definition.parseOptions ? structuredClone(definition.parseOptions(extension.options)) : extension.options
      const names = typeof definition.counters === 'function' ? definition.counters(options) : definition.counters
      const counters = new Float64Array(names?.length ?? 0)
      const shared = new Map(
        Object.entries(definition.shared?.(options) ?? {}).map(([name, bytes]) => [name, new Int32Array(Math.ceil(bytes / 4))]),
      )
      const sinks = new Map((definition.sinks?.(options) ?? []).map(({ name }) => [name, new MemorySink()]))
      const held = new ModuleReferences(references)
      const control = new ModuleControl({
        class: definition.class,
        references: held,
        view: this.control.view,
        ready: () => this.modules !== undefined && takesRequests(this.modules[index]!.module),
        originate: (request) => this.#path.originate(this.modules[index]!.module, request),
        indicate: (indication) => {
          const modules = this.modules.map(({ module }) => module)
          const arrived = indicateUp(modules, index, indication, report)
          if (arrived) this.control.statusArrived(arrived)
        },
        handling: () => this.#path.handling(this.modules[index]!.module),
        breach: (rule, what) => report(definition.name, rule, what),
      })
      const handle = createSwitchHandle(
        {
          name: definition.name,
          id: definition.id,
          class: definition.class,
          processor: 0,
          processors: 1,
          counters,
          shared,
          sinks,
        },
        {
          pool: this.pool,
          kernels: this.#kernels,
          injections,
          ports,
          reasons: this.reasons,
          counters: this.counters,
          view: this.control.view,
          control,
          wallClock: this.wallClock,
          nowMs: () => this.nowMs,
          every: (every, callback) => {
            const timer = { every, next: this.nowMs + every, callback }
            this.#timers.push(timer)
            return () => void this.#timers.splice(this.#timers.indexOf(timer), 1)
          },
          timer: (callback) => {
            const timer = { every: Number.POSITIVE_INFINITY, next: Number.POSITIVE_INFINITY, callback }
            this.#timers.push(timer)
            return {
              at(dueMs) {
                timer.next = dueMs
              },
              stop() {
                timer.next = Number.POSITIVE_INFINITY
              },
            }
          },
          log: (message) => report(definition.name, 'log', message),
        },
        () => index,
      )
      const module = new Module(definition.name, definition, extension.onFailure ?? 'closed', handle, options)
      this.#references.set(module, held)
      return { module, counters, shared, sinks }
    })
    for (const { module } of this.modules) void Promise.resolve(module.restart()).then(() => this.dataPath.stack.compile()) // it may take until the ports are there
    this.dataPath.stack.set(this.modules.map(({ module }) => module))
  }

  /** Creates and connects ports, in this order; their ids count from 1. */
  async addPorts(...ports: readonly (HostedPort | string)[]): Promise<void> {
    for (const port of ports) {
      const { name, mac, type } = typeof port === 'string' ? { name: port, mac: undefined, type: undefined } : port
      const isExternal = type === PortType.external
      const id = await this.control.createPort({
        name,
        friendlyName: name,
        type: type ?? PortType.synthetic,
        nicType: isExternal ? NicType.external : NicType.synthetic,
        mac,
        macSpoofing: false,
        learning: mac === undefined,
        linkUp: true,
        mtu: 1500,
        vmName: name,
      })
      await this.control.connect(id, isExternal ? 1 : 0)
      this.#ids.set(name, id)
      this.#delivered.set(name, [])
      this.#delivery.setQueues(id, [this.#receiver(name)])
    }
  }

  /** The id of a port. */
  id(port: string): number {
    const id = this.#ids.get(port)
    if (id === undefined) throw new Error(`the test has no port "${port}"`)
    return id
  }

  /** Frames delivered to `port` are forgotten from now on: for measuring. */
  ignoreDelivered(port: string): void {
    this.#delivery.setQueues(this.id(port), [{ offloads: 0xff, refusal: 0, deliver: (_list, count) => count }])
  }

  #receiver(name: string): SinkQueue {
    return {
      offloads: 0xff,
      refusal: 0,
      deliver: (list, count) => {
        const slots = new Uint16Array(this.#memory.buffer, list, count)
        for (const slot of slots) this.#delivered.get(name)!.push(this.#frame(slot))
        return count
      },
    }
  }

  #frame(slot: number): Uint8Array {
    const length = this.pool.length[slot]!
    this.#kernels.copyFrame(this.pool.base, slot, 0, length, this.#scratchAt)
    return new Uint8Array(this.#memory.buffer, this.#scratchAt, length).slice()
  }

  /** Sends frames (at most 64) into the switch from `port`, as one burst. */
  send(port: string, ...frames: readonly Uint8Array[]): void {
    this.dataPath.turn(this.source(port, frames), this.id(port))
  }

  /** A queue of `port` that yields `frames` at its next receive, and again whenever it is asked to. */
  source(port: string, frames: readonly Uint8Array[]): SourceQueue {
    const id = this.id(port)
    return {
      receive: () => {
        for (const [slot, frame] of frames.entries()) this.#fill(slot, frame, id)
        this.#kernels.parse(this.pool.base, 0, frames.length)
        return frames.length
      },
      complete() {},
    }
  }

  #fill(slot: number, frame: Uint8Array, port: number): void {
    const { pool } = this
    const header = Math.min(HEADER_COPY, frame.length)
    const payload = this.#payloadAt + slot * FRAME_ROOM
    pool.header8.set(frame.subarray(0, header), slot * HEADER_STRIDE + HEADER_START)
    new Uint8Array(this.#memory.buffer, payload, frame.length - header).set(frame.subarray(header))
    pool.headerOffset[slot] = HEADER_START
    pool.headerLength[slot] = header
    pool.length[slot] = frame.length
    pool.address[slot] = payload
    pool.segments[slot] = frame.length > header ? 1 : 0
    pool.segment[(slot * SEGMENTS_MAX) << 1] = payload
    pool.segment[((slot * SEGMENTS_MAX) << 1) + 1] = frame.length - header
    pool.flags[slot] = 0
    pool.reason[slot] = 0
    pool.needs[slot] = 0
    pool.vsid[slot] = 0
    pool.sourcePort[slot] = port
    pool.sourceNic[slot] = 0
    pool.destinationCount[slot] = 0
    pool.vnet.fill(0, slot * VNET_STRIDE, (slot + 1) * VNET_STRIDE)
  }

  /** Frames delivered to `port` since the last call. */
  delivered(port: string): Uint8Array[] {
    return this.#delivered.get(port)!.splice(0)
  }

  /** Frames dropped at `port` for the reason of this name. */
  dropped(port: string, reason: string): number {
    return this.counters.readDrop(this.id(port), this.reasons.number(reason))
  }

  /** Lets time pass, runs timers that are due and sends what they queued. */
  advance(ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      const due = this.#timers.filter((timer) => timer.next <= end).sort((a, b) => a.next - b.next)[0]
      if (!due) break
      this.nowMs = Math.max(this.nowMs, due.next)
      due.next += due.every
      due.callback()
      while (this.dataPath.flushInjections());
    }
    this.nowMs = end
    while (this.dataPath.flushInjections());
  }
}
