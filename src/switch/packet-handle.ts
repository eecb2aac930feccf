// The packet half of a module's handle: what it does with packets that it made, cloned or holds.
//
// The rule it must not break: every handle is resolved and every precondition checked, whatever the module believes; what is refused
// changes nothing.
import type { ExtensionClass } from '../extension.ts'
import type { PacketKernels } from '../kernels/by-packet.ts'
import { FRAME_MAX, FRAME_MIN, HEADER_COPY, HEADER_STRIDE } from '../kernels/layout.ts'
import type { PacketHandle } from '../ndis/batch.ts'
import {
  appendDestination,
  availableDestinations,
  commitDestinations,
  copyDestinations,
  destinationOf,
  growDestinations,
  sameDestinations,
  writeDestination,
} from '../ndis/destinations.ts'
import { ReceiveFlag, SendFlag } from '../ndis/list-flags.ts'
import type { PacketOperations } from '../ndis/packet-operations.ts'
import type { PacketPool } from '../ndis/pool.ts'
import { NdisStatus } from '../ndis/status.ts'
import { SwitchContextType } from '../ndis/switch-context.ts'
import type { Injections } from './injections.ts'
import { PacketState } from './packet-tags.ts'
import type { PortTable } from './port-table.ts'
import type { ReasonRegistry } from './reason-registry.ts'

const { success, invalidParameter, resources, paused } = NdisStatus
const PORT_MAX = 0xffff
const NIC_INDEX_MAX = 0xff

export interface PacketHandleComponents {
  readonly pool: PacketPool
  readonly kernels: PacketKernels
  readonly injections: Injections
  readonly ports: PortTable
  readonly reasons: ReasonRegistry
}

/** The module that a handle belongs to. */
export interface PacketHandleOwner {
  readonly class: ExtensionClass
  readonly id: string
  /** Present index in the stack, -1 once it has left. */
  readonly position: () => number
}

