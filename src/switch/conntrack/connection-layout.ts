// The layout of the connection table in shared memory: header, a record per port, the index, the entries. Numbers are positions of 32-bit
// words unless they say otherwise.
//
// The rule it must not break: a number here is the only place where that number stands.

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
/** An echo that the remote side asked for: another connection than one with the same identifier that the local side asked for. */
export const KIND_ECHO_FROM_REMOTE = 1 << 13

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
export const H_SEED = 5
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

// ---- index: open addressing, words of a fingerprint and an entry -------------------------------------------------------------
/** Words of the index per entry. */
export const INDEX_PER_ENTRY = 2
/** Words that one look-up reads at the most. */
export const PROBES = 32
export const ENTRY_BITS = 21
export const ENTRY_MASK = (1 << ENTRY_BITS) - 1
/** A word that was in use: look-ups go on behind it. Entry n stands as n + FIRST_ENTRY. */
export const TOMBSTONE = 1
export const FIRST_ENTRY = 2

// ---- entry -----------------------------------------------------------------------------------------------------------------
export const ENTRY_WORDS = 32
/** Even: nobody writes. A writer makes it odd, and even again when it is done, so that a reader notices any change. */
export const E_SEQUENCE = 0
/** ConnectionState, and SF_*. */
export const E_STATE = 1
/** Tick of the last packet that counted. */
export const E_LAST = 2
/** Ticks that it may be idle in its present state. */
export const E_TIMEOUT = 3
export const E_KEY = 4
/** Neighbours + 1 in the port's list of entries that may be evicted; E_PREVIOUS is LIST_FIRST for the first, 0: not in the list. */
export const E_NEXT = 15
export const E_PREVIOUS = 16
export const LIST_FIRST = -1
/** Ticks that the rule lets an answered connection be idle. */
export const E_IDLE = 17
/** Of TCP, per direction (see SIDE_WORDS): one past the last byte that the side sent; how far it may send; what it acknowledged. */
export const E_SIDES = 18
export const SIDE_WORDS = 3
export const S_END = 0
export const S_LIMIT = 1
export const S_ACKNOWLEDGED = 2
/** Packets and bytes from the port, then to the port, as doubles. */
export const E_COUNTS = 24

// Flags in E_STATE.
export const STATE_MASK = 0xff
/** The remote side opened it. */
export const SF_FROM_REMOTE = 1 << 8
/** The side sent FIN; shifted by the direction. */
export const SF_FIN = 1 << 9
/** Window scales, four bits per direction. */
export const SCALE_SHIFT = 16
export const SCALE_BITS = 4
/** The side's SYN offered no scale. */
export const SCALE_NONE = 15
export const SCALE_MAX = 14

/** Directions: packets from the port, and to it. */
export const OUTGOING = 0
export const INCOMING = 1

export const ConnectionState = {
  free: 0,
  /** TCP: SYN seen. */
  synSent: 1,
  /** TCP: answered, not yet confirmed. */
  synReceived: 2,
  established: 3,
  /** TCP: both sides sent FIN. */
  closing: 4,
  /** TCP: reset. */
  closed: 5,
  /** TCP: seen in its middle, not yet answered. */
  pickedUp: 6,
  unreplied: 7,
  replied: 8,
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
