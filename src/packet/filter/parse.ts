// The grammar of capture filters, that of tcpdump: qualifiers and values, byte tests, and/or/not. `and` and `or` bind alike, from left to
// right, and a value alone takes the qualifiers of the one before it: `tcp port 80 or 443`.
//
// The rule it must not break: what is not understood is refused with its place, never taken for something else.
import { parseIpv4, parseMac } from '../addresses.ts'
import { constants, etherTypes, type ProtocolWord, ports, protocolNumbers, protocols } from './names.ts'
import { type Arithmetic, all, any, arithmetic, compare, not, number, type Relation, type Test, type Value } from './nodes.ts'
import { type Direction, ipv6Address, type MaskedAddress, maskOf, Primitives } from './primitives.ts'
import { FilterError, type Token, type TokenKind, tokensOf } from './tokens.ts'

const types = ['host', 'net', 'port', 'portrange', 'proto'] as const
type Qualified = (typeof types)[number]

interface Qualifiers {
  readonly protocol: ProtocolWord | undefined
  readonly direction: Direction
  readonly type: Qualified | undefined
}

/** A number with what has to hold for it to mean something. */
interface Checked {
  readonly value: Value
  readonly checks: readonly Test[]
}

const unqualified: Qualifiers = { protocol: undefined, direction: 'src or dst', type: undefined }
const SESSION_MAX = 0xffff
const LABEL_MAX = 0xfffff
const VLAN_MAX = 4095
const PORT_MAX = 65535
const ETHER_TYPE_MIN = 0x600
const DEPTH_MAX = 100
const relationWords = new Set(['=', '==', '!=', '<', '<=', '>', '>='])
/** Loosest first. */
const levels: readonly (readonly Arithmetic[])[] = [['|', '^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '/', '%']]
const isProtocol = (text: string): text is ProtocolWord => Object.hasOwn(protocols, text)
const own = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined
const plain = (text: string): string => text.replace(/^\\/, '').toLowerCase()

/** The tests that a filter stands for; an empty one holds for every frame. Throws FilterError. */
export function parseFilter(text: string): Test {
  if (text.trim() === '') return { kind: 'constant', value: true }
  return new FilterParser(text).parse()
}

class FilterParser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  readonly #make = new Primitives()
  #next = 0
  #depth = 0
  #last: Qualifiers = unqualified

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokensOf(text)
  }

  parse(): Test {
    const test = this.#expression()
    if (this.#token.kind !== 'end') throw this.#wrong(`"${this.#token.text}" does not belong here; join tests with and, or`)
    return test
  }

  get #token(): Token {
    return this.#tokens[this.#next]!
  }

  #wrong(message: string, token = this.#token): FilterError {
    return new FilterError(this.#text, token.at, message)
  }

  #take(...texts: readonly string[]): boolean {
    if (this.#token.kind === 'end' || !texts.includes(this.#token.text.toLowerCase())) return false
    this.#next++
    return true
  }

  #need(text: string): void {
    if (!this.#take(text)) throw this.#wrong(`"${text}" is missing`)
  }

  #of(kind: TokenKind): Token | undefined {
    return this.#token.kind === kind ? this.#tokens[this.#next++] : undefined
  }

  // Bounds how deep parentheses and negations nest.
  #deeper<T>(work: () => T): T {
    if (++this.#depth > DEPTH_MAX) throw this.#wrong(`more than ${DEPTH_MAX} parentheses and negations in one another`)
    const result = work()
    this.#depth--
    return result
  }

  #expression(): Test {
    let left = this.#term()
    for (;;) {
      if (this.#take('and', '&&')) left = all(left, this.#term())
      else if (this.#take('or', '||')) left = any(left, this.#term())
      else return left
    }
  }

  #term(): Test {
    if (this.#take('not', '!')) return this.#deeper(() => not(this.#term()))
    const relation = this.#relation()
    if (relation) return relation
    if (this.#take('(')) {
      return this.#deeper(() => {
        const inner = this.#expression()
        this.#need(')')
        return inner
      })
    }
    return this.#primitive()
  }

  // ---- primitives ---------------------------------------------------------------------------------------------------------

  #primitive(): Test {
    const first = this.#token
    if (this.#take('vlan')) return this.#ofFrames(() => this.#make.vlan(this.#optionalNumber('a VLAN', VLAN_MAX)), first)
    if (this.#take('pppoed')) return this.#ofFrames(() => this.#make.pppoeDiscovery, first)
    if (this.#take('pppoes'))
      return this.#ofFrames(() => this.#make.pppoeSession(this.#optionalNumber('a PPPoE session', SESSION_MAX)), first)
    if (this.#take('mpls')) return this.#make.mpls(this.#optionalNumber('a label', LABEL_MAX))
    if (this.#take('llc')) return this.#ofFrames(() => this.#make.llc, first)
    if (this.#take('stp')) return this.#ofFrames(() => this.#make.spanningTree, first)
    if (this.#take('less')) return compare({ kind: 'length' }, '<=', this.#neededNumber())
    if (this.#take('greater')) return compare({ kind: 'length' }, '>=', this.#neededNumber())
    if (this.#take('broadcast')) return this.#broadcast()
    if (this.#take('multicast')) return this.#make.etherMulticast
    const protocol = this.#protocolWord()
    if (protocol !== undefined) {
      if (this.#take('broadcast')) {
        if (protocol === 'ether' || protocol === 'link') return this.#broadcast()
        throw this.#wrong(`"${protocol} broadcast" would need the netmask of a network; use ether broadcast`, first)
      }
      if (this.#take('multicast')) return this.#multicast(protocol, first)
    }
    const direction = this.#direction()
    const type = this.#type()
    const qualified = protocol !== undefined || direction !== undefined || type !== undefined
    if (protocol !== undefined && direction === undefined && type === undefined && !this.#isValue()) {
      this.#last = unqualified
      return this.#protocol(protocol, first)
    }
    const qualifiers = qualified ? { protocol, direction: direction ?? 'src or dst', type } : this.#last
    this.#last = qualifiers
    return this.#value(qualifiers, first)
  }

  // What labels do not carry.
  #ofFrames(test: () => Test, first: Token): Test {
    if (this.#make.isLabelled) throw this.#wrong(`behind mpls there is ip and ip6 only, and no ${first.text}`, first)
    return test()
  }

  #broadcast(): Test {
    return this.#make.mac('dst', Uint8Array.of(255, 255, 255, 255, 255, 255))
  }

  #multicast(protocol: ProtocolWord, first: Token): Test {
    if (protocol === 'ether' || protocol === 'link') return this.#make.etherMulticast
    if (protocol === 'ip') return this.#make.ipv4Multicast
    if (protocol === 'ip6') return this.#make.ipv6Multicast
    throw this.#wrong(`multicast is something of ether, ip and ip6, not of ${protocol}`, first)
  }

  #protocolWord(): ProtocolWord | undefined {
    const { kind, text } = this.#token
    const word = text.toLowerCase()
    if (kind !== 'word' || !isProtocol(word)) return undefined
    this.#next++
    return word
  }

  #direction(): Direction | undefined {
    const end = (): 'src' | 'dst' | undefined => (this.#take('src') ? 'src' : this.#take('dst') ? 'dst' : undefined)
    const first = end()
    if (first === undefined) return undefined
    const back = this.#next
    const both = this.#take('or') ? 'src or dst' : this.#take('and') ? 'src and dst' : undefined
    const second = both === undefined ? undefined : end()
    if (both !== undefined && second !== undefined && second !== first) return both
    this.#next = back
    return first
  }

  #type(): Qualified | undefined {
    const word = this.#token.text.toLowerCase()
    const found = types.find((type) => type === word)
    if (found !== undefined) this.#next++
    return found
  }

  // True if what comes next can be the value of a primitive.
  #isValue(): boolean {
    const { kind, text } = this.#token
    if (kind === 'symbol' || kind === 'end') return false
    return kind !== 'word' || !['and', 'or', 'not'].includes(text.toLowerCase())
  }

  #protocol(word: ProtocolWord, first: Token): Test {
    const known: { etherType?: number; v4?: number; v6?: number } = protocols[word]
    if (known.etherType !== undefined) {
      const { etherType } = known
      return word === 'ip' || word === 'ip6'
        ? this.#make.etherType(etherType)
        : this.#ofFrames(() => this.#make.etherType(etherType), first)
    }
    const tests = [
      ...(known.v4 === undefined ? [] : [this.#make.protocol4(known.v4)]),
      ...(known.v6 === undefined ? [] : [this.#make.protocol6(known.v6)]),
    ]
    if (tests.length === 0) throw this.#wrong(`"${word}" alone says nothing: every frame is one`, first)
    return any(...tests)
  }

  #value(qualifiers: Qualifiers, first: Token): Test {
    const { type } = qualifiers
    if (!this.#isValue()) throw this.#wrong(`a value is missing, such as an address or a port`)
    if (type === 'port' || type === 'portrange') return this.#ports(qualifiers, first)
    if (type === 'proto') return this.#protocolNumber(qualifiers)
    const mac = this.#of('mac')
    if (mac) return this.#mac(mac, qualifiers)
    const isNet = type === 'net'
    const six = this.#of('ipv6')
    if (six) return this.#host6(six, qualifiers, this.#prefixBits(128))
    const dotted = this.#of('dotted') ?? (isNet ? this.#of('number') : undefined)
    if (dotted) return this.#host4(qualifiers, this.#ipv4(dotted, isNet), first)
    throw this.#wrong(
      isProtocol(plain(this.#token.text)) || this.#token.kind === 'number'
        ? `"${this.#token.text}" is no address`
        : `"${this.#token.text}" is no address (names of hosts are not looked up) and no word of a filter`,
    )
  }

  #mac(token: Token, { protocol, direction, type }: Qualifiers): Test {
    if ((protocol !== 'ether' && protocol !== 'link') || (type !== undefined && type !== 'host'))
      throw this.#wrong('a MAC address is one of ether host, ether src or ether dst', token)
    const octets = token.text.split(/[:-]/).map((octet) => octet.padStart(2, '0'))
    return this.#make.mac(direction, parseMac(octets.join(':')))
  }

  #prefixBits(most: number): number | undefined {
    if (!this.#take('/')) return undefined
    const token = this.#token
    const bits = this.#neededNumber()
    if (bits > most) throw this.#wrong(`a prefix has at most ${most} bits`, token)
    return bits
  }

  // An address or a net; a net may leave out its last octets.
  #ipv4(token: Token, isNet: boolean): MaskedAddress {
    const octets = token.text.split('.')
    if (!isNet && octets.length !== 4) throw this.#wrong(`"${token.text}" is no address of four octets`, token)
    const address = this.#numbers(token, [...octets, ...Array<string>(4 - octets.length).fill('0')].join('.'))
    let mask = isNet ? maskOf(octets.length * 8) : 0xffffffff
    const bits = this.#prefixBits(32)
    if (bits !== undefined) mask = maskOf(bits)
    else if (isNet && this.#take('mask')) {
      const given = this.#of('dotted')
      if (!given) throw this.#wrong('a mask like 255.255.0.0 is missing')
      mask = this.#numbers(given, given.text)
    }
    if ((address & ~mask) !== 0) throw this.#wrong(`"${token.text}" has bits beyond its mask`, token)
    return { words: [address], masks: [mask] }
  }

  #numbers(token: Token, text: string): number {
    try {
      return parseIpv4(text)
    } catch {
      throw this.#wrong(`"${token.text}" is no IPv4 address`, token)
    }
  }

  #host4({ protocol, direction }: Qualifiers, address: MaskedAddress, first: Token): Test {
    if (protocol === 'ip') return this.#make.host4(direction, address, protocol)
    if (protocol === 'arp' || protocol === 'rarp')
      return this.#ofFrames(() => this.#make.host4(direction, address, protocol), first)
    if (protocol !== undefined) throw this.#wrong(`an IPv4 address is one of ip, arp or rarp, not of ${protocol}`, first)
    if (this.#make.isLabelled) return this.#make.host4(direction, address, 'ip')
    return any(...(['ip', 'arp', 'rarp'] as const).map((of) => this.#make.host4(direction, address, of)))
  }

  #host6(token: Token, { protocol, direction }: Qualifiers, bits = 128): Test {
    if (protocol !== undefined && protocol !== 'ip6') throw this.#wrong('an IPv6 address is one of ip6', token)
    let address: MaskedAddress
    try {
      address = ipv6Address(token.text, bits)
    } catch {
      throw this.#wrong(`"${token.text}" is no IPv6 address`, token)
    }
    if (address.words.some((word, i) => (word & ~address.masks[i]!) !== 0))
      throw this.#wrong(`"${token.text}" has bits beyond its prefix`, token)
    return this.#make.host6(direction, address)
  }

  #ports({ protocol, direction, type }: Qualifiers, first: Token): Test {
    if (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')
      throw this.#wrong(`ports are something of tcp, udp and sctp, not of ${protocol}`, first)
    const token = this.#token
    const range = type === 'portrange' ? this.#of('range') : undefined
    const [low, high] = range ? range.text.split('-').map(Number) : Array<number>(2).fill(this.#port())
    if (low! > PORT_MAX || high! > PORT_MAX) throw this.#wrong(`a port is a number up to ${PORT_MAX}`, token)
    const number4 = protocol === undefined ? undefined : protocols[protocol].v4
    return this.#make.ports(direction, Math.min(low!, high!), Math.max(low!, high!), number4)
  }

  #port(): number {
    const word = this.#token.kind === 'word' ? own(ports, plain(this.#token.text)) : undefined
    if (word !== undefined) {
      this.#next++
      return word
    }
    if (this.#token.kind !== 'number') throw this.#wrong(`"${this.#token.text}" is no port; write its number`)
    return this.#neededNumber()
  }

  #protocolNumber({ protocol, direction }: Qualifiers): Test {
    const token = this.#token
    if (direction !== 'src or dst') throw this.#wrong('a protocol has no direction')
    const ofEther = protocol === 'ether' || protocol === 'link'
    const named = token.kind === 'word' ? own(ofEther ? etherTypes : protocolNumbers, plain(token.text)) : undefined
    if (named !== undefined) this.#next++
    else if (token.kind !== 'number') throw this.#wrong(`"${token.text}" is no known protocol; write its number`)
    const value = named ?? this.#neededNumber()
    if (ofEther) {
      if (value < ETHER_TYPE_MIN || value > 0xffff) throw this.#wrong('an ether type is a number from 0x600 to 0xffff', token)
      return this.#make.etherType(value)
    }
    if (value > 255) throw this.#wrong('a protocol is a number up to 255', token)
    if (protocol === 'ip') return this.#make.protocol4(value)
    if (protocol === 'ip6') return this.#make.protocol6(value)
    if (protocol !== undefined) throw this.#wrong(`proto is something of ether, ip and ip6, not of ${protocol}`, token)
    return any(this.#make.protocol4(value), this.#make.protocol6(value))
  }

  #optionalNumber(what: string, most: number): number | undefined {
    if (this.#token.kind !== 'number') return undefined
    const token = this.#token
    const value = this.#neededNumber()
    if (value > most) throw this.#wrong(`${what} is a number up to ${most}`, token)
    return value
  }

  #neededNumber(): number {
    const token = this.#of('number')
    if (!token) throw this.#wrong('a number is missing')
    const octal = /^0[0-7]+$/.test(token.text)
    const value = octal ? Number.parseInt(token.text, 8) : Number(token.text)
    if (!(value <= 0xffffffff)) throw this.#wrong(`"${token.text}" has more than 32 bits`, token)
    return value
  }

  // ---- byte tests ---------------------------------------------------------------------------------------------------------

  // `tcp[13] & 2 != 0`, or nothing if what stands here is no comparison.
  #relation(): Test | undefined {
    const back = this.#next
    if (!this.#startsNumber()) return undefined
    const left = this.#arithmetic(0)
    if (left === undefined || !relationWords.has(this.#token.text)) {
      this.#next = back
      return undefined
    }
    const sign = this.#tokens[this.#next++]!.text
    const right = this.#arithmetic(0)
    if (right === undefined) throw this.#wrong('a number is missing')
    const operator = (sign === '==' ? '=' : sign) as Relation
    this.#last = unqualified
    return all(...left.checks, ...right.checks, compare(left.value, operator, right.value))
  }

  #startsNumber(): boolean {
    const { kind, text } = this.#token
    if (kind === 'number' || text === '(' || text === '-') return true
    if (kind !== 'word') return false
    const word = text.toLowerCase()
    return (
      word === 'len' || own(constants, word) !== undefined || (isProtocol(word) && this.#tokens[this.#next + 1]!.text === '[')
    )
  }

  #arithmetic(level: number): Checked | undefined {
    const operators = levels[level]
    if (operators === undefined) return this.#operand()
    let left = this.#arithmetic(level + 1)
    while (left !== undefined) {
      const operator = operators.find((one) => one === this.#token.text)
      if (operator === undefined) return left
      const token = this.#tokens[this.#next++]!
      const right: Checked | undefined = this.#arithmetic(level + 1)
      if (right === undefined) return undefined
      left = { value: this.#compute(left.value, operator, right.value, token), checks: [...left.checks, ...right.checks] }
    }
    return undefined
  }

  #compute(left: Value, operator: Arithmetic, right: Value, token: Token): Value {
    try {
      return arithmetic(left, operator, right)
    } catch (error) {
      throw this.#wrong((error as Error).message, token)
    }
  }

  #operand(): Checked | undefined {
    const token = this.#token
    if (token.kind === 'number') return { value: number(this.#neededNumber()), checks: [] }
    if (this.#take('-')) {
      const operand = this.#deeper(() => this.#operand())
      return operand && { value: arithmetic(number(0), '-', operand.value), checks: operand.checks }
    }
    if (this.#take('(')) {
      const inner = this.#deeper(() => this.#arithmetic(0))
      return inner !== undefined && this.#take(')') ? inner : undefined
    }
    if (this.#take('len')) return { value: { kind: 'length' }, checks: [] }
    const constant = token.kind === 'word' ? own(constants, token.text.toLowerCase()) : undefined
    if (constant !== undefined) {
      this.#next++
      return { value: number(constant), checks: [] }
    }
    const protocol = this.#protocolWord()
    return protocol === undefined || !this.#take('[') ? undefined : this.#bytes(protocol, token)
  }

  #bytes(protocol: ProtocolWord, token: Token): Checked {
    const index = this.#arithmetic(0)
    if (index === undefined) throw this.#wrong('an offset is missing')
    let size = 1
    if (this.#take(':')) size = this.#neededNumber()
    if (size !== 1 && size !== 2 && size !== 4) throw this.#wrong('bytes are tested 1, 2 or 4 at a time', token)
    this.#need(']')
    const make = this.#make
    const known: { etherType?: number; v4?: number; v6?: number } = protocols[protocol]
    if (protocol === 'ether' || protocol === 'link') return { value: make.atFrame(index.value, size), checks: index.checks }
    if (known.etherType !== undefined)
      return { value: make.atNetwork(index.value, size), checks: [...index.checks, make.etherType(known.etherType)] }
    if (protocol === 'icmp6') return { value: make.atIcmp6(index.value, size), checks: [...index.checks, make.icmp6(known.v6!)] }
    if (known.v4 === undefined || protocol === 'ah' || protocol === 'esp')
      throw this.#wrong(`bytes of ${protocol} can't be tested`, token)
    return { value: make.atTransport(index.value, size), checks: [...index.checks, make.transport4(known.v4)] }
  }
}
