// AF_XDP under an uplink: a socket per queue pair, with a program of ours that steers frames to them. The kernel gives a socket frames of
// the receive queue that it is bound to only. So an interface with one receive queue has all sockets on that, over one memory, and the
// program chooses by address; of several receive queues each has its socket, and the interface chooses.
//
// The rule it must not break: no receive queue of the interface is left without a socket, or its frames would miss the switch.
import { readdirSync } from 'node:fs'
import { closeFd } from '../../linux/files.ts'
import type { LinkFacts } from '../../linux/netlink.ts'
import { holdPromiscuous } from '../../linux/packet-socket.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { openXdpSocket, XDP_HEADROOM, XDP_RINGS_BYTES, type XdpRings } from '../../linux/xdp.ts'
import { XdpProgram } from '../../linux/xdp-program.ts'
import type { QueuePlan } from '../endpoint.ts'
import { type Carrier, type CarrierOptions, steerBy, type Unsteered } from '../uplink/carrier.ts'
import type { RuleEntry } from '../uplink/steering.ts'
import { fillFreeList, type XdpPlan, xdpAreaBytes } from './xdp-queue.ts'

/** Chunks to receive with: of the one socket of a receive queue, and of each of several. */
const RECEIVE_CHUNKS = 2048
const RECEIVE_CHUNKS_SHARED = 1024
/** Chunks to send with, of all sockets of a receive queue. */
const TRANSMIT_CHUNKS = 2048
const CHUNK_BYTES = [2048, 4096] as const
const HEADER_AND_TAGS = 22
/** The largest MTU that a chunk holds, in bytes. */
export const XDP_MTU_MAX = CHUNK_BYTES[1] - XDP_HEADROOM - HEADER_AND_TAGS

export interface XdpCarrierOptions extends CarrierOptions {
  /** Opens only where the driver shares its buffers with us. */
  readonly zeroCopyOnly: boolean
}

interface OpenSocket {
  readonly fd: number
  readonly rings: XdpRings
}

/** The memory of one receive queue, with the sockets that serve it. */
interface ReceiveQueue {
  readonly area: number
  readonly umem: number
  readonly umemBytes: number
  readonly ringMemory: number
  readonly ringBytes: number
  readonly sockets: OpenSocket[]
}

export class XdpCarrier implements Carrier {
  readonly via = 'xdp'
  readonly #options: XdpCarrierOptions
  readonly #memory: SharedMemory
  #queues: ReceiveQueue[] = []
  #program: XdpProgram | null = null
  #promiscuous = -1
  #chunkBytes = 0
  #zeroCopy = true

  constructor(options: XdpCarrierOptions, memory: SharedMemory) {
    this.#options = options
    this.#memory = memory
  }

  open(link: LinkFacts): readonly QueuePlan[] {
    const { queues, port, promiscuous } = this.#options
    if (link.mtu > XDP_MTU_MAX) throw new Error(`the MTU of ${link.mtu} bytes is above what AF_XDP carries here (${XDP_MTU_MAX})`)
    const there = receiveQueues(link.name)
    if (there !== queues && there !== 1)
      throw new Error(
        `the interface has ${there} receive queues, the uplink ${queues}: set queues: ${there}, or "sudo ethtool -L ${link.name} combined ${queues}" (or rx ${queues})`,
      )
    this.#chunkBytes = CHUNK_BYTES.find((bytes) => link.mtu + HEADER_AND_TAGS + XDP_HEADROOM <= bytes)!
    try {
      const program = new XdpProgram({ name: link.name, sockets: queues, steers: there < queues })
      this.#program = program
      for (let queue = 0; queue < there; queue++) this.#openQueue(link, queue, queues / there)
      for (const [i, { fd }] of this.#queues.flatMap(({ sockets }) => sockets).entries()) program.set(i, fd)
      if (promiscuous) this.#promiscuous = holdPromiscuous(link.index, link.name)
      program.attach(link.index)
    } catch (error) {
      this.close()
      throw error
    }
    const chunkBytes = this.#chunkBytes
    const plans = this.#queues.flatMap(({ sockets, ...memory }) =>
      sockets.map((socket) => ({ kind: 'xdp', port, ...memory, ...socket, chunkBytes, shared: sockets.length > 1 }) as const),
    )
    return plans.map((plan, index): XdpPlan => ({ ...plan, index }))
  }

