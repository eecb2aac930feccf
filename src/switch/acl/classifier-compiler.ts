// Compiles rules into decision trees (kernels/classify-layout.ts). Nodes and leaves that are the same are one, wherever in a tree they are, so
// that the parts that many packets go through stay in a cache.
//
// The rule it must not break: time and memory are bounded by the number of rules, whatever they are (PLACES_PER_RULE): where cutting would
// cost more, a leaf stays long.
import {
  CP_CUTS,
  CP_FIRST_TREE,
  CP_RULES,
  CP_TREES,
  CP_WIDE,
  CUT_SHIFT,
  CUT_WORDS,
  CUTS_MAX,
  NARROW_RULE_WORDS,
  NR_FIELDS,
  NR_LOCAL,
  NR_REMOTE,
  NR_SPANS,
  PLACE_CUT,
  PLACE_INDEX,
  TREE_WORDS,
  WIDE_RULE_WORDS,
  WR_FIELDS,
  WR_ISOLATION,
  WR_LOCAL,
  WR_LOCAL_MASK,
  WR_REMOTE,
  WR_REMOTE_MASK,
} from '../../kernels/classify-layout.ts'
import {
  type AddressMatch,
  type Field,
  maskOf,
  narrowFields,
  type RuleList,
  type RuleMatch,
  rangeOf,
  wideFields,
  wordRange,
} from './rule-fields.ts'

const ALL_PORTS = [0, 0xffff] as const
const LAST = 1 << 31
/** Rules of a leaf that are compared one after the other rather than cut apart. */
const LEAF_RULES = 3
/** Places that nodes and leaves may have together, of each rule and at least. */
const PLACES_PER_RULE = 48
const PLACES_MIN = 4096
/** Rules of a node may stand in so many of its children on average. */
const COPIES_MAX = 3
/** They may stand in more where this takes no more than a part of the places left. */
const COPIES_SPARE = 100
const SPARE_PART = 1 / 8
const BITS_MAX = 16
/** A node may have 2^SPARE_BITS times as many children as rules; in large trees fewer, so that they take less of a cache. */
const SPARE_BITS = { small: 3, large: 1 } as const
const SMALL_TREE_RULES = 2048
/** Rule sets up to here are one tree. */
const ONE_TREE_RULES = 48
/** An address is narrow if a rule names so many of its bits. */
const NARROW_BITS = { narrow: 10, wide: 32 } as const

/** A way to cut a node: 2^bits children, by bits of a field from `shift` on. */
interface Cut {
  readonly field: number
  readonly shift: number
  readonly bits: number
  /** Rules that a rule's packet meets, on average. */
  readonly cost: number
}

class Compiler {
  readonly #fields: readonly Field[]
  readonly #rules: readonly RuleMatch[]
  readonly #wide: boolean
  readonly #cutsMax: number
  // Whether rules are compared by all words of both addresses and the isolation id.
  readonly #wideRules: boolean
  // First and last value of rule r in field f, at f * rules + r.
  readonly #first: Uint32Array
  readonly #last: Uint32Array
  // Rules that are in a leaf, 1: it is; and the leaves, where they are and how long.
  readonly #isUsed: Uint8Array
  readonly #leaves: [at: number, length: number][] = []
  // Cuts that nodes have, by number, and the numbers by what they consist of.
  readonly #cuts: [head: number, mask: number][] = []
  readonly #cutNumbers = new Map<number, number>()
  // Nodes and leaves that there are, by what they consist of.
  readonly #known = new Map<string, number>()
  readonly #counts = new Int32Array((1 << BITS_MAX) + 1)
  readonly #changes = new Uint8Array((1 << BITS_MAX) + 1)
  #words = new Int32Array(4096)
  #used = 0
  #left: number
  // Of the tree in work.
  #spareBits: number = SPARE_BITS.small

