// The layout of the connection table in shared memory: header, a record per port, the index, the entries; those of the latter two that the
// kernel knows stand in follow-layout.ts. Numbers are positions of 32-bit words unless they say otherwise.
//
// The rule it must not break: a number here is the only place where that number stands.
import { ENTRY_WORDS, ESTABLISHED, INDEX_PER_ENTRY, REPLIED, UNREPLIED } from '../../kernels/follow-layout.ts'

export * from '../../kernels/follow-layout.ts'

/** Connections that a switch keeps unless its configuration says otherwise. */
export const CONNECTIONS_DEFAULT = 131_072
export const CONNECTIONS_MIN = 1024
export const CONNECTIONS_MAX = 1_048_576

// ---- flow key, as the ACL stage fills it -----------------------------------------------------------------------------------
/** Words of a flow: addresses (IPv4 in the last word of each), ports, protocol, switch port, flags. */
export const FLOW_WORDS = 12
export const FLOW_LOCAL = 0
export const FLOW_REMOTE = 4
/** Local port in the high half, remote port in the low one; ICMP echo: the identifier in both; else 0. */
export const FLOW_PORTS = 8
/** IP protocol, address family (4 or 6) from bit 8, the isolation id's low 16 bits from bit 16. */
export const FLOW_PROTOCOL = 9
/** Switch port, the isolation id's higher bits from bit 16. */
export const FLOW_SWITCH_PORT = 10
export const SWITCH_PORT_MASK = 0xffff
/** TCP flags, FlowFragment from bit 8. */
export const FLOW_FLAGS = 11
/** Words that tell connections apart. */
export const KEY_WORDS = 11
/** What a packet is of its IP datagram; 0: all of it. */
export const FlowFragment = { first: 1, later: 2 } as const
// Kinds of entries, above the family in FLOW_PROTOCOL.
export const KIND_FRAGMENT = 1 << 12

// ---- header ----------------------------------------------------------------------------------------------------------------
export const HEADER_WORDS = 32
/** Held by whoever adds, removes or lists entries. */
export const H_LOCK = 0
/** First free entry + 1, 0 = none. */
export const H_FREE = 1
/** Entries from here on were never used. */
export const H_BUMP = 2
export const H_USED = 3
/** Entries beyond the ports' reserves. */
export const H_POOL_USED = 4
/** Counters, as doubles: ConnectionCounter. */
export const H_COUNTERS = 16

export const ConnectionCounter = { opened: 0, evicted: 1, refusedByShare: 2, full: 3, expired: 4 } as const

// ---- record of a port ------------------------------------------------------------------------------------------------------
export const PORT_RECORD_WORDS = 8
export const R_USED = 0
/** First and last entry + 1 of those that may be evicted, the oldest first; 0 = none. */
export const R_HEAD = 1
export const R_TAIL = 2
/** Until when (tick) connections in progress are picked up, if R_PICK_UP is 1. */
export const R_PICK_UP = 3
export const R_PICK_UP_UNTIL = 4

/** Directions: packets from the port, and to it. */
export const OUTGOING = 0
export const INCOMING = 1

export const ConnectionState = {
  free: 0,
  /** TCP: SYN seen. */
  synSent: 1,
  /** TCP: answered, not yet confirmed. */
  synReceived: 2,
  established: ESTABLISHED,
  /** TCP: both sides sent FIN. */
  closing: 4,
  /** TCP: reset. */
  closed: 5,
  /** TCP: seen in its middle, not yet answered. */
  pickedUp: 6,
  unreplied: UNREPLIED,
  replied: REPLIED,
  /** Not a connection: later fragments of a datagram whose first one was admitted. */
  fragment: 9,
} as const

export const connectionStateNames = Object.keys(ConnectionState) as (keyof typeof ConnectionState)[]

const alignedWords = (words: number): number => (words + ENTRY_WORDS - 1) & ~(ENTRY_WORDS - 1)

/** Where the index starts. */
export const indexAt = (ports: number): number => alignedWords(HEADER_WORDS + ports * PORT_RECORD_WORDS)

/** Bytes to reserve for a table of `connections` (a power of two) and port ids below `ports`. */
export const connectionTableBytes = (connections: number, ports: number): number =>
  (indexAt(ports) + connections * (INDEX_PER_ENTRY + ENTRY_WORDS)) * 4
