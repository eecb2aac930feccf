// Just enough DHCP (RFC 2131) to answer a network boot ROM in a test.

export const DHCP_DISCOVER = 1
const DHCP_OFFER = 2
export const DHCP_REQUEST = 3

const ETHERNET = 14
const IPV4 = ETHERNET
const UDP = IPV4 + 20
const BOOTP = UDP + 8
const OPTIONS = BOOTP + 240
const COOKIE = 0x63825363
const SERVER_PORT = 67
const CLIENT_PORT = 68
const END = 255
const OPTION_TYPE = 53

/** The DHCP message type of a frame from a client, 0 if it is none. */
export function bootRequestType(frame: Buffer): number {
  if (frame.length < OPTIONS + 3 || frame.readUInt16BE(12) !== 0x0800 || frame[IPV4 + 9] !== 17) return 0
  if (frame.readUInt16BE(UDP + 2) !== SERVER_PORT || frame.readUInt32BE(OPTIONS - 4) !== COOKIE) return 0
  for (let at = OPTIONS; at + 2 < frame.length && frame[at] !== END; at += frame[at] === 0 ? 1 : 2 + frame[at + 1]!)
    if (frame[at] === OPTION_TYPE) return frame[at + 2]!
  return 0
}

/** An offer of 10.9.0.2 by 10.9.0.1 that answers the frame `request`. */
export function bootReply(request: Buffer): Buffer {
  const options = Buffer.from([
    ...[OPTION_TYPE, 1, DHCP_OFFER],
    ...[54, 4, 10, 9, 0, 1], // server
    ...[51, 4, 0, 0, 14, 16], // lease of an hour
    ...[1, 4, 255, 255, 255, 0],
    END,
  ])
  const frame = Buffer.alloc(OPTIONS + options.length)
  frame.fill(0xff, 0, 6)
  frame.set([2, 0, 0, 0, 0, 1], 6)
  frame.writeUInt16BE(0x0800, 12)
  frame.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 255, 255, 255, 255], IPV4)
  frame.writeUInt16BE(frame.length - ETHERNET, IPV4 + 2)
  let sum = 0
  for (let at = IPV4; at < UDP; at += 2) sum += frame.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  frame.writeUInt16BE(~sum & 0xffff, IPV4 + 10)
  frame.writeUInt16BE(SERVER_PORT, UDP)
  frame.writeUInt16BE(CLIENT_PORT, UDP + 2)
  frame.writeUInt16BE(frame.length - UDP, UDP + 4)
  request.copy(frame, BOOTP, BOOTP, OPTIONS)
  frame[BOOTP] = 2 // a reply
  frame.set([10, 9, 0, 2], BOOTP + 16)
  frame.set([10, 9, 0, 1], BOOTP + 20)
  options.copy(frame, OPTIONS)
  return frame
}
