// What the switch itself does between the extensions: built-in policies and hybrid forwarding (spec 5.1 steps 5, 7 and 10, 5.10), as hooks
// that a policy engine and a network virtualization component fill.
//
// The rules it must not break: a packet of source port 0 bypasses built-in policies (ES-341); what one rejects is counted once, at the
// right port, and never seen on egress (ES-337); NativeForwardingRequired is set by the switch alone (ES-438).
import { DE_EXCLUDED, DE_PORT, PF_DROPPED, PF_NATIVE_FORWARDING } from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { appendDestination, destinationAt, setDestinationAt } from '../ndis/destinations.ts'
import { DropReason } from '../ndis/drop-reasons.ts'
import type { PacketPool } from '../ndis/pool.ts'
import type { AclTable } from './acl/acl-table.ts'
import { type AclsOwner, PortAcls } from './acl/port-acls.ts'
import type { PortGuards } from './guards/port-guards.ts'
import { PortFlag, type PortTable } from './port-table.ts'
import type { ExtensionStack } from './stack.ts'
import { SubnetIsolation } from './subnet-isolation.ts'

/** Built-in policies that an engine adds to the guards and ACLs of ports. Called per packet, allocate nothing. */
export interface BuiltInPolicies {
  /** Where ingress policies stand: after the filtering extensions (NDIS 6.40, ES-335) or at the miniport edge (6.30, ES-334). */
  readonly placement: 'before-forwarding' | 'miniport-edge'
  /** Drop reason for packet `i` on ingress, 0 = it passes. */
  ingress(batch: Batch, i: number): number
  /** Drop reason for destination `k` of packet `i` on egress, 0 = it passes. ES-336 */
  egress(batch: Batch, i: number, k: number): number
}

/** Network virtualization: chooses the destinations of the packets that it claims. */
export interface NativeForwarding {
  /** True if the component forwards packet `i`, which has no external virtual subnet. ES-563 */
  claims(batch: Batch, i: number): boolean
  /**
   * After ingress: encapsulates or decapsulates the packet in `slot` (ES-569…ES-571) and gives it destinations through `direct`, once
   * per destination. Without one it is dropped. ES-565
   */
  forward(batch: Batch, i: number, direct: (port: number) => boolean): void
  /** As `claims`, for a burst that all comes from port `source`: marks what it takes. Returns how many, or -1: it has to be asked for each. */
  mark?(batch: Batch, source: number): number
  /** As `forward`, for a burst from port `source`: directs what is simple of the packets claimed, and calls `one` for the rest of them. */
  forwardBurst?(batch: Batch, source: number, one: (batch: Batch, i: number) => void): void
  /** True if `forward` leaves the parsed fields of a packet right. */
  readonly parses?: boolean
  /** Before each burst. */
  refresh?(): void
  /** After the destinations of all packets are known: takes away those that packets which it did not claim must not have. */
  separate?(batch: Batch): void
  /** True if a port is in a virtual subnet that it does not know: the switch itself keeps this port apart. */
  readonly leavesPorts?: boolean
}

export interface EdgeOwner {
  refuse(batch: Batch, i: number, reason: number, port: number): void
  filtered(slot: number, reason: number, port: number, incoming: boolean): void
  parse(slot: number): void
  reasonNumber(name: string): number
  /** Where drops are counted; what judged a packet is told there. */
  readonly lost: { by: string }
}

/** The switch's place in the stack. Runs per packet while a hook is set. */
export class SwitchEdge implements AclsOwner {
  policies: BuiltInPolicies | undefined
  native: NativeForwarding | undefined
  /** True if network virtualization directs all of the burst in work. */
  isAllNative = false
  // True if ports are in virtual subnets that nobody else keeps apart.
  private keepsApart = true
  // Packets marked of a burst of one port; -1: not known.
  private marked = -1
  private readonly pool: PacketPool
  private readonly ports: PortTable
  private readonly guards: PortGuards
  private readonly acls: PortAcls
  private readonly subnets: SubnetIsolation
  private readonly owner: EdgeOwner

  constructor(pool: PacketPool, ports: PortTable, guards: PortGuards, acls: AclTable, nowMs: () => number, owner: EdgeOwner) {
    this.pool = pool
    this.ports = ports
    this.guards = guards
    this.owner = owner
    this.subnets = new SubnetIsolation(ports, owner)
    this.acls = new PortAcls(pool, ports, acls, nowMs, this)
  }

  /** Notes anew what guards and ACLs ports have, if that changed. True if it is to be placed anew. */
  refresh(): boolean {
    this.isAllNative = false
    this.marked = -1
    const { native } = this
    native?.refresh?.()
    this.keepsApart = native === undefined || native.leavesPorts === true
    if (this.keepsApart) this.subnets.refresh()
    const guards = this.guards.refresh()
    return this.acls.refresh() || guards
  }

  /** AclsOwner */
  refuseBy(batch: Batch, i: number, reason: number, port: number, by: string): void {
    this.owner.lost.by = by
    this.owner.refuse(batch, i, reason, port)
    this.owner.lost.by = ''
  }

  /** AclsOwner */
  reasonNumber(name: string): number {
    return this.owner.reasonNumber(name)
  }

