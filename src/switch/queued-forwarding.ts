// Forwarding of packets that an adapter's receive queue has brought: the queue names the port, so no table of addresses is asked. What the
// queue's filter tested is looked at once more in the header that policy saw, since an extension may have written another address there.
//
// The rule it must not break: a packet gets the destination here that the switch's own forwarding would give it, or none; nothing is
// allocated.
import type { QueueKernels } from '../kernels/kernels.ts'
import * as layout from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { MacTable } from './mac-table.ts'
import { PortFlag, type PortTable } from './port-table.ts'
import { VlanPolicy } from './vlan-policy.ts'

// V8 folds a module's own constants into the code and loads imported ones at each use: these are per packet.
const {
  AIMED_LEFT,
  AIMED_ONE_SENDER,
  BURST_MAX,
  DE_PRESERVE_PRIORITY,
  DE_PRESERVE_VLAN,
  HEADER_STRIDE,
  PF_MULTICAST,
  PF_TAGGED,
} = layout
const { checkSource, learn } = PortFlag
const KEEP_ALL = DE_PRESERVE_VLAN | DE_PRESERVE_PRIORITY
const QUEUES_KNOWN: number = layout.QUEUE_IDS

/** Which port of the switch a queue belongs to; 0: none. */
export interface QueueOwners {
  readonly generation: number
  port(queue: number): number
}

/** What of the switch's forwarding counts here too. */
export interface ForwardingState {
  readonly vlanAware: boolean
  /** True if nothing is to be done with what `source` sends but to look its addresses up. */
  isPlain(source: number, mayBeTagged: boolean): boolean
  readonly nowSeconds: number
}

/** Fields are ordinary ones: `direct` runs per packet. */
export class QueuedForwarding {
  /** The switch port that the adapter is connected to. */
  readonly source: number
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly macs: MacTable
  private readonly owners: QueueOwners
  private readonly state: ForwardingState
  private readonly vlans: VlanPolicy
  private readonly isUnseen: () => boolean
  private readonly bursts: QueueKernels | undefined
  /** The queue of all packets of a burst in slots 0, 1, 2…, as their headers said a moment ago; -1: of several, or not known. */
  verified = -1
  /** The packets of such a burst come from one address. */
  oneSender = false
  // As of the two generations: port of each queue (0: none that gets frames), and the first words of a header to its address.
  private portGeneration = -1
  private queueGeneration = -1
  // VLAN of what comes in without a tag.
  private own = 0
  private readonly target = new Uint16Array(QUEUES_KNOWN)
  private readonly targets: number
  private readonly entry: Uint32Array
  private readonly first: Int32Array
  private readonly second: Uint32Array
  // The source address that was learned last, in words of the header, and when.
  private learnedFirst = 0
  private learnedSecond = 0
  private learnedVlan = -1
  private learnedAt = -1

  constructor(
    source: number,
    components: {
      readonly pool: PacketPool
      readonly ports: PortTable
      readonly macs: MacTable
      readonly owners: QueueOwners
      readonly state: ForwardingState
      readonly buffer: ArrayBufferLike
      /** Linear address of QUEUE_TARGETS_BYTES, zeroed. */
      readonly targets: number
      /** Short cuts for bursts. */
      readonly bursts?: QueueKernels
      /** True if no module has had the packets in its hands. */
      readonly isUnseen: () => boolean
    },
  ) {
    this.source = source
    this.pool = components.pool
    this.ports = components.ports
    this.macs = components.macs
    this.owners = components.owners
    this.state = components.state
    this.isUnseen = components.isUnseen
    this.bursts = components.bursts
    const { buffer, targets } = components
    this.targets = targets
    this.entry = new Uint32Array(buffer, targets + layout.QT_ENTRY, QUEUES_KNOWN)
    this.first = new Int32Array(buffer, targets + layout.QT_FIRST, QUEUES_KNOWN)
    this.second = new Uint32Array(buffer, targets + layout.QT_SECOND, QUEUES_KNOWN)
    this.vlans = new VlanPolicy(components.pool, components.ports)
  }

