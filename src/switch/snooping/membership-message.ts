// What a guest or router says about groups: IGMP (RFC 1112, 2236, 3376), MLD (RFC 2710, 3810) and PIM hello (RFC 7761), read from a private
// copy of its frame. Lengths and checksums are checked before anything of it is believed; a Router Alert option is not asked for, a hop
// limit of 1 is.
//
// The rule it must not break: nothing is read behind the end of the IP packet, and nothing is allocated per message.

/** What a message is. `other`: none of these, or a type that is not known, which is no concern of snooping. */
export const MessageKind = { other: 0, invalid: 1, query: 2, report: 3, hello: 4 } as const

/** What a record of a report says of its group. `block`: sources are wanted no more; whether the group is, only a query tells. */
export const RecordAction = { end: -1, none: 0, join: 1, leave: 2, block: 3 } as const

const IGMP = 2
const ICMPV6 = 58
const PIM = 103
const HOP_BY_HOP = 0
const DESTINATION_OPTIONS = 60
const EXTENSIONS_MAX = 8
const IPV4_HEADER = 20
const IPV6_HEADER = 40

const IGMP_QUERY = 0x11
const IGMP_REPORT_1 = 0x12
const IGMP_REPORT_2 = 0x16
const IGMP_LEAVE = 0x17
const IGMP_REPORT_3 = 0x22
const MLD_QUERY = 130
const MLD_REPORT_1 = 131
const MLD_DONE = 132
const MLD_REPORT_2 = 143
const PIM_HELLO = 0x20
const PIM_HOLD_TIME = 1
/** Seconds that a router counts as there which does not say how long (RFC 7761 4.11). */
const HOLD_SECONDS_DEFAULT = 105

/** True for the types of ICMPv6 that are MLD. */
export const isMldType = (type: number): boolean => (type >= MLD_QUERY && type <= MLD_DONE) || type === MLD_REPORT_2

/** An 8-bit code: the value itself, or a mantissa and exponent (RFC 3376 4.1.1). */
const code8 = (code: number): number => (code < 128 ? code : ((code & 15) | 16) << (((code >> 4) & 7) + 3))
/** The same of 16 bits (RFC 3810 5.1.3). */
const code16 = (code: number): number => (code < 0x8000 ? code : ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3))

/** Fields are ordinary ones, and those of the message that was read last. */
export class MembershipMessage {
  isIpv4 = false
  /** Source address: IPv4 in the first word, IPv6 in four; unsigned. */
  source0 = 0
  source1 = 0
  source2 = 0
  source3 = 0
  /** Group of a query (0: a general one) or of the record that `next` was at. */
  group0 = 0
  group1 = 0
  group2 = 0
  group3 = 0
  /** Of a query: how long members may take, in tenths of a second. */
  responseTenths = 0
  /** Of a query: seconds between general ones; 0: not said. */
  intervalSeconds = 0
  /** Of a query: it asks for sources of the group, or says that timers stay as they are. */
  keepsTimers = false
  /** Of a hello: seconds. */
  holdSeconds = 0
  private bytes: Uint8Array = new Uint8Array(0)
  private at = 0
  private end = 0
  private records = 0
  private action = 0

  /** Reads the IP packet at `l3` of a frame of `length` bytes. Returns its MessageKind. */
  read(bytes: Uint8Array, length: number, l3: number, isIpv4: boolean): number {
    this.bytes = bytes
    this.isIpv4 = isIpv4
    this.records = 0
    this.action = RecordAction.end
    return isIpv4 ? this.readIpv4(length, l3) : this.readIpv6(length, l3)
  }

  /** Goes to the next record. Returns its RecordAction, `end` behind the last one. */
  next(): number {
    const { action } = this
    if (action !== RecordAction.end) {
      this.action = RecordAction.end
      return action
    }
    if (this.records === 0) return RecordAction.end
    this.records--
    const { bytes, at } = this
    const width = this.isIpv4 ? 4 : 16
    const sources = this.u16(at + 2)
    this.group(at + 4)
    this.at = at + 4 + width * (sources + 1) + bytes[at + 1]! * 4
    return recordAction(bytes[at]!, sources)
  }

