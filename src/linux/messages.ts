// The kernel's message structures (msghdr, mmsghdr) in linear memory, so that a data half can send and receive batches without a
// foreign object per call.
//
// The rule it must not break: addresses are native (memory.base plus a linear address) and stay mapped as long as the structure is
// used.

export const MMSGHDR_BYTES = 64
/** Bytes of a sockaddr_un. */
export const UNIX_ADDRESS_BYTES = 110
export const IOVECS_MAX = 1024 // UIO_MAXIOV: what one call takes
export const MSG_DONTWAIT = 0x40
export const MSG_NOSIGNAL = 0x4000
export const MSG_TRUNC = 0x20

const NAME = 0
const NAME_LENGTH = 8
const IOV = 16
const IOV_LENGTH = 24
const CONTROL = 32
const CONTROL_LENGTH = 40
const FLAGS = 48
const LENGTH = 56
const HIGH_WORD = 0x1_0000_0000

/** Writes a 64-bit pointer at linear address `at`. `address` is native, below 2^53. */
export function putPointer(u32: Uint32Array, at: number, address: number): void {
  u32[at >> 2] = address >>> 0
  u32[(at + 4) >> 2] = (address / HIGH_WORD) >>> 0
}

/** Writes an iovec at linear address `at`: `length` bytes at native address `address`. */
export function putIovec(u32: Uint32Array, at: number, address: number, length: number): void {
  putPointer(u32, at, address)
  u32[(at + 8) >> 2] = length
  u32[(at + 12) >> 2] = 0
}

/** Writes a msghdr at linear address `at`: `iovecs` at native address `vectors`, a name of `nameLength` bytes (0 = none) at `name`. */
export function putMessage(
  u32: Uint32Array,
  at: number,
  vectors: number,
  iovecs: number,
  name: number,
  nameLength: number,
): void {
  putPointer(u32, at + NAME, nameLength > 0 ? name : 0)
  u32[(at + NAME_LENGTH) >> 2] = nameLength
  u32[(at + NAME_LENGTH + 4) >> 2] = 0
  putPointer(u32, at + IOV, vectors)
  u32[(at + IOV_LENGTH) >> 2] = iovecs
  u32[(at + IOV_LENGTH + 4) >> 2] = 0
  putPointer(u32, at + CONTROL, 0)
  putPointer(u32, at + CONTROL_LENGTH, 0)
  u32[(at + FLAGS) >> 2] = 0
}

/** Bytes of the message that an mmsghdr at linear address `at` received or sent. */
export const messageBytes = (u32: Uint32Array, at: number): number => u32[(at + LENGTH) >> 2]!

/** Bytes of the name that a received message came with. */
export const messageNameLength = (u32: Uint32Array, at: number): number => u32[(at + NAME_LENGTH) >> 2]!

/** Whether a received message was longer than its iovecs. */
export const messageTruncated = (u32: Uint32Array, at: number): boolean => (u32[(at + FLAGS) >> 2]! & MSG_TRUNC) !== 0
