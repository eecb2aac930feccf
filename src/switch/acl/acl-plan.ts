// The ACLs of a port as processors get them: programs in memory that threads share, what their ranks mean, and counters. Made on the
// control thread beside the traffic, and taken over by each processor between two bursts.
//
// The rule it must not break: a plan is never changed; a port whose ACLs change gets another one.
import type {
  AclEntry,
  AclProperty,
  AddressPrefix,
  ExtendedAclProperty,
  ExtendedAclRule,
} from '../../ndis/standard-properties.ts'
import type { ConnectionMemory } from '../conntrack/connection-table.ts'
import { directionsOf } from './acl-options.ts'
import { compileRules } from './classifier-compiler.ts'
import { inOwnMemory, type Program } from './program.ts'
import type { AddressMatch, RuleList, RuleMatch } from './rule-fields.ts'

/** Doubles of a row of counters: packets and bytes. */
export const COUNTERS_OF_ROW = 2

/** What a rank of a program means. */
export interface Ranks {
  /** By rank, in one word since a packet looks at both: row of counters << 1, and 1 if the packet is dropped. */
  readonly verdicts: Int32Array
}

const verdictsOf = (ranked: readonly (readonly [{ readonly action: string }, row: number])[]): Int32Array =>
  Int32Array.from(ranked, ([{ action }, row]) => (row << 1) | (action === 'deny' ? 1 : 0))

/** Entries of which the one with the longest prefix speaks: of one side, by MAC or by IP address, that filter or that meter. */
export interface AclList extends Ranks {
  readonly meters: boolean
  readonly mac: Program | undefined
  readonly ipv4: Program | undefined
  readonly ipv6: Program | undefined
}

export interface ExtendedList extends Ranks {
  readonly ipv4: Program
  readonly ipv6: Program
  /** The same for fragments other than the first. */
  readonly later4: Program
  readonly later6: Program
  /** True if a rule names ports: later fragments meet what their first one met, where that is known. */
  readonly ported: boolean
  /** Seconds after which a connection that an allowed packet opens is forgotten; 0: it opens none. */
  readonly idleSeconds: Uint32Array
}

export interface AclDirection {
  readonly byMac: readonly AclList[]
  readonly byIp: readonly AclList[]
  readonly extended: ExtendedList | undefined
}

export interface AclPlan {
  readonly port: number
  /** True if a rule opens connections. */
  readonly stateful: boolean
  /** Where they are, if so. */
  readonly connections: ConnectionMemory | undefined
  readonly inbound: AclDirection | undefined
  readonly outbound: AclDirection | undefined
  /** Rows of counters: the entries of the ACL, then the rules of the extended one. */
  readonly rows: number
  /** COUNTERS_OF_ROW doubles of each row, of each processor. */
  readonly counters: SharedArrayBuffer
  /** What drops by a row are noted under. */
  readonly names: readonly string[]
  /** By row: what the entry or rule does, in words. */
  readonly details: readonly string[]
}

/** The ACLs of a port. */
export interface PortAclRules {
  readonly acl?: AclProperty | undefined
  readonly extendedAcl?: ExtendedAclProperty | undefined
}

/** Makes the program of a list where threads share it. Equal lists may have one. */
export type Place = (list: RuleList) => Program

const ownProgram: Place = (list) => inOwnMemory(compileRules(list))

/** The same plan with what `change` makes of its programs. */
export function withPrograms(plan: AclPlan, change: (program: Program) => Program): AclPlan {
  const changed = (program: Program | undefined): Program | undefined => program && change(program)
  const ofList = (list: AclList): AclList => ({
    ...list,
    mac: changed(list.mac),
    ipv4: changed(list.ipv4),
    ipv6: changed(list.ipv6),
  })
  const ofDirection = (direction: AclDirection | undefined): AclDirection | undefined =>
    direction && {
      byMac: direction.byMac.map(ofList),
      byIp: direction.byIp.map(ofList),
      extended: direction.extended && {
        ...direction.extended,
        ipv4: change(direction.extended.ipv4),
        ipv6: change(direction.extended.ipv6),
        later4: change(direction.extended.later4),
        later6: change(direction.extended.later6),
      },
    }
  return { ...plan, inbound: ofDirection(plan.inbound), outbound: ofDirection(plan.outbound) }
}

/** The programs of a plan, each once. */
export function programsOf(plan: AclPlan): ReadonlySet<Program> {
  const programs = new Set<Program>()
  withPrograms(plan, (program) => {
    programs.add(program)
    return program
  })
  return programs
}

const PORT_PROTOCOLS = [6, 17, 132]

