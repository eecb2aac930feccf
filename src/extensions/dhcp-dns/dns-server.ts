// Answers questions about the lab: A, AAAA and PTR of its VMs, and that it answers for the domain and for nothing else.
//
// The rule it must not break: one answer per question, no longer than who asks can take, and nothing about names that are not its own.
import {
  type DnsAnswer,
  DnsClass,
  DnsCode,
  type DnsMessage,
  type DnsReply,
  DnsType,
  dnsNameBytes,
  formatIpv4,
  formatIpv6,
  isInPrefix,
  parseIpv4,
  parseIpv6,
  readDnsMessage,
  writeDnsReply,
} from '../../extension.ts'
import type { LabNames } from './lab-names.ts'
import type { DhcpDnsOptions } from './options.ts'

/** What fits without EDNS (RFC 1035), and what is offered with it (no fragments anywhere). */
const PLAIN_BYTES = 512
const EDNS_BYTES = 1232
const NEGATIVE_TTL = 5

const bytesOf = (address: string): Uint8Array => {
  if (address.includes(':')) return parseIpv6(address)
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, parseIpv4(address))
  return bytes
}

/** The address that a name beneath in-addr.arpa or ip6.arpa stands for. */
export function reverseAddress(name: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name)
  if (v4) {
    const octets = v4.slice(1).reverse().map(Number)
    return octets.every((octet) => octet < 256)
      ? formatIpv4(new DataView(Uint8Array.from(octets).buffer).getUint32(0))
      : undefined
  }
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)
  if (!v6) return undefined
  const digits = v6[1]!.replaceAll('.', '').split('').reverse().join('')
  return formatIpv6(Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16)))
}

export class DnsServer {
  readonly #options: DhcpDnsOptions
  readonly #names: LabNames

  constructor(options: DhcpDnsOptions, names: LabNames) {
    this.#options = options
    this.#names = names
  }

  /** The answer to the message `bytes[from…to-1]`; undefined if it is no question. */
  answer(bytes: Uint8Array, from: number, to: number, nowMs: number): Uint8Array | undefined {
    const query = readDnsMessage(bytes, from, to)
    if (!query || query.isResponse) return undefined
    const room = Math.min(Math.max(query.extended?.payloadBytes ?? 0, PLAIN_BYTES), EDNS_BYTES)
    return writeDnsReply(bytes, from, query, this.#reply(query, nowMs), room, EDNS_BYTES)
  }

  #reply(query: DnsMessage, nowMs: number): DnsReply {
    const failed = (code: number): DnsReply => ({ code, isAuthoritative: false, answers: [] })
    if (query.operation !== 0) return failed(DnsCode.notImplemented)
    if ((query.extended?.version ?? 0) !== 0) return failed(DnsCode.badVersion)
    const { question } = query
    if (question.class !== DnsClass.internet && question.class !== DnsClass.any) return failed(DnsCode.refused)
    const { domain } = this.#options
    const { name, type } = question
    const reverse = reverseAddress(name)
    if (reverse !== undefined) return this.#reverse(reverse, type, nowMs) ?? failed(DnsCode.refused)
    if (name === domain) return this.#apex(type)
    const label = name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : name
    if (label === '' || (label === name && name.includes('.'))) return failed(DnsCode.refused)
    const addresses = this.#names.addresses(label, nowMs)
    if (!addresses) return this.#negative(DnsCode.nameError)
    const isWanted = (address: string): boolean =>
      type === DnsType.any || type === (address.includes(':') ? DnsType.aaaa : DnsType.a)
    const answers = addresses.filter(isWanted).map(
      (address): DnsAnswer => ({
        type: address.includes(':') ? DnsType.aaaa : DnsType.a,
        ttl: this.#options.dnsTtl,
        data: bytesOf(address),
      }),
    )
    return answers.length === 0 ? this.#negative(DnsCode.noError) : { code: DnsCode.noError, isAuthoritative: true, answers }
  }

  // Undefined for addresses of other networks.
  #reverse(address: string, type: number, nowMs: number): DnsReply | undefined {
    const { ipv4, ipv6, domain, dnsTtl } = this.#options
    const prefix = address.includes(':') ? ipv6?.prefix : ipv4?.prefix
    if (!prefix || !isInPrefix(prefix, bytesOf(address))) return undefined
    const name = this.#names.nameOf(address, nowMs)
    if (name === undefined) return this.#negative(DnsCode.nameError)
    if (type !== DnsType.ptr && type !== DnsType.any) return this.#negative(DnsCode.noError)
    const data = dnsNameBytes(`${name}.${domain}`)
    return { code: DnsCode.noError, isAuthoritative: true, answers: [{ type: DnsType.ptr, ttl: dnsTtl, data }] }
  }

  #apex(type: number): DnsReply {
    const { name, domain, dnsTtl } = this.#options
    const answers: DnsAnswer[] = []
    if (type === DnsType.soa || type === DnsType.any) answers.push(this.#soa())
    if (type === DnsType.ns || type === DnsType.any)
      answers.push({ type: DnsType.ns, ttl: dnsTtl, data: dnsNameBytes(`${name}.${domain}`) })
    return answers.length === 0 ? this.#negative(DnsCode.noError) : { code: DnsCode.noError, isAuthoritative: true, answers }
  }

  // RFC 2308: how long there being nothing holds.
  #negative(code: number): DnsReply {
    return { code, isAuthoritative: true, answers: [], authority: [this.#soa()] }
  }

  #soa(): DnsAnswer {
    const { name, domain } = this.#options
    const server = dnsNameBytes(`${name}.${domain}`)
    const mail = dnsNameBytes(`hostmaster.${domain}`)
    const data = new Uint8Array(server.length + mail.length + 20)
    data.set(server)
    data.set(mail, server.length)
    const view = new DataView(data.buffer, server.length + mail.length)
    for (const [k, seconds] of [1, 3600, 600, 86_400, NEGATIVE_TTL].entries()) view.setUint32(k * 4, seconds)
    return { name: domain, type: DnsType.soa, ttl: NEGATIVE_TTL, data }
  }
}
