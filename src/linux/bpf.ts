// The kernel's BPF: maps, programs and the links that programs hang on. What vmswitch loads stands in steering-program.ts.
//
// The rule it must not break: maps, programs and links have no holder but this process (nothing is pinned), so the kernel frees them
// when the process ends, however it ends.
import { SystemCallError } from './errors.ts'
import { closeFd, EAGAIN } from './files.ts'
import { addressOf, keepUntilHere, lastErrno, sys } from './libc.ts'

const SYS_BPF = 321
const BPF_MAP_CREATE = 0
const BPF_MAP_UPDATE_ELEM = 2
const BPF_MAP_DELETE_ELEM = 3
const BPF_PROG_LOAD = 5
const BPF_PROG_TEST_RUN = 10
const BPF_LINK_CREATE = 28
const BPF_XDP = 37
const INSTRUCTION_BYTES = 8
const TRIES_MAX = 100
const LOG_BYTES = 256 * 1024
const LOG_LINES = 8
const LICENSE = 'Apache-2.0\0'
const EPERM = 1
const ENOENT = 2
const EBUSY = 16
const ENOSPC = 28
const E2BIG = 7

export const MapType = { hash: 1, array: 2, devices: 14, sockets: 17 } as const
export type MapType = (typeof MapType)[keyof typeof MapType]
export const ProgramType = { socketFilter: 1, xdp: 6 } as const
export type ProgramType = (typeof ProgramType)[keyof typeof ProgramType]
export const XdpMode = { driver: 4, generic: 2 } as const
export type XdpMode = (typeof XdpMode)[keyof typeof XdpMode]

function explain(errno: number, subject: string): string {
  if (errno === EPERM) return 'loading a BPF program needs CAP_BPF and CAP_NET_ADMIN: run as root'
  if (errno === EBUSY) return `another XDP program is on the interface: "sudo ip link set dev ${subject} xdp off" takes it off`
  return sys.strerror(errno)
}

/** Returns the call's result, or -errno. */
function ask(command: number, attributes: Buffer): number {
  let errno = EAGAIN
  // The verifier gives up when a signal waits for the process, and wants to be asked again.
  for (let tries = 0; errno === EAGAIN && tries < TRIES_MAX; tries++) {
    const result = sys.bpf(SYS_BPF, command, addressOf(attributes), attributes.length)
    errno = result >= 0 ? -result : lastErrno()
  }
  keepUntilHere(attributes, ...named)
  named.length = 0
  return -errno
}

/** What the attributes in work name by address. */
const named: Buffer[] = []

function bpf(command: number, attributes: Buffer, call: string, subject: string): number {
  const result = ask(command, attributes)
  if (result >= 0) return result
  throw new SystemCallError(call, -result, subject, explain(-result, subject))
}

const putAddress = (attributes: Buffer, at: number, bytes: Buffer): void => {
  named.push(bytes)
  attributes.writeBigUInt64LE(BigInt(addressOf(bytes)), at)
}

export interface MapOptions {
  readonly type: MapType
  readonly keyBytes: number
  readonly valueBytes: number
  readonly entries: number
  /** What errors name: the interface. */
  readonly subject: string
}

/** A map that programs look things up in. */
export class BpfMap {
  readonly #options: MapOptions
  #fd: number

  /** Throws SystemCallError. */
  constructor(options: MapOptions) {
    this.#options = options
    const attributes = Buffer.alloc(72)
    const { type, keyBytes, valueBytes, entries, subject } = options
    for (const [i, value] of [type, keyBytes, valueBytes, entries].entries()) attributes.writeUInt32LE(value, i * 4)
    this.#fd = bpf(BPF_MAP_CREATE, attributes, 'BPF_MAP_CREATE', subject)
  }

  get fd(): number {
    return this.#fd
  }

  #attributes(key: Buffer, value: Buffer | null): Buffer {
    const attributes = Buffer.alloc(32)
    attributes.writeUInt32LE(this.#fd, 0)
    putAddress(attributes, 8, key)
    if (value !== null) putAddress(attributes, 16, value)
    return attributes
  }

