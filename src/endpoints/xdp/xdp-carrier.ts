// AF_XDP under an uplink: a socket per receive queue of the interface, with a program of ours that steers frames to them.
//
// The rule it must not break: no receive queue of the interface is left without a socket, or its frames would miss the switch.
import { readdirSync } from 'node:fs'
import { XdpProgram } from '../../linux/bpf.ts'
import { closeFd } from '../../linux/files.ts'
import type { LinkFacts } from '../../linux/netlink.ts'
import { holdPromiscuous } from '../../linux/packet-socket.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { openXdpSocket, XDP_HEADROOM, XDP_RINGS_BYTES, type XdpRings } from '../../linux/xdp.ts'
import type { QueuePlan } from '../endpoint.ts'
import type { Carrier, CarrierOptions } from '../uplink/carrier.ts'
import { fillFreeList, type XdpPlan, xdpAreaBytes } from './xdp-queue.ts'

const RECEIVE_CHUNKS = 2048
const TRANSMIT_CHUNKS = 2048
const CHUNK_BYTES = [2048, 4096] as const
const HEADER_AND_TAGS = 22
/** The largest MTU that a chunk holds, in bytes. */
export const XDP_MTU_MAX = CHUNK_BYTES[1] - XDP_HEADROOM - HEADER_AND_TAGS

export interface XdpCarrierOptions extends CarrierOptions {
  /** Opens only where the driver shares its buffers with us. */
  readonly zeroCopyOnly: boolean
}

interface OpenQueue {
  readonly fd: number
  readonly area: number
  readonly umem: number
  readonly ringMemory: number
  readonly rings: XdpRings
}

export class XdpCarrier implements Carrier {
  readonly via = 'xdp'
  readonly #options: XdpCarrierOptions
  readonly #memory: SharedMemory
  #queues: OpenQueue[] = []
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
    if (there > queues)
      throw new Error(
        `the interface has ${there} receive queues, the uplink ${queues}: set queues: ${there}, or "sudo ethtool -L ${link.name} combined ${queues}"`,
      )
    this.#chunkBytes = link.mtu + HEADER_AND_TAGS + XDP_HEADROOM > CHUNK_BYTES[0] ? CHUNK_BYTES[1] : CHUNK_BYTES[0]
    try {
      const program = new XdpProgram(link.name, queues)
      this.#program = program
      for (let queue = 0; queue < queues; queue++) {
        const opened = this.#openQueue(link, queue)
        this.#queues.push(opened)
        program.set(queue, opened.fd)
      }
      if (promiscuous) this.#promiscuous = holdPromiscuous(link.index, link.name)
      program.attach(link.index)
    } catch (error) {
      this.close()
      throw error
    }
    const umemBytes = this.#umemBytes()
    const chunkBytes = this.#chunkBytes
    return this.#queues.map((queue, index): XdpPlan => ({ kind: 'xdp', index, port, ...queue, umemBytes, chunkBytes }))
  }

  close(): void {
    this.#program?.close()
    this.#program = null
    closeFd(this.#promiscuous)
    this.#promiscuous = -1
    for (const { fd, area, umem, ringMemory } of this.#queues) {
      closeFd(fd)
      this.#memory.releaseGuest(ringMemory, XDP_RINGS_BYTES)
      this.#memory.releaseGuest(umem, this.#umemBytes())
      this.#memory.free(area, xdpAreaBytes(TRANSMIT_CHUNKS))
    }
    this.#queues = []
  }

  describe(): Record<string, unknown> {
    return {
      offloads: 0,
      mode: this.#zeroCopy ? 'zero-copy' : 'copy',
      program: this.#program?.mode ?? 'none',
      chunkBytes: this.#chunkBytes,
    }
  }

  #umemBytes(): number {
    return (RECEIVE_CHUNKS + TRANSMIT_CHUNKS) * this.#chunkBytes
  }

  #openQueue(link: LinkFacts, queue: number): OpenQueue {
    const memory = this.#memory
    const umem = memory.reserveGuest(this.#umemBytes())
    const ringMemory = memory.reserveGuest(XDP_RINGS_BYTES)
    let fd = -1
    try {
      if (umem < 0 || ringMemory < 0) throw new Error("guests fill the switch's memory: there is no room for the frames' buffers")
      const socket = this.#openSocket(link, queue, umem, ringMemory)
      fd = socket.fd
      const { rings } = socket
      const area = memory.allocate(xdpAreaBytes(TRANSMIT_CHUNKS))
      fillFreeList(memory.u32, area, RECEIVE_CHUNKS * this.#chunkBytes, TRANSMIT_CHUNKS, this.#chunkBytes)
      const words = new Int32Array(memory.buffer, ringMemory, XDP_RINGS_BYTES >> 2)
      const { producer, descriptors } = rings.fill
      for (let i = 0; i < RECEIVE_CHUNKS; i++) words[((descriptors - ringMemory) >> 2) + 2 * i] = i * this.#chunkBytes
      Atomics.store(words, (producer - ringMemory) >> 2, RECEIVE_CHUNKS)
      return { fd, area, umem, ringMemory, rings }
    } catch (error) {
      closeFd(fd)
      if (umem >= 0) memory.releaseGuest(umem, this.#umemBytes())
      if (ringMemory >= 0) memory.releaseGuest(ringMemory, XDP_RINGS_BYTES)
      throw error
    }
  }

  #openSocket(link: LinkFacts, queue: number, umem: number, rings: number): { fd: number; rings: XdpRings } {
    const { name, index } = link
    const common = { name, index, queue, umem, umemBytes: this.#umemBytes(), chunkBytes: this.#chunkBytes, rings }
    const sizes = { receiveSize: RECEIVE_CHUNKS, transmitSize: TRANSMIT_CHUNKS }
    try {
      return openXdpSocket({ ...common, ...sizes, zeroCopy: true }, this.#memory)
    } catch (error) {
      if (this.#options.zeroCopyOnly) throw error
      this.#zeroCopy = false
      return openXdpSocket({ ...common, ...sizes, zeroCopy: false }, this.#memory)
    }
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
