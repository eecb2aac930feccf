// Unix sockets with descriptors passed along, which Node's own net and dgram can't do: stream, datagram and packet sockets.
import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { SystemCallError } from './errors.ts'
import { check, closeFd, EAGAIN, EINTR } from './files.ts'
import { addressOf, lastErrno, sys } from './libc.ts'

const AF_UNIX = 1
const SOCK_CLOEXEC = 0o2000000
const SOCK_NONBLOCK = 0o4000
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_PEERCRED = 17
const UNIX_PATH_MAX = 107
const ENOENT = 2
const EACCES = 13
const ENOTDIR = 20
const EROFS = 30
const ECONNREFUSED = 111
const SOCKET_MODE = 0o600
const CONTROL_HEADER = 16
/** Descriptors one message may carry (SCM_MAX_FD is 253; vhost-user needs far fewer). */
export const FDS_MAX = 32

export const SocketType = { stream: 1, datagram: 2, packet: 5 } as const
export type SocketType = (typeof SocketType)[keyof typeof SocketType]

/** sockaddr_un of a path. Throws if the path is longer than the kernel takes. */
export function unixAddress(path: string): Buffer {
  const length = Buffer.byteLength(path)
  if (length > UNIX_PATH_MAX)
    throw new SystemCallError(
      'bind',
      36,
      path,
      `a socket path has at most ${UNIX_PATH_MAX} bytes, this one ${length}: choose a shorter one`,
    )
  const address = Buffer.alloc(110)
  address.writeUInt16LE(AF_UNIX, 0)
  address.write(path, 2)
  return address
}

/** A non-blocking unix socket. */
export const openSocket = (type: SocketType): number =>
  check('socket', sys.socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))

/** A connected pair of non-blocking unix sockets. */
export function openSocketPair(type: SocketType): [number, number] {
  const pair = Buffer.alloc(8)
  check('socketpair', sys.socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/**
 * Binds `fd` to `path` and lets only its owner connect (mode 0600). A socket file that nobody listens on (left by a killed process)
 * is replaced; one in use, or a file of another kind, is an error.
 */
export function bindPath(fd: number, path: string, type: SocketType): void {
  const address = unixAddress(path)
  if (existsSync(path)) {
    if (!lstatSync(path).isSocket())
      throw new SystemCallError('bind', 98, path, 'the path exists and is not a socket; remove it or choose another')
    if (isListening(path, type))
      throw new SystemCallError('bind', 98, path, 'another process listens on this socket; stop it or choose another path')
    unlinkSync(path)
  }
  if (sys.bind(fd, address, address.length) < 0) {
    const errno = lastErrno()
    throw new SystemCallError('bind', errno, path, explainBind(errno, path))
  }
  chmodSync(path, SOCKET_MODE)
}

function explainBind(errno: number, path: string): string {
  const directory = dirname(path)
  if (errno === ENOENT || errno === ENOTDIR)
    return `the directory ${directory} does not exist: create it ("mkdir -p ${directory}")`
  if (errno === EACCES || errno === EROFS) return `no permission to create a socket in ${directory}: choose another directory`
  return sys.strerror(errno)
}

function isListening(path: string, type: SocketType): boolean {
  const probe = openSocket(type)
  try {
    if (sys.connect(probe, unixAddress(path), 110) === 0) return true
    const errno = lastErrno()
    return errno !== ECONNREFUSED && errno !== ENOENT // any other answer came from someone, or is not ours to judge
  } finally {
    closeFd(probe)
  }
}

/** What tells this socket file from one that another process puts at the same path later; '' if there is none. */
export function socketIdentity(path: string): string {
  try {
    const { dev, ino } = lstatSync(path)
    return `${dev}:${ino}`
  } catch {
    return ''
  }
}

/** Removes the socket file at `path` if it is still the one with this identity. */
export function removeSocket(path: string, identity: string): void {
  if (identity !== '' && socketIdentity(path) === identity) unlinkSync(path)
}

/** Starts listening at `path` with mode 0600 and returns the listening descriptor. */
export function listenAt(path: string, backlog = 8): number {
  const fd = openSocket(SocketType.stream)
  try {
    bindPath(fd, path, SocketType.stream)
    check('listen', sys.listen(fd, backlog), path)
  } catch (error) {
    closeFd(fd)
    throw error
  }
  return fd
}

/** The process at the other end of a Unix stream socket, when it connected; 0 if it can't be seen from here. */
export const peerProcess = (fd: number): number => peerCredentials(fd)?.pid ?? 0

/** Process and user at the other end of a Unix stream socket, when it connected; null if they can't be told. */
export function peerCredentials(fd: number): { readonly pid: number; readonly uid: number } | null {
  const credentials = Buffer.alloc(12)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(credentials.length, 0)
  if (sys.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) < 0) return null
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) }
}

/** Accepts one connection, or returns -1 if none waits. */
export function acceptFrom(listener: number): number {
  const fd = sys.accept4(listener, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC)
  if (fd >= 0) return fd
  const errno = lastErrno()
  if (errno === EAGAIN || errno === EINTR || errno === 103 /* ECONNABORTED */) return -1
  return check('accept', -1)
}

