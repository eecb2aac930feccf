// The layout of what the tunnel kernels work on: the block that tells them of a burst and of the overlay, and the tables of peers and
// virtual subnets of one processor. It is compiled twice, by Node and by AssemblyScript, so it holds plain numbers only. All values are
// byte offsets or counts.
//
// The rule it must not break: a number here is the only place where that number stands.

// ---- block: one per processor -----------------------------------------------------------------------------------------------
// What stays the same for long.
export const TU_SUBNET_OF = 0 // u32: linear address of the u16 subnet number of each port, 0 = none
export const TU_PORTS = 4 // u32: ports of the switch; in the table of customers peers stand behind them
export const TU_MACS = 8 // u32: linear address of the table of customers
export const TU_MAC_MASK = 12 // u32: its entries - 1
export const TU_PEERS = 16 // u32: linear address of the peers
export const TU_CHAINS = 20 // u32: linear address of the first peer of each chain, TU_PEERS_MAX entries of u16: number + 1, 0 = none
export const TU_SUBNETS = 24 // u32: linear address of the table of subnets
export const TU_COUNTERS = 28 // u32: linear address of the counters of peers
export const TU_FORMAT = 32 // u32: TU_FORMAT_*
export const TU_UDP_PORT = 36 // u32: destination port
export const TU_MAC_LOW = 40 // u32: octets 2…5 of the providers' MAC address, little-endian
export const TU_MAC_HIGH = 44 // u32: octets 0 and 1
export const TU_MTU_IPV4 = 48 // u32: bytes of the largest IP packet that fits, by the outer family
export const TU_MTU_IPV6 = 52 // u32
export const TU_OWN_FAMILIES = 56 // u32: 1: TU_OWN_IPV4 counts, 2: TU_OWN_IPV6 counts
export const TU_OWN_IPV4 = 60 // 4 octets
export const TU_OWN_IPV6 = 64 // 16 octets
export const TU_CLAMPS = 80 // u32: 1 = the segment size of connections is lowered
export const TU_LEARNS = 84 // u32: 1 = what comes by tunnels is learned
// What changes by burst.
export const TU_NOW = 88 // u32: seconds of the switch's clock
export const TU_ANSWERS = 92 // u32: 1 = questions about addresses may be answered here
export const TU_EXTERNAL = 96 // u32: the external port that is connected, 0 = none
export const TU_SOURCE = 100 // u32: the port that the burst comes from
export const TU_SUBNET = 104 // u32: the number of its subnet
export const TU_CHECKS = 108 // u32: 1 = it may send from its own address only
export const TU_SOURCE_LOW = 112 // u32: that address
export const TU_SOURCE_HIGH = 116 // u32
// What the kernels tell.
export const TU_STOPPED_AT = 120 // u32: position of the packet whose source must be learned first; the count if there is none
export const TU_NEEDS = 124 // u32: OR of the needs of packets that went into tunnels
export const TU_LONGEST = 128 // u32: bytes of the longest of those
export const TU_LEFT = 132 // u16[BURST_SLOTS]: positions of packets left undecided
export const TU_BLOCK_BYTES = 704

export const TU_FORMAT_NVGRE = 0
export const TU_FORMAT_VXLAN = 1
export const TU_FORMAT_GENEVE = 2

// ---- peers: an entry per number ------------------------------------------------------------------------------------------------
export const TU_PEERS_MAX = 1024
export const TP_BYTES = 128
export const TP_TEMPLATE = 0 // the tunnel's headers, at most 70 bytes
export const TP_LENGTH = 80 // u32: bytes of those headers; 0 = the next hop is not known
export const TP_IPV4 = 84 // u32: 1 = they are of IPv4
export const TP_SUM = 88 // u32: sum of the words of the IPv4 header, without length and traffic class
export const TP_NEXT = 92 // u32: the next peer of its chain, number + 1; 0 = it is the last
export const TP_ADDRESS_BYTES = 96 // u32: 4 or 16; 0 = there is no such peer
export const TP_ADDRESS = 112 // its octets
export const TP_HASH_MIX = 0x9e3779b1

// ---- counters of peers: f64 each -----------------------------------------------------------------------------------------------
export const TC_BYTES = 32
export const TC_SENT_FRAMES = 0
export const TC_SENT_BYTES = 8
export const TC_RECEIVED_FRAMES = 16
export const TC_RECEIVED_BYTES = 24

// ---- subnets: an open-addressing table of {identifier u32, number u32}; identifier 0: free, nothing stands behind it -------------------
export const TS_ENTRIES = 8192
export const TS_BYTES = 8
export const TS_HASH_MIX = 0x9e3779b1
export const TS_HASH_SHIFT = 19
