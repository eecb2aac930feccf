// The vfio-user protocol as data: every command of a client, the size of its payload, the descriptors that come with it, and one check
// over that table. Source: QEMU's docs/interop/vfio-user.rst, version 0.0.
//
// The rule it must not break: what has passed `checkMessage` has the size and the descriptors its handler reads; no handler checks
// them again.

export const HEADER_BYTES = 16
/** Bytes of region data that one message carries at the most; clients are told. */
export const TRANSFER_MAX = 65536
/** Descriptors that one message may carry; clients are told. */
export const MESSAGE_FDS_MAX = 16
/** Bytes of the longest message: a region write. */
export const MESSAGE_MAX = HEADER_BYTES + 16 + TRANSFER_MAX
const VERSION_TEXT_MAX = 4096

export const FLAG_TYPE = 0xf
export const FLAG_TYPE_REPLY = 1
export const FLAG_NO_REPLY = 0x10
export const FLAG_ERROR = 0x20

export const Command = {
  version: 1,
  dmaMap: 2,
  dmaUnmap: 3,
  deviceInfo: 4,
  regionInfo: 5,
  irqInfo: 7,
  setIrqs: 8,
  regionRead: 9,
  regionWrite: 10,
  reset: 13,
} as const
export type Command = (typeof Command)[keyof typeof Command]

export interface MessageRule {
  readonly name: string
  readonly minBytes: number
  readonly maxBytes: number
  readonly fdsMax: number
}

const rule = (name: string, minBytes: number, maxBytes = minBytes, fdsMax = 0): MessageRule => ({
  name,
  minBytes,
  maxBytes,
  fdsMax,
})

/** Every command that a device server knows, by number. */
export const messageRules: Readonly<Record<Command, MessageRule>> = {
  1: rule('VERSION', 4, 4 + VERSION_TEXT_MAX),
  2: rule('DMA_MAP', 32, 32, 1),
  3: rule('DMA_UNMAP', 24, 40),
  4: rule('DEVICE_GET_INFO', 16, 64),
  5: rule('DEVICE_GET_REGION_INFO', 32, 256),
  7: rule('DEVICE_GET_IRQ_INFO', 16, 64),
  8: rule('DEVICE_SET_IRQS', 20, 20 + 64, MESSAGE_FDS_MAX),
  9: rule('REGION_READ', 16),
  10: rule('REGION_WRITE', 16, 16 + TRANSFER_MAX),
  13: rule('DEVICE_RESET', 0, 16),
}

/** The rule of a command, or undefined for one that a device server doesn't know. */
export const ruleOf = (command: number): MessageRule | undefined =>
  (messageRules as Readonly<Record<number, MessageRule>>)[command]

/** What is wrong with a message. `disconnect`: its sender can't be trusted to frame messages; `refuse`: it is answered with `errno`. */
export interface Violation {
  readonly severity: 'disconnect' | 'refuse'
  readonly errno: number
  readonly text: string
}

/** Linux error numbers that replies carry. */
export const Errno = { exists: 17, invalid: 22, noSpace: 28, notSupported: 95 } as const

const disconnect = (text: string): Violation => ({ severity: 'disconnect', errno: Errno.invalid, text })
const refuse = (errno: number, text: string): Violation => ({ severity: 'refuse', errno, text })

/** Checks a header before the rest of the message has come: `bytes` is the size that it announces. */
export function checkHeader(command: number, bytes: number, flags: number): Violation | null {
  const known = ruleOf(command)
  const name = known?.name ?? `command ${command}`
  if ((flags & FLAG_TYPE) === FLAG_TYPE_REPLY) return disconnect(`${name} is marked as a reply, but nothing was asked`)
  if ((flags & FLAG_TYPE) !== 0) return disconnect(`${name} has message type ${flags & FLAG_TYPE}, expected 0`)
  if (bytes < HEADER_BYTES || bytes > MESSAGE_MAX)
    return disconnect(`${name} announces ${bytes} bytes, expected ${HEADER_BYTES} to ${MESSAGE_MAX}`)
  return null
}

/** Checks a whole message. Null if its handler may have it. */
export function checkMessage(command: number, payload: Buffer, fds: number, greeted: boolean): Violation | null {
  const known = ruleOf(command)
  if (!known) return refuse(Errno.notSupported, `command ${command} is unknown to a device server`)
  if (greeted === (command === Command.version))
    return disconnect(greeted ? 'VERSION was sent twice' : `${known.name} came before VERSION`)
  if (payload.length < known.minBytes || payload.length > known.maxBytes)
    return refuse(
      Errno.invalid,
      `${known.name} has ${payload.length} bytes of payload, expected ${known.minBytes} to ${known.maxBytes}`,
    )
  if (fds > known.fdsMax)
    return refuse(Errno.invalid, `${known.name} came with ${fds} descriptors, at most ${known.fdsMax} are expected`)
  if (command === Command.regionWrite && payload.readUInt32LE(12) !== payload.length - 16)
    return refuse(Errno.invalid, `REGION_WRITE announces ${payload.readUInt32LE(12)} bytes and carries ${payload.length - 16}`)
  if (command === Command.regionRead && payload.readUInt32LE(12) > TRANSFER_MAX)
    return refuse(Errno.invalid, `REGION_READ asks for ${payload.readUInt32LE(12)} bytes, at most ${TRANSFER_MAX} are possible`)
  return null
}

/** Decoders of checked payloads. */
export const decode = {
  dmaMap: (payload: Buffer) => ({
    flags: payload.readUInt32LE(4),
    fileOffset: payload.readBigUInt64LE(8),
    address: payload.readBigUInt64LE(16),
    size: payload.readBigUInt64LE(24),
  }),
  dmaUnmap: (payload: Buffer) => ({
    flags: payload.readUInt32LE(4),
    address: payload.readBigUInt64LE(8),
    size: payload.readBigUInt64LE(16),
  }),
  /** Index of a region or of a kind of interrupts. */
  infoIndex: (payload: Buffer): number => payload.readUInt32LE(8),
  setIrqs: (payload: Buffer) => ({
    flags: payload.readUInt32LE(4),
    index: payload.readUInt32LE(8),
    start: payload.readUInt32LE(12),
    count: payload.readUInt32LE(16),
  }),
  /** Region and offset of a read or write; an offset beyond 2^32 becomes one beyond every region. */
  access: (payload: Buffer) => ({
    offset: payload.readUInt32LE(4) !== 0 ? Number.MAX_SAFE_INTEGER : payload.readUInt32LE(0),
    region: payload.readUInt32LE(8),
    bytes: payload.readUInt32LE(12),
  }),
}

/** A reply's header and payload in one piece: a client takes no half of a header. */
export function encodeReply(id: number, command: number, payload: Uint8Array, errno: number): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + payload.length)
  message.writeUInt16LE(id, 0)
  message.writeUInt16LE(command, 2)
  message.writeUInt32LE(message.length, 4)
  message.writeUInt32LE(errno === 0 ? FLAG_TYPE_REPLY : FLAG_TYPE_REPLY | FLAG_ERROR, 8)
  message.writeUInt32LE(errno, 12)
  message.set(payload, HEADER_BYTES)
  return message
}
