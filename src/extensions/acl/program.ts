// The rules of one direction, compiled: per field a table from value to the set of rules it matches, so that the first matching rule
// is the lowest bit of the intersection. A packet costs a handful of look-ups, however many rules there are. Protocol and destination
// port, which rules name most, share one table: most packets leave it with no rule at all.
//
// The rule it must not break: `match` allocates nothing, and agrees with trying the rules one by one (the tests compare them).
import type { Batch } from '../../extension.ts'
import { AddressClasses } from './address-classes.ts'
import { type AclRule, type PortRange, portProtocols } from './options.ts'
import { cuts, EMPTY, Intersections, SetPool } from './rule-sets.ts'

const VALUES = 65536
const PORT_MAX = 65535
/** Where the tables by destination port begin, behind the one by protocol. */
const FRONT_PORTS = 256

const portNumbers: readonly number[] = Object.values(portProtocols)
/** By protocol: 0 = has no ports, else 1 + its index in `portNumbers`. */
const portKind = new Uint8Array(256)
for (const [k, number] of portNumbers.entries()) portKind[number] = k + 1

/** A field of 16 bits: a table of set numbers, if any rule looks at the field. */
interface Field {
  readonly isUsed: boolean
  readonly table: Uint16Array
  /** The set for packets without the field. */
  readonly absent: number
  readonly sets: Int32Array
}

function fieldOf(ranges: readonly (readonly PortRange[] | undefined)[]): Field {
  const rules = ranges.length
  const pool = new SetPool(rules)
  const absent = pool.number(rules, (rule) => ranges[rule] === undefined)
  const isUsed = ranges.some((range) => range !== undefined)
  const table = new Uint16Array(isUsed ? VALUES : 1)
  if (isUsed) {
    const starts = cuts(
      ranges.flatMap((range) => range ?? []),
      PORT_MAX,
    )
    for (const [k, start] of starts.entries()) {
      const holds = ([first, last]: PortRange): boolean => first <= start && start <= last
      table.fill(
        pool.number(rules, (rule) => ranges[rule]?.some(holds) ?? true),
        start,
        starts[k + 1] ?? VALUES,
      )
    }
  }
  return { isUsed, table, absent, sets: pool.flat() }
}

const single = (value: number | undefined): readonly PortRange[] | undefined =>
  value === undefined ? undefined : [[value, value]]

// A rule with ports but no protocol is one of the protocols that have ports.
function protocolField(rules: readonly AclRule[]): Field {
  const pool = new SetPool(rules.length)
  const table = new Uint16Array(256)
  for (let protocol = 0; protocol < 256; protocol++)
    table[protocol] = pool.number(rules.length, (index) => {
      const rule = rules[index]!
      if (rule.protocol !== undefined) return rule.protocol === protocol
      return (rule.sourcePorts === undefined && rule.destinationPorts === undefined) || portNumbers.includes(protocol)
    })
  return { isUsed: !pool.isTrivial, table, absent: 0, sets: pool.flat() }
}

/** The compiled rules of one direction. Fields are ordinary ones: they are read per packet. */
export class AclProgram {
  /** The rules, in the order in which they are tried. */
  readonly rules: readonly AclRule[]
  /** Whether any rule looks beyond the Ethernet header. */
  readonly looksAtIp: boolean
  /** Whether any rule looks at the protocol or at ports. */
  readonly looksAtTransport: boolean
  /** Whether any rule looks at source ports, at source or at destination addresses. */
  readonly looksAtSourcePort: boolean
  readonly looksAtSource: boolean
  readonly looksAtDestination: boolean
  /** Whether any rule names a switch port. */
  readonly namesPorts: boolean
  /** Whether protocol, destination port and switch port alone decide which rule matches a packet whose ports can be read. */
  readonly endsWithFront: boolean
  /** What `frontOf` gives for packets that no rule matches. */
  readonly emptyFront = EMPTY
  private readonly words: number
  /** Set by protocol, for packets without a destination port to look at; then by port, for each protocol that has ports. */
  private readonly front: Uint16Array
  private readonly frontSets: Int32Array
  private readonly etherType: Field
  private readonly sourcePort: Field
  private readonly looksAtDestinationPort: boolean
  private readonly source: AddressClasses
  private readonly sourceSets: Int32Array
  private readonly destination: AddressClasses
  private readonly destinationSets: Int32Array
  /** Set number by switch port id. */
  private readonly portTable = new Uint16Array(VALUES)
  private readonly portSetByName = new Map<string, number>()
  private readonly portSets: Int32Array

