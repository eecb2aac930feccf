// AF_PACKET sockets with a receive ring: every frame of an interface, each with a virtio-net header, in memory that we map.
//
// The rule it must not break: a socket hears nothing before it is bound to its interface, and never what it sends itself.
import { SystemCallError } from './errors.ts'
import { check, closeFd } from './files.ts'
import { addressOf, keepUntilHere, lastErrno, sys } from './libc.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const ETH_P_ALL = 3
const SOL_SOCKET = 1
const SO_ERROR = 4
const SO_ATTACH_FILTER = 26
const SO_DETACH_FILTER = 27
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const SOL_PACKET = 263
const PACKET_ADD_MEMBERSHIP = 1
const PACKET_RX_RING = 5
const PACKET_STATISTICS = 6
const PACKET_COPY_THRESH = 7
const PACKET_VERSION = 10
const PACKET_VNET_HDR = 15
const PACKET_FANOUT = 18
const PACKET_QDISC_BYPASS = 20
const PACKET_FANOUT_DATA = 22
const PACKET_IGNORE_OUTGOING = 23
const PACKET_FANOUT_HASH = 0
const PACKET_FANOUT_EBPF = 7
const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000
const PACKET_FANOUT_FLAG_IGNORE_OUTGOING = 0x4000
const PACKET_MR_PROMISC = 1
const TPACKET_V2 = 1
const ADDRESS_BYTES = 20
const MEMBERSHIP_BYTES = 16
const EPERM = 1
const ENOMEM = 12
const ENODEV = 19
const ENETDOWN = 100

/** What a slot holds before its frame starts (header, address, virtio-net header), at the most. */
export const RING_SLOT_OVERHEAD = 96

export interface PacketSocketOptions {
  readonly name: string
  readonly index: number
  /** Bytes of a slot of the receive ring, a power of two of at least 2048. */
  readonly slotBytes: number
  /** Bytes of the ring, a multiple of RING_BLOCK_BYTES. */
  readonly ringBytes: number
  readonly promiscuous: boolean
  /** Sends past the interface's queueing discipline. */
  readonly qdiscBypass: boolean
  /** Bytes of frames too long for a slot that may wait, and of frames being sent. */
  readonly bufferBytes: number
  /** Hears nothing until `joinFanout`: several sockets that are not joined yet would each hear every frame. */
  readonly muted: boolean
}

/** Bytes of a block of the ring: contiguous memory of the kernel. */
export const RING_BLOCK_BYTES = 64 * 1024

function setOption(fd: number, level: number, option: number, value: number, call: string, subject: string): void {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  check(call, sys.setsockopt(fd, level, option, bytes, 4), subject)
}

/** A non-blocking packet socket with a receive ring, bound to an interface. The ring is mapped from offset 0 of it. */
export function openPacketSocket(options: PacketSocketOptions): number {
  const { name, index } = options
  const fd = sys.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  if (fd < 0) throw explain('socket(AF_PACKET)', lastErrno(), name)
  try {
    setOption(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2, 'PACKET_VERSION', name)
    setOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1, 'PACKET_VNET_HDR', name)
    setOption(fd, SOL_PACKET, PACKET_COPY_THRESH, 1, 'PACKET_COPY_THRESH', name)
    setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, 'PACKET_IGNORE_OUTGOING', name)
    if (options.qdiscBypass) setOption(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1, 'PACKET_QDISC_BYPASS', name)
    // Both are wishes: the limits of the machine hold where the right to pass them is missing.
    const buffer = Buffer.alloc(4)
    buffer.writeInt32LE(options.bufferBytes)
    sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, buffer, 4)
    sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer, 4)
    const ring = Buffer.alloc(16)
    ring.writeUInt32LE(RING_BLOCK_BYTES, 0)
    ring.writeUInt32LE(options.ringBytes / RING_BLOCK_BYTES, 4)
    ring.writeUInt32LE(options.slotBytes, 8)
    ring.writeUInt32LE(options.ringBytes / options.slotBytes, 12)
    if (sys.setsockopt(fd, SOL_PACKET, PACKET_RX_RING, ring, ring.length) < 0) throw explain('PACKET_RX_RING', lastErrno(), name)
    if (options.muted) mute(fd, name)
    if (options.promiscuous) addPromiscuous(fd, index, name)
    const address = Buffer.alloc(ADDRESS_BYTES)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16BE(ETH_P_ALL, 2)
    address.writeInt32LE(index, 4)
    if (sys.bind(fd, address, ADDRESS_BYTES) < 0) throw explain('bind(AF_PACKET)', lastErrno(), name)
    return fd
  } catch (error) {
    closeFd(fd)
    throw error
  }
}

