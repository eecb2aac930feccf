// Builds IPFIX messages (RFC 7011) of templates, options and flows, and gives each that is full to a sink.
//
// The rules it must not break: no message is longer than it may be; the sequence number counts the data records before the message,
// whether the sink took them or not, so that a collector sees what it missed; nothing is allocated for a flow.
import type { Sink } from '../../extension.ts'
import { Flow, type FlowTable, Key, KindBit } from './flow-table.ts'
import {
  flowsIpv4,
  flowsIpv6,
  interfaces,
  RANDOM_N_OUT_OF_N,
  RECORD_BYTES_IPV4,
  RECORD_BYTES_IPV6,
  SetId,
  sampling,
  type Template,
} from './ipfix-templates.ts'
import { MessageWriter } from './message-writer.ts'

const VERSION = 10
const HEADER_BYTES = 16
const SET_HEADER_BYTES = 4
const ENTRY_BYTES = 128
const ADDRESSES_AT = Key.macs * 4
const NAME_BYTES_MAX = 254
const SELECTOR = 1
const PROTOCOL_ICMP = 1
const PROTOCOL_ICMP6 = 58
const { startMs: START, endMs: END, packets: PACKETS, octets: OCTETS, layer2Octets: LAYER2 } = Flow
const { droppedPackets: DROPPED_PACKETS, droppedOctets: DROPPED_OCTETS } = Flow

/** flowEndReason. */
export const EndReason = { idle: 1, active: 2, forced: 4, lackOfResources: 5 } as const

export interface IpfixWriterOptions {
  /** Bytes of the longest message. */
  readonly messageBytes: number
  readonly domain: number
  /** One of so many packets is metered. */
  readonly sampling: number
}

export interface IpfixWriterComponents {
  readonly sink: Sink
  /** Seconds since 1970. */
  readonly nowSeconds: () => number
}

/** An interface for the options records. */
export interface NamedInterface {
  readonly index: number
  readonly name: string
  readonly description: string
}

const encoder = new TextEncoder()
const isText = (octet: number | undefined): boolean => octet !== undefined && (octet & 0xc0) === 0x80

// As much of a text as the shorter form of a variable length takes, cut between characters.
function cut(text: string): Uint8Array {
  const bytes = encoder.encode(text)
  let end = Math.min(bytes.length, NAME_BYTES_MAX)
  while (end < bytes.length && isText(bytes[end])) end--
  return bytes.subarray(0, end)
}

/** Fields are ordinary ones: they are used per flow. */
export class IpfixWriter {
  private readonly options: IpfixWriterOptions
  private readonly sink: Sink
  private readonly nowSeconds: () => number
  private readonly out: MessageWriter
  private setAt = 0
  private setId = 0
  private records = 0
  /** Data records that were written before the message in work. */
  sequence = 0
  /** Messages that the sink took. */
  messages = 0
  /** Messages that it refused. */
  lost = 0

  constructor(options: IpfixWriterOptions, { sink, nowSeconds }: IpfixWriterComponents) {
    this.options = options
    this.sink = sink
    this.nowSeconds = nowSeconds
    this.out = new MessageWriter(options.messageBytes)
  }

  get domain(): number {
    return this.options.domain
  }

  // Opens set `id`, in a new message if `bytes` don't fit into the one in work.
  private place(id: number, bytes: number): void {
    const { out } = this
    if (out.at !== 0 && out.room < bytes + (id === this.setId ? 0 : SET_HEADER_BYTES)) this.flush()
    if (out.at === 0) out.at = HEADER_BYTES
    if (id === this.setId) return
    this.closeSet()
    this.setAt = out.at
    this.setId = id
    out.u16(id)
    out.u16(0)
  }

  private closeSet(): void {
    if (this.setId === 0) return
    this.out.u16At(this.setAt + 2, this.out.at - this.setAt)
    this.setId = 0
  }