  constructor(rules: readonly AclRule[]) {
    const count = rules.length
    this.rules = rules
    this.words = Math.max(1, Math.ceil(count / 32))
    this.etherType = fieldOf(rules.map((rule) => single(rule.etherType)))
    this.sourcePort = fieldOf(rules.map((rule) => rule.sourcePorts))

    const destinationPort = fieldOf(rules.map((rule) => rule.destinationPorts))
    const protocol = protocolField(rules)
    this.looksAtDestinationPort = destinationPort.isUsed
    const front = new Intersections(protocol.sets, destinationPort.sets, this.words)
    this.front = new Uint16Array(FRONT_PORTS + (destinationPort.isUsed ? portNumbers.length * VALUES : 0))
    for (let number = 0; number < FRONT_PORTS; number++)
      this.front[number] = front.number(protocol.table[number]!, destinationPort.absent)
    if (destinationPort.isUsed)
      for (const [k, number] of portNumbers.entries())
        for (let port = 0; port < VALUES; port++)
          this.front[FRONT_PORTS + k * VALUES + port] = front.number(protocol.table[number]!, destinationPort.table[port]!)
    this.frontSets = front.flat()

    const sourcePool = new SetPool(count)
    const destinationPool = new SetPool(count)
    this.source = new AddressClasses(
      rules.map((rule) => rule.source),
      'source',
      sourcePool,
    )
    this.destination = new AddressClasses(
      rules.map((rule) => rule.destination),
      'destination',
      destinationPool,
    )
    this.sourceSets = sourcePool.flat()
    this.destinationSets = destinationPool.flat()

    const portPool = new SetPool(count)
    portPool.number(count, (index) => rules[index]!.port === undefined) // number 0: ports that no rule names
    for (const { port } of rules)
      if (port !== undefined)
        this.portSetByName.set(
          port,
          portPool.number(count, (index) => rules[index]!.port === undefined || rules[index]!.port === port),
        )
    this.portSets = portPool.flat()
    this.namesPorts = this.portSetByName.size > 0
    this.endsWithFront = !(this.etherType.isUsed || this.sourcePort.isUsed || this.source.isUsed || this.destination.isUsed)
    this.looksAtSourcePort = this.sourcePort.isUsed
    this.looksAtSource = this.source.isUsed
    this.looksAtDestination = this.destination.isUsed
    this.looksAtTransport = protocol.isUsed
    this.looksAtIp = this.looksAtTransport || this.source.isUsed || this.destination.isUsed
  }

  /** Tells which switch port has id `id`; undefined: none. */
  setPort(id: number, name: string | undefined): void {
    this.portTable[id] = name === undefined ? 0 : (this.portSetByName.get(name) ?? 0)
  }

  /** Index of the first rule that matches packet `i` at switch port `port`, or -1. Allocates nothing. */
  match(batch: Batch, i: number, port: number): number {
    const protocol = batch.protocol(i)
    const portsReadable = batch.transportOffset(i) !== 0 && portKind[protocol] !== 0
    const front = this.frontOf(protocol, batch.destinationPort(i), portsReadable)
    return front === EMPTY ? -1 : this.narrow(batch, i, port, front, portsReadable)
  }

  /** Number of the set of rules that match in protocol and destination port. `portsReadable`: it has ports, and they were read. */
  frontOf(protocol: number, destinationPort: number, portsReadable: boolean): number {
    const isByPort = portsReadable && this.looksAtDestinationPort
    return this.front[isByPort ? FRONT_PORTS + ((portKind[protocol]! - 1) << 16) + destinationPort : protocol]!
  }

  /** Index of the first rule in set `front`, which is not `emptyFront`, that matches packet `i` in the other fields too, or -1. */
  narrow(batch: Batch, i: number, port: number, front: number, portsReadable: boolean): number {
    const words = this.words
    const frontSets = this.frontSets
    const portSets = this.portSets
    const etherType = this.etherType
    const sourcePort = this.sourcePort
    const frontAt = front * words
    const portAt = this.portTable[port]! * words
    const typeAt = etherType.isUsed ? etherType.table[batch.etherType(i)]! * words : 0
    const fromAt = (portsReadable && sourcePort.isUsed ? sourcePort.table[batch.sourcePort(i)]! : sourcePort.absent) * words
    // Addresses cost most: they are looked up only if the other fields leave a rule over.
    let sourceAt = -1
    let destinationAt = -1
    for (let w = 0; w < words; w++) {
      let set = frontSets[frontAt + w]! & portSets[portAt + w]! & sourcePort.sets[fromAt + w]!
      if (etherType.isUsed) set &= etherType.sets[typeAt + w]!
      if (set === 0) continue
      if (this.source.isUsed) {
        if (sourceAt < 0) sourceAt = this.source.setOf(batch, i) * words
        set &= this.sourceSets[sourceAt + w]!
      }
      if (set !== 0 && this.destination.isUsed) {
        if (destinationAt < 0) destinationAt = this.destination.setOf(batch, i) * words
        set &= this.destinationSets[destinationAt + w]!
      }
      if (set !== 0) return (w << 5) + 31 - Math.clz32(set & -set)
    }
    return -1
  }
}