  /** Gives packets of the batch, all from `source`, the port of their queue. Returns how many it left to others. */
  direct(batch: Batch): number {
    const { pool, state } = this
    const policy = this.ports.flags(this.source)
    if ((policy & checkSource) !== 0 || this.ports.ipLimit(this.source) !== 0) return batch.length
    if (this.ports.generation !== this.portGeneration || this.owners.generation !== this.queueGeneration) this.refresh()
    const { slots } = batch
    const { header32, headerOffset, flags, receiveQueue, destination, destinationCount, destinationRoom } = pool
    const learns = (policy & learn) !== 0
    const { verified } = this
    const isPlain = state.isPlain(this.source, batch.mayBeTagged)
    if (isPlain && verified > 0 && this.entry[verified] !== 0 && this.isUnseen()) {
      this.directAll(batch, this.entry[verified]!, learns)
      return 0
    }
    if (isPlain && this.bursts !== undefined) return this.directEach(this.bursts, batch, learns)
    const { own } = this
    const { vlanAware } = state
    let left = 0
    for (let i = 0; i < batch.length; i++) {
      const slot = slots[i]!
      const queue = receiveQueue[slot]! & (QUEUES_KNOWN - 1)
      const port = this.target[queue]!
      const offset = headerOffset[slot]!
      const kind = flags[slot]!
      if (port === 0 || (offset & 3) !== 0 || (kind & PF_MULTICAST) !== 0 || destinationCount[slot] !== 0) {
        left++
        continue
      }
      const at = (slot * HEADER_STRIDE + offset) >> 2
      const second = header32[at + 1]!
      if ((header32[at]! | 0) !== this.first[queue] || (second & 0xffff) !== this.second[queue]) {
        left++
        continue
      }
      let keep = KEEP_ALL
      let vlan = own === 0 && (kind & PF_TAGGED) !== 0 ? pool.vlan[slot]! & 0xfff : own
      if (vlanAware) {
        const member = this.vlans.classify(slot, this.source)
        if (member < 0 || !this.vlans.admits(port, member)) {
          left++ // the switch's forwarding says why it is dropped
          continue
        }
        vlan = this.vlans.addressVlan
        batch.mayBeTagged ||= member !== 0
        keep = this.vlans.preserve(port, member)
      }
      if (learns) this.learn(second, header32[at + 2]! | 0, vlan)
      destination[slot] = port | keep
      destinationCount[slot] = 1
      destinationRoom[slot] = 0
    }
    return left
  }

  // All packets are of one queue, and their headers are what they were when that was found.
  private directAll(batch: Batch, entry: number, learns: boolean): void {
    const { slots, length } = batch
    const { base, header32, headerOffset, flags, vlan, destination, destinationCount, destinationRoom } = this.pool
    const { own } = this
    if (this.bursts !== undefined) this.bursts.aim(base, BURST_MAX, entry)
    else {
      destination.fill(entry, 0, BURST_MAX)
      destinationCount.fill(1, 0, BURST_MAX)
      destinationRoom.fill(0, 0, BURST_MAX)
    }
    if (!learns) return
    const senders = this.oneSender ? 1 : length
    for (let i = 0; i < senders; i++) {
      const slot = slots[i]!
      const at = (slot * HEADER_STRIDE + headerOffset[slot]!) >> 2
      const member = own === 0 && (flags[slot]! & PF_TAGGED) !== 0 ? vlan[slot]! & 0xfff : own
      this.learn(header32[at + 1]!, header32[at + 2]! | 0, member)
    }
  }

  // Packets of several queues, by a kernel.
  private directEach(bursts: QueueKernels, batch: Batch, learns: boolean): number {
    const { slots, length } = batch
    const found = bursts.aimEach(this.pool.base, batch.list, length, this.targets)
    const left = found & AIMED_LEFT
    if (!learns || left === length) return left
    const { header32, headerOffset, flags, vlan, destinationCount } = this.pool
    const { own } = this
    for (let i = 0; i < length; i++) {
      const slot = slots[i]!
      if (destinationCount[slot] === 0) continue
      const at = (slot * HEADER_STRIDE + headerOffset[slot]!) >> 2
      const member = own === 0 && (flags[slot]! & PF_TAGGED) !== 0 ? vlan[slot]! & 0xfff : own
      this.learn(header32[at + 1]!, header32[at + 2]! | 0, member)
      if ((found & AIMED_ONE_SENDER) !== 0) break
    }
    return left
  }

  // Where frames come from is learned as from other ports; of frames in a row from one address once a second.
  private learn(second: number, third: number, vlan: number): void {
    const { nowSeconds } = this.state
    if (
      third === this.learnedFirst &&
      second >>> 16 === this.learnedSecond &&
      vlan === this.learnedVlan &&
      nowSeconds === this.learnedAt
    )
      return
    if ((second & 0x10000) !== 0) return
    this.learnedFirst = third
    this.learnedSecond = second >>> 16
    this.learnedVlan = vlan
    this.learnedAt = nowSeconds
    this.macs.learn(third, second >>> 16, vlan, this.source, nowSeconds)
  }

  private refresh(): void {
    this.portGeneration = this.ports.generation
    this.queueGeneration = this.owners.generation
    this.own = this.state.vlanAware ? 0 : this.ports.vlan(this.source)
    for (let queue = 1; queue < QUEUES_KNOWN; queue++) {
      const port = this.owners.port(queue)
      this.target[queue] = port !== 0 && port !== this.source && this.ports.connected(port) ? port : 0
      // A port with VLANs asks which a packet is of.
      const isPlain = (this.ports.flags(port) & PortFlag.vlan) === 0
      this.entry[queue] = this.target[queue] === 0 || !isPlain ? 0 : this.target[queue]! | KEEP_ALL
      const low = this.ports.macLow(port)
      this.first[queue] = this.ports.macHigh(port) | (low << 16)
      this.second[queue] = low >>> 16
    }
  }
}