  carries(mtu: number): boolean {
    return mtu + HEADER_AND_TAGS + XDP_HEADROOM <= this.#chunkBytes
  }

  steer(entries: readonly RuleEntry[], fallback: readonly number[]): Unsteered {
    if (this.#options.queues === 1) return { entries: [], reason: null }
    const table = this.#program?.table ?? null
    if (table !== null) return steerBy(table, entries, fallback)
    return { entries, reason: 'the interface has several receive queues, and an AF_XDP socket gets the frames of its own only' }
  }

  close(): void {
    this.#program?.close()
    this.#program = null
    closeFd(this.#promiscuous)
    this.#promiscuous = -1
    for (const queue of this.#queues) this.#closeQueue(queue)
    this.#queues = []
  }

  describe(): Record<string, unknown> {
    return {
      steering: this.#options.queues === 1 ? 'one queue' : this.#program?.table ? 'kernel' : 'by the interface',
      offloads: 0,
      mode: this.#zeroCopy ? 'zero-copy' : 'copy',
      program: this.#program?.mode ?? 'none',
      chunkBytes: this.#chunkBytes,
    }
  }

  // Opens `count` sockets on a receive queue of the interface; the first brings the memory that all of them use.
  #openQueue(link: LinkFacts, index: number, count: number): void {
    const memory = this.#memory
    const chunkBytes = this.#chunkBytes
    const receiveSize = count === 1 ? RECEIVE_CHUNKS : RECEIVE_CHUNKS_SHARED
    const receiveChunks = receiveSize * count
    const umemBytes = (receiveChunks + TRANSMIT_CHUNKS) * chunkBytes
    const ringBytes = XDP_RINGS_BYTES * count
    const area = memory.allocate(xdpAreaBytes(TRANSMIT_CHUNKS))
    const umem = memory.reserveGuest(umemBytes)
    const ringMemory = memory.reserveGuest(ringBytes)
    const queue: ReceiveQueue = { area, umem, umemBytes, ringMemory, ringBytes, sockets: [] }
    this.#queues.push(queue)
    if (umem < 0 || ringMemory < 0) throw new Error("guests fill the switch's memory: there is no room for the frames' buffers")
    fillFreeList(memory.u32, area, receiveChunks * chunkBytes, TRANSMIT_CHUNKS, chunkBytes)
    const sizes = {
      receiveSize,
      transmitSize: TRANSMIT_CHUNKS,
      fillSize: 2 ** Math.ceil(Math.log2(receiveChunks)),
      completionSize: TRANSMIT_CHUNKS,
    }
    const common = { name: link.name, index: link.index, queue: index, umem, umemBytes, chunkBytes, ...sizes }
    for (let i = 0; i < count; i++)
      queue.sockets.push(this.#openSocket({ ...common, rings: ringMemory + i * XDP_RINGS_BYTES, shared: queue.sockets[0] }))
    const words = new Int32Array(memory.buffer, ringMemory, ringBytes >> 2)
    const { producer, descriptors } = queue.sockets[0]!.rings.fill
    for (let i = 0; i < receiveChunks; i++) words[((descriptors - ringMemory) >> 2) + 2 * i] = i * chunkBytes
    Atomics.store(words, (producer - ringMemory) >> 2, receiveChunks)
  }

  #openSocket(options: Omit<Parameters<typeof openXdpSocket>[0], 'zeroCopy'>): OpenSocket {
    try {
      return openXdpSocket({ ...options, zeroCopy: this.#zeroCopy }, this.#memory)
    } catch (error) {
      if (this.#options.zeroCopyOnly || !this.#zeroCopy) throw error
      this.#zeroCopy = false
      return openXdpSocket({ ...options, zeroCopy: false }, this.#memory)
    }
  }

  #closeQueue({ area, umem, umemBytes, ringMemory, ringBytes, sockets }: ReceiveQueue): void {
    for (const { fd } of sockets) closeFd(fd)
    if (ringMemory >= 0) this.#memory.releaseGuest(ringMemory, ringBytes)
    if (umem >= 0) this.#memory.releaseGuest(umem, umemBytes)
    this.#memory.free(area, xdpAreaBytes(TRANSMIT_CHUNKS))
  }
}

/** Receive queues of an interface as sysfs shows them; 1 where it does not. */
function receiveQueues(name: string): number {
  try {
    return readdirSync(`/sys/class/net/${name}/queues`).filter((entry) => entry.startsWith('rx-')).length
  } catch {
    return 1
  }
}
