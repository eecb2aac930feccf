// The kernel's news about network interfaces (rtnetlink): link up and down, MTU, new name, removal.
//
// The rule it must not break: news may be lost when many come at once, so whoever follows an interface is then told its present state
// anew; nothing here trusts a length that it has not checked.
import { SystemCallError } from './errors.ts'
import { check, closeFd, EAGAIN, EINTR, type Watcher, watchFd } from './files.ts'
import { lastErrno, sys } from './libc.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const NETLINK_ROUTE = 0
const RTMGRP_LINK = 1
const RTM_NEWLINK = 16
const RTM_DELLINK = 17
const RTM_GETLINK = 18
const NLMSG_ERROR = 2
const NLM_F_REQUEST = 1
const MESSAGE_HEADER = 16
const LINK_HEADER = 16
const ATTRIBUTE_HEADER = 4
const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const ATTRIBUTE_TYPE = 0x3fff
const IFF_UP = 1
const IFF_RUNNING = 0x40
const ENODEV = 19
const ENOBUFS = 105
const ADDRESS_BYTES = 12
const RECEIVE_BYTES = 64 * 1024

/** What the kernel says of one interface. */
export interface LinkFacts {
  readonly index: number
  readonly name: string
  /** Set up by its administrator. */
  readonly up: boolean
  /** Up and with a carrier. */
  readonly running: boolean
  /** Bytes. */
  readonly mtu: number
  /** Hardware address, six pairs of digits; '' where it has none. */
  readonly address: string
}

/** One piece of news. */
export type LinkNews = ({ readonly gone: false } & LinkFacts) | { readonly gone: true; readonly index: number }

const align4 = (length: number): number => (length + 3) & ~3

/** Reads the messages of one netlink datagram. Whatever is not about links, or is cut off, is left out. */
export function parseLinkNews(bytes: Buffer, asked: number): LinkNews[] {
  const news: LinkNews[] = []
  for (let at = 0; at + MESSAGE_HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(at)
    if (length < MESSAGE_HEADER || at + length > bytes.length) break
    const type = bytes.readUInt16LE(at + 4)
    const body = bytes.subarray(at + MESSAGE_HEADER, at + length)
    if (type === NLMSG_ERROR && body.length >= 4 && body.readInt32LE(0) === -ENODEV) news.push({ gone: true, index: asked })
    else if ((type === RTM_NEWLINK || type === RTM_DELLINK) && body.length >= LINK_HEADER) {
      // A bridge tells of a port's leaving with the same message, but of another family.
      if (body[0] === 0) news.push(type === RTM_DELLINK ? { gone: true, index: body.readInt32LE(4) } : linkOf(body))
    }
    at += align4(length)
  }
  return news
}

function linkOf(body: Buffer): LinkNews {
  const flags = body.readUInt32LE(8)
  let name = ''
  let mtu = 0
  let address = ''
  for (let at = LINK_HEADER; at + ATTRIBUTE_HEADER <= body.length; ) {
    const length = body.readUInt16LE(at)
    if (length < ATTRIBUTE_HEADER || at + length > body.length) break
    const type = body.readUInt16LE(at + 2) & ATTRIBUTE_TYPE
    const value = body.subarray(at + ATTRIBUTE_HEADER, at + length)
    if (type === IFLA_IFNAME) name = value.toString('latin1').replace(/\0.*$/s, '')
    else if (type === IFLA_MTU && value.length >= 4) mtu = value.readUInt32LE(0)
    else if (type === IFLA_ADDRESS) address = [...value].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
    at += align4(length)
  }
  const up = (flags & IFF_UP) !== 0
  return { gone: false, index: body.readInt32LE(4), name, up, running: up && (flags & IFF_RUNNING) !== 0, mtu, address }
}

function openNetlink(groups: number): number {
  const fd = check('socket', sys.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE), 'AF_NETLINK')
  const address = Buffer.alloc(ADDRESS_BYTES)
  address.writeUInt16LE(AF_NETLINK, 0)
  address.writeUInt32LE(groups, 8)
  if (sys.bind(fd, address, ADDRESS_BYTES) < 0) {
    const errno = lastErrno()
    closeFd(fd)
    throw new SystemCallError('bind', errno, 'AF_NETLINK', sys.strerror(errno))
  }
  return fd
}

function ask(fd: number, index: number): void {
  const request = Buffer.alloc(MESSAGE_HEADER + LINK_HEADER)
  request.writeUInt32LE(request.length, 0)
  request.writeUInt16LE(RTM_GETLINK, 4)
  request.writeUInt16LE(NLM_F_REQUEST, 6)
  request.writeInt32LE(index, MESSAGE_HEADER + 4)
  check('write', sys.write(fd, request, request.length), 'RTM_GETLINK')
}

/** The present state of interface `index`; null if there is none. */
export function readLink(index: number): LinkFacts | null {
  const fd = openNetlink(0)
  try {
    ask(fd, index)
    const buffer = Buffer.alloc(RECEIVE_BYTES)
    const got = check('read', sys.read(fd, buffer, RECEIVE_BYTES), 'RTM_GETLINK') // answered before write returns
    const [link] = parseLinkNews(buffer.subarray(0, got), index)
    return link === undefined || link.gone ? null : link
  } finally {
    closeFd(fd)
  }
}

/** Sends one message to rtnetlink and returns its answer, which is there before the call returns. Throws what sending meets. */
export function exchangeNetlink(message: Buffer): Buffer {
  const fd = openNetlink(0)
  try {
    check('write', sys.write(fd, message, message.length), 'rtnetlink')
    const buffer = Buffer.alloc(RECEIVE_BYTES)
    return buffer.subarray(0, check('read', sys.read(fd, buffer, RECEIVE_BYTES), 'rtnetlink'))
  } finally {
    closeFd(fd)
  }
}

/** Follows the interfaces of this network namespace until it is closed. */
export class LinkMonitor {
  readonly #fd = openNetlink(RTMGRP_LINK)
  readonly #buffer = Buffer.alloc(RECEIVE_BYTES)
  readonly #watcher: Watcher
  readonly #onNews: (news: LinkNews) => void
  readonly #followed: () => number

  /** `followed` says which interface must be told anew when news was lost. `onNews` hears of all interfaces. */
  constructor(followed: () => number, onNews: (news: LinkNews) => void) {
    this.#followed = followed
    this.#onNews = onNews
    this.#watcher = watchFd(this.#fd, () => this.#read())
  }

  close(): void {
    this.#watcher.close()
    closeFd(this.#fd)
  }

  #read(): void {
    for (;;) {
      const got = sys.read(this.#fd, this.#buffer, RECEIVE_BYTES)
      if (got < 0) {
        const errno = lastErrno()
        if (errno === ENOBUFS) ask(this.#fd, this.#followed())
        else if (errno !== EINTR) {
          if (errno !== EAGAIN) this.close()
          return
        }
        continue
      }
      for (const news of parseLinkNews(this.#buffer.subarray(0, got), this.#followed())) this.#onNews(news)
    }
  }
}