function addPromiscuous(fd: number, index: number, name: string): void {
  const membership = Buffer.alloc(MEMBERSHIP_BYTES)
  membership.writeInt32LE(index, 0)
  membership.writeUInt16LE(PACKET_MR_PROMISC, 4)
  check('PACKET_ADD_MEMBERSHIP', sys.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, MEMBERSHIP_BYTES), name)
}

/** Keeps an interface promiscuous as long as the descriptor that it returns is open. It hears nothing itself. */
export function holdPromiscuous(index: number, name: string): number {
  const fd = sys.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
  if (fd < 0) throw explain('socket(AF_PACKET)', lastErrno(), name)
  try {
    addPromiscuous(fd, index, name)
    return fd
  } catch (error) {
    closeFd(fd)
    throw error
  }
}

// A filter of one instruction: keep 0 bytes of every frame.
function mute(fd: number, name: string): void {
  const instruction = Buffer.from([0x06, 0, 0, 0, 0, 0, 0, 0])
  const filter = Buffer.alloc(16)
  filter.writeUInt16LE(1, 0)
  filter.writeBigUInt64LE(BigInt(addressOf(instruction)), 8)
  const result = sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, filter.length)
  keepUntilHere(instruction)
  check('SO_ATTACH_FILTER', result, name)
}

/**
 * Lets bound, muted sockets of one interface share its frames: each frame goes to the socket whose index the program `steering` answers
 * with, or, without one (-1), to that of its flow. A flow's frames stay in order. The program may be closed afterwards.
 */
export function joinFanout(fds: readonly number[], name: string, steering: number): void {
  const kind = steering < 0 ? PACKET_FANOUT_HASH : PACKET_FANOUT_EBPF
  let group = 0
  for (const [i, fd] of fds.entries()) {
    const flags = kind | PACKET_FANOUT_FLAG_IGNORE_OUTGOING | (i === 0 ? PACKET_FANOUT_FLAG_UNIQUEID : 0)
    setOption(fd, SOL_PACKET, PACKET_FANOUT, group | (flags << 16), 'PACKET_FANOUT', name)
    if (i > 0) continue
    const value = Buffer.alloc(4)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(4)
    check('PACKET_FANOUT', sys.getsockopt(fd, SOL_PACKET, PACKET_FANOUT, value, length), name)
    group = value.readUInt16LE(0)
  }
  if (steering >= 0) setOption(fds[0]!, SOL_PACKET, PACKET_FANOUT_DATA, steering, 'PACKET_FANOUT_DATA', name)
  for (const fd of fds) setOption(fd, SOL_SOCKET, SO_DETACH_FILTER, 0, 'SO_DETACH_FILTER', name)
}

/** Reads what a packet socket counts and what ails it. One instance per socket and thread; allocates nothing after that. */
export class PacketSocketState {
  readonly #value = Buffer.alloc(8)
  readonly #length = Buffer.alloc(4)
  readonly #fd: number

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Frames that the kernel gave up for want of room since the last call. */
  takeLost(): number {
    this.#length.writeUInt32LE(8)
    return sys.getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, this.#value, this.#length) < 0
      ? 0
      : this.#value.readUInt32LE(4)
  }

  /** Takes and clears the socket's pending error (errno, 0 = none). */
  takeError(): number {
    this.#length.writeUInt32LE(4)
    return sys.getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, this.#value, this.#length) < 0
      ? lastErrno()
      : this.#value.readInt32LE(0)
  }
}

function explain(call: string, errno: number, name: string): SystemCallError {
  const explanation =
    errno === EPERM
      ? 'a packet socket needs CAP_NET_RAW: run as root, or "sudo setcap cap_net_raw,cap_net_admin+ep" the program that runs vmswitch'
      : errno === ENOMEM
        ? 'the kernel has no memory for the receive ring: use fewer queues'
        : errno === ENODEV
          ? 'the interface does not exist (any more): "ip link" lists those that do'
          : errno === ENETDOWN
            ? `the interface is down: "sudo ip link set ${name} up"`
            : sys.strerror(errno)
  return new SystemCallError(call, errno, name, explanation)
}