  /** Sets an entry: a program that runs meanwhile finds the old value or the new one, never none. False: the map is full. */
  set(key: Buffer, value: Buffer): boolean {
    const result = ask(BPF_MAP_UPDATE_ELEM, this.#attributes(key, value))
    if (result >= 0) return true
    if (result === -E2BIG || result === -ENOSPC) return false
    throw new SystemCallError('BPF_MAP_UPDATE_ELEM', -result, this.#options.subject, explain(-result, this.#options.subject))
  }

  /** Takes an entry out; one that is not there is no error. */
  delete(key: Buffer): void {
    const result = ask(BPF_MAP_DELETE_ELEM, this.#attributes(key, null))
    if (result >= 0 || result === -ENOENT) return
    throw new SystemCallError('BPF_MAP_DELETE_ELEM', -result, this.#options.subject, explain(-result, this.#options.subject))
  }

  close(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }
}

/** The last lines that the verifier wrote: what it found, and how it got there. */
function verifierSays(log: Buffer): string {
  const end = log.indexOf(0)
  const lines = log
    .toString('latin1', 0, end < 0 ? log.length : end)
    .trimEnd()
    .split('\n')
  return lines.slice(-LOG_LINES).join('\n')
}

/** A program in the kernel. */
export class BpfProgram {
  #fd: number

  /** Loads `code`. Throws SystemCallError; where the verifier refuses the program, with the end of its log. */
  constructor(type: ProgramType, code: Buffer, subject: string) {
    const license = Buffer.from(LICENSE)
    const attributes = Buffer.alloc(128)
    attributes.writeUInt32LE(type, 0)
    attributes.writeUInt32LE(code.length / INSTRUCTION_BYTES, 4)
    putAddress(attributes, 8, code)
    putAddress(attributes, 16, license)
    const result = ask(BPF_PROG_LOAD, attributes)
    this.#fd = result
    if (result >= 0) return
    const log = Buffer.alloc(LOG_BYTES)
    attributes.writeUInt32LE(1, 24)
    attributes.writeUInt32LE(LOG_BYTES, 28)
    putAddress(attributes, 32, log)
    this.#fd = ask(BPF_PROG_LOAD, attributes)
    if (this.#fd >= 0) return
    const said = verifierSays(log)
    const explanation = explain(-result, subject)
    throw new SystemCallError(
      'BPF_PROG_LOAD',
      -result,
      subject,
      said === '' ? explanation : `${explanation}; the verifier says:\n${said}`,
    )
  }

  get fd(): number {
    return this.#fd
  }

  /** Runs the program on a frame (at least 14 bytes) without any interface. Returns its answer. */
  testRun(frame: Uint8Array): number {
    const data = Buffer.from(frame)
    const attributes = Buffer.alloc(80)
    attributes.writeUInt32LE(this.#fd, 0)
    attributes.writeUInt32LE(data.length, 8)
    putAddress(attributes, 16, data)
    bpf(BPF_PROG_TEST_RUN, attributes, 'BPF_PROG_TEST_RUN', 'a frame')
    return attributes.readUInt32LE(4)
  }

  close(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }
}

/** An XDP program on an interface, until it is closed. */
export class XdpLink {
  readonly mode: XdpMode
  #fd: number

  /** Puts the program on interface `index`: in its driver, or before the stack where the driver can't. Throws SystemCallError. */
  constructor(program: BpfProgram, index: number, subject: string) {
    const attach = (mode: XdpMode): number => {
      const attributes = Buffer.alloc(64)
      for (const [i, value] of [program.fd, index, BPF_XDP, mode].entries()) attributes.writeUInt32LE(value, i * 4)
      return bpf(BPF_LINK_CREATE, attributes, 'BPF_LINK_CREATE', subject)
    }
    let mode: XdpMode = XdpMode.driver
    try {
      this.#fd = attach(mode)
    } catch (error) {
      const { errno } = error as SystemCallError
      if (errno === EBUSY || errno === EPERM) throw error
      mode = XdpMode.generic
      this.#fd = attach(mode)
    }
    this.mode = mode
  }

  close(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }
}
