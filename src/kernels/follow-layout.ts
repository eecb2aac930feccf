// The layout of what the kernel that follows connections knows of their table: the index and the entries. It is compiled twice, by Node and by
// AssemblyScript, so it holds plain numbers only. Numbers are positions of 32-bit words unless they say otherwise.
//
// The rule it must not break: a number here is the only place where that number stands.

/** In the header of the table: what keys are mixed with. */
export const H_SEED = 5
// How keys are mixed.
export const MIX_A = 0x9e3779b1
export const MIX_B = 0x85ebca6b
export const MIX_C = 0xc2b2ae35
/** An echo that the remote side asked for: another connection than one with the same identifier that the local side asked for. */
export const KIND_ECHO_FROM_REMOTE = 1 << 13

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

// States that the kernel knows: ConnectionState has them all.
export const ESTABLISHED = 3
export const UNREPLIED = 7
export const REPLIED = 8

// ---- TCP -------------------------------------------------------------------------------------------------------------------
/** The largest window that TCP knows. */
export const WINDOW_MAX = 0xffff << SCALE_MAX
/** A side probes a window that is closed with one byte. */
export const WINDOW_PROBE = 1
