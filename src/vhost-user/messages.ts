// The vhost-user protocol as data: every request of a front-end, the size of its payload, the descriptors that come with it, how it
// is answered, and one check over that table. Source: QEMU's docs/interop/vhost-user.rst.
//
// The rule it must not break: what has passed `checkMessage` has the size and the descriptors its handler reads; no handler checks
// them again.
import type { RegionDescription } from '../linux/guest-regions.ts'

export const HEADER_BYTES = 12
const VERSION_MASK = 3
const VERSION = 1
export const FLAG_REPLY = 4
export const FLAG_NEED_REPLY = 8
/** Regions one SET_MEM_TABLE may carry: as many as descriptors fit in one message. */
export const TABLE_REGIONS_MAX = 32
export const REGION_DESCRIPTION_BYTES = 32
/** Payload a message that we don't know may have before its sender is taken for no vhost-user peer. */
const PAYLOAD_MAX = 4096
/** Bits of the payload of SET_VRING_KICK, CALL and ERR. */
const VRING_INDEX_MASK = 0xffn
const VRING_NO_FD = 0x100n

/** Protocol features: bit numbers. */
export const ProtocolFeature = {
  multiQueue: 0,
  logSharedMemory: 1,
  rarp: 2,
  replyAck: 3,
  mtu: 4,
  backEndRequests: 5,
  inflight: 12,
  resetDevice: 13,
  memorySlots: 15,
  status: 16,
} as const
export type ProtocolFeatureName = keyof typeof ProtocolFeature

/** Whether `mask` holds the protocol feature. */
export const hasProtocolFeature = (mask: bigint, name: ProtocolFeatureName): boolean =>
  ((mask >> BigInt(ProtocolFeature[name])) & 1n) === 1n
/** All protocol features a vmswitch port offers. */
export const OFFERED_PROTOCOL_FEATURES: bigint = Object.values(ProtocolFeature).reduce(
  (mask, bit) => mask | (1n << BigInt(bit)),
  0n,
)
/** Names of the protocol features in `mask`. */
export const protocolFeatureNames = (mask: bigint): ProtocolFeatureName[] =>
  (Object.keys(ProtocolFeature) as ProtocolFeatureName[]).filter((name) => hasProtocolFeature(mask, name))

/** How many descriptors come with a message. `vring`: one, or none if bit 8 of the payload says so; `regions`: one per region. */
type DescriptorRule = 'none' | 'one' | 'at-most-one' | 'vring' | 'regions'

export interface MessageRule {
  readonly name: string
  readonly minBytes: number
  readonly maxBytes: number
  readonly fds: DescriptorRule
  /** Answered with a payload of its own, so never with an acknowledgement. */
  readonly replies: boolean
  /** Allowed only once this protocol feature is negotiated. */
  readonly needs: ProtocolFeatureName | null
}

const rule = (
  name: string,
  bytes: number | readonly [number, number],
  options: { fds?: DescriptorRule; replies?: boolean; needs?: ProtocolFeatureName } = {},
): MessageRule => ({
  name,
  minBytes: typeof bytes === 'number' ? bytes : bytes[0],
  maxBytes: typeof bytes === 'number' ? bytes : bytes[1],
  fds: options.fds ?? 'none',
  replies: options.replies ?? false,
  needs: options.needs ?? null,
})

const TABLE_MAX = 8 + REGION_DESCRIPTION_BYTES * TABLE_REGIONS_MAX

