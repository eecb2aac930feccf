// What the data path of one processor works with.
import type { PacketKernels } from '../kernels/by-packet.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { AclTable } from './acl/acl-table.ts'
import type { Counters } from './counters.ts'
import type { Delivery } from './delivery.ts'
import type { Injections } from './injections.ts'
import type { MacTable } from './mac-table.ts'
import type { PortTable } from './port-table.ts'
import type { ShortCut } from './short-cut.ts'

export interface DataPathComponents {
  readonly buffer: ArrayBufferLike
  readonly pool: PacketPool
  /** Linear address of DATA_PATH_LIST_BYTES. */
  readonly list: number
  readonly kernels: PacketKernels
  readonly ports: PortTable
  readonly acls: AclTable
  readonly macs: MacTable
  readonly counters: Counters
  readonly delivery: Delivery
  readonly injections: Injections
  /** Short cuts for bursts; without them everything is done in TypeScript. */
  readonly shortCut?: ShortCut
  /** Milliseconds, monotonic, fractional. */
  readonly nowMs: () => number
  /** A module failed or broke a rule; for the log. */
  readonly report: (module: string, code: string, message: string) => void
  /** Number of a drop reason by name, registered for the module if new. */
  readonly reasonNumber: (module: string, name: string) => number
  /** The checking mode: every breach is reported, not only a module's first. */
  readonly reportAll?: boolean
}
