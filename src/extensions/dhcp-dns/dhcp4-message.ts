// DHCP messages on the wire (RFC 2131, RFC 2132, RFC 3396): what a client said, and an answer from what it is to hold.
//
// The rule it must not break: a message comes from a stranger: what is not whole is not read; an answer is no longer than its client takes.

const OPTIONS_AT = 240
const COOKIE_AT = 236
const COOKIE = 0x63825363
const SERVER_NAME_AT = 44
const FILE_AT = 108
const FILE_BYTES = 128
const MESSAGE_BYTES_MIN = 300
/** Bytes of a message that every client takes (RFC 2131), and that fit a frame, without the headers of IP and UDP. */
const TAKEN_BYTES_MIN = 548
const TAKEN_BYTES_MAX = 1472
const IP_UDP_BYTES = 28
const VALUE_BYTES_MAX = 255
const CLIENT_ID_BYTES_MAX = 255

export const DhcpType = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const

export const DhcpOption = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  domain: 15,
  mtu: 26,
  broadcast: 28,
  ntp: 42,
  requested: 50,
  leaseTime: 51,
  overload: 52,
  type: 53,
  server: 54,
  message: 56,
  messageBytes: 57,
  renewal: 58,
  rebinding: 59,
  vendorClass: 60,
  clientId: 61,
  serverName: 66,
  file: 67,
  userClass: 77,
  rapidCommit: 80,
  fullName: 81,
  architecture: 93,
  search: 119,
  classlessRoutes: 121,
  end: 255,
} as const

/** A message of a client, read. */
export interface DhcpRequest {
  readonly type: number
  readonly transaction: number
  /** Flags as they came: the highest bit asks for broadcasts. */
  readonly flags: number
  readonly client: Uint8Array
  readonly clientAddress: number
  readonly requested: number | undefined
  readonly server: number | undefined
  readonly hostName: string
  /** What it calls itself towards servers, to be told it again (RFC 6842); undefined: nothing. */
  readonly clientId: Uint8Array | undefined
  /** It takes an ACK for its DISCOVER (RFC 4039). */
  readonly isRapid: boolean
  /** Bytes of a message that it takes. */
  readonly room: number
  readonly architecture: number | undefined
  readonly userClass: string
}

// Options of a field, added to those before: what comes in pieces is joined (RFC 3396). False if one does not end where it should.
function collect(options: Map<number, number[]>, bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to && bytes[at] !== DhcpOption.end; ) {
    const code = bytes[at]!
    if (code === DhcpOption.pad) {
      at++
      continue
    }
    const length = bytes[at + 1] ?? 0
    if (at + 2 + length > to) return false
    const value = Array.from(bytes.subarray(at + 2, at + 2 + length))
    options.set(code, [...(options.get(code) ?? []), ...value])
    at += 2 + length
  }
  return true
}

const textOf = (bytes: readonly number[] | undefined): string => String.fromCharCode(...(bytes ?? []).slice(0, VALUE_BYTES_MAX))

// RFC 4702: flags and two bytes that are not used any more, then the name, as text or as a DNS name has it.
function fullName(value: readonly number[] | undefined): string {
  if (value === undefined || value.length < 4) return ''
  const isEncoded = (value[0]! & 4) !== 0
  return textOf(isEncoded ? value.slice(4, 4 + value[3]!) : value.slice(3))
}

/** Reads the message `bytes[from…to-1]`; undefined if it is none of a client on this link. */
export function readDhcp(bytes: Uint8Array, from: number, to: number): DhcpRequest | undefined {
  if (to - from < OPTIONS_AT + 3 || to > bytes.length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + from, to - from)
  // Requests, over Ethernet, with the cookie; none that a relay has passed on.
  if (view.getUint8(0) !== 1 || view.getUint8(1) !== 1 || view.getUint8(2) !== 6) return undefined
  if (view.getUint32(COOKIE_AT) !== COOKIE || view.getUint32(24) !== 0) return undefined
  const options = new Map<number, number[]>()
  if (!collect(options, bytes, from + OPTIONS_AT, to)) return undefined
  const overload = options.get(DhcpOption.overload)?.[0] ?? 0
  if ((overload & 1) !== 0 && !collect(options, bytes, from + FILE_AT, from + FILE_AT + FILE_BYTES)) return undefined
  if ((overload & 2) !== 0 && !collect(options, bytes, from + SERVER_NAME_AT, from + FILE_AT)) return undefined
  const number = (code: number, length: number): number | undefined => {
    const value = options.get(code)
    return value?.length === length ? value.reduce((sum, octet) => sum * 256 + octet, 0) : undefined
  }
  const type = number(DhcpOption.type, 1)
  if (type === undefined) return undefined
  const clientId = options.get(DhcpOption.clientId)
  const taken = (number(DhcpOption.messageBytes, 2) ?? 0) - IP_UDP_BYTES
  return {
    type,
    transaction: view.getUint32(4),
    flags: view.getUint16(10),
    client: bytes.slice(from + 28, from + 34),
    clientAddress: view.getUint32(12),
    requested: number(DhcpOption.requested, 4),
    server: number(DhcpOption.server, 4),
    hostName: textOf(options.get(DhcpOption.hostName)) || fullName(options.get(DhcpOption.fullName)),
    clientId: clientId && clientId.length <= CLIENT_ID_BYTES_MAX ? Uint8Array.from(clientId) : undefined,
    isRapid: options.has(DhcpOption.rapidCommit),
    room: Math.min(Math.max(taken, TAKEN_BYTES_MIN), TAKEN_BYTES_MAX),
    architecture: number(DhcpOption.architecture, 2),
    userClass: textOf(options.get(DhcpOption.userClass)),
  }
}

/** What an answer holds besides its options. */
export interface DhcpAnswer {
  readonly type: number
  readonly own: number
  readonly address: number
  /** Where the file to boot is; 0: none is told of. */
  readonly nextServer: number
  readonly file: string
  readonly options: readonly (readonly [code: number, value: ArrayLike<number>])[]
}

/** The answer on the wire. Options that its client has no room for are left out, the last ones first. */
export function writeDhcp(request: DhcpRequest, { type, own, address, nextServer, file, options }: DhcpAnswer): Uint8Array {
  const written: number[] = [DhcpOption.type, 1, type]
  const room = request.room - OPTIONS_AT - 1
  for (const [code, value] of options) {
    if (value.length > VALUE_BYTES_MAX || written.length + 2 + value.length > room) continue
    written.push(code, value.length, ...Array.from(value))
  }
  written.push(DhcpOption.end)
  const message = new Uint8Array(Math.max(MESSAGE_BYTES_MIN, OPTIONS_AT + written.length))
  const view = new DataView(message.buffer)
  message.set([2, 1, 6])
  view.setUint32(4, request.transaction)
  view.setUint16(10, request.flags)
  if (type === DhcpType.ack) view.setUint32(12, request.clientAddress)
  view.setUint32(16, address)
  view.setUint32(20, nextServer === 0 ? own : nextServer)
  message.set(request.client, 28)
  if (file.length < FILE_BYTES)
    message.set(
      Array.from(file, (letter) => letter.charCodeAt(0)),
      FILE_AT,
    )
  view.setUint32(COOKIE_AT, COOKIE)
  message.set(written, OPTIONS_AT)
  return message
}

/** The type of an answer of one's own: it stands first among the options. */
export const dhcpTypeOf = (answer: Uint8Array): number => answer[OPTIONS_AT + 2]!
