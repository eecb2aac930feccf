// The names of a VM's rules: watches its questions and the answers of resolvers, and keeps the addresses that answers gave, for as long as
// they say, within what a rule sets.
//
// The rule it must not break: an address counts only if it stands in the answer of a trusted resolver to a question that the VM asked, in a chain of
// names that begins with that question; and never a special-use one, unless the rule says so.
import {
  type Batch,
  type DnsMessage,
  DnsType,
  dnsTarget,
  formatIpv4,
  formatIpv6,
  isInPrefix,
  readDnsMessage,
} from '../../extension.ts'
import type { Flow } from './flow.ts'
import type { FirewallRule } from './options.ts'
import type { SharedTable, TableShape } from './shared-table.ts'
import { isSpecial } from './special-addresses.ts'

const UDP_HEADER = 8
/** Bytes of a message that are looked into; EDNS over Ethernet has no more. */
const MESSAGE_BYTES_MAX = 4096
const CHAIN_MAX = 16
/** Addresses that one answer may add. */
const ADDRESSES_MAX = 32
/** How long an answer is waited for. */
const ANSWER_MS = 10_000
const QUESTIONS = 128
const QUESTION_WORDS = 9
/** Rule, family, address. */
const PIN_WORDS = 6
const NO_ERROR = 0
/** Where a question went: not known, since one of the switch's own extensions took it; or to several ports. Else the port. */
const NOWHERE = 0
const SEVERAL = -1

export const questionShape = (lanes: number): TableShape => ({ lanes, entries: QUESTIONS, keyWords: QUESTION_WORDS })
export const pinShape = (lanes: number, pins: number): TableShape => ({ lanes, entries: pins, keyWords: PIN_WORDS })

/** Whether a name is one that the rule has: itself, or beneath a `*.` of it. */
export function namesMatch(domains: readonly string[], name: string): boolean {
  for (const domain of domains)
    if (domain.startsWith('*.') ? name.length > domain.length - 1 && name.endsWith(domain.slice(1)) : name === domain) return true
  return false
}

function hashText(text: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}

/** An address that an answer gave: what came of it is told. */
export interface SeenAddress {
  readonly rule: FirewallRule
  readonly name: string
  readonly address: string
  readonly ttl: number
  /** Why it is not open all the same; undefined: it is. */
  readonly refusal: string | undefined
}

/** An answer on its way to a VM. */
export interface ArrivingAnswer {
  readonly flow: Flow
  /** The VM's. */
  readonly lane: number
  readonly rules: readonly FirewallRule[]
  readonly nowMs: number
  /** Port that it came from, 0: the switch's own extensions. */
  readonly source: number
}

export type QuestionVerdict = 'listed' | 'unlisted' | 'unreadable'

export class Names {
  readonly #questions: SharedTable
  readonly #pins: SharedTable
  readonly #bytes = new Uint8Array(MESSAGE_BYTES_MAX)

  constructor(questions: SharedTable, pins: SharedTable) {
    this.#questions = questions
    this.#pins = pins
  }