  private readIpv4(length: number, l3: number): number {
    const { bytes } = this
    const { invalid } = MessageKind
    if (l3 + IPV4_HEADER > length || bytes[l3]! >> 4 !== 4) return invalid
    const header = (bytes[l3]! & 15) * 4
    const end = l3 + this.u16(l3 + 2)
    const isFragment = (this.u16(l3 + 6) & 0x3fff) !== 0
    if (header < IPV4_HEADER || l3 + header > end || end > length || isFragment || bytes[l3 + 8] !== 1) return invalid
    if (this.sum(l3, l3 + header, 0) !== 0xffff) return invalid
    this.source0 = this.u32(l3 + 12)
    this.source1 = this.source2 = this.source3 = 0
    const at = l3 + header
    this.at = at
    this.end = end
    if (this.sum(at, end, 0) !== 0xffff) return invalid
    if (bytes[l3 + 9] === PIM) return this.hello(at, end)
    return bytes[l3 + 9] === IGMP ? this.igmp(at, end) : MessageKind.other
  }

  private igmp(at: number, end: number): number {
    const { bytes } = this
    const { invalid } = MessageKind
    const bytesOf = end - at
    if (bytesOf < 8) return invalid
    switch (bytes[at]) {
      case IGMP_QUERY: {
        this.group(at + 4)
        if (bytesOf !== 8 && bytesOf < 12) return invalid // RFC 3376 7.1
        const isLong = bytesOf >= 12
        const code = bytes[at + 1]!
        this.responseTenths = code === 0 ? 100 : isLong ? code8(code) : code // a query of version 1 has no code
        return this.query(isLong ? at + 8 : -1, 4)
      }
      case IGMP_REPORT_1:
      case IGMP_REPORT_2:
        return this.single(at + 4, RecordAction.join)
      case IGMP_LEAVE:
        return this.single(at + 4, RecordAction.leave)
      case IGMP_REPORT_3:
        return this.several(at)
      default:
        return MessageKind.other
    }
  }

  private readIpv6(length: number, l3: number): number {
    const { bytes } = this
    const { invalid } = MessageKind
    if (l3 + IPV6_HEADER > length || bytes[l3]! >> 4 !== 6) return invalid
    const end = l3 + IPV6_HEADER + this.u16(l3 + 4)
    if (end > length || bytes[l3 + 7] !== 1) return invalid
    let next = bytes[l3 + 6]!
    let at = l3 + IPV6_HEADER
    for (let k = 0; next === HOP_BY_HOP || next === DESTINATION_OPTIONS; k++) {
      if (k === EXTENSIONS_MAX || at + 8 > end) return invalid
      next = bytes[at]!
      at += (bytes[at + 1]! + 1) * 8
    }
    if (at > end || (next !== ICMPV6 && next !== PIM)) return invalid
    this.source0 = this.u32(l3 + 8)
    this.source1 = this.u32(l3 + 12)
    this.source2 = this.u32(l3 + 16)
    this.source3 = this.u32(l3 + 20)
    this.at = at
    this.end = end
    if (this.sum(at, end, this.sum(l3 + 8, l3 + 40, end - at + next)) !== 0xffff) return invalid
    return next === PIM ? this.hello(at, end) : this.mld(at, end)
  }

  private mld(at: number, end: number): number {
    const { bytes } = this
    const { invalid } = MessageKind
    const bytesOf = end - at
    if (bytesOf < 8) return invalid
    const isLinkLocal = (this.source0 & 0xffc00000) >>> 0 === 0xfe800000
    const isNobody = (this.source0 | this.source1 | this.source2 | this.source3) === 0
    // Of nobody are reports of a host that has no address yet (RFC 3590), not queries (RFC 3810 5.1.14).
    if (!isLinkLocal && (!isNobody || bytes[at] === MLD_QUERY)) return invalid
    switch (bytes[at]) {
      case MLD_QUERY: {
        if (bytesOf !== 24 && bytesOf < 28) return invalid
        this.group(at + 8)
        const isLong = bytesOf >= 28
        const code = this.u16(at + 4)
        this.responseTenths = Math.ceil((isLong ? code16(code) : code) / 100)
        return this.query(isLong ? at + 24 : -1, 16)
      }
      case MLD_REPORT_1:
      case MLD_DONE:
        if (bytesOf < 24) return invalid
        return this.single(at + 8, bytes[at] === MLD_DONE ? RecordAction.leave : RecordAction.join)
      case MLD_REPORT_2:
        return this.several(at)
      default:
        return MessageKind.other
    }
  }