/** Requests by number. Requests of other device kinds are absent: they are answered like unknown ones. */
export const messageRules = {
  1: rule('GET_FEATURES', 0, { replies: true }),
  2: rule('SET_FEATURES', 8),
  3: rule('SET_OWNER', 0),
  4: rule('RESET_OWNER', 0),
  5: rule('SET_MEM_TABLE', [8, TABLE_MAX], { fds: 'regions' }),
  6: rule('SET_LOG_BASE', 16, { fds: 'one', replies: true, needs: 'logSharedMemory' }),
  7: rule('SET_LOG_FD', [0, 8], { fds: 'one' }),
  8: rule('SET_VRING_NUM', 8),
  9: rule('SET_VRING_ADDR', 40),
  10: rule('SET_VRING_BASE', 8),
  11: rule('GET_VRING_BASE', 8, { replies: true }),
  12: rule('SET_VRING_KICK', 8, { fds: 'vring' }),
  13: rule('SET_VRING_CALL', 8, { fds: 'vring' }),
  14: rule('SET_VRING_ERR', 8, { fds: 'vring' }),
  15: rule('GET_PROTOCOL_FEATURES', 0, { replies: true }),
  16: rule('SET_PROTOCOL_FEATURES', 8),
  17: rule('GET_QUEUE_NUM', 0, { replies: true }),
  18: rule('SET_VRING_ENABLE', 8),
  19: rule('SEND_RARP', 8),
  20: rule('NET_SET_MTU', 8),
  21: rule('SET_BACKEND_REQ_FD', [0, 8], { fds: 'one' }),
  // The description is 20 bytes; C compilers pad it to 24, and so most front-ends send it.
  31: rule('GET_INFLIGHT_FD', [20, 24], { replies: true, needs: 'inflight' }),
  32: rule('SET_INFLIGHT_FD', [20, 24], { fds: 'one', needs: 'inflight' }),
  34: rule('RESET_DEVICE', 0, { needs: 'resetDevice' }),
  36: rule('GET_MAX_MEM_SLOTS', 0, { replies: true, needs: 'memorySlots' }),
  37: rule('ADD_MEM_REG', 40, { fds: 'one', needs: 'memorySlots' }),
  // "For compatibility with existing incorrect implementations" a descriptor may come along; it is closed unused.
  38: rule('REM_MEM_REG', 40, { fds: 'at-most-one', needs: 'memorySlots' }),
  39: rule('SET_STATUS', 8, { needs: 'status' }),
  40: rule('GET_STATUS', 0, { replies: true, needs: 'status' }),
} as const satisfies Record<number, MessageRule>
export type RequestId = keyof typeof messageRules

/** The rule of a request, or undefined for one that a network back-end doesn't know. */
export const ruleOf = (request: number): MessageRule | undefined =>
  (messageRules as Readonly<Record<number, MessageRule>>)[request]

/** The number of the request called `name`. */
export function requestNumber(name: string): number {
  for (const [number, { name: other }] of Object.entries(messageRules)) if (other === name) return Number(number)
  throw new RangeError(`vhost-user has no request ${name}`)
}

/** What is wrong with a message. `disconnect`: its sender can't be trusted to frame messages; `refuse`: it is answered with an error. */
export interface Violation {
  readonly severity: 'disconnect' | 'refuse'
  readonly text: string
}

export interface MessageHeader {
  readonly request: number
  readonly flags: number
  readonly bytes: number
}

/** Checks a header before its payload is read: version, direction, size. */
export function checkHeader({ request, flags, bytes }: MessageHeader): Violation | null {
  const known = ruleOf(request)
  const name = known?.name ?? `request ${request}`
  if ((flags & VERSION_MASK) !== VERSION)
    return { severity: 'disconnect', text: `${name} has protocol version ${flags & VERSION_MASK}, expected ${VERSION}` }
  if (flags & FLAG_REPLY) return { severity: 'disconnect', text: `${name} is marked as a reply, but nothing was asked` }
  const [least, most] = known ? [known.minBytes, known.maxBytes] : [0, PAYLOAD_MAX]
  if (bytes < least || bytes > most)
    return { severity: 'disconnect', text: `${name} has ${bytes} bytes of payload, expected ${range(least, most)}` }
  return null
}

