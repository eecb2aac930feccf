// Decides packets by the rules of one direction, on one processor.
//
// The rule it must not break: a packet is decided without a look-up only if nothing that its rules look at differs from a packet of
// the same burst that was allowed; every packet counts once, under what decided it.
import { type Batch, PACKET_HEADER_STRIDE, PacketFlag, type SwitchHandle } from '../../extension.ts'
import { judgeHeaders, LATER_FRAGMENT, READABLE, UNREADABLE } from './headers.ts'
import { hitsRow } from './hits.ts'
import type { AclOptions, AclRule } from './options.ts'
import { AclProgram } from './program.ts'

export const AclCounter = { allowed: 0, denied: 1, fragments: 2, unreadable: 3 } as const

/** The verdict on a packet that goes on; others are reasons to drop it. */
export const ALLOW = -1
const NOT_A_RULE = -1
const NOTHING = -1

const HEADER_STRIDE = PACKET_HEADER_STRIDE
const { ipv4: IPV4 } = PacketFlag
/** Offset of the source address in an IPv4 header; the destination's follows. */
const ADDRESSES_AT = 12

// What decides a packet is numbered: its rule, or behind the rules the default action and the two judgements of headers.
const DEFAULT = 0
const FRAGMENT = 1
const HIDDEN = 2
const BEYOND_RULES = 3

/** Fields are ordinary ones: they are read per packet. */
export class Decider {
  readonly program: AclProgram
  /** True while packets are traced: they count nowhere, and what decides them is told. */
  isTraced = false
  private readonly counters: Float64Array
  private readonly hits: Int32Array
  /** By what decides: the drop reason or ALLOW, the counter, and where in `hits` it counts, NOT_A_RULE for nowhere. */
  private readonly verdicts: Int32Array
  private readonly counterAt: Uint8Array
  private readonly hitAt: Int32Array
  /** The same in words, for traces. */
  private readonly told: readonly string[]
  private readonly byDefault: number
  private readonly byFragment: number
  private readonly byHidden: number

  constructor(sw: SwitchHandle, options: AclOptions, direction: 'ingress' | 'egress', reasons: ReadonlyMap<AclRule, number>) {
    const rules = options.rules.filter((rule) => rule.direction === 'both' || rule.direction === direction)
    const row = hitsRow(options, sw.processor)
    const { length } = rules
    this.program = new AclProgram(rules)
    this.counters = sw.counters
    this.hits = sw.shared('hits')
    this.byDefault = length + DEFAULT
    this.byFragment = length + FRAGMENT
    this.byHidden = length + HIDDEN
    this.verdicts = new Int32Array(length + BEYOND_RULES)
    this.verdicts.set(rules.map((rule) => (rule.action === 'allow' ? ALLOW : reasons.get(rule)!)))
    this.verdicts[this.byDefault] = options.defaultAction === 'allow' ? ALLOW : sw.registerReason('acl: denied by default')
    this.verdicts[this.byFragment] = options.fragments === 'pass' ? ALLOW : sw.registerReason('acl: fragment')
    this.verdicts[this.byHidden] = options.unreadable === 'pass' ? ALLOW : sw.registerReason('acl: unreadable headers')
    this.counterAt = Uint8Array.from(this.verdicts, (verdict) => (verdict === ALLOW ? AclCounter.allowed : AclCounter.denied))
    this.counterAt[this.byFragment] = AclCounter.fragments
    this.counterAt[this.byHidden] = AclCounter.unreadable
    this.hitAt = new Int32Array(length + BEYOND_RULES).fill(NOT_A_RULE)
    this.hitAt.set(rules.map((rule) => row + options.rules.indexOf(rule)))
    this.hitAt[this.byDefault] = row + options.rules.length
    this.told = [
      ...rules.map(({ name, action, weight }) => `rule ${name} of weight ${weight}, ${direction}: ${action}`),
      `no ${direction} rule says anything of it: ${options.defaultAction} by default`,
      'a later fragment, whose ports are not known: options.fragments',
      'its headers can not be read: options.unreadable',
    ]
  }

  /** Decides traced packets by the ports that they came from, and says what decided them. */
  traceAll(batch: Batch): void {
    this.isTraced = true
    for (let i = 0; i < batch.length; i++) {
      const port = batch.sourcePortId(i)
      const verdict = port === 0 ? ALLOW : this.decide(batch, i, port) // ES-341
      if (verdict !== ALLOW) batch.drop(i, verdict)
    }
  }