  constructor(rules: readonly RuleMatch[], wide: boolean, cuts: number) {
    this.#rules = rules
    this.#wide = wide
    this.#cutsMax = cuts
    this.#wideRules = wide || rules.some(({ isolation }) => isolation !== undefined)
    this.#fields = wide ? wideFields : narrowFields
    const { length } = rules
    this.#left = Math.max(PLACES_MIN, length * PLACES_PER_RULE)
    this.#first = new Uint32Array(length * this.#fields.length)
    this.#last = new Uint32Array(length * this.#fields.length)
    this.#isUsed = new Uint8Array(length)
    for (const [f, field] of this.#fields.entries())
      for (const [r, rule] of rules.entries()) {
        const [first, last] = rangeOf(rule, field)
        this.#first[f * length + r] = first
        this.#last[f * length + r] = last
      }
  }

  compile(): Int32Array {
    const groups = this.#groups()
    this.#take(CP_FIRST_TREE + groups.length * TREE_WORDS)
    for (const [t, group] of groups.entries()) {
      this.#spareBits = group.length <= SMALL_TREE_RULES ? SPARE_BITS.small : SPARE_BITS.large
      const firsts = new Uint32Array(this.#fields.length)
      const lasts = Uint32Array.from(this.#fields, ({ last }) => last)
      const root = this.#node(group, firsts, lasts) // before words are looked at, which it may move
      this.#words[CP_FIRST_TREE + t * TREE_WORDS] = root
    }
    // Rules are numbered by rank, so that numbers can be compared in place of ranks; those in no leaf have none.
    const numbered = Int32Array.from(this.#rules.keys()).filter((r) => this.#isUsed[r] !== 0)
    const numbers = new Int32Array(this.#rules.length)
    for (const [n, r] of numbered.entries()) numbers[r] = n
    for (const [t, group] of groups.entries())
      this.#words[CP_FIRST_TREE + t * TREE_WORDS + 1] = numbers[group.find((r) => this.#isUsed[r] !== 0)!]!
    for (const [at, length] of this.#leaves) {
      for (let i = 0; i < length; i++) this.#words[at + i] = numbers[this.#words[at + i]!]!
      this.#words[at + length - 1] = this.#words[at + length - 1]! | LAST
    }
    const stride = this.#wideRules ? WIDE_RULE_WORDS : NARROW_RULE_WORDS
    const rulesAt = Math.ceil(this.#used / NARROW_RULE_WORDS) * NARROW_RULE_WORDS
    this.#take(rulesAt - this.#used + numbered.length * stride)
    for (const [n, r] of numbered.entries()) this.#writeRule(this.#rules[r]!, rulesAt + n * stride)
    const cutsAt = this.#take(this.#cuts.length * CUT_WORDS) // behind rules, so at an even place
    for (const [n, cut] of this.#cuts.entries()) this.#words.set(cut, cutsAt + n * CUT_WORDS)
    this.#words[CP_TREES] = groups.length
    this.#words[CP_WIDE] = this.#wideRules ? 1 : 0
    this.#words[CP_RULES] = rulesAt
    this.#words[CP_CUTS] = cutsAt
    return this.#words.slice(0, this.#used)
  }

  // Rules that narrow the remote address, those that narrow the local one, and the others: none is copied all over the tree of another.
  #groups(): Int32Array[] {
    const all = Int32Array.from(this.#rules.keys())
    if (all.length === 0) return []
    if (all.length <= ONE_TREE_RULES) return [all]
    const before = this.#wide ? 0 : 96
    const least = this.#wide ? NARROW_BITS.wide : NARROW_BITS.narrow
    const isNarrow = (match: AddressMatch | undefined): boolean => (match?.bits ?? 0) - before >= least
    const remote = all.filter((r) => isNarrow(this.#rules[r]!.remote))
    const local = all.filter((r) => !isNarrow(this.#rules[r]!.remote) && isNarrow(this.#rules[r]!.local))
    const wide = all.filter((r) => !isNarrow(this.#rules[r]!.remote) && !isNarrow(this.#rules[r]!.local))
    return [remote, local, wide].filter(({ length }) => length > 0).sort((a, b) => a[0]! - b[0]!)
  }

  #take(count: number): number {
    const at = this.#used
    this.#used += count
    if (this.#used > this.#words.length) {
      const larger = new Int32Array(Math.max(this.#used, this.#words.length * 2))
      larger.set(this.#words)
      this.#words = larger
    }
    return at
  }

  #writeRule(rule: RuleMatch, at: number): void {
    const words = this.#words
    const { rank, isolation, protocol, localPorts = ALL_PORTS, remotePorts = ALL_PORTS } = rule
    const fields = at + (this.#wideRules ? WR_FIELDS : NR_FIELDS)
    words[fields] = remotePorts[0] | (localPorts[0] << 16)
    words[fields + 1] = (protocol === undefined ? 0 : protocol | (this.#wide ? 6 << 8 : 4 << 8)) | (rank << 16)
    words[fields + 2] = (remotePorts[1] - remotePorts[0]) | ((localPorts[1] - localPorts[0]) << 16)
    words[fields + 3] = (protocol === undefined ? 0xffff : 0) | ((rank >>> 16) << 16)
    if (!this.#wideRules) {
      for (const [word, match] of [
        [NR_LOCAL, rule.local],
        [NR_REMOTE, rule.remote],
      ] as const) {
        const [first, last] = wordRange(match, 3)
        words[at + word] = first
        words[at + NR_SPANS + word] = last - first
      }
      return
    }
    words[at + WR_ISOLATION] = isolation ?? 0
    words[at + WR_ISOLATION + 1] = isolation === undefined ? 0 : -1
    for (let w = 0; w < 4; w++) {
      words[at + WR_LOCAL + w] = rule.local?.words[w] ?? 0
      words[at + WR_LOCAL_MASK + w] = maskOf(rule.local, w)
      words[at + WR_REMOTE + w] = rule.remote?.words[w] ?? 0
      words[at + WR_REMOTE_MASK + w] = maskOf(rule.remote, w)
    }
  }

  #leaf(list: Int32Array): number {
    const name = list.join()
    const known = this.#known.get(name)
    if (known !== undefined) return known
    this.#left -= list.length
    const at = this.#take(list.length)
    this.#words.set(list, at)
    for (const r of list) this.#isUsed[r] = 1
    this.#leaves.push([at, list.length])
    this.#known.set(name, ~at)
    return ~at
  }

  // Whether rule r matches all of a region in every field.
  #covers(r: number, firsts: Uint32Array, lasts: Uint32Array): boolean {
    const { length } = this.#rules
    for (let f = 0; f < firsts.length; f++)
      if (this.#first[f * length + r]! > firsts[f]! || this.#last[f * length + r]! < lasts[f]!) return false
    return true
  }

  // The place of a node for the rules of `list`, all of which meet the region.
  #node(rules: Int32Array, outerFirsts: Uint32Array, outerLasts: Uint32Array): number {
    if (rules.length === 0) return 0
    const { length } = this.#rules
    const covering = rules.findIndex((r) => this.#covers(r, outerFirsts, outerLasts))
    const list = covering < 0 ? rules : rules.subarray(0, covering + 1)
    if (list.length <= LEAF_RULES) return this.#leaf(list)
    // No rule matches outside of what their ranges span.
    const firsts = Uint32Array.from(outerFirsts)
    const lasts = Uint32Array.from(outerLasts)
    for (let f = 0; f < firsts.length; f++) {
      let low = 0xffffffff
      let high = 0
      for (const r of list) {
        low = Math.min(low, this.#first[f * length + r]!)
        high = Math.max(high, this.#last[f * length + r]!)
      }
      firsts[f] = Math.max(low, firsts[f]!)
      lasts[f] = Math.min(high, lasts[f]!)
    }
    const cut = this.#choose(list, firsts, lasts)
    return cut === undefined ? this.#leaf(list) : this.#cut(list, cut, firsts, lasts)
  }

  #choose(list: Int32Array, firsts: Uint32Array, lasts: Uint32Array): Cut | undefined {
    let best: Cut | undefined
    for (let field = 0; field < firsts.length; field++) {
      const differing = (firsts[field]! ^ lasts[field]!) >>> 0
      if (differing === 0) continue
      const open = 32 - Math.clz32(differing)
      const most = Math.min(open, BITS_MAX, Math.ceil(Math.log2(list.length)) + this.#spareBits)
      for (let bits = most; bits >= 1; bits--) {
        const cost = this.#cost(list, field, open - bits, bits, firsts[field]!, lasts[field]!)
        if (cost < 0 || !this.#hasRoom(field, open - bits, bits)) continue
        // A larger node has to earn its places.
        if (best === undefined || cost < best.cost * 0.9) best = { field, shift: open - bits, bits, cost }
        break
      }
    }
    return best !== undefined && best.cost < list.length * 0.9 ? best : undefined
  }

  // What a cut leaves of rules per child, weighted by rules; -1 if it copies too many. Children in a row that have the same rules are one.
  #cost(list: Int32Array, field: number, shift: number, bits: number, first: number, last: number): number {
    const { length } = this.#rules
    const counts = this.#counts
    const changes = this.#changes
    const mask = (1 << bits) - 1
    counts.fill(0, 0, mask + 2)
    changes.fill(0, 0, mask + 2)
    for (const r of list) {
      const from = (Math.max(first, this.#first[field * length + r]!) >>> shift) & mask
      const to = (Math.min(last, this.#last[field * length + r]!) >>> shift) & mask
      counts[from]!++
      counts[to + 1]!--
      changes[from] = 1
      changes[to + 1] = 1
    }
    let running = 0
    let total = 0
    let squares = 0
    for (let c = 0; c <= mask; c++) {
      running += counts[c]!
      if (changes[c] === 0) continue
      total += running
      squares += running * running
    }
    const most = Math.max(list.length * COPIES_MAX, Math.min(list.length * COPIES_SPARE, this.#left * SPARE_PART))
    return total > most || total + mask + 1 > this.#left ? -1 : squares / total
  }

  #cut(list: Int32Array, { field, shift, bits }: Cut, firsts: Uint32Array, lasts: Uint32Array): number {
    const { length } = this.#rules
    const mask = (1 << bits) - 1
    const { word, shift: fieldShift } = this.#fields[field]!
    const number = this.#cutNumber(word * 4, shift + fieldShift, bits) // before those of children
    const first = firsts[field]!
    const last = lasts[field]!
    const base = shift + bits >= 32 ? 0 : ((first >>> (shift + bits)) << (shift + bits)) >>> 0
    const children = new Map<number, number[]>()
    for (const r of list) {
      const from = (Math.max(first, this.#first[field * length + r]!) >>> shift) & mask
      const to = (Math.min(last, this.#last[field * length + r]!) >>> shift) & mask
      for (let c = from; c <= to; c++) {
        const child = children.get(c)
        if (child === undefined) children.set(c, [r])
        else child.push(r)
      }
    }
    this.#left -= mask + 2
    const places = new Int32Array(mask + 1)
    let before: readonly number[] | undefined
    let beforePlace = 0
    for (let c = 0; c <= mask; c++) {
      const rules = children.get(c)
      if (rules === undefined) {
        before = undefined
        continue
      }
      const childFirst = Math.max(first, base + c * 2 ** shift)
      const childLast = Math.min(last, base + (c + 1) * 2 ** shift - 1)
      const spans = rules.every(
        (r) => this.#first[field * length + r]! <= childFirst && this.#last[field * length + r]! >= childLast,
      )
      let place = beforePlace
      if (!(spans && before !== undefined && same(before, rules))) {
        const inFirsts = Uint32Array.from(firsts)
        const inLasts = Uint32Array.from(lasts)
        inFirsts[field] = childFirst
        inLasts[field] = childLast
        place = this.#node(Int32Array.from(rules), inFirsts, inLasts)
      }
      places[c] = place
      before = spans ? rules : undefined
      beforePlace = place
    }
    const only = this.#same(places)
    if (only !== undefined) return only
    // Beyond what a place can say there are leaves only.
    if (this.#used + places.length > PLACE_INDEX) return this.#leaf(list)
    return this.#write(number, places)
  }

  // Cuts are told apart by what nodes have of them.
  #cutName(key: number, shift: number, bits: number): number {
    return (key << 16) | (shift << 8) | bits
  }

  // Whether a node may be cut so: it has a cut of the program, or there is room for another.
  #hasRoom(field: number, shift: number, bits: number): boolean {
    const { word, shift: fieldShift } = this.#fields[field]!
    return this.#cuts.length < this.#cutsMax || this.#cutNumbers.has(this.#cutName(word * 4, shift + fieldShift, bits))
  }

  #cutNumber(key: number, shift: number, bits: number): number {
    const name = this.#cutName(key, shift, bits)
    const known = this.#cutNumbers.get(name)
    if (known !== undefined) return known
    const number = this.#cuts.push([key | (shift << CUT_SHIFT), (1 << bits) - 1]) - 1
    this.#cutNumbers.set(name, number)
    return number
  }

  // The place that all of `places` are, if so: a packet that has another key matches nothing there.
  #same(places: Int32Array): number | undefined {
    if (places.some((place) => place !== places[0])) return undefined
    this.#left += places.length + 1
    return places[0]!
  }

  #write(cut: number, places: Int32Array): number {
    const name = `${cut}:${places.join()}`
    const known = this.#known.get(name)
    if (known !== undefined) {
      this.#left += places.length + 1
      return known
    }
    const at = this.#take(places.length)
    this.#words.set(places, at)
    const place = at | (cut << PLACE_CUT)
    this.#known.set(name, place)
    return place
  }
}

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((r, i) => r === b[i])

/** The program of rules for the kernel `classify` and its twin. `cuts`: how many ways to cut nodes it may have, at most CUTS_MAX. */
export const compileRules = ({ rules, wide }: RuleList, cuts = CUTS_MAX): Int32Array => new Compiler(rules, wide, cuts).compile()
