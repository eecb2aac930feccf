// The data path's short cuts in wasm, for a burst that came in at one port: admission, simple forwarding, sorting by destination. What
// they leave undecided, and every other case, the TypeScript of this folder does.
//
// The rule it must not break: with and without it, every packet has the same fate (short-cut.test.ts).
import type { SwitchingKernels } from '../kernels/kernels.ts'
import {
  PORT_ENTRY_BYTES,
  PORT_TABLE_HEADER,
  S_BYTES,
  S_FLOOD_TO,
  S_FLOODED,
  S_FORM_BYTES,
  S_LONGEST,
  S_MAC_MASK,
  S_MACS,
  S_MEMBER,
  S_MULTICASTS,
  S_NEEDS,
  S_NOW,
  S_OVERFLOW,
  S_POLICY,
  S_PORTS,
  S_REACHED,
  S_SEEN,
  S_SOURCE,
  S_SOURCE_HIGH,
  S_SOURCE_LOW,
  S_STOPPED_AT,
  S_TAGGED,
  S_TOO_LONG,
  S_TOUCHED_COUNT,
  S_UNKNOWN_TO,
  S_VLAN,
  S_VLAN_SETS,
  S_VLANS,
  SWITCHING_BYTES,
} from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { type Counters, PortCounter } from './counters.ts'
import type { Delivery } from './delivery.ts'
import type { Forwarding } from './forwarding.ts'
import { type PortTable, VlanMode } from './port-table.ts'

/** Calls of the forwarding kernel per burst: one, and one more behind each address that had to be learned. */
const CALLS_MAX = 4

export interface ShortCutOptions {
  /** Linear address of the pool. */
  readonly pool: number
  /** Linear address of SWITCHING_BYTES, zeroed. */
  readonly block: number
  /** Linear addresses of the port table and the MAC table, and the MAC table's entries. */
  readonly portTable: number
  readonly macTable: number
  readonly macEntries: number
}

/** One processor's short cuts. Fields are ordinary ones: they are read per burst. */
export class ShortCut {
  private readonly kernels: SwitchingKernels
  private readonly ports: PortTable
  private readonly pool: number
  private readonly block: number
  private readonly u32: Uint32Array

  constructor(
    buffer: ArrayBufferLike,
    options: ShortCutOptions,
    components: { readonly kernels: SwitchingKernels; readonly ports: PortTable; readonly delivery: Delivery },
  ) {
    this.kernels = components.kernels
    this.ports = components.ports
    this.pool = options.pool
    this.block = options.block
    this.u32 = new Uint32Array(buffer, options.block, SWITCHING_BYTES >> 2)
    this.u32[S_PORTS >> 2] = options.portTable
    this.u32[S_VLAN_SETS >> 2] = options.portTable + PORT_TABLE_HEADER + components.ports.ports * PORT_ENTRY_BYTES
    this.u32[S_MACS >> 2] = options.macTable
    this.u32[S_MAC_MASK >> 2] = options.macEntries - 1
    components.delivery.describeLists(this.u32)
  }

  /** Numbers slots 0…taken-1 from `id` on and lists those not dropped at `list`. Returns how many; sums: bytes, multicasts, needs. */
  admit(taken: number, id: number, list: number): number {
    return this.kernels.admit(this.pool, taken, id | 0, list, this.block)
  }

  get bytes(): number {
    return this.u32[S_BYTES >> 2]!
  }

  get multicasts(): number {
    return this.u32[S_MULTICASTS >> 2]!
  }

  get needs(): number {
    return this.u32[S_NEEDS >> 2]!
  }

  /** OR of the flags of the packets admitted. */
  get seen(): number {
    return this.u32[S_SEEN >> 2]!
  }

  /** Bytes of the longest frame admitted. */
  get longest(): number {
    return this.u32[S_LONGEST >> 2]!
  }

  /**
   * Forwards the batch, all of it from port `source`: what is not simple goes to `forwarding`, in order. An address to be learned
   * decides about the packets behind it, so the kernel is called again behind it; a flood of new addresses is left to `forwarding`.
   */
  forward(batch: Batch, source: number, forwarding: Forwarding, counters: Counters): void {
    this.describeSource(source, forwarding, batch.mayBeTagged)
    const { u32, kernels, pool, block } = this
    const count = batch.length
    let from = 0
    for (let calls = 0; from < count && calls < CALLS_MAX; calls++) {
      const undecided = kernels.forward(pool, batch.list + from * 2, count - from, block)
      forwarding.reached |= u32[S_REACHED >> 2]!
      if (u32[S_TAGGED >> 2] !== 0) batch.mayBeTagged = true
      const flooded = u32[S_FLOODED >> 2]!
      if (flooded !== 0) counters.port(source, PortCounter.floodedFrames, flooded)
      const stopped = from + u32[S_STOPPED_AT >> 2]!
      if (stopped < count) forwarding.forward(batch, from, stopped + 1)
      else if (undecided !== 0) forwarding.forward(batch, from, count)
      from = stopped + 1
    }
    if (from < count) forwarding.forward(batch, from, count)
  }

  private describeSource(source: number, forwarding: Forwarding, mayBeTagged: boolean): void {
    const { u32, ports } = this
    u32[S_NOW >> 2] = forwarding.nowSeconds
    u32[S_SOURCE >> 2] = source
    u32[S_POLICY >> 2] = ports.flags(source)
    u32[S_SOURCE_LOW >> 2] = ports.macLow(source)
    u32[S_SOURCE_HIGH >> 2] = ports.macHigh(source)
    const mode = forwarding.vlanAware ? ports.vlanMode(source) : VlanMode.none
    const isSecondary = mode === VlanMode.isolated || mode === VlanMode.community
    u32[S_VLANS >> 2] = forwarding.isPlain(source, mayBeTagged) ? 0 : 1 + mode
    u32[S_VLAN >> 2] = forwarding.vlanAware && mode === VlanMode.none ? 0 : ports.vlan(source)
    u32[S_MEMBER >> 2] = mode === VlanMode.none ? 0 : isSecondary ? ports.vlanSecondary(source) : ports.vlan(source)
    u32[S_FLOOD_TO >> 2] = forwarding.onlyTarget(source, false)
    u32[S_UNKNOWN_TO >> 2] = forwarding.onlyTarget(source, true)
  }

  /** Puts packets on the delivery lists. Returns the number of ports with a list; `overflow`: copies that found theirs full. */
  sort(list: number, count: number): number {
    this.u32[S_TOUCHED_COUNT >> 2] = 0
    return this.kernels.sort(this.pool, list, count, this.block)
  }

  get overflow(): number {
    return this.u32[S_OVERFLOW >> 2]!
  }

  /**
   * Gives the `count` packets of the list at `list` the form for `port`, until `unform`, and takes those out that are longer than `mtu`
   * (0: any) allows. `priorities`: the port takes them. Returns how many are left.
   */
  form(list: number, count: number, port: number, mtu: number, priorities: boolean): number {
    return this.kernels.form(this.pool, list, count, port, mtu, priorities ? 1 : 0, this.block)
  }

  /** Bytes of the packets that `form` left. */
  get formBytes(): number {
    return this.u32[S_FORM_BYTES >> 2]!
  }

  /** Slot of the first packet that `form` took out. */
  get tooLongSlot(): number {
    return this.u32[S_TOO_LONG >> 2]!
  }

  /** The packets are as they were before `form`. */
  unform(): void {
    this.kernels.unform(this.pool, this.block)
  }
}