  /** Puts itself into the stack if there is anything to do, or takes itself out. */
  place(stack: ExtensionStack): void {
    const { guards, acls, policies, native } = this
    const needed = guards.active || acls.inbound || acls.outbound || policies !== undefined || native !== undefined
    stack.setEdge(needed ? this : undefined)
  }

  /** After the filtering extensions, before the forwarding one. */
  beforeForwarding(batch: Batch): void {
    if (this.guards.active) this.guards.judge(batch) // ES-335
    if (this.acls.outbound) this.acls.judge(batch)
    if (this.native !== undefined) this.mark(batch, this.native)
    if (this.policies?.placement === 'before-forwarding') this.reject(batch, this.policies)
  }

  /** At the miniport edge, before the switch forwards. */
  atMiniportEdge(batch: Batch): void {
    if (this.policies?.placement === 'miniport-edge') this.reject(batch, this.policies)
    if (this.guards.limitsUnknown) this.guards.limitFloods(batch)
    if (this.native !== undefined) this.forward(batch, this.native)
  }

  // ES-565: what the component claimed gets its destinations from it.
  private forward(batch: Batch, native: NativeForwarding): void {
    if (this.marked === 0) return
    if (this.marked > 0 && native.forwardBurst !== undefined)
      native.forwardBurst(batch, this.pool.sourcePort[batch.slots[0]!]!, this.forwardOne)
    else for (let i = 0; i < batch.length; i++) this.forwardOne(batch, i)
  }

  private readonly forwardOne = (batch: Batch, i: number): void => {
    const { pool, owner, native } = this
    const slot = batch.slots[i]!
    if (native === undefined || (pool.flags[slot]! & (PF_NATIVE_FORWARDING | PF_DROPPED)) !== PF_NATIVE_FORWARDING) return
    this.directed = slot
    native.forward(batch, i, this.direct)
    if (native.parses !== true) owner.parse(slot) // its headers may be others now
    if ((pool.flags[slot]! & PF_DROPPED) === 0 && pool.destinationCount[slot] === 0)
      owner.refuse(batch, i, DropReason.noDestination, pool.sourcePort[slot]!)
  }

  private directed = 0
  private readonly direct = (port: number): boolean =>
    this.ports.connected(port) && appendDestination(this.pool, this.directed, port)

  /** The destinations are known. */
  separate(batch: Batch): void {
    if (this.isAllNative) return
    this.native?.separate?.(batch)
    if (this.keepsApart && this.subnets.active) this.subnets.separate(batch)
  }

  // ES-572: not for packets whose virtual subnet is external.
  private mark(batch: Batch, native: NativeForwarding): void {
    const { flags, sourcePort } = this.pool
    const source = sourcePort[batch.slots[0]!]!
    const isOfOne = batch.oneSource && source !== 0
    const isOutside = isOfOne && (this.ports.flags(source) & PortFlag.externalSubnet) !== 0
    let marked = isOutside ? 0 : isOfOne ? (native.mark?.(batch, source) ?? -1) : -1
    if (marked < 0) {
      marked = 0
      for (let i = 0; i < batch.length; i++) {
        const slot = batch.slots[i]!
        const port = sourcePort[slot]!
        if (port !== 0 && (this.ports.flags(port) & PortFlag.externalSubnet) !== 0) continue
        if (!native.claims(batch, i)) continue
        flags[slot] = flags[slot]! | PF_NATIVE_FORWARDING
        marked++
      }
    }
    this.marked = isOfOne ? marked : -1
    this.isAllNative = marked === batch.length
  }

  private reject(batch: Batch, policies: BuiltInPolicies): void {
    const { sourcePort, flags } = this.pool
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      const port = sourcePort[slot]!
      if (port === 0 || (flags[slot]! & PF_DROPPED) !== 0) continue // ES-341
      const reason = policies.ingress(batch, i)
      if (reason !== 0) this.owner.refuse(batch, i, reason, port)
    }
  }

  /** After the forwarding extension on egress, before the filtering ones. */
  afterForwarding(batch: Batch): void {
    const { policies, pool, acls, owner } = this
    const isJudged = (batch.reached & acls.receivers) !== 0
    if (policies === undefined && !isJudged) return
    if (isJudged && acls.expect(batch, policies === undefined)) return // others may refuse a packet before its ACL does
    for (let i = 0; i < batch.length; i++) {
      const slot = batch.slots[i]!
      if (pool.sourcePort[slot] === 0) continue // ES-341
      let left = 0
      let last = 0
      for (let k = 0; k < pool.destinationCount[slot]!; k++) {
        const entry = destinationAt(pool, slot, k)
        if ((entry & DE_EXCLUDED) !== 0) continue
        let reason = policies === undefined ? 0 : policies.egress(batch, i, k)
        if (reason === 0 && isJudged) {
          reason = acls.admits(i, slot, entry & DE_PORT)
          if (reason !== 0) owner.lost.by = acls.by
        }
        if (reason === 0) {
          left++
          continue
        }
        last = reason
        setDestinationAt(pool, slot, k, entry | DE_EXCLUDED)
        owner.filtered(slot, reason, entry & DE_PORT, false)
        owner.lost.by = ''
      }
      if (left > 0 || last === 0) continue
      pool.flags[slot] = pool.flags[slot]! | PF_DROPPED
      pool.reason[slot] = last
      batch.dirty = true
    }
  }
}
