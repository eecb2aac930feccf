// AF_XDP sockets: frames in memory of ours (the UMEM), named by descriptors in four rings that we share with the kernel.
//
// The rule it must not break: the UMEM and the rings lie in linear memory, and stay there until the socket is closed.
import { SystemCallError } from './errors.ts'
import { check, closeFd } from './files.ts'
import { lastErrno, sys } from './libc.ts'
import type { SharedMemory } from './shared-memory.ts'

const AF_XDP = 44
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const SOL_XDP = 283
const XDP_MMAP_OFFSETS = 1
const XDP_RX_RING = 2
const XDP_TX_RING = 3
const XDP_UMEM_REG = 4
const XDP_UMEM_FILL_RING = 5
const XDP_UMEM_COMPLETION_RING = 6
const XDP_STATISTICS = 7
const XDP_SHARED_UMEM = 1 << 0
const XDP_COPY = 1 << 1
const XDP_ZEROCOPY = 1 << 2
const XDP_USE_NEED_WAKEUP = 1 << 3
const OFFSETS_BYTES = 128
const OFFSETS_STRIDE = 32
const ADDRESS_BYTES = 16
const STATISTICS_BYTES = 48
const STATISTIC_DROPPED = 0
const STATISTIC_RING_FULL = 24
const PAGE = 4096
const EPERM = 1
const ENOMEM = 12
const EBUSY = 16
const ENOBUFS = 105
const EOPNOTSUPP = 95
const EAFNOSUPPORT = 97

/** Bytes of linear memory that the rings of one socket take. */
export const XDP_RINGS_BYTES = 2 * 1024 * 1024
const RING_ROOM = XDP_RINGS_BYTES / 4
/** Bytes before a received frame in its chunk. */
export const XDP_HEADROOM = 256
export const XDP_DESCRIPTOR_BYTES = 16
export const XDP_ADDRESS_BYTES = 8
/** Flag in a ring's flags word: the kernel must be called to go on. */
export const XDP_NEED_WAKEUP = 1

/** A ring's parts, as linear addresses. */
export interface XdpRing {
  readonly producer: number
  readonly consumer: number
  readonly flags: number
  readonly descriptors: number
  /** Entries, a power of two. */
  readonly size: number
}

export interface XdpRings {
  readonly receive: XdpRing
  readonly transmit: XdpRing
  readonly fill: XdpRing
  readonly completion: XdpRing
}

export interface XdpSocketOptions {
  readonly name: string
  readonly index: number
  readonly queue: number
  readonly zeroCopy: boolean
  /** Linear address and bytes of the UMEM, and bytes of a chunk (2048 or 4096). */
  readonly umem: number
  readonly umemBytes: number
  readonly chunkBytes: number
  /** Linear address of XDP_RINGS_BYTES, and entries of the rings. */
  readonly rings: number
  readonly receiveSize: number
  readonly transmitSize: number
  /** Entries of the rings by which chunks go to the kernel and come back: all chunks to receive with, and all to send with. */
  readonly fillSize: number
  readonly completionSize: number
  /** A socket of the same receive queue whose UMEM, fill and completion rings this one uses too. */
  readonly shared?: { readonly fd: number; readonly rings: XdpRings } | undefined
}

/** Opens a socket on one receive queue of an interface. Throws with what is wrong and what to do. */
export function openXdpSocket(options: XdpSocketOptions, memory: SharedMemory): { fd: number; rings: XdpRings } {
  const { name } = options
  const fd = sys.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)
  if (fd < 0) throw explain('socket(AF_XDP)', lastErrno(), name)
  const { shared, receiveSize, transmitSize } = options
  try {
    if (shared === undefined) registerMemory(fd, options, memory)
    setRing(fd, XDP_RX_RING, receiveSize, name)
    setRing(fd, XDP_TX_RING, transmitSize, name)
    const rings = mapRings(fd, options, memory)
    const address = Buffer.alloc(ADDRESS_BYTES)
    address.writeUInt16LE(AF_XDP, 0)
    address.writeUInt16LE(shared ? XDP_SHARED_UMEM : (options.zeroCopy ? XDP_ZEROCOPY : XDP_COPY) | XDP_USE_NEED_WAKEUP, 2)
    address.writeUInt32LE(options.index, 4)
    address.writeUInt32LE(options.queue, 8)
    address.writeUInt32LE(shared?.fd ?? 0, 12)
    if (sys.bind(fd, address, ADDRESS_BYTES) < 0) throw explain('bind(AF_XDP)', lastErrno(), name)
    return { fd, rings }
  } catch (error) {
    closeFd(fd)
    throw error
  }
}