/** Checks a whole message: header, payload, number of descriptors, negotiated protocol features. Null if its handler may have it. */
export function checkMessage(header: MessageHeader, payload: Buffer, fdCount: number, negotiated: bigint): Violation | null {
  const violation = checkHeader(header)
  if (violation) return violation
  const known = ruleOf(header.request)
  if (!known) return { severity: 'refuse', text: `request ${header.request} is unknown to a network back-end` }
  if (known.needs && !hasProtocolFeature(negotiated, known.needs))
    return {
      severity: known.replies ? 'disconnect' : 'refuse',
      text: `${known.name} needs the protocol feature ${known.needs}, which was not negotiated`,
    }
  const [least, most] = descriptorRange(known.fds, payload)
  if (fdCount < least || fdCount > most)
    return { severity: 'disconnect', text: `${known.name} came with ${fdCount} descriptors, expected ${range(least, most)}` }
  if (known.fds === 'regions') {
    const regions = payload.readUInt32LE(0)
    const needed = 8 + REGION_DESCRIPTION_BYTES * regions
    if (payload.length < needed)
      return {
        severity: 'disconnect',
        text: `${known.name} announces ${regions} regions in ${payload.length} bytes, expected ${needed}`,
      }
  }
  return null
}

function descriptorRange(fds: DescriptorRule, payload: Buffer): [number, number] {
  if (fds === 'none') return [0, 0]
  if (fds === 'at-most-one') return [0, 1]
  if (fds === 'one') return [1, 1]
  const expected = fds === 'regions' ? payload.readUInt32LE(0) : payload.readBigUInt64LE(0) & VRING_NO_FD ? 0 : 1
  return [expected, expected]
}

const range = (least: number, most: number): string => (least === most ? `${least}` : `${least} to ${most}`)

/** Decoders of checked payloads. */
export const decode = {
  u64: (payload: Buffer): bigint => payload.readBigUInt64LE(0),
  vringState: (payload: Buffer) => ({ index: payload.readUInt32LE(0), value: payload.readUInt32LE(4) }),
  vringFile: (payload: Buffer) => {
    const word = payload.readBigUInt64LE(0)
    return { index: Number(word & VRING_INDEX_MASK), polled: (word & VRING_NO_FD) !== 0n }
  },
  vringAddresses: (payload: Buffer) => ({
    index: payload.readUInt32LE(0),
    logged: (payload.readUInt32LE(4) & 1) !== 0,
    descriptors: payload.readBigUInt64LE(8),
    device: payload.readBigUInt64LE(16),
    driver: payload.readBigUInt64LE(24),
    log: payload.readBigUInt64LE(32),
  }),
  region: (payload: Buffer, at: number): RegionDescription => ({
    guestAddress: payload.readBigUInt64LE(at),
    size: payload.readBigUInt64LE(at + 8),
    userAddress: payload.readBigUInt64LE(at + 16),
    fileOffset: payload.readBigUInt64LE(at + 24),
  }),
  log: (payload: Buffer) => ({ bytes: payload.readBigUInt64LE(0), offset: payload.readBigUInt64LE(8) }),
  inflight: (payload: Buffer) => ({
    bytes: payload.readBigUInt64LE(0),
    offset: payload.readBigUInt64LE(8),
    queues: payload.readUInt16LE(16),
    queueSize: payload.readUInt16LE(18),
  }),
}
export type VringAddresses = ReturnType<typeof decode.vringAddresses>

/** Encoders of replies. */
export const encode = {
  u64: (value: bigint): Buffer => {
    const payload = Buffer.alloc(8)
    payload.writeBigUInt64LE(value)
    return payload
  },
  vringState: (index: number, value: number): Buffer => {
    const payload = Buffer.alloc(8)
    payload.writeUInt32LE(index, 0)
    payload.writeUInt32LE(value >>> 0, 4)
    return payload
  },
  /** A whole message. */
  message: (request: number, flags: number, payload: Uint8Array): Buffer => {
    const message = Buffer.alloc(HEADER_BYTES + payload.length)
    message.writeUInt32LE(request, 0)
    message.writeUInt32LE(flags | VERSION, 4)
    message.writeUInt32LE(payload.length, 8)
    message.set(payload, HEADER_BYTES)
    return message
  },
}
