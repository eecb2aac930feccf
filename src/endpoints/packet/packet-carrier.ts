// AF_PACKET under an uplink: a socket with a receive ring per queue pair. Several share the interface's frames: by a program of ours, or,
// where the kernel lets us load none, by flow.
//
// The rule it must not break: the rings lie in linear memory, and go from there before their sockets are closed.
import { release } from 'node:os'
import { OFFLOAD_CHECKSUM, OFFLOAD_ECN, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from '../../kernels/layout.ts'
import { BpfProgram, ProgramType } from '../../linux/bpf.ts'
import { closeFd } from '../../linux/files.ts'
import type { LinkFacts } from '../../linux/netlink.ts'
import { joinFanout, openPacketSocket, RING_SLOT_OVERHEAD } from '../../linux/packet-socket.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { steeringProgram } from '../../linux/steering-program.ts'
import { SteeringTable } from '../../linux/steering-table.ts'
import type { QueuePlan } from '../endpoint.ts'
import { type Carrier, type CarrierOptions, steerBy, type Unsteered } from '../uplink/carrier.ts'
import type { RuleEntry } from '../uplink/steering.ts'
import { PACKET_AREA_BYTES, type PacketPlan } from './packet-queue.ts'

/** Bytes of one queue's receive ring. */
export const PACKET_RING_BYTES = 4 * 1024 * 1024
const SLOT_BYTES_MIN = 2048
/** Longer frames (segmentation left to us, mostly) come beside the ring. */
const SLOT_BYTES_MAX = 16384
const HEADER_AND_TAGS = 22
const SOCKET_BUFFER_BYTES = 16 * 1024 * 1024
/** The first kernel that takes UDP segmentation from a virtio-net header. */
const USO_KERNEL = [6, 2] as const

interface OpenQueue {
  readonly fd: number
  readonly area: number
  readonly ring: number
}

export class PacketCarrier implements Carrier {
  readonly via = 'packet'
  readonly #options: CarrierOptions
  readonly #memory: SharedMemory
  #queues: OpenQueue[] = []
  #slotBytes = 0
  #table: SteeringTable | null = null
  /** Why the kernel steers nothing. */
  #unsteered = ''

  constructor(options: CarrierOptions, memory: SharedMemory) {
    this.#options = options
    this.#memory = memory
  }

  open(link: LinkFacts): readonly QueuePlan[] {
    const { queues } = this.#options
    const wanted = link.mtu + HEADER_AND_TAGS + RING_SLOT_OVERHEAD
    this.#slotBytes = Math.min(SLOT_BYTES_MAX, Math.max(SLOT_BYTES_MIN, 2 ** Math.ceil(Math.log2(wanted))))
    try {
      for (let i = 0; i < queues; i++) this.#queues.push(this.#openQueue(link))
      if (queues > 1) this.#share(link.name)
    } catch (error) {
      this.close()
      throw error
    }
    return this.#queues.map(
      ({ fd, area, ring }, index): PacketPlan => ({
        kind: 'packet',
        index,
        port: this.#options.port,
        fd,
        area,
        ring,
        ringBytes: PACKET_RING_BYTES,
        slotBytes: this.#slotBytes,
        offloads: offloadsOf(release()),
      }),
    )
  }

  /** Frames longer than a slot come beside the ring. */
  carries(): boolean {
    return true
  }

  steer(entries: readonly RuleEntry[], fallback: readonly number[]): Unsteered {
    if (this.#options.queues === 1) return { entries: [], reason: null }
    return this.#table === null ? { entries, reason: this.#unsteered } : steerBy(this.#table, entries, fallback)
  }

  close(): void {
    this.#table?.close()
    this.#table = null
    for (const { fd, area, ring } of this.#queues) {
      this.#memory.releaseGuest(ring, PACKET_RING_BYTES)
      closeFd(fd)
      this.#memory.free(area, PACKET_AREA_BYTES)
    }
    this.#queues = []
  }

  describe(): Record<string, unknown> {
    return {
      steering: this.#options.queues === 1 ? 'one queue' : this.#table === null ? `by flow: ${this.#unsteered}` : 'kernel',
      offloads: offloadsOf(release()),
      ring: `${PACKET_RING_BYTES / this.#slotBytes} slots of ${this.#slotBytes} bytes per queue`,
    }
  }

  // Until rules come, flows are spread over all queues.
  #share(name: string): void {
    const fds = this.#queues.map(({ fd }) => fd)
    let program: BpfProgram | null = null
    try {
      const table = new SteeringTable([...fds.keys()], name)
      this.#table = table
      program = new BpfProgram(ProgramType.socketFilter, steeringProgram(table.maps, { kind: 'fanout' }), name)
    } catch (error) {
      this.#unsteered = (error as Error).message
      this.#table?.close()
      this.#table = null
    }
    try {
      joinFanout(fds, name, program?.fd ?? -1)
    } finally {
      program?.close()
    }
  }

  #openQueue({ name, index }: LinkFacts): OpenQueue {
    const memory = this.#memory
    const { promiscuous, qdiscBypass, queues } = this.#options
    const ring = memory.reserveGuest(PACKET_RING_BYTES)
    if (ring < 0)
      throw new Error(
        `no room for the receive ring of ${name} (${PACKET_RING_BYTES} bytes): guests fill the switch's memory; use fewer queues or smaller guests`,
      )
    let fd = -1
    try {
      fd = openPacketSocket({
        name,
        index,
        slotBytes: this.#slotBytes,
        ringBytes: PACKET_RING_BYTES,
        promiscuous,
        qdiscBypass,
        bufferBytes: SOCKET_BUFFER_BYTES,
        muted: queues > 1,
      })
      memory.mapGuest(ring, PACKET_RING_BYTES, fd, 0)
      return { fd, ring, area: memory.allocate(PACKET_AREA_BYTES) }
    } catch (error) {
      memory.releaseGuest(ring, PACKET_RING_BYTES)
      closeFd(fd)
      throw error
    }
  }
}

/** What a kernel of this release takes with a virtio-net header, as OFFLOAD_* bits. */
export function offloadsOf(kernel: string): number {
  const [major = 0, minor = 0] = kernel.split('.').map(Number)
  const segments = major > USO_KERNEL[0] || (major === USO_KERNEL[0] && minor >= USO_KERNEL[1])
  return OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_ECN | (segments ? OFFLOAD_USO : 0)
}
