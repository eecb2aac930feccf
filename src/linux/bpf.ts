// The one XDP program that vmswitch loads: it gives each frame of a receive queue to the AF_XDP socket that a map names for the queue,
// and lets it pass to the host's stack where the map names none.
//
// The rule it must not break: the program hangs on a link whose only holder is this process, so the kernel takes it off the interface
// when the process ends, however it ends.
import { SystemCallError } from './errors.ts'
import { closeFd, EAGAIN } from './files.ts'
import { addressOf, lastErrno, sys } from './libc.ts'

const SYS_BPF = 321
const BPF_MAP_CREATE = 0
const BPF_MAP_UPDATE_ELEM = 2
const BPF_PROG_LOAD = 5
const BPF_LINK_CREATE = 28
const BPF_MAP_TYPE_XSKMAP = 17
const BPF_PROG_TYPE_XDP = 6
const BPF_XDP = 37
const XDP_PASS = 2
const CONTEXT_QUEUE = 16 // rx_queue_index in struct xdp_md
const REDIRECT_MAP = 51 // bpf_redirect_map
const PSEUDO_MAP_FD = 1
const INSTRUCTION_BYTES = 8
const TRIES_MAX = 100
const EPERM = 1
const EBUSY = 16

export const XdpMode = { driver: 4, generic: 2 } as const
export type XdpMode = (typeof XdpMode)[keyof typeof XdpMode]

function bpf(command: number, attributes: Buffer, call: string, subject: string): number {
  let errno = EAGAIN
  // The verifier gives up when a signal waits for the process, and wants to be asked again.
  for (let tries = 0; errno === EAGAIN && tries < TRIES_MAX; tries++) {
    const result = sys.bpf(SYS_BPF, command, addressOf(attributes), attributes.length)
    if (result >= 0) return result
    errno = lastErrno()
  }
  throw new SystemCallError(
    call,
    errno,
    subject,
    errno === EPERM
      ? 'loading an XDP program needs CAP_BPF and CAP_NET_ADMIN: run as root'
      : errno === EBUSY
        ? `another XDP program is on the interface: "sudo ip link set dev ${subject} xdp off" takes it off`
        : sys.strerror(errno),
  )
}

/** The instructions of the program; `map` is the descriptor of the XSKMAP. */
export function redirectProgram(map: number): Buffer {
  const code: [operation: number, registers: number, offset: number, immediate: number][] = [
    [0x61, 0x12, CONTEXT_QUEUE, 0], // r2 = the queue's index
    [0x18, (PSEUDO_MAP_FD << 4) | 1, 0, map], // r1 = the map, in two words
    [0, 0, 0, 0],
    [0xb7, 3, 0, XDP_PASS], // r3 = what to do where the map has no socket
    [0x85, 0, 0, REDIRECT_MAP],
    [0x95, 0, 0, 0], // return what it returned
  ]
  const bytes = Buffer.alloc(code.length * INSTRUCTION_BYTES)
  for (const [i, [operation, registers, offset, immediate]] of code.entries()) {
    bytes[i * INSTRUCTION_BYTES] = operation
    bytes[i * INSTRUCTION_BYTES + 1] = registers
    bytes.writeInt16LE(offset, i * INSTRUCTION_BYTES + 2)
    bytes.writeInt32LE(immediate, i * INSTRUCTION_BYTES + 4)
  }
  return bytes
}

/** The program on one interface, with its map of sockets. */
export class XdpProgram {
  readonly #name: string
  #map = -1
  #program = -1
  #link = -1
  #mode: XdpMode = XdpMode.driver

  /** `queues`: entries of the map. Throws SystemCallError. */
  constructor(name: string, queues: number) {
    this.#name = name
    const map = Buffer.alloc(72)
    for (const [i, value] of [BPF_MAP_TYPE_XSKMAP, 4, 4, queues].entries()) map.writeUInt32LE(value, i * 4)
    this.#map = bpf(BPF_MAP_CREATE, map, 'BPF_MAP_CREATE', name)
    const code = redirectProgram(this.#map)
    const license = Buffer.from('Apache-2.0\0')
    const program = Buffer.alloc(128)
    program.writeUInt32LE(BPF_PROG_TYPE_XDP, 0)
    program.writeUInt32LE(code.length / INSTRUCTION_BYTES, 4)
    program.writeBigUInt64LE(BigInt(addressOf(code)), 8)
    program.writeBigUInt64LE(BigInt(addressOf(license)), 16)
    try {
      this.#program = bpf(BPF_PROG_LOAD, program, 'BPF_PROG_LOAD', name)
    } catch (error) {
      this.close()
      throw error
    }
  }

  get mode(): 'driver' | 'generic' {
    return this.#mode === XdpMode.driver ? 'driver' : 'generic'
  }

  /** Gives the frames of receive queue `queue` to the socket `fd`. */
  set(queue: number, fd: number): void {
    const key = Buffer.alloc(4)
    const value = Buffer.alloc(4)
    key.writeUInt32LE(queue)
    value.writeUInt32LE(fd)
    const update = Buffer.alloc(32)
    update.writeUInt32LE(this.#map, 0)
    update.writeBigUInt64LE(BigInt(addressOf(key)), 8)
    update.writeBigUInt64LE(BigInt(addressOf(value)), 16)
    bpf(BPF_MAP_UPDATE_ELEM, update, 'BPF_MAP_UPDATE_ELEM', this.#name)
  }

  /** Puts the program on interface `index`: in its driver, or before the stack where the driver can't. */
  attach(index: number): void {
    try {
      this.#attach(index, XdpMode.driver)
    } catch (error) {
      if ((error as SystemCallError).errno === EBUSY || (error as SystemCallError).errno === EPERM) throw error
      this.#attach(index, XdpMode.generic)
    }
  }

  #attach(index: number, mode: XdpMode): void {
    const link = Buffer.alloc(64)
    link.writeUInt32LE(this.#program, 0)
    link.writeUInt32LE(index, 4)
    link.writeUInt32LE(BPF_XDP, 8)
    link.writeUInt32LE(mode, 12)
    this.#link = bpf(BPF_LINK_CREATE, link, 'BPF_LINK_CREATE', this.#name)
    this.#mode = mode
  }

  /** Takes the program off and frees it. */
  close(): void {
    for (const fd of [this.#link, this.#program, this.#map]) closeFd(fd)
    this.#link = -1
    this.#program = -1
    this.#map = -1
  }
}