  /** Sends the message in work, if there is one. */
  flush(): void {
    const { out } = this
    if (out.at === 0) return
    this.closeSet()
    out.u16At(0, VERSION)
    out.u16At(2, out.at)
    out.u32At(4, this.nowSeconds())
    out.u32At(8, this.sequence)
    out.u32At(12, this.options.domain)
    if (this.sink.write(out.bytes, out.at)) this.messages++
    else this.lost++
    this.sequence = (this.sequence + this.records) >>> 0
    this.records = 0
    out.at = 0
  }

  private template({ id, fields, scopes }: Template): void {
    const { out } = this
    const isOptions = scopes > 0
    this.place(isOptions ? SetId.optionsTemplate : SetId.template, (isOptions ? 6 : 4) + fields.length * 4)
    out.u16(id)
    out.u16(fields.length)
    if (isOptions) out.u16(scopes)
    for (const [element, bytes] of fields) {
      out.u16(element)
      out.u16(bytes)
    }
  }

  /** Writes all templates, how packets are chosen, and the names of interfaces: what a collector that has just come must know. */
  describe(named: readonly NamedInterface[]): void {
    for (const template of [flowsIpv4, flowsIpv6, sampling, interfaces]) this.template(template)
    const { out } = this
    const population = this.options.sampling
    this.place(sampling.id, 26)
    out.u64(SELECTOR)
    out.u16(RANDOM_N_OUT_OF_N)
    out.u32(1)
    out.u32(population)
    out.u32(1)
    out.u32(population - 1)
    this.records++
    for (const { index, name, description } of named) {
      const texts = [cut(name), cut(description)]
      this.place(interfaces.id, 4 + texts.reduce((sum, { length }) => sum + 1 + length, 0))
      out.u32(index)
      for (const text of texts) {
        out.u8(text.length)
        out.copy(text, 0, text.length)
      }
      this.records++
    }
  }

  /** Writes the record of a flow. `wallMs`: what is added to the times of the table to have those since 1970. */
  flow(table: FlowTable, entry: number, reason: number, wallMs: number): void {
    const { out } = this
    const ports = table.word(entry, Key.ports)
    const kind = table.word(entry, Key.kind)
    const transport = table.word(entry, Key.transport)
    const state = table.state(entry)
    const isIpv6 = (kind & KindBit.ipv6) !== 0
    const isEgress = (kind & KindBit.egress) !== 0
    const protocol = kind & 0xff
    const isIcmp = protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMP6
    if (isIpv6) this.place(flowsIpv6.id, RECORD_BYTES_IPV6)
    else this.place(flowsIpv4.id, RECORD_BYTES_IPV4)
    out.u64(Math.max(0, Math.floor(table.number(entry, START) + wallMs)))
    out.u64(Math.max(0, Math.floor(table.number(entry, END) + wallMs)))
    out.u64(table.number(entry, OCTETS))
    out.u64(table.number(entry, PACKETS))
    out.u64(table.number(entry, LAYER2))
    out.u64(table.number(entry, DROPPED_OCTETS))
    out.u64(table.number(entry, DROPPED_PACKETS))
    out.u32(isEgress ? ports & 0xffff : ports >>> 16)
    out.u32(isEgress ? ports >>> 16 : state >>> 16)
    const addresses = entry * ENTRY_BYTES + ADDRESSES_AT
    out.copy(table.bytes, addresses, 12)
    const vlan = (kind >> 8) & 0xfff
    out.u16(vlan)
    out.u16(vlan)
    out.u16(transport >>> 16)
    out.u16(transport & 0xffff)
    out.u8(protocol)
    out.u8(isIpv6 ? 6 : 4)
    out.u8(state & 0xff)
    out.u8(isEgress ? 1 : 0)
    out.u8(reason)
    out.u8((state >> 8) & 0xff)
    const bytes = isIpv6 ? 16 : 4
    out.copy(table.bytes, addresses + 12, bytes)
    out.copy(table.bytes, addresses + 28, bytes)
    out.u16(isIcmp ? transport & 0xffff : 0)
    this.records++
  }
}