  /** Decides a burst by the ports that its packets came from, and drops what is denied. Allocates nothing. */
  decideAll(batch: Batch): void {
    const { length, slots, pool, oneSource } = batch
    const { protocol, sourceL4, destinationL4, sourcePort, flags, header16, headerOffset, l3 } = pool
    const { program, verdicts } = this
    this.isTraced = false
    const { looksAtSourcePort, looksAtSource, looksAtDestination } = program
    // What decided the packets just before, and how many that are not counted yet.
    let running = NOTHING
    let run = 0
    // Packets from `knownPort` with protocol and destination port `known` are decided like the one before; if `isDeep`, only with the
    // same source port and IPv4 addresses too, as far as rules look at them: halves of addresses, as they lie in memory.
    let known = NOTHING
    let knownPort = 0
    let isDeep = false
    let knownFrom = 0
    let source0 = 0
    let source1 = 0
    let destination0 = 0
    let destination1 = 0
    for (let i = 0; i < length; i++) {
      // This loop calls and writes nothing, so that the compiler loads what belongs to the arrays themselves once, not per packet.
      if (known !== NOTHING) {
        const from = i
        for (; i < length; i++) {
          const slot = slots[i]!
          if (((protocol[slot]! << 16) | destinationL4[slot]!) !== known) break
          if (!oneSource && sourcePort[slot] !== knownPort) break
          if (!isDeep) continue
          if (looksAtSourcePort && sourceL4[slot] !== knownFrom) break
          const at = slot * HEADER_STRIDE + headerOffset[slot]! + l3[slot]! + ADDRESSES_AT
          if ((flags[slot]! & IPV4) === 0 || (at & 1) !== 0) break
          const half = at >> 1
          if (looksAtSource && (header16[half] !== source0 || header16[half + 1] !== source1)) break
          if (looksAtDestination && (header16[half + 2] !== destination0 || header16[half + 3] !== destination1)) break
        }
        run += i - from
        if (i === length) break
      }
      const slot = slots[i]!
      const port = sourcePort[slot]!
      if (port === 0) continue // ES-341: packets of extensions bypass port policies
      const number = destinationL4[slot]!
      let decides = this.byDefault
      known = NOTHING
      if (number === 0) decides = this.judge(batch, i, port)
      else {
        // It has ports, so its headers were read.
        const front = program.frontOf(protocol[slot]!, number, true)
        if (front !== program.emptyFront) {
          const rule = program.narrow(batch, i, port, front, true)
          if (rule >= 0) decides = rule
        }
        known = (protocol[slot]! << 16) | number
        knownPort = port
        isDeep = !program.endsWithFront && front !== program.emptyFront
        if (isDeep) {
          const at = slot * HEADER_STRIDE + headerOffset[slot]! + l3[slot]! + ADDRESSES_AT
          if ((flags[slot]! & IPV4) === 0 || (at & 1) !== 0) known = NOTHING
          else {
            const half = at >> 1
            knownFrom = sourceL4[slot]!
            source0 = header16[half]!
            source1 = header16[half + 1]!
            destination0 = header16[half + 2]!
            destination1 = header16[half + 3]!
          }
        }
      }
      if (decides !== running) {
        if (run !== 0) this.count(running, run)
        running = decides
        run = 0
      }
      run++
      const verdict = verdicts[decides]!
      if (verdict === ALLOW) continue
      known = NOTHING
      batch.drop(i, verdict)
    }
    if (run !== 0) this.count(running, run)
  }

  /** The reason to drop packet `i`, or ALLOW, at switch port `port`. Allocates nothing. */
  decide(batch: Batch, i: number, port: number): number {
    const decides = this.judge(batch, i, port)
    if (this.isTraced) batch.explain(i, this.told[decides]!)
    else this.count(decides, 1)
    return this.verdicts[decides]!
  }

  private count(decides: number, packets: number): void {
    const { counters, hits } = this
    const counter = this.counterAt[decides]!
    counters[counter] = counters[counter]! + packets
    const at = this.hitAt[decides]!
    if (at !== NOT_A_RULE) hits[at] = hits[at]! + packets
  }

  // What decides packet `i`.
  private judge(batch: Batch, i: number, port: number): number {
    if (batch.transportOffset(i) === 0) {
      const decides = this.judgeHidden(batch, i)
      if (decides !== NOTHING) return decides
    }
    const rule = this.program.match(batch, i, port)
    return rule < 0 ? this.byDefault : rule
  }

  // Whether a packet without a transport header to read is dropped for that; NOTHING if rules decide it.
  private judgeHidden(batch: Batch, i: number): number {
    const judged = judgeHeaders(batch, i)
    if (judged === READABLE) return NOTHING
    const { program, verdicts } = this
    if (judged === LATER_FRAGMENT && verdicts[this.byFragment] !== ALLOW) return this.byFragment
    // A malformed IP header hides addresses too; a transport header that cannot be read hides protocol and ports only.
    const isHidden = program.looksAtTransport || (program.looksAtIp && !batch.isIpv4(i) && !batch.isIpv6(i))
    return judged === UNREADABLE && isHidden && verdicts[this.byHidden] !== ALLOW ? this.byHidden : NOTHING
  }
}
