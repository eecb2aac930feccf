// The handle through which an extension uses its switch, on one processor: the optional handlers of the contract, and what replaces
// the rest of a kernel driver's surroundings (memory, counters, timers, sinks).
import type { ControlHandle, ExtensionClass, PortCounters, Sink, SwitchHandle, Timer } from '../extension.ts'
import type { PacketKernels } from '../kernels/by-packet.ts'
import type { NicParameters, PortParameters, SwitchParameters } from '../ndis/oids.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { type Counters, PortCounter } from './counters.ts'
import type { Injections } from './injections.ts'
import { createPacketOperations } from './packet-handle.ts'
import type { PortTable } from './port-table.ts'
import type { ReasonRegistry } from './reason-registry.ts'

/** The configuration as modules read it; replaced by the control plane whenever it changes. */
export interface SwitchView {
  parameters: SwitchParameters
  ports: readonly PortParameters[]
  nics: readonly NicParameters[]
}

/** What a module's handle is made of. */
export interface HandleComponents {
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly injections: Injections
  readonly ports: PortTable
  readonly reasons: ReasonRegistry
  /** Of this processor. */
  readonly counters: Counters
  readonly view: SwitchView
  /** The module's references, requests and indications. */
  readonly control: ControlHandle
  readonly wallClock: { seconds: number; nanoseconds: number }
  readonly nowMs: () => number
  readonly every: (intervalMs: number, callback: () => void) => () => void
  readonly timer: (callback: () => void) => Timer
  readonly log: (message: string) => void
}

/** What a module brings along. */
export interface HandleOptions {
  readonly name: string
  /** GUID and class of the extension. */
  readonly id: string
  readonly class: ExtensionClass
  readonly processor: number
  readonly processors: number
  readonly counters: Float64Array
  readonly shared: ReadonlyMap<string, Int32Array>
  readonly sinks: ReadonlyMap<string, Sink>
}

// Zeros for what is no port.
function readPort(counters: Counters, portId: number): PortCounters {
  const isPort = Number.isInteger(portId) && portId >= 0 && portId < counters.ports
  const read = (counter: number): number => (isPort ? counters.readPort(portId, counter) : 0)
  return {
    receivedFrames: read(PortCounter.receivedFrames),
    receivedBytes: read(PortCounter.receivedBytes),
    receivedMulticast: read(PortCounter.receivedMulticast),
    receivedDropped: read(PortCounter.receivedDropped),
    sentFrames: read(PortCounter.sentFrames),
    sentBytes: read(PortCounter.sentBytes),
    sendDropped: read(PortCounter.sendDropped),
  }
}

/** Makes the handle of one module. `position` returns its present index in the stack, -1 once it has left. */
export function createSwitchHandle(options: HandleOptions, components: HandleComponents, position: () => number): SwitchHandle {
  const { reasons, view, control } = components
  return {
    processor: options.processor,
    processors: options.processors,
    parameters: () => view.parameters,
    ports: () => view.ports,
    nics: () => view.nics,
    registerReason: (reason) => reasons.number(reason),
    reasonName: (reason) => reasons.name(reason),
    portCounters: (portId) => readPort(components.counters, portId),
    counters: options.counters,
    shared(name) {
      const found = options.shared.get(name)
      if (!found)
        throw new Error(
          `extension "${options.name}" declares no shared memory "${name}"; name it under "shared" in its definition`,
        )
      return found
    },
    sink(name) {
      const found = options.sinks.get(name)
      if (!found)
        throw new Error(`extension "${options.name}" declares no sink "${name}"; name it under "sinks" in its definition`)
      return found
    },
    now: components.nowMs,
    wallClock: components.wallClock,
    every: components.every,
    timer: components.timer,
    ...createPacketOperations({ class: options.class, id: options.id, position }, components),
    log: components.log,
    request: (request) => control.request(request),
    query: (oid, input, room) => control.query(oid, input, room),
    indicateStatus: (indication) => control.indicateStatus(indication),
    referencePort: (portId) => control.referencePort(portId),
    dereferencePort: (portId) => control.dereferencePort(portId),
    referenceNic: (portId, nicIndex) => control.referenceNic(portId, nicIndex),
    dereferenceNic: (portId, nicIndex) => control.dereferenceNic(portId, nicIndex),
  }
}
