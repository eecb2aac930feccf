// Answers questions about the lab: A, AAAA and PTR of its VMs, and that it answers for the domain and for nothing else.
//
// The rule it must not break: one answer per question, no longer than who asks can take, and nothing of its own about names that are not its own.
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
import type { LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions } from './options.ts'

/** What fits without EDNS (RFC 1035), and what is offered with it (no fragments anywhere). */
const PLAIN_BYTES = 512
const EDNS_BYTES = 1232
const NEGATIVE_TTL = 5

const failed = (code: number): DnsReply => ({ code, isAuthoritative: false, answers: [] })

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
  readonly #own: readonly string[]

  constructor(options: DhcpDnsOptions, { ipv4, ipv6 }: LabNetwork, names: LabNames) {
    this.#options = options
    this.#names = names
    this.#own = [...(ipv4 ? [formatIpv4(ipv4.address)] : []), ...(ipv6 ? [formatIpv6(ipv6.address)] : [])]
  }

  /** The question in the message `bytes[from…to-1]`; undefined if it is none. */
  read(bytes: Uint8Array, from: number, to: number): DnsMessage | undefined {
    const query = readDnsMessage(bytes, from, to)
    return query?.isResponse === false ? query : undefined
  }

  /** Whether a question is about names of others, which a resolver may know. */
  isOfOthers({ operation, question, extended }: DnsMessage): boolean {
    if (operation !== 0 || (extended?.version ?? 0) !== 0 || question.class !== DnsClass.internet) return false
    const { name } = question
    const { domain } = this.#options
    const reverse = reverseAddress(name)
    if (reverse !== undefined) return this.#zoneOf(reverse) === undefined
    return name.includes('.') && name !== domain && !name.endsWith(`.${domain}`)
  }

  /** The answer to a question, which was read from `bytes` at `from`. `failure`: a code to answer with in any case. */
  answer(bytes: Uint8Array, from: number, query: DnsMessage, nowMs: number, failure?: number): Uint8Array {
    const room = Math.min(Math.max(query.extended?.payloadBytes ?? 0, PLAIN_BYTES), EDNS_BYTES)
    return writeDnsReply(
      bytes,
      from,
      query,
      failure === undefined ? this.#reply(query, nowMs) : failed(failure),
      room,
      EDNS_BYTES,
    )
  }

  #reply(query: DnsMessage, nowMs: number): DnsReply {
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
    const addresses = label === this.#options.name ? this.#own : this.#names.addresses(label, nowMs)
    if (!addresses) return this.#negative(this.#names.isAbove(label) ? DnsCode.noError : DnsCode.nameError)
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
    const { domain, dnsTtl } = this.#options
    const zone = this.#zoneOf(address)
    if (zone === undefined) return undefined
    const name = this.#names.nameOf(address, nowMs)
    if (name === undefined) return this.#negative(DnsCode.nameError, zone)
    if (type !== DnsType.ptr && type !== DnsType.any) return this.#negative(DnsCode.noError, zone)
    const data = dnsNameBytes(`${name}.${domain}`)
    return { code: DnsCode.noError, isAuthoritative: true, answers: [{ type: DnsType.ptr, ttl: dnsTtl, data }] }
  }

  // The zone of an address backwards, as far as whole octets or digits go; undefined for addresses of other networks.
  #zoneOf(address: string): string | undefined {
    const isIpv6 = address.includes(':')
    for (const { ipv4, ipv6 } of this.#options.networks) {
      const prefix = isIpv6 ? ipv6?.prefix : ipv4?.prefix
      if (!prefix || !isInPrefix(prefix, bytesOf(address))) continue
      const { bytes, length } = prefix
      if (!isIpv6)
        return `${Array.from(bytes.slice(0, length >> 3))
          .reverse()
          .join('.')}.in-addr.arpa`.replace(/^\./, '')
      const digits = Array.from(bytes, (octet) => octet.toString(16).padStart(2, '0'))
        .join('')
        .slice(0, length >> 2)
      return `${digits.split('').reverse().join('.')}.ip6.arpa`.replace(/^\./, '')
    }
    return undefined
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
  #negative(code: number, zone?: string): DnsReply {
    return { code, isAuthoritative: true, answers: [], authority: [this.#soa(zone)] }
  }

  #soa(zone = this.#options.domain): DnsAnswer {
    const { name, domain } = this.#options
    const server = dnsNameBytes(`${name}.${domain}`)
    const mail = dnsNameBytes(`hostmaster.${domain}`)
    const data = new Uint8Array(server.length + mail.length + 20)
    data.set(server)
    data.set(mail, server.length)
    const view = new DataView(data.buffer, server.length + mail.length)
    for (const [k, seconds] of [1, 3600, 600, 86_400, NEGATIVE_TTL].entries()) view.setUint32(k * 4, seconds)
    return { name: zone, type: DnsType.soa, ttl: NEGATIVE_TTL, data }
  }
}
