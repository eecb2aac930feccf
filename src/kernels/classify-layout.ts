// The layout of what the kernel that classifies flows works on: programs of rules, and the block of keys and ranks of one processor. It is
// compiled twice, by Node and by AssemblyScript, so it holds plain numbers only. A word has four bytes.
//
// The rule it must not break: a number here is the only place where that number stands.

// ---- program: what rules are compiled to; all places in it are word indices from its start, so it may lie anywhere ----------
export const CP_TREES = 0 // how many decision trees, at most TREES_MAX
export const CP_WIDE = 1 // 1: rules are WIDE_RULE_WORDS long
export const CP_RULES = 2 // index of the first rule, a multiple of NARROW_RULE_WORDS
export const CP_CUTS = 3 // index of the first cut, an even number
export const CP_FIRST_TREE = 4 // of each tree its root and its first rule, in the order of those
export const TREE_WORDS = 2
export const TREES_MAX = 3

// A place: 0 nothing; > 0 a node, which are cut << PLACE_CUT and the index of its places; < 0 ~index of a leaf. So one look at a place says
// where to look for the next one: cuts are few, and stay in the cache.
export const PLACE_CUT = 22
export const PLACE_INDEX = 0x3fffff
export const CUTS_MAX = 512
// A cut says which of a node's places counts: (key word >>> shift) & mask.
export const CUT_KEY = 0x3f // of the first word: byte offset of the key's word
export const CUT_SHIFT = 8
export const CUT_MASK = 1 // the second word
export const CUT_WORDS = 2

// A leaf: the numbers of its rules, which are in the order of their ranks; the last one has bit 31 set.
// A rule: value and span of what it wants of each field, where a packet's value less the rule's is at most the span.
export const NR_LOCAL = 0 // address words, spans behind both
export const NR_REMOTE = 1
export const NR_SPANS = 2
export const NARROW_RULE_WORDS = 8
export const NR_FIELDS = 4 // remote port | local port << 16, protocol | low half of the rank << 16; then the spans of both and the high half
// A wide rule: value and mask of both addresses, the same fields, then value and mask of the isolation id.
export const WR_LOCAL = 0
export const WR_LOCAL_MASK = 4
export const WR_REMOTE = 8
export const WR_REMOTE_MASK = 12
export const WR_FIELDS = 16
export const WR_ISOLATION = 20
export const WIDE_RULE_WORDS = 24

/** The rank where no rule matches. */
export const NO_RULE = 0x7fffffff

// ---- block of a processor, byte offsets: keys and ranks by position in a burst of CLASSIFY_MAX ---------------------------------
export const CLASSIFY_MAX = 64
export const KEY_BYTES = 64 // a line of the cache
export const CL_KEYS = 0 // u32[CLASSIFY_MAX][12]: flow keys, as the switch has them, KEY_BYTES apart
export const KEY_BEST = 48 // behind each key, of the kernel: the best rule so far
export const CL_RANKS = CL_KEYS + CLASSIFY_MAX * KEY_BYTES // i32[CLASSIFY_MAX]
export const CL_CHOSEN = CL_RANKS + CLASSIFY_MAX * 4 // u8[CLASSIFY_MAX]: positions to be classified
export const CL_KINDS = CL_CHOSEN + CLASSIFY_MAX // u8[CLASSIFY_MAX]: KIND_* of keys
export const CL_SLOTS = CL_KINDS + CLASSIFY_MAX // u16[CLASSIFY_MAX]: packets of the pool, for the kernel that makes keys
export const CL_NODES = CL_SLOTS + CLASSIFY_MAX * 2 // {address of a key u32, place u32}[CLASSIFY_MAX]: scratch of the kernel
export const CL_LEAVES = CL_NODES + CLASSIFY_MAX * 8 // the same
export const CLASSIFY_BYTES = CL_LEAVES + CLASSIFY_MAX * 8

// Kinds of keys: those of later fragments, and those of either family, are looked up in programs of their own.
export const KIND_WIDE = 1
export const KIND_LATER = 2
export const KIND_LEFT = 4 // none was made

// Words of a key that the kernel knows, as byte offsets.
export const KEY_LOCAL = 0
export const KEY_REMOTE = 16
export const KEY_FAMILY_IPV4 = 4 << 8
export const KEY_FAMILY_IPV6 = 6 << 8
export const KEY_PORTS = 32 // then protocol | family << 8 | isolation << 16, and in the next word's high half the isolation's