  // The message of a UDP packet, from memory that no guest can change any more. Undefined if it is none.
  #message(batch: Batch, i: number): DnsMessage | undefined {
    const at = batch.transportOffset(i)
    if (at === 0 || batch.isFragment(i) || !batch.makeSafe(i)) return undefined
    const length = batch.u16(i, at + 4) - UDP_HEADER
    if (length <= 0 || length > MESSAGE_BYTES_MAX) return undefined
    if (batch.copyBytes(i, at + UDP_HEADER, length, this.#bytes, 0) !== length) return undefined
    return readDnsMessage(this.#bytes, 0, length)
  }

  #writeQuestion(message: DnsMessage, flow: Flow, ownPort: number): void {
    const { key } = this.#questions
    key.set(flow.remote, 0)
    key[4] = (flow.family << 16) | message.question.type
    key[5] = (ownPort << 16) | message.id
    key[6] = hashText(message.question.name, 0x811c9dc5)
    key[7] = hashText(message.question.name, 0x2545f491)
    key[8] = message.question.class
  }

  /** A question of the VM in `lane` to a resolver. Remembers it if a rule may have use for the answer. */
  asked(batch: Batch, i: number, flow: Flow, lane: number, rules: readonly FirewallRule[], nowMs: number): QuestionVerdict {
    const message = this.#message(batch, i)
    if (!message || message.isResponse || message.operation !== 0) return 'unreadable'
    const { name, type } = message.question
    const rule = rules.find(({ domains }) => domains !== undefined && namesMatch(domains, name))
    if (!rule) return 'unlisted'
    if (type === DnsType.a || type === DnsType.aaaa) {
      this.#writeQuestion(message, flow, flow.sourcePort)
      this.#questions.put(lane, nowMs, 0, ANSWER_MS, NOWHERE)
    }
    return 'listed'
  }

  /** A question of the VM in `lane` leaves for port `target`. */
  leaves(batch: Batch, i: number, flow: Flow, lane: number, target: number, nowMs: number): void {
    const message = this.#message(batch, i)
    if (!message || message.isResponse) return
    this.#writeQuestion(message, flow, flow.sourcePort)
    if (this.#questions.find(lane, nowMs) < 0) return
    const before = this.#questions.value
    this.#questions.put(lane, nowMs, 0, ANSWER_MS, before === NOWHERE || before === target ? target : SEVERAL)
  }

  /** Takes an answer. Returns the addresses that it gave to rules, and those that it would have. */
  answered(batch: Batch, i: number, { flow, lane, rules, nowMs, source }: ArrivingAnswer): readonly SeenAddress[] {
    const message = this.#message(batch, i)
    if (!message?.isResponse || message.code !== NO_ERROR || message.operation !== 0) return []
    this.#writeQuestion(message, flow, flow.destinationPort)
    if (this.#questions.find(lane, nowMs) < 0) return []
    const { value } = this.#questions
    const isFromElsewhere = source !== NOWHERE && value !== SEVERAL && value !== source
    if (!isFromElsewhere) this.#questions.take(lane, nowMs)
    const resolver = flow.octets(flow.remote)
    const seen: SeenAddress[] = []
    for (const rule of rules) {
      const { domains, resolvers } = rule
      if (!domains || !namesMatch(domains, message.question.name)) continue
      if (!resolvers.some((prefix) => isInPrefix(prefix, resolver))) continue
      this.#pin(message, rule, lane, nowMs, seen, isFromElsewhere)
    }
    return seen
  }

  #pin(
    message: DnsMessage,
    rule: FirewallRule,
    lane: number,
    nowMs: number,
    seen: SeenAddress[],
    isFromElsewhere: boolean,
  ): void {
    const { answers, question } = message
    const length = question.type === DnsType.a ? 4 : 16
    const chain = this.#chain(message)
    let count = 0
    for (const record of answers) {
      const limit = chain.get(record.name)
      if (limit === undefined || record.type !== question.type || record.class !== question.class || record.dataLength !== length)
        continue
      if (++count > ADDRESSES_MAX) return
      const address = this.#bytes.slice(record.dataAt, record.dataAt + length)
      const ttl = Math.min(Math.max(Math.min(record.ttl, limit), rule.minimumTtl), rule.maximumTtl)
      const isOpen = !isSpecial(address) || rule.mayResolveTo.some((prefix) => isInPrefix(prefix, address))
      const refusal = isFromElsewhere ? 'not from where it was asked' : isOpen ? undefined : 'special-use address'
      const view = new DataView(address.buffer)
      const text = length === 4 ? formatIpv4(view.getUint32(0)) : formatIpv6(address)
      seen.push({ rule, name: question.name, address: text, ttl, refusal })
      if (refusal !== undefined) continue
      const { key } = this.#pins
      key[0] = rule.number
      key[1] = length
      for (let k = 0; k < 4; k++) key[2 + k] = length === 16 ? view.getInt32(k * 4) : k === 3 ? view.getInt32(0) : 0
      this.#pins.put(lane, nowMs, 0, ttl * 1000, 0, true)
    }
  }

  // The names that the question's leads to, each with the shortest time to live on the way.
  #chain({ question, answers }: DnsMessage): Map<string, number> {
    const chain = new Map([[question.name, Number.POSITIVE_INFINITY]])
    let name = question.name
    for (let hops = 0; hops < CHAIN_MAX; hops++) {
      const record = answers.find((one) => one.type === DnsType.cname && one.class === question.class && one.name === name)
      const target = record && dnsTarget(this.#bytes, record, 0, record.dataAt + record.dataLength)
      if (!record || target === undefined || chain.has(target)) break
      chain.set(target, Math.min(chain.get(name)!, record.ttl))
      name = target
    }
    return chain
  }

  /** Whether an answer gave the flow's remote address to a rule, to the VM in `lane`. Allocates nothing. */
  isPinned(rule: FirewallRule, flow: Flow, lane: number, nowMs: number): boolean {
    const { key } = this.#pins
    key[0] = rule.number
    key[1] = flow.family === 4 ? 4 : 16
    for (let k = 0; k < 4; k++) key[2 + k] = flow.remote[k]!
    return this.#pins.find(lane, nowMs) >= 0
  }

  /** Nothing is remembered any more, for packets that are traced, or is again. */
  freeze(isFrozen: boolean): void {
    this.#questions.isFrozen = isFrozen
    this.#pins.isFrozen = isFrozen
  }

  clear(lane: number): void {
    this.#questions.clear(lane)
    this.#pins.clear(lane)
  }
}
