// The handle through which an extension uses its switch, on one processor: the optional handlers of the contract, and what replaces
// the rest of a kernel driver's surroundings (memory, counters, timers, sinks).
import type { Sink, SwitchHandle } from '../extension.ts'
import type { PacketKernels } from '../kernels/by-packet.ts'
import {
  FRAME_MAX,
  FRAME_MIN,
  HEADER_COPY,
  HEADER_STRIDE,
  PF_ORIGINATED,
  PF_OWNED,
  PF_SAFE,
  SEGMENTS_MAX,
} from '../kernels/layout.ts'
import type { NicParameters, PortParameters, SwitchParameters } from '../ndis/oids.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { NdisStatus } from '../ndis/status.ts'
import type { Injections } from './injections.ts'
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
  readonly view: SwitchView
  readonly wallClock: { seconds: number; nanoseconds: number }
  readonly nowMs: () => number
  readonly every: (intervalMs: number, callback: () => void) => () => void
  readonly log: (message: string) => void
  /** Counts a packet that a module gave up: at its source port. */
  readonly dropped: (slot: number, reason: number) => void
}

/** What a module brings along. */
export interface HandleOptions {
  readonly name: string
  readonly processor: number
  readonly processors: number
  readonly counters: Float64Array
  readonly shared: ReadonlyMap<string, Int32Array>
  readonly sinks: ReadonlyMap<string, Sink>
}

/** Makes the handle of one module. `position` returns its present index in the stack, -1 once it has left. */
export function createSwitchHandle(options: HandleOptions, components: HandleComponents, position: () => number): SwitchHandle {
  const { pool, injections, ports, reasons, view } = components
  const own = (handle: number): number => injections.resolve(handle, position())

  const enqueue = (handle: number, held: boolean): number => {
    const slot = own(handle)
    if (slot < 0 || injections.isHeld(slot) !== held) return NdisStatus.invalidParameter
    injections.enqueue(slot)
    return NdisStatus.success
  }

  return {
    processor: options.processor,
    processors: options.processors,
    parameters: () => view.parameters,
    ports: () => view.ports,
    nics: () => view.nics,
    registerReason: (reason) => reasons.number(reason),
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
    originate(frame) {
      // ES-053, ES-055: a module that is not in the stack has no place to send from.
      const module = position()
      if (module < 0 || frame.length < FRAME_MIN || frame.length > FRAME_MAX) return 0
      const slot = pool.take(frame.length, Math.min(frame.length, HEADER_COPY))
      if (slot < 0) return 0
      fill(pool, slot, frame)
      components.kernels.parse(pool.base, slot, 1)
      pool.flags[slot] = pool.flags[slot]! | PF_OWNED | PF_SAFE | PF_ORIGINATED // ES-380
      return injections.own(slot, -1, true, module)
    },
    setSource(packet, portId, nicIndex = 0) {
      const slot = own(packet)
      // ES-371: held packets are not the module's own.
      if (slot < 0 || injections.isHeld(slot)) return NdisStatus.invalidParameter
      const allowed = portId === 0 ? nicIndex === 0 : ports.usable(portId, nicIndex)
      if (!allowed) return NdisStatus.invalidParameter // ES-429, ES-440
      pool.sourcePort[slot] = portId
      pool.sourceNic[slot] = nicIndex
      return NdisStatus.success
    },
    send: (packet) => enqueue(packet, false),
    forward: (packet) => enqueue(packet, true),
    release(packet, reason = 'given-up-by-extension') {
      const slot = own(packet)
      if (slot < 0) return NdisStatus.invalidParameter
      if (injections.isHeld(slot)) components.dropped(slot, reasons.resolve(reason))
      injections.drop(slot)
      return NdisStatus.success
    },
    log: components.log,
  }
}

// Header part to the header area, the rest to the slot's blocks.
function fill(pool: PacketPool, slot: number, frame: Uint8Array): void {
  const headerLength = pool.headerLength[slot]!
  pool.header8.set(frame.subarray(0, headerLength), slot * HEADER_STRIDE + pool.headerOffset[slot]!)
  let from = headerLength
  for (let i = 0; i < pool.segments[slot]!; i++) {
    const at = (slot * SEGMENTS_MAX + i) << 1
    const length = pool.segment[at + 1]!
    pool.store.set(frame.subarray(from, from + length), pool.segment[at]! - pool.storeBase)
    from += length
  }
}