function setRing(fd: number, option: number, size: number, name: string): void {
  const value = Buffer.alloc(4)
  value.writeUInt32LE(size)
  check('setsockopt(SOL_XDP)', sys.setsockopt(fd, SOL_XDP, option, value, 4), name)
}

function registerMemory(fd: number, options: XdpSocketOptions, memory: SharedMemory): void {
  const { name } = options
  const register = Buffer.alloc(32)
  register.writeBigUInt64LE(BigInt(memory.base + options.umem), 0)
  register.writeBigUInt64LE(BigInt(options.umemBytes), 8)
  register.writeUInt32LE(options.chunkBytes, 16)
  if (sys.setsockopt(fd, SOL_XDP, XDP_UMEM_REG, register, register.length) < 0) throw explain('XDP_UMEM_REG', lastErrno(), name)
  setRing(fd, XDP_UMEM_FILL_RING, options.fillSize, name)
  setRing(fd, XDP_UMEM_COMPLETION_RING, options.completionSize, name)
}

function mapRings(fd: number, options: XdpSocketOptions, memory: SharedMemory): XdpRings {
  const offsets = Buffer.alloc(OFFSETS_BYTES)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(OFFSETS_BYTES)
  check('XDP_MMAP_OFFSETS', sys.getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, offsets, length), options.name)
  const map = (place: number, pageOffset: number, size: number, entryBytes: number): XdpRing => {
    const [producer, consumer, descriptors, flags] = [0, 8, 16, 24].map((at) => offsets.readUInt32LE(place * OFFSETS_STRIDE + at))
    const bytes = Math.ceil((descriptors! + size * entryBytes) / PAGE) * PAGE
    const at = options.rings + place * RING_ROOM
    memory.mapGuest(at, bytes, fd, pageOffset)
    return { producer: at + producer!, consumer: at + consumer!, descriptors: at + descriptors!, flags: at + flags!, size }
  }
  const { shared } = options
  return {
    receive: map(0, 0, options.receiveSize, XDP_DESCRIPTOR_BYTES),
    transmit: map(1, 0x8000_0000, options.transmitSize, XDP_DESCRIPTOR_BYTES),
    fill: shared?.rings.fill ?? map(2, 0x1_0000_0000, options.fillSize, XDP_ADDRESS_BYTES),
    completion: shared?.rings.completion ?? map(3, 0x1_8000_0000, options.completionSize, XDP_ADDRESS_BYTES),
  }
}

/** Reads what an AF_XDP socket counts. One instance per socket and thread; allocates nothing after that. */
export class XdpStatistics {
  readonly #value = Buffer.alloc(STATISTICS_BYTES)
  readonly #length = Buffer.alloc(4)
  readonly #fd: number
  #before = 0

  constructor(fd: number) {
    this.#fd = fd
    this.takeLost()
  }

  /** Frames that the kernel gave up for want of room since the last call. */
  takeLost(): number {
    this.#length.writeUInt32LE(STATISTICS_BYTES)
    if (sys.getsockopt(this.#fd, SOL_XDP, XDP_STATISTICS, this.#value, this.#length) < 0) return 0
    const now = (this.#value.readUInt32LE(STATISTIC_DROPPED) + this.#value.readUInt32LE(STATISTIC_RING_FULL)) >>> 0
    const lost = (now - this.#before) >>> 0
    this.#before = now
    return lost
  }
}

function explain(call: string, errno: number, name: string): SystemCallError {
  const explanation =
    errno === EPERM
      ? 'an AF_XDP socket needs CAP_NET_RAW and CAP_BPF: run as root'
      : errno === EAFNOSUPPORT
        ? 'this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)'
        : errno === ENOBUFS || errno === ENOMEM
          ? 'locked memory is limited: raise it (ulimit -l) or use fewer queues'
          : errno === EBUSY
            ? 'another AF_XDP socket has this receive queue: stop the program that holds it'
            : errno === EOPNOTSUPP
              ? 'the driver of the interface does not share its buffers (no zero-copy)'
              : sys.strerror(errno)
  return new SystemCallError(call, errno, name, explanation)
}