/** Makes the packet operations of one module. */
export function createPacketOperations(owner: PacketHandleOwner, components: PacketHandleComponents): PacketOperations {
  const { pool, injections, ports, reasons, kernels } = components
  const { position } = owner
  // A handle that names no packet of the module's is reported; 0 is what every module gets where there was no room.
  const any = (handle: number): number => {
    const slot = injections.resolve(handle, position())
    if (slot < 0 && handle !== 0) {
      const { rule, what } = injections.wrong(handle)
      breach(rule, what)
    }
    return slot
  }
  const breach = (rule: string, detail: string): number => {
    injections.host?.breachOf(position(), rule, detail)
    return invalidParameter
  }
  // An own packet with a forwarding context, or -1.
  const own = (handle: number): number => {
    const slot = any(handle)
    if (slot < 0 || injections.isHeld(slot)) return -1
    if (injections.stateOf(slot) === PacketState.owned) return slot
    breach('ES-414', 'a packet without a forwarding context was given to a handler that needs one')
    return -1
  }
  // ES-053, ES-055: a module that is not in the stack, or not running, has no place to send from.
  const running = (): boolean => injections.host?.stateOf(position()) === 'running'
  const connected = {
    connected: (portId: number, nicIndex: number): boolean => ports.usable(portId, nicIndex),
  }
  const directs = (): boolean => {
    if (owner.class === 'forwarding') return true
    breach('ES-379', 'only a forwarding extension adds destinations to its packets') // ES-315, ES-412
    return false
  }

  const allocate = (frame: Uint8Array): number => {
    if (position() < 0 || !running() || !(frame instanceof Uint8Array)) return -1
    if (frame.length < FRAME_MIN || frame.length > FRAME_MAX) return -1
    const slot = pool.take(frame.length, Math.min(frame.length, HEADER_COPY))
    if (slot < 0) return -1
    fill(pool, slot, 0, frame)
    kernels.parse(pool.base, slot, 1)
    return slot
  }

  const entryOf = (port: number, nic: number, vlan: boolean, priority: boolean): number =>
    Number.isInteger(port) && port >= 0 && port <= PORT_MAX && Number.isInteger(nic) && nic >= 0 && nic <= NIC_INDEX_MAX
      ? destinationOf(port, nic, vlan, priority)
      : -1

  // What a module says of a list that it sends.
  const checkFlags = (slots: number[], flags: number): void => {
    const [first] = slots
    const different = (differs: (slot: number) => boolean): boolean => slots.some(differs)
    if ((flags & SendFlag.switchSingleSource) !== 0 && different((slot) => pool.sourcePort[slot] !== pool.sourcePort[first!]))
      breach('ES-448', 'SINGLE_SOURCE was set on a list of several source ports')
    if ((flags & SendFlag.switchDestinationGroup) === 0) return
    if (owner.class !== 'forwarding') breach('ES-452', 'only a forwarding extension sets DESTINATION_GROUP on a send')
    else if (different((slot) => pool.destinationCount[slot]! > 1))
      breach('ES-454', 'DESTINATION_GROUP was set on a packet with several destinations')
    else if (different((slot) => !sameDestinations(pool, slot, first!)))
      breach('ES-453', 'DESTINATION_GROUP was set on packets with different destinations')
  }

  // The slot of a packet that may be sent now, or a negative number: minus one, or why not.
  const sendable = (handle: number): number => {
    const slot = any(handle)
    if (slot < 0 || injections.isHeld(slot)) return -1
    if (injections.stateOf(slot) === PacketState.bare) {
      breach('ES-443', 'a packet without a forwarding context was sent') // A003
      return -1
    }
    return slot
  }

  // On ingress the destinations of a packet are determined below its module, unless that forwards: copied ones end here. ES-190, ES-386
  const join = (slot: number): void => {
    if (owner.class !== 'forwarding' && pool.destinationCount[slot] !== 0) {
      injections.pins.unpin(slot)
      pool.forgetDestinations(slot)
      injections.pins.pin(slot)
    }
    injections.enqueue(slot)
  }

  const sendAll = (packets: ArrayLike<PacketHandle>, count: number, flags: number): number => {
    if (!running()) return paused
    const slots: number[] = []
    for (let i = 0; i < count; i++) {
      const slot = sendable(packets[i]!)
      if (slot < 0 || slots.includes(slot)) return invalidParameter
      slots.push(slot)
    }
    if (flags !== 0 && slots.length > 0) checkFlags(slots, flags)
    for (const slot of slots) join(slot)
    return success
  }

  return {
    originate(frame) {
      const slot = allocate(frame)
      return slot < 0 ? 0 : injections.own(slot, -1, true, position())
    },
    allocatePacket(frame) {
      const slot = allocate(frame)
      return slot < 0 ? 0 : injections.ownBare(slot, position())
    },
    allocateForwardingContext(packet) {
      const slot = any(packet)
      if (slot < 0 || injections.isHeld(slot)) return invalidParameter
      if (injections.stateOf(slot) !== PacketState.bare)
        return breach('ES-408', 'a forwarding context was allocated for a packet that has one') // A002
      injections.setState(slot, PacketState.owned)
      return success
    },
    freeForwardingContext(packet) {
      const slot = any(packet)
      if (slot < 0 || injections.isHeld(slot)) return breach('ES-409', 'a forwarding context of another was freed')
      if (injections.stateOf(slot) !== PacketState.owned) return invalidParameter
      injections.pins.unpin(slot)
      pool.forgetDestinations(slot)
      pool.sourcePort[slot] = 0
      pool.sourceNic[slot] = 0
      injections.setState(slot, PacketState.bare)
      return success
    },
    freePacket(packet) {
      const slot = any(packet)
      if (slot < 0 || injections.isHeld(slot)) return invalidParameter
      if (injections.stateOf(slot) === PacketState.owned) breach('ES-382', 'a packet was freed before its forwarding context') // the switch frees both
      injections.drop(slot)
      return success
    },
    write(packet, offset, bytes) {
      const slot = any(packet)
      if (slot < 0 || injections.isHeld(slot) || !(bytes instanceof Uint8Array)) return invalidParameter
      if (!(Number.isInteger(offset) && offset >= 0 && offset + bytes.length <= pool.length[slot]!))
        return breach('ES-093', `${bytes.length} bytes were written at offset ${offset} of a frame of ${pool.length[slot]}`)
      fill(pool, slot, offset, bytes)
      injections.host?.parse(slot)
      injections.alter(slot)
      return success
    },
    read(packet, offset, target) {
      const slot = any(packet)
      if (slot < 0 || !(Number.isInteger(offset) && offset >= 0)) return 0
      const count = Math.max(0, Math.min(target.length, pool.length[slot]! - offset))
      return injections.host?.copyBytes(slot, offset, count, target) ?? 0
    },
    setSource(packet, portId, nicIndex = 0) {
      const slot = own(packet) // ES-371: held packets are not the module's own
      if (slot < 0) return invalidParameter
      const allowed = portId === 0 ? nicIndex === 0 : nicIndex === 0 ? ports.connected(portId) : ports.usable(portId, nicIndex)
      if (!allowed) return invalidParameter // ES-429, ES-440
      pool.sourcePort[slot] = portId
      pool.sourceNic[slot] = nicIndex
      injections.alter(slot) // ES-391
      injections.pins.pin(slot)
      return success
    },
    copyInfo(target, source, preserveDestinations = false) {
      if (owner.class === 'capturing') return breach('ES-383', 'a capturing extension must not clone packets')
      const to = own(target)
      const from = any(source)
      if (to < 0 || from < 0 || from === to) return invalidParameter
      if (injections.stateOf(from) === PacketState.bare)
        return breach('ES-428', 'information was copied from a packet without a forwarding context')
      if (preserveDestinations) {
        if (pool.destinationCount[to] !== 0) return invalidParameter // ES-421
        if (!copyDestinations(pool, to, from)) return resources
      }
      pool.copyInfo(to, from)
      injections.alter(to)
      injections.pins.pin(to)
      return success
    },
    addDestination(packet, portId, nicIndex = 0, preserveVlan = false, preservePriority = false) {
      const slot = own(packet)
      if (slot < 0 || !directs() || !ports.usable(portId, nicIndex)) return false // ES-430, ES-441
      if (!appendDestination(pool, slot, destinationOf(portId, nicIndex, preserveVlan, preservePriority))) return false
      injections.pins.pin(slot)
      return true
    },
    growDestinations(packet, count) {
      const slot = own(packet)
      if (slot < 0 || !directs() || !(Number.isInteger(count) && count > 0)) return invalidParameter
      return growDestinations(pool, slot, count) ? success : resources
    },
    writeDestination(packet, k, portId, nicIndex = 0, preserveVlan = false, preservePriority = false) {
      const slot = own(packet)
      if (slot < 0 || !directs()) return false
      if (k >= 0 && k < pool.destinationCount[slot]!) {
        breach('ES-421', 'a committed destination cannot be changed, but for IsExcluded')
        return false
      }
      const entry = entryOf(portId, nicIndex, preserveVlan, preservePriority)
      return entry >= 0 && writeDestination(pool, slot, k, entry)
    },
    updateDestinations(packet, newCount) {
      const slot = own(packet)
      if (slot < 0 || !directs() || !commitDestinations(pool, slot, newCount, connected)) return invalidParameter
      injections.pins.pin(slot)
      return success
    },
    destinationCount(packet) {
      const slot = any(packet)
      return slot < 0 || injections.stateOf(slot) === PacketState.bare ? -1 : pool.destinationCount[slot]!
    },
    availableDestinations(packet) {
      const slot = any(packet)
      return slot < 0 || injections.stateOf(slot) === PacketState.bare ? -1 : availableDestinations(pool, slot)
    },
    send(packet, flags = 0) {
      if (!running()) return paused
      const slot = sendable(packet)
      if (slot < 0) return invalidParameter
      if (flags !== 0) checkFlags([slot], flags)
      join(slot)
      return success
    },
    sendAll: (packets, count, flags = 0) => sendAll(packets, count, flags),
    indicate(packet, flags = 0) {
      if (!running()) return paused
      const slot = own(packet)
      if (slot < 0) return invalidParameter
      if (!injections.isUnchangedClone(slot)) {
        const isClone = pool.parent[slot] !== 0
        const undirected = owner.class === 'forwarding' && pool.destinationCount[slot] === 0
        return breach(
          !isClone ? 'ES-349' : undirected ? 'ES-390' : 'ES-391',
          'only an unchanged clone of an egress packet, with its destinations, may be indicated on egress; send it',
        )
      }
      if ((flags & ReceiveFlag.resources) !== 0) breach('ES-355', 'NDIS_RECEIVE_FLAGS_RESOURCES must not be set') // ES-356: it has no effect
      injections.enqueue(slot, true)
      return success
    },
    forward(packet) {
      const slot = any(packet)
      if (slot < 0 || !injections.isHeld(slot)) return invalidParameter
      injections.enqueue(slot)
      return success
    },
    forwardAll(packets, count, from = 0) {
      const module = position()
      let status: number = success
      for (let i = from; i < from + count; i++) {
        if (injections.enqueueHeld(packets[i]!, module)) continue
        any(packets[i]!) // says what is wrong with it
        status = invalidParameter
      }
      return status
    },
    release(packet, reason = 'given-up-by-extension') {
      const slot = any(packet)
      if (slot < 0) return invalidParameter
      if (injections.isHeld(slot)) injections.gaveUp(slot, reasons.resolve(reason))
      injections.drop(slot)
      return success
    },
    declareContextType: (name) => injections.host?.contexts.declare(name, owner.id) ?? new SwitchContextType(name, owner.id),
  }
}

/** Writes bytes of an own packet from `offset` of its frame on: header part to the header area, the rest to the slot's blocks. */
export function fill(pool: PacketPool, slot: number, offset: number, bytes: Uint8Array): void {
  const headerLength = pool.headerLength[slot]!
  const end = offset + bytes.length
  if (offset < headerLength) {
    const at = slot * HEADER_STRIDE + pool.headerOffset[slot]! + offset
    pool.header8.set(end <= headerLength ? bytes : bytes.subarray(0, headerLength - offset), at)
  }
  let start = headerLength
  for (let i = 0; i < pool.segments[slot]!; i++) {
    const length = pool.stretchBytes(slot, i)
    const from = Math.max(offset, start)
    const to = Math.min(end, start + length)
    if (to > from)
      pool.store.bytes.set(bytes.subarray(from - offset, to - offset), pool.stretchAt(slot, i) - pool.store.base + (from - start))
    start += length
  }
}
