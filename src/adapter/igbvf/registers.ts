// The registers of an Intel 82576 virtual function as its drivers know them: offsets in bytes into BAR 0, and their bits. All are 32
// bits wide and little-endian. Source: the 82576EG datasheet's chapter on virtual functions; Linux drivers/net/ethernet/intel/igbvf.
//
// The rule it must not break: a number here is the only place where that number stands.

/** Bytes of BAR 0 (registers) and of BAR 3 (MSI-X table and pending bits). */
export const BAR_REGISTERS_BYTES = 0x4000
export const BAR_MSIX_BYTES = 0x4000
/** MSI-X vectors of the function: drivers insist on three. */
export const VECTORS = 3
export const VECTOR_MASK = 7

export const CTRL = 0x0000
export const CTRL_RST = 1 << 26
export const STATUS = 0x0008
export const STATUS_FULL_DUPLEX = 1 << 0
export const STATUS_LINK_UP = 1 << 1
export const STATUS_SPEED_1000 = 2 << 6

export const VMBMEM = 0x0800
export const VMBMEM_WORDS = 16
export const V2PMAILBOX = 0x0c40
export const MAILBOX_REQ = 1 << 0
export const MAILBOX_ACK = 1 << 1
export const MAILBOX_VFU = 1 << 2
export const MAILBOX_PFU = 1 << 3
export const MAILBOX_PFSTS = 1 << 4
export const MAILBOX_PFACK = 1 << 5
export const MAILBOX_RSTD = 1 << 7
/** Bits that a read of V2PMAILBOX clears. */
export const MAILBOX_READ_CLEARS = MAILBOX_PFSTS | MAILBOX_PFACK | MAILBOX_RSTD

// Counters: 32 bits, they wrap, and reading leaves them.
export const VFGPRC = 0x0f10
export const VFGPTC = 0x0f14
export const VFGORC = 0x0f18
export const VFGOTC = 0x0f34
export const VFMPRC = 0x0f3c

export const EICS = 0x1520
export const EIMS = 0x1524
export const EIMC = 0x1528
export const EIAC = 0x152c
export const EIAM = 0x1530
export const EICR = 0x1580
export const EITR0 = 0x1680
/** Bits 14:2 of EITR: the least time between two interrupts, in microseconds. */
export const EITR_SHIFT = 2
export const EITR_MASK = 0x1fff
export const IVAR0 = 0x1700
export const IVAR_MISC = 0x1740
export const IVAR_VALID = 0x80

export const RDBAL = 0x2800
export const RDBAH = 0x2804
export const RDLEN = 0x2808
export const SRRCTL = 0x280c
export const RDH = 0x2810
export const RDT = 0x2818
export const RXDCTL = 0x2828
export const TDBAL = 0x3800
export const TDBAH = 0x3804
export const TDLEN = 0x3808
export const TDH = 0x3810
export const DCA_TXCTRL = 0x3814
export const TDT = 0x3818
export const TXDCTL = 0x3828
export const QUEUE_ENABLE = 1 << 25

// SRRCTL
export const SRRCTL_PACKET_KIB = 0x7f
export const SRRCTL_HEADER_SHIFT = 8
export const SRRCTL_HEADER_MASK = 0x0f
export const SRRCTL_TYPE_SHIFT = 25
export const SRRCTL_TYPE_MASK = 7
export const RX_TYPE_LEGACY = 0
export const RX_TYPE_SPLIT_ALWAYS = 5

// ---- descriptors: four words each ------------------------------------------------------------------------------------------------
export const DESCRIPTOR_BYTES = 16
/** Descriptors that a ring may have, as the chip has it; the ring's length is a multiple of 128 bytes. */
export const RING_DESCRIPTORS_MAX = 32768
export const RING_LENGTH_UNIT = 128

// Transmit: word 2 is length and command, word 3 status and options.
export const TX_LENGTH = 0xffff
export const TX_TYPE_MASK = 0x00f0_0000
export const TX_TYPE_CONTEXT = 0x0020_0000
export const TX_TYPE_DATA = 0x0030_0000
export const TX_EOP = 1 << 24
export const TX_LEGACY_CHECKSUM = 1 << 26
export const TX_RS = 1 << 27
export const TX_EXTENDED = 1 << 29
export const TX_VLAN = 1 << 30
export const TX_TSO = 1 << 31
export const TX_DONE = 1
export const TX_OPTION_IP_CHECKSUM = 1 << 8
export const TX_OPTION_L4_CHECKSUM = 1 << 9
export const TX_CONTEXT_SHIFT = 4
export const TX_CONTEXTS = 2
// Context descriptor
export const CONTEXT_IPV4 = 1 << 10
export const CONTEXT_L4_SHIFT = 11
export const CONTEXT_L4_UDP = 0
export const CONTEXT_L4_TCP = 1

// Receive, written back: status bits (word 2 of an advanced descriptor, word 3 of a legacy one).
export const RX_DONE = 1 << 0
export const RX_EOP = 1 << 1
export const RX_VLAN_STRIPPED = 1 << 3
export const RX_UDP_CHECKSUM_GOOD = 1 << 4
export const RX_TCP_CHECKSUM_GOOD = 1 << 5
export const RX_SPLIT_HEADER = 0x8000
export const RX_SPLIT_LENGTH_SHIFT = 5

// ---- mailbox messages: word 0 ----------------------------------------------------------------------------------------------------
export const MESSAGE_TYPE = 0xffff
export const MESSAGE_INFO_SHIFT = 16
export const MESSAGE_INFO_MASK = 0xff
export const MESSAGE_ACK = 0x8000_0000
export const MESSAGE_NACK = 0x4000_0000
export const MESSAGE_CTS = 0x2000_0000
export const VF_RESET = 1
export const VF_SET_MAC = 2
export const VF_SET_MULTICAST = 3
export const VF_SET_VLAN = 4
export const VF_SET_LPE = 5
export const VF_SET_PROMISCUOUS = 6
export const PF_CONTROL = 0x0100
// Configuration blocks, an addition to the chip's messages; drivers that do not know them never see one of the PF's.
/** Word 1: block; word 2: length and, from bit 8, offset of this piece; data from word 3. */
export const VF_READ_BLOCK = 0x40
export const VF_WRITE_BLOCK = 0x41
/** The guest waits for an invalidation: it comes as one PF_BLOCKS_CHANGED. */
export const VF_AWAIT_BLOCKS = 0x42
/** Words 1 and 2: mask of the blocks that changed. */
export const PF_BLOCKS_CHANGED = 0x0101
export const BLOCK_DATA_WORD = 3
/** Bytes of a block that one message carries. */
export const BLOCK_PIECE_BYTES = 4 * (VMBMEM_WORDS - BLOCK_DATA_WORD)
export const MAC_FILTER_CLEAR = 1
export const MAC_FILTER_ADD = 2
export const PROMISCUOUS_MULTICAST = 2
export const PROMISCUOUS_UNICAST = 4
/** Multicast hashes that one message carries at the most. */
export const MULTICAST_HASHES_MAX = 30
/** Longest frame, with its frame check sequence, that a function takes before it says otherwise. */
export const FRAME_DEFAULT = 1518
export const FCS_BYTES = 4