const word = (bytes: readonly number[], at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

function matchOf({ address, bits }: AddressPrefix): AddressMatch {
  if (address.length === 16) return { words: [0, 4, 8, 12].map((at) => word(address, at)), bits }
  if (address.length === 4) return { words: [0, 0, 0, word(address, 0)], bits: 96 + bits }
  return { words: [0, 0, (address[0]! << 8) | address[1]!, word(address, 2)], bits: 128 }
}

const families = { ipv4: ['ipv4', 'any-ip'], ipv6: ['ipv6', 'any-ip'], mac: ['mac', 'any-mac'] } as const

function listOf(
  numbered: readonly (readonly [AclEntry, number])[],
  side: AclEntry['side'],
  meters: boolean,
  place: Place,
): AclList | undefined {
  const chosen = numbered
    .filter(([entry]) => entry.side === side && (entry.action === 'meter') === meters)
    .sort(([a], [b]) => b.prefix.bits - a.prefix.bits)
  if (chosen.length === 0) return undefined
  const program = (kinds: readonly string[]): Program | undefined => {
    const rules = chosen.flatMap(([entry], rank): RuleMatch[] => {
      if (!kinds.includes(entry.kind)) return []
      const isAny = entry.prefix.address.length === 0
      return [isAny ? { rank } : { rank, [side]: matchOf(entry.prefix) }]
    })
    return rules.length === 0 ? undefined : place({ rules, wide: kinds !== families.ipv4 })
  }
  return {
    meters,
    verdicts: verdictsOf(chosen),
    mac: program(families.mac),
    ipv4: program(families.ipv4),
    ipv6: program(families.ipv6),
  }
}

function listsOf(entries: readonly (readonly [AclEntry, number])[], place: Place): AclList[] {
  return [false, true].flatMap((meters) =>
    (['local', 'remote'] as const).flatMap((side) => listOf(entries, side, meters, place) ?? []),
  )
}

const familyOf = ({ localAddress, remoteAddress }: ExtendedAclRule): number => {
  const bytes = (localAddress ?? remoteAddress)?.address.length
  return bytes === undefined ? 0 : bytes === 4 ? 4 : 6
}

// Rules without a protocol that name ports mean each protocol that has ports.
function matchesOf(rule: ExtendedAclRule, rank: number, later: boolean): RuleMatch[] {
  const { localAddress, remoteAddress, localPorts, remotePorts, protocol, isolationId } = rule
  const hasPorts = localPorts !== undefined || remotePorts !== undefined
  // A later fragment could have any ports: a rule that denies some denies it, a rule that allows some does not allow it.
  if (later && hasPorts && rule.action === 'allow') return []
  const protocols = hasPorts && protocol === undefined ? PORT_PROTOCOLS : [protocol]
  return protocols.map((number) => ({
    rank,
    local: localAddress && matchOf(localAddress),
    remote: remoteAddress && matchOf(remoteAddress),
    localPorts: later ? undefined : localPorts,
    remotePorts: later ? undefined : remotePorts,
    protocol: number,
    isolation: isolationId,
  }))
}

// Of a port that has connections packets in a direction without rules are followed too.
function extendedOf(
  rules: readonly (readonly [ExtendedAclRule, number])[],
  stateful: boolean,
  place: Place,
): ExtendedList | undefined {
  if (rules.length === 0 && !stateful) return undefined
  const sorted = rules.toSorted(([a], [b]) => b.weight - a.weight)
  const program = (family: 4 | 6, later: boolean): Program =>
    place({
      rules: sorted.flatMap(([rule], rank) => (familyOf(rule) === 10 - family ? [] : matchesOf(rule, rank, later))),
      wide: family === 6,
    })
  const ported = sorted.some(([{ localPorts, remotePorts }]) => localPorts !== undefined || remotePorts !== undefined)
  const ipv4 = program(4, false)
  const ipv6 = program(6, false)
  return {
    ported,
    ipv4,
    ipv6,
    later4: ported ? program(4, true) : ipv4,
    later6: ported ? program(6, true) : ipv6,
    verdicts: verdictsOf(sorted),
    idleSeconds: Uint32Array.from(sorted, ([{ stateful, idleSessionTimeoutSeconds }]) =>
      stateful ? idleSessionTimeoutSeconds : 0,
    ),
  }
}

/**
 * Compiles the ACLs of `port` for `processors` processors; undefined: it has none. `connections`: makes or finds the memory of connections, asked
 * for where a rule is stateful. `place`: makes programs.
 */
export function compileAcls(
  port: number,
  { acl, extendedAcl }: PortAclRules,
  processors: number,
  connections: () => ConnectionMemory | undefined = () => undefined,
  place: Place = ownProgram,
): AclPlan | undefined {
  const entries = (acl?.entries ?? []).map((entry, row) => [entry, row] as const)
  const rules = (extendedAcl?.rules ?? []).map((rule, i) => [rule, entries.length + i] as const)
  const rows = entries.length + rules.length
  if (rows === 0) return undefined
  const stateful = rules.some(([rule]) => rule.stateful)
  const direction = (name: 'inbound' | 'outbound'): AclDirection | undefined => {
    const own = entries.filter(([entry]) => directionsOf(entry).includes(name))
    const isMac = ([{ kind }]: (typeof own)[number]): boolean => kind === 'mac' || kind === 'any-mac'
    const byMac = listsOf(own.filter(isMac), place)
    const byIp = listsOf(
      own.filter((one) => !isMac(one)),
      place,
    )
    const ofDirection = rules.filter(([rule]) => rule.direction === name)
    const extended = extendedOf(ofDirection, stateful, place)
    return byMac.length + byIp.length === 0 && extended === undefined ? undefined : { byMac, byIp, extended }
  }
  return {
    port,
    stateful,
    connections: stateful ? connections() : undefined,
    inbound: direction('inbound'),
    outbound: direction('outbound'),
    rows,
    counters: new SharedArrayBuffer(rows * processors * COUNTERS_OF_ROW * 8),
    names: [...entries.map(([{ side, text }]) => `acl: ${side} ${text}`), ...rules.map(([{ name }]) => `extended-acl: ${name}`)],
    details: [
      ...entries.map(([{ action }]) => action),
      ...rules.map(([{ action, weight, stateful }]) => `${action}, weight ${weight}${stateful ? ', stateful' : ''}`),
    ],
  }
}