/** Connects a new socket of `type` to `path`. Throws ENOENT or ECONNREFUSED while nobody listens. */
export function connectTo(path: string, type: SocketType): number {
  const fd = openSocket(type)
  if (sys.connect(fd, unixAddress(path), 110) === 0) return fd
  const errno = lastErrno()
  closeFd(fd)
  throw new SystemCallError('connect', errno, path, sys.strerror(errno))
}

/**
 * Whether somebody still holds the datagram socket whose sockaddr_un stands in `bytes` from `at` on, `length` bytes. Opens a socket
 * to find out: for rare events, not for every packet.
 */
export function datagramPeerLives(bytes: Uint8Array, at: number, length: number): boolean {
  const address = Buffer.from(bytes.subarray(at, at + length))
  const probe = openSocket(SocketType.datagram)
  try {
    if (sys.connect(probe, address, address.length) === 0) return true
    const errno = lastErrno()
    return errno !== ECONNREFUSED && errno !== ENOENT
  } finally {
    closeFd(probe)
  }
}

/** Asks for socket buffers of `bytes`; the kernel may grant less. */
export function setSocketBuffers(fd: number, bytes: number): void {
  const value = Buffer.alloc(4)
  value.writeInt32LE(bytes)
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, 4)
  sys.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, 4)
}

/** Receives bytes with passed descriptors. One instance per connection; it reuses its buffers. */
export class FdReceiver {
  readonly #data: Buffer
  readonly #vector = Buffer.alloc(16)
  readonly #control = Buffer.alloc(CONTROL_HEADER + FDS_MAX * 4)
  readonly #message = Buffer.alloc(56)

  constructor(capacity: number) {
    this.#data = Buffer.allocUnsafeSlow(capacity)
    this.#message.writeBigUInt64LE(BigInt(addressOf(this.#vector)), 16)
    this.#message.writeBigUInt64LE(1n, 24)
    this.#message.writeBigUInt64LE(BigInt(addressOf(this.#control)), 32)
    this.#vector.writeBigUInt64LE(BigInt(addressOf(this.#data)), 0)
  }

  /**
   * Receives at most `max` bytes. Returns null if nothing waits; `bytes` of length 0 means that the peer has closed. `bytes` is
   * valid until the next call; the descriptors belong to the caller. `truncated`: the peer passed more descriptors than fit.
   */
  receive(fd: number, max: number): { bytes: Buffer; fds: number[]; truncated: boolean } | null {
    this.#vector.writeBigUInt64LE(BigInt(Math.min(max, this.#data.length)), 8)
    this.#message.writeBigUInt64LE(BigInt(this.#control.length), 40)
    this.#message.writeInt32LE(0, 48)
    const received = sys.recvmsg(fd, this.#message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
    if (received < 0) {
      const errno = lastErrno()
      if (errno === EAGAIN || errno === EINTR) return null
      throw new SystemCallError('recvmsg', errno, `fd ${fd}`, sys.strerror(errno))
    }
    const fds: number[] = []
    const controlLength = Number(this.#message.readBigUInt64LE(40))
    if (
      controlLength >= CONTROL_HEADER &&
      this.#control.readInt32LE(8) === SOL_SOCKET &&
      this.#control.readInt32LE(12) === SCM_RIGHTS
    ) {
      const end = Math.min(Number(this.#control.readBigUInt64LE(0)), controlLength)
      for (let at = CONTROL_HEADER; at + 4 <= end; at += 4) fds.push(this.#control.readInt32LE(at))
    }
    return { bytes: this.#data.subarray(0, received), fds, truncated: (this.#message.readInt32LE(48) & 8) !== 0 }
  }
}

const sendVector = Buffer.alloc(16)
const sendMessage = Buffer.alloc(56)
// What the kernel reads during a call: the collector must not take it for dead once its address has been taken.
const held: { data: Uint8Array | null; control: Buffer | null } = { data: null, control: null }

/** Sends bytes with descriptors. Returns the bytes sent, or -1 if the socket is full. Throws if the peer is gone. */
export function sendWithFds(fd: number, data: Uint8Array, fds: readonly number[] = []): number {
  held.data = data
  sendVector.writeBigUInt64LE(BigInt(addressOf(data)), 0)
  sendVector.writeBigUInt64LE(BigInt(data.length), 8)
  sendMessage.fill(0)
  sendMessage.writeBigUInt64LE(BigInt(addressOf(sendVector)), 16)
  sendMessage.writeBigUInt64LE(1n, 24)
  if (fds.length > 0) {
    const controlLength = CONTROL_HEADER + fds.length * 4
    const control = Buffer.alloc((controlLength + 7) & ~7)
    held.control = control
    control.writeBigUInt64LE(BigInt(controlLength), 0)
    control.writeInt32LE(SOL_SOCKET, 8)
    control.writeInt32LE(SCM_RIGHTS, 12)
    for (const [i, passed] of fds.entries()) control.writeInt32LE(passed, CONTROL_HEADER + 4 * i)
    sendMessage.writeBigUInt64LE(BigInt(addressOf(control)), 32)
    sendMessage.writeBigUInt64LE(BigInt(control.length), 40)
  }
  const sent = sys.sendmsg(fd, sendMessage, MSG_DONTWAIT | MSG_NOSIGNAL)
  held.data = null
  held.control = null
  if (sent >= 0) return sent
  const errno = lastErrno()
  if (errno === EAGAIN || errno === EINTR) return -1
  throw new SystemCallError('sendmsg', errno, `fd ${fd}`, sys.strerror(errno))
}