  // `more`: where a query of the last version goes on, behind its group; -1: it is of an older one.
  private query(more: number, width: number): number {
    if (!this.isGroup() && (this.group0 | this.group1 | this.group2 | this.group3) !== 0) return MessageKind.invalid
    this.intervalSeconds = 0
    this.keepsTimers = false
    if (more < 0) return MessageKind.query
    const { bytes } = this
    const sources = this.u16(more + 2)
    if (more + 4 + sources * width > this.end) return MessageKind.invalid
    this.keepsTimers = (bytes[more]! & 8) !== 0 || sources !== 0
    this.intervalSeconds = code8(bytes[more + 1]!)
    return MessageKind.query
  }

  private single(group: number, action: number): number {
    this.group(group)
    if (!this.isGroup()) return MessageKind.invalid
    this.action = action
    return MessageKind.report
  }

  // All records are walked before the first is believed.
  private several(at: number): number {
    const { bytes, end } = this
    const width = this.isIpv4 ? 4 : 16
    const records = this.u16(at + 6)
    let record = at + 8
    for (let k = 0; k < records; k++) {
      if (record + 4 + width > end) return MessageKind.invalid
      this.group(record + 4)
      if (!this.isGroup()) return MessageKind.invalid
      record += 4 + width * (this.u16(record + 2) + 1) + bytes[record + 1]! * 4
      if (record > end) return MessageKind.invalid
    }
    this.at = at + 8
    this.records = records
    return MessageKind.report
  }

  private hello(at: number, end: number): number {
    const { bytes } = this
    if (at + 4 > end) return MessageKind.invalid
    if (bytes[at] !== PIM_HELLO) return MessageKind.other
    this.holdSeconds = HOLD_SECONDS_DEFAULT
    for (let option = at + 4; option + 4 <= end; option += 4 + this.u16(option + 2)) {
      if (option + 4 + this.u16(option + 2) > end) return MessageKind.invalid
      if (this.u16(option) === PIM_HOLD_TIME && this.u16(option + 2) === 2) this.holdSeconds = this.u16(option + 4)
    }
    return MessageKind.hello
  }

  private isGroup(): boolean {
    return this.isIpv4 ? this.group0 >>> 28 === 0xe : this.group0 >>> 24 === 0xff
  }

  private group(at: number): void {
    this.group0 = this.u32(at)
    const isIpv6 = !this.isIpv4
    this.group1 = isIpv6 ? this.u32(at + 4) : 0
    this.group2 = isIpv6 ? this.u32(at + 8) : 0
    this.group3 = isIpv6 ? this.u32(at + 12) : 0
  }

  private u16(at: number): number {
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  private u32(at: number): number {
    return ((this.u16(at) << 16) | this.u16(at + 2)) >>> 0
  }

  // The ones' complement sum of bytes from…end-1 and `sum`, folded to 16 bits.
  private sum(from: number, end: number, sum: number): number {
    const { bytes } = this
    let total = sum
    for (let at = from; at + 1 < end; at += 2) total += this.u16(at)
    if (((end - from) & 1) !== 0) total += bytes[end - 1]! << 8
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
    return total
  }
}

// MODE_IS_INCLUDE, MODE_IS_EXCLUDE, CHANGE_TO_INCLUDE_MODE, CHANGE_TO_EXCLUDE_MODE, ALLOW_NEW_SOURCES, BLOCK_OLD_SOURCES. A join of certain sources
// is kept as one of the group.
function recordAction(type: number, sources: number): number {
  switch (type) {
    case 1:
    case 5:
      return sources === 0 ? RecordAction.none : RecordAction.join
    case 2:
    case 4:
      return RecordAction.join
    case 3:
      return sources === 0 ? RecordAction.leave : RecordAction.join
    case 6:
      return sources === 0 ? RecordAction.none : RecordAction.block
    default:
      return RecordAction.none // RFC 3376 4.2.12
  }
}
