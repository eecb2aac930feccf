// The layout of everything that the burst kernels and their TypeScript twins share in linear memory: the packet pool, the queue
// block of one virtqueue, the region table of one guest. It is compiled twice, by Node and by AssemblyScript, so it holds plain
// numbers only. All values are byte offsets or counts; everything is little-endian.
//
// The rule it must not break: a number here is the only place where that number stands.

// ---- packet pool: structure of arrays, one pool per processor -------------------------------------------------------------
export const POOL_SLOTS = 8192 // packets a pool holds; slots 0..BURST_SLOTS-1 belong to the burst in work, the others to held packets
export const BURST_SLOTS = 256 // slots that one turn may use: a dequeued burst and what extensions add to it
export const BURST_MAX = 64 // packets one dequeue takes at the most

export const HEADER_STRIDE = 256 // bytes of a slot's header area
export const HEADER_START = 128 // a dequeued frame's copy starts here; the bytes before are headroom for tags and encapsulation
export const HEADER_COPY = 128 // bytes of a frame that dequeue copies at the most (the rest is payload, left where it is)
export const SEGMENTS_MAX = 24 // payload segments of one packet
export const OWN_PLACE = 2048 // bytes of payload that each slot has room for behind the pool, from the next multiple of STORE_ALIGN on
export const STORE_ALIGN = 4096
export const PLACE_SPREAD = 29 // payloads of slots that follow each other begin far apart within these places
export const FRAME_MIN = 14 // an Ethernet header
export const FRAME_MAX = 65562 // 64 KiB of IP packet, an Ethernet header and two tags
export const VNET_HEADER = 12 // bytes of the virtio-net header that leads each frame in a ring
export const VNET_STRIDE = 16 // bytes kept for it per slot
export const DESCRIPTORS_MAX = 64 // descriptors that one chain may have, those of an indirect table included
export const ARRAY_GAP = 192 // bytes between a slot's arrays, or all of them would fall into the same cache sets
export const ARENA_ENTRIES = 65536 // destination entries of packets that have more than one, per pool and turn
export const HELD_ARENA_ENTRIES = 65536 // the same for packets that outlive a turn, behind those

// A frame is its header copy (P_HEADER_LENGTH bytes from the header area at P_HEADER_OFFSET) followed by its payload:
// P_SEGMENTS = 0: none; 1: P_LENGTH - P_HEADER_LENGTH bytes at P_ADDRESS; more: the segment table.
export const P_HEADER = 0 // u8[POOL_SLOTS][HEADER_STRIDE]
export const P_ADDRESS = P_HEADER + POOL_SLOTS * HEADER_STRIDE + ARRAY_GAP // u32: payload of a one-segment packet: linear address, or offset in window P_WINDOW
export const P_LENGTH = P_ADDRESS + POOL_SLOTS * 4 + ARRAY_GAP // u32: bytes of the whole frame
export const P_FLAGS = P_LENGTH + POOL_SLOTS * 4 + ARRAY_GAP // u32: PF_*
export const P_HEAD = P_FLAGS + POOL_SLOTS * 4 + ARRAY_GAP // u32: id under which the descriptor chain is given back
export const P_DESTINATION = P_HEAD + POOL_SLOTS * 4 + ARRAY_GAP // u32: the destination entry, if there is one only
export const P_DESTINATION_OFFSET = P_DESTINATION + POOL_SLOTS * 4 + ARRAY_GAP // u32: index of the first entry in the arena, if there are more
export const P_PACKET_ID = P_DESTINATION_OFFSET + POOL_SLOTS * 4 + ARRAY_GAP // u32: running number per processor
export const P_VSID = P_PACKET_ID + POOL_SLOTS * 4 + ARRAY_GAP // u32: virtual subnet id, 0 = none
export const P_DESTINATION_COUNT = P_VSID + POOL_SLOTS * 4 + ARRAY_GAP // u16
export const P_DESTINATION_ROOM = P_DESTINATION_COUNT + POOL_SLOTS * 2 + ARRAY_GAP // u16: entries that the packet's array can hold
export const P_ETHER_TYPE = P_DESTINATION_ROOM + POOL_SLOTS * 2 + ARRAY_GAP // u16, host order, the first after at most two tags
export const P_VLAN = P_ETHER_TYPE + POOL_SLOTS * 2 + ARRAY_GAP // u16: TCI of the outer tag, host order; 0 without PF_TAGGED
export const P_SOURCE_L4 = P_VLAN + POOL_SLOTS * 2 + ARRAY_GAP // u16: TCP/UDP source port, host order; 0 where there is none
export const P_DESTINATION_L4 = P_SOURCE_L4 + POOL_SLOTS * 2 + ARRAY_GAP // u16
export const P_SOURCE_PORT = P_DESTINATION_L4 + POOL_SLOTS * 2 + ARRAY_GAP // u16: switch port the packet came from
export const P_HEADER_OFFSET = P_SOURCE_PORT + POOL_SLOTS * 2 + ARRAY_GAP // u16: where the frame starts in the header area
export const P_HEADER_LENGTH = P_HEADER_OFFSET + POOL_SLOTS * 2 + ARRAY_GAP // u16: bytes of the frame that stand in the header area
export const P_WINDOW = P_HEADER_LENGTH + POOL_SLOTS * 2 + ARRAY_GAP // u16: window of P_ADDRESS for PF_FOREIGN packets
export const P_CHAIN = P_WINDOW + POOL_SLOTS * 2 + ARRAY_GAP // u16: ring elements that the packet's descriptor chain occupies (packed rings)
export const P_RECEIVE_QUEUE = P_CHAIN + POOL_SLOTS * 2 + ARRAY_GAP // u16: see receiveQueue of the packet pool
export const P_L3 = P_RECEIVE_QUEUE + POOL_SLOTS * 2 + ARRAY_GAP // u8: offset of the network header from the frame's start
export const P_L4 = P_L3 + POOL_SLOTS + ARRAY_GAP // u8: offset of the transport header, 0 = none or beyond the copy
export const P_PROTOCOL = P_L4 + POOL_SLOTS + ARRAY_GAP // u8: IP protocol after IPv6 extension headers
export const P_SEGMENTS = P_PROTOCOL + POOL_SLOTS + ARRAY_GAP // u8: payload segments
export const P_SOURCE_NIC = P_SEGMENTS + POOL_SLOTS + ARRAY_GAP // u8: NIC index on the source port
export const P_REASON = P_SOURCE_NIC + POOL_SLOTS + ARRAY_GAP // u8: drop reason of a PF_DROPPED packet
export const P_NEEDS = P_REASON + POOL_SLOTS + ARRAY_GAP // u8: OFFLOAD_* that whoever receives the packet must be able to do
export const P_EDITED = P_NEEDS + POOL_SLOTS + ARRAY_GAP // u8: 1 while the packet has the form of one destination, made by the kernel `form`
export const P_VNET = P_EDITED + POOL_SLOTS + ARRAY_GAP // u8[POOL_SLOTS][VNET_STRIDE]: flags u8, gso type u8, header length u16, gso size u16, checksum start u16, checksum offset u16, buffers u16
export const P_SEGMENT = P_VNET + POOL_SLOTS * VNET_STRIDE + ARRAY_GAP // {address u32, length u32}[POOL_SLOTS][SEGMENTS_MAX]
export const P_SEGMENT_WINDOW = P_SEGMENT + POOL_SLOTS * SEGMENTS_MAX * 8 // u16[POOL_SLOTS][SEGMENTS_MAX], PF_FOREIGN packets only
export const P_ARENA = P_SEGMENT_WINDOW + POOL_SLOTS * SEGMENTS_MAX * 2 // u32[ARENA_ENTRIES + HELD_ARENA_ENTRIES]: destination entries
export const P_SCRATCH = P_ARENA + (ARENA_ENTRIES + HELD_ARENA_ENTRIES) * 4 // what the kernels note down while they work on one packet; nobody else reads it
export const GATHER_MAX = 256 // stretches of guest memory, and receive buffers, that one delivered packet may fill
export const PIECE_BYTES = 16 // {address u32, length u32, guest address u64}
export const CHAIN_BYTES = 16 // {id u32, ring elements u32, bytes written u32, -}
export const P_PIECES = P_SCRATCH + VNET_STRIDE // after the virtio-net header that goes out
export const P_CHAINS = P_PIECES + GATHER_MAX * PIECE_BYTES
export const P_PARENT = P_CHAINS + GATHER_MAX * CHAIN_BYTES // u32: id of the packet that this one is a clone of, 0 = none
export const P_SHARED_MEMORY = P_PARENT + POOL_SLOTS * 4 + ARRAY_GAP // u32: see sharedMemory of the packet pool
export const P_LEFT_AT = P_SHARED_MEMORY + POOL_SLOTS * 4 + ARRAY_GAP // u16: see leftAt of the packet pool
export const P_HASH_INFO = P_LEFT_AT + POOL_SLOTS * 2 + ARRAY_GAP // u16: see hashInfo of the packet pool
export const P_ORIGINALS = P_HASH_INFO + POOL_SLOTS * 2 + ARRAY_GAP // u16[BURST_MAX]: slots of packets to be copied
export const P_COPIES = P_ORIGINALS + BURST_MAX * 2 // u16[BURST_MAX]: the slots of their copies
export const P_RUN = P_COPIES + BURST_MAX * 2 // what a run of packets has in common
export const RUN_ENTRY = 0 // u32: the one destination; 0 without
export const RUN_NEEDS = 4 // u32: OR of the offload needs
export const RUN_FLAGS = 8 // u32: OR of the packet flags
export const RUN_LONGEST = 12 // u32: bytes of the longest frame
export const RUN_BLOCKS = 16 // u32: blocks of the store that their payloads take
export const RUN_BYTES = 20
export const POOL_BYTES = P_RUN + BURST_MAX * 2

// Packet flags (P_FLAGS)
export const PF_DROPPED = 1 << 0 // P_REASON says why
export const PF_BROADCAST = 1 << 1
export const PF_MULTICAST = 1 << 2 // group bit of the destination address, broadcast included
export const PF_IPV4 = 1 << 3
export const PF_IPV6 = 1 << 4
export const PF_FRAGMENT = 1 << 5 // an IP fragment, the first one included
export const PF_TAGGED = 1 << 6 // carries an 802.1Q or 802.1ad tag
export const PF_FOREIGN = 1 << 7 // payload addresses are offsets in windows, not linear addresses
export const PF_OWNED = 1 << 8 // payload lies in blocks of the pool's own buffer store
export const PF_SAFE = 1 << 9 // IsPacketDataSafe: no byte of it can be changed by a guest
export const PF_ORIGINATED = 1 << 10 // made or cloned by an extension: nothing to complete in a ring
export const PF_NATIVE_FORWARDING = 1 << 11 // NativeForwardingRequired
export const PF_DATA_VALID = 1 << 12 // the L4 checksum is right: the sender vouches for it, or it was summed here
export const PF_GROWN = 1 << 13 // P_DESTINATION_ROOM counts although there is no destination yet
export const PF_VLAN_OOB = 1 << 14 // P_VLAN is out of band: the frame's bytes carry no tag
export const PF_REPORTED = 1 << 15 // the module in work has reported the packet as filtered
export const PARSE_FLAGS = PF_BROADCAST | PF_MULTICAST | PF_IPV4 | PF_IPV6 | PF_FRAGMENT | PF_TAGGED // those that parse sets and clears
export const IPV6_EXTENSIONS_MAX = 8 // extension headers that parse walks

// Destination entries (P_DESTINATION, the arena): NDIS_SWITCH_PORT_DESTINATION in 32 bits
export const DE_PORT = 0xffff // port id
export const DE_NIC_SHIFT = 16 // NIC index, 8 bits
export const DE_EXCLUDED = 1 << 24
export const DE_PRESERVE_VLAN = 1 << 25
export const DE_PRESERVE_PRIORITY = 1 << 26
export const DE_PENDING = 1 << 27 // to be excluded when the array is updated
export const DE_REPORTED = 1 << 28 // the module in work has reported the exclusion
export const DE_MIRROR = 1 << 29 // added by mirroring: the copy has the VLAN of copies for that port

// Offloads, as a packet's needs and as a queue's abilities
export const OFFLOAD_CHECKSUM = 1 << 0 // L4 checksum not yet computed
export const OFFLOAD_TSO4 = 1 << 1
export const OFFLOAD_TSO6 = 1 << 2
export const OFFLOAD_ECN = 1 << 3 // TSO with CWR set
export const OFFLOAD_USO = 1 << 4 // UDP segmentation (VIRTIO_NET_HDR_GSO_UDP_L4)
export const OFFLOAD_TUNNEL = 1 << 5 // segmentation within a tunnel, whose headers' length stands in the virtio-net header's header length; no queue has it

// ---- queue block: one per virtqueue, in shared memory, read by kernels of any processor under Q_LOCK ------------------------
export const QUEUE_BYTES = 256
export const Q_LOCK = 0 // i32: 0 free, 1 held; whoever touches the ring holds it
export const Q_STATE = 4 // u32: 0 stopped, 1 running, 2 broken (Q_ERROR says why)
export const Q_ERROR = 8 // u32: QE_*
export const Q_FLAGS = 12 // u32: QF_*
export const Q_MASK = 16 // u32: size - 1 (split); packed rings may have any size: use Q_SIZE
export const Q_SIZE = 20 // u32
export const Q_LAST = 24 // u32: next available index (split, free running 16 bit) or position (packed)
export const Q_USED = 28 // u32: next used index or position
export const Q_WRAP = 32 // u32: packed: bit 0 wrap counter of Q_LAST, bit 1 of Q_USED
export const Q_SIGNALLED = 36 // u32: used index at the last notification (event index)
export const Q_SIGNALLED_VALID = 40 // u32: 0 until the first notification
export const Q_OFFLOADS = 44 // u32: transmit: OFFLOAD_* the guest may ask for; receive: OFFLOAD_* it takes
export const Q_REGIONS = 48 // u32: linear address of the region table
export const Q_REGION_COUNT = 52 // u32
// Ring parts: linear address (0 = not in linear memory), then window and offset for the TypeScript engine.
export const Q_DESC = 56 // split: descriptor table; packed: descriptor ring
export const Q_DESC_WINDOW = 60
export const Q_DESC_OFFSET = 64
export const Q_DRIVER = 68 // split: available ring; packed: driver event suppression
export const Q_DRIVER_WINDOW = 72
export const Q_DRIVER_OFFSET = 76
export const Q_DEVICE = 80 // split: used ring; packed: device event suppression
export const Q_DEVICE_WINDOW = 84
export const Q_DEVICE_OFFSET = 88
export const Q_LOG = 92 // u32: linear address of the dirty log, 0 = off
export const Q_LOG_SIZE = 96 // u32: its bytes
export const Q_LOG_RING = 100 // u32: 1 = writes of the device part are logged too
export const Q_LOG_RING_LOW = 104 // u32: guest physical address of the device part
export const Q_LOG_RING_HIGH = 108
export const Q_NO_BUFFER = 112 // u32: frames not delivered for lack of buffers; running, the reader takes differences
export const Q_TOO_BIG = 116 // u32: frames not delivered: larger than the buffer
export const Q_BAD_BUFFER = 120 // u32: buffers given back empty: outside guest memory, not writable, or a broken chain
export const Q_BAD_CHAIN = 124 // u32: transmit chains dropped: outside guest memory, too long, looping, or without a header
export const Q_CALL = 128 // i32: eventfd that tells the guest, -1 = none
export const Q_KICK = 132 // i32: eventfd by which the guest tells us, -1 = none (the guest polls, so must we)
export const Q_PORT = 136 // u32: port id
export const Q_INDEX = 140 // u32: index of the virtqueue in its device
export const Q_DESC_BYTES = 144 // u32: bytes from Q_DESC that are inside the guest's region
export const Q_NEEDS_SEEN = 152 // u32: OR of P_NEEDS over the last burst dequeued
export const Q_GENERATION = 156 // u32: changes with every start, stop and new eventfd; the data half renews what it derived
export const Q_DISCARD = 160 // u32: 1 = a transmit ring that is started but disabled: its frames are taken and dropped
export const Q_ALARM = 164 // i32: eventfd by which the data half tells the control half that the ring broke, -1 = none
export const Q_INFLIGHT = 168 // u32: linear address of the queue's part of the in-flight region, 0 = none

export const QS_STOPPED = 0
export const QS_RUNNING = 1
export const QS_BROKEN = 2

export const QF_PACKED = 1 << 0
export const QF_EVENT_INDEX = 1 << 1
export const QF_MERGEABLE = 1 << 2
export const QF_INDIRECT = 1 << 3
export const QF_IN_ORDER = 1 << 4
export const QF_FOREIGN = 1 << 5 // the guest's memory is not in linear memory: only the TypeScript engine can serve it

// What breaks a queue (it stays stopped until the front-end sets it up anew)
export const QE_AVAILABLE_INDEX = 1 // available index ahead of what the ring holds
export const QE_HEAD = 2 // descriptor index outside the table
export const QE_PACKED_CHAIN = 3 // packed chain longer than the ring

// ---- region table of one guest ----------------------------------------------------------------------------------------------
export const REGION_BYTES = 24
export const REGION_GPA_LOW = 0 // u32
export const REGION_GPA_HIGH = 4 // u32
export const REGION_SIZE = 8 // u32: at most WINDOW_BYTES; a larger region is several entries, and an entry lies within one window
export const REGION_BASE = 12 // u32: linear address, 0 = foreign
export const REGION_WINDOW = 16 // u32: window that holds it, for the TypeScript engine
export const REGION_OFFSET = 20 // u32: offset of its first byte in that window
export const REGIONS_MAX = 256
export const WINDOW_BYTES = 0x40000000 // 1 GiB: typed arrays stay fast only while indices are small

// Virtqueue descriptors
export const DESC_NEXT = 1
export const DESC_WRITE = 2
export const DESC_INDIRECT = 4
export const DESC_AVAILABLE = 1 << 7 // packed
export const DESC_USED = 1 << 15 // packed

// virtio-net header
export const VNET_NEEDS_CSUM = 1
export const VNET_DATA_VALID = 2
export const VNET_GSO_NONE = 0
export const VNET_GSO_TCPV4 = 1
export const VNET_GSO_UDP = 3
export const VNET_GSO_TCPV6 = 4
export const VNET_GSO_UDP_L4 = 5
export const VNET_GSO_ECN = 0x80

// Drop reasons that kernels set; src/ndis/drop-reasons.ts names them and those above
export const REASON_NONE = 0
export const REASON_RUNT = 1
export const REASON_OVERSIZE = 2
export const REASON_BAD_CHAIN = 3
export const REASON_BAD_OFFLOAD = 4
export const REASON_BUFFER_FULL = 7

// Result of deliver: frames delivered in the low 16 bits, and whether the guest wants a notification
export const DELIVER_COUNT = 0xffff
export const DELIVER_NOTIFY = 1 << 16

// ---- tables of the switch that the switching kernels read -----------------------------------------------------------------------
// Port table (src/switch/port-table.ts): a header, then an entry per port id.
export const PORT_TABLE_HEADER = 64
export const PORT_ENTRY_BYTES = 64
export const PORT_STATE = 0 // i32: NDIS_SWITCH_PORT_STATE
export const PORT_NIC_STATE = 4 // i32: NDIS_SWITCH_NIC_STATE
export const PORT_FLAGS = 8 // i32: PORT_FLAG_*
export const PORT_MAC_LOW = 12 // i32: octets 2…5 of the connection's address, little-endian
export const PORT_MAC_HIGH = 16 // i32: octets 0 and 1
export const PORT_VLAN = 20 // i32
export const PORT_ADAPTERS = 24 // i32: bit n = the physical adapter with NIC index n + 1 is connected; 0 = none modelled
export const PORT_PINS = 28 // i32: packets that outlive a turn and name the port as source or committed destination
export const PORT_SUBNET = 32 // i32: virtual subnet id, 0 = none
export const PORT_MTU = 36 // i32: bytes of payload that the connection takes, 0 = any
export const PORT_MONITOR = 40 // i32: monitor mode, session << 8, direction << 16, VLAN of copies << 18
export const PORT_VLAN_MODE = 44 // i32: 0 = no VLAN property
export const PORT_VLAN_SECONDARY = 48 // i32
export const PORT_VLAN_SET_BYTES = 512 // behind the entries: a bit per VLAN and port
export const NIC_CONNECTED = 2
export const PORT_FLAG_CHECK_SOURCE = 1
export const PORT_FLAG_LEARN = 2
export const PORT_FLAG_UNKNOWN_UNICAST = 4
export const PORT_FLAG_EXTERNAL = 8
export const PORT_FLAG_LINK_DOWN = 16
export const PORT_FLAG_VLAN = 32 // has a VLAN property
export const PORT_FLAG_NO_PRIORITY = 64 // AllowIeeePriorityTag is FALSE
export const PORT_FLAG_EXTERNAL_SUBNET = 128 // its virtual subnet is external
// MAC table (src/switch/mac-table.ts): a header, then entries {address octets 2…5, key, port, seconds}.
export const MAC_TABLE_HEADER = 64
export const MAC_ENTRY_BYTES = 16
export const MAC_PROBES = 8
export const MAC_KEY_VALID = 1 << 28
export const MAC_KEY_STATIC = 1 << 29 // known from the configuration
export const MAC_KEY_MASK = 0x1fffffff
export const MAC_HASH_HIGH = 0x85ebca6b
export const MAC_HASH_MIX = 0x9e3779b1

// A slot of an AF_PACKET receive ring: its header (struct tpacket2_hdr), then, where RING_FRAME says, the frame behind the first
// PACKET_VNET_BYTES of a virtio-net header.
export const RING_STATUS = 0 // u32: the bits below; 0 gives the slot back
export const RING_LENGTH = 4 // u32
export const RING_CAPTURED = 8 // u32
export const RING_FRAME = 12 // u16: offset in the slot
export const RING_VLAN_TCI = 24 // u16
export const RING_VLAN_TPID = 26 // u16
export const RING_USER = 1 // the slot is ours
export const RING_COPY = 2 // the frame is longer than the slot and waits, whole, in the socket
export const RING_LOSING = 4
export const RING_VLAN_VALID = 0x10
export const RING_VLAN_TPID_VALID = 0x40
export const PACKET_VNET_BYTES = 10
// What takeFrames returns
export const TAKEN_COUNT = 0x7f
export const TAKEN_LOSING = 0x80 // frames were lost for want of room in the ring
export const TAKEN_BESIDE = 0x100 // the next frame is one of RING_COPY: somebody else reads it

// What QueueKernels.alike returns: the frames that are alike, whether they have one sender, and their bytes.
export const ALIKE_COUNT = 0x7f
export const ALIKE_ONE_SENDER = 0x80
export const ALIKE_BYTES_SHIFT = 8

// Receive queues that an adapter has at the most; the block of assign, and the table of aimEach: words of each queue.
export const QUEUE_IDS = 256
export const QB_RECENT_FIRST = 0 // u32[QUEUE_IDS]: octets 0 to 3 of addresses decided lately
export const QB_RECENT_REST = QB_RECENT_FIRST + QUEUE_IDS * 4 // u32: octets 4 and 5, and the VLAN from bit 16 on
export const QB_RECENT_QUEUE = QB_RECENT_REST + QUEUE_IDS * 4 // u16: their queues; others than QUEUE_IDS: none
export const QB_FRAMES = QB_RECENT_QUEUE + QUEUE_IDS * 2 // u32: frames of the burst in work, by queue
export const QB_BYTES = QB_FRAMES + QUEUE_IDS * 4 // u32: their bytes
export const QB_TOUCHED = QB_BYTES + QUEUE_IDS * 4 // u16[BURST_MAX]: queues that the burst has frames of
export const QB_TOUCHED_COUNT = QB_TOUCHED + BURST_MAX * 2 // u32
export const QUEUE_BLOCK_BYTES = QB_TOUCHED_COUNT + 4
export const QT_ENTRY = 0 // u32[QUEUE_IDS]: destination entry; 0: none
export const QT_FIRST = QT_ENTRY + QUEUE_IDS * 4 // u32: octets 0 to 3 of the address that its packets have
export const QT_SECOND = QT_FIRST + QUEUE_IDS * 4 // u32: octets 4 and 5
export const QUEUE_TARGETS_BYTES = QT_SECOND + QUEUE_IDS * 4
// What aimEach returns
export const AIMED_LEFT = 0xffff
export const AIMED_ONE_SENDER = 0x10000

// ---- switching block: what the switching kernels are told and tell, one per processor -------------------------------------------
export const SWITCHING_BYTES = 128 + BURST_SLOTS * 8
export const S_PORTS = 0 // u32: linear address of the port table
export const S_MACS = 4 // u32: linear address of the MAC table
export const S_MAC_MASK = 8 // u32: entries - 1
export const S_NOW = 12 // u32: seconds of the switch's clock
export const S_SOURCE = 16 // u32: port id that the whole batch comes from
export const S_POLICY = 20 // u32: PORT_FLAG_* of the source
export const S_SOURCE_LOW = 24 // u32: address that the source must have
export const S_SOURCE_HIGH = 28 // u32
export const S_VLAN = 32 // u32: VLAN under which addresses of untagged frames of the source are known, 0 = none; NO_VLAN: it must not send any
export const S_FLOOD_TO = 36 // u32: the one port that floods go to, 0 = several or none
export const S_UNKNOWN_TO = 40 // u32: the one port that unknown unicast goes to, 0 = several or none
export const S_BYTES = 44 // u32, out: bytes admitted
export const S_MULTICASTS = 48 // u32, out: multicast and broadcast frames admitted
export const S_NEEDS = 52 // u32, out: OR of the needs admitted
export const S_FLOODED = 56 // u32, out: frames flooded
export const S_LISTS = 60 // u32: linear address of the delivery lists, BURST_SLOTS entries of u16 per port id
export const S_FILL = 64 // u32: linear address of u16 entries per list
export const S_LIST_BYTES = 68 // u32: linear address of u32 bytes per list
export const S_TOUCHED = 72 // u32: linear address of u16 port ids with a list
export const S_TOUCHED_COUNT = 76 // u32
export const S_STOPPED_AT = 84 // u32, out: position of the packet whose source must be learned first; the count if there is none
export const S_OVERFLOW = 80 // u32, out: copies that found their list full
export const S_SEEN = 88 // u32, out: OR of the flags admitted
export const S_LONGEST = 92 // u32, out: bytes of the longest frame admitted
export const S_REACHED = 96 // u32, out: a bit for each port that was given as a destination, its id modulo 32
export const S_MEMBER = 100 // u32: VLAN that untagged frames of the source are put into where S_VLANS is not 0; 0 = none
export const S_VLAN_SETS = 104 // u32: linear address of the VLAN sets, PORT_VLAN_SET_BYTES per port id
export const S_TAGGED = 108 // u32, out: 1 if a packet is to get a tag
export const S_VLANS = 112 // u32: 0 = VLANs do not concern what the source sends; else its VlanMode, plus 1
export const S_NOTED = 116 // u32: bytes of S_NOTES in use
export const S_FORM_BYTES = 120 // u32, out: bytes of the packets that were formed
export const S_TOO_LONG = 124 // u32, out: slot of the first packet that is too long for the port
export const S_NOTES = 128 // u64[BURST_SLOTS]: what `unform` takes back

// ---- tables of the SR-IOV adapter that the direct kernel reads -------------------------------------------------------------------
// VPort table (src/adapter/vport-table.ts): a header, an entry per VPort id and one for the wire, then the sets of VLANs admitted.
export const VPORT_TABLE_HEADER = 64
export const VPORT_ENTRY_BYTES = 64
export const VPORT_FLAGS = 0 // i32: VPORT_FLAG_*
export const VPORT_MAC_LOW = 4 // i32: octets 2…5 of the function's address, little-endian
export const VPORT_MAC_HIGH = 8 // i32: octets 0 and 1
export const VPORT_ACCESS = 12 // i32: tag of an access port, VLAN id in bits 0-11; 0 = none
export const VPORT_ADMITTED_BYTES = 512 // a bit per VLAN id
export const VPORT_FLAG_ACTIVE = 1 << 0
export const VPORT_FLAG_VF = 1 << 1
export const VPORT_FLAG_CHECK_SOURCE = 1 << 2
export const VPORT_FLAG_LINK_DOWN = 1 << 3
export const VPORT_FLAG_ASLEEP = 1 << 4
export const VPORT_FLAG_ACCESS = 1 << 7
export const VPORT_FLAG_STRIP = 1 << 8
// Filter table (src/adapter/filter-table.ts): a header, then entries {address octets 2…5, key, VPort, -}.
export const FILTER_TABLE_HEADER = 64
export const FILTER_ENTRY_BYTES = 16
export const FILTER_PROBES = 16
export const FILTER_VALID = 1 << 30
export const FILTER_ANY_VLAN = 1 << 28 // kind of key: a filter without VLAN test
export const FILTER_SOURCE = 2 << 28 // kind of key: an address that the VPort in bits 16… may send from
export const FILTER_HASH_HIGH = 0x9e3779b1
export const FILTER_HASH_KEY = 0xc2b2ae35
export const FILTER_HASH_MIX = 0x85ebca6b

// ---- direct block: what the direct kernel is told and tells, one per processor and adapter ---------------------------------------
export const D_VPORTS = 0 // u32: linear address of the VPort table
export const D_VPORT_COUNT = 4 // u32: VPort ids are below; the wire's is this one
export const D_FILTERS = 8 // u32: linear address of the filter table
export const D_FILTER_MASK = 12 // u32: entries - 1
export const D_QUEUES = 16 // u32: linear address of a u32 per VPort: queue block of its one receive ring, 0 = it can't be reached directly
export const D_MARKS = 20 // u32: linear address of a u8 per VPort, 0 between calls: number of its record in the burst, plus 1
export const D_TAKEN = 24 // u32, out: frames taken from the source ring
export const D_BYTES = 28 // u32, out: bytes of those frames
export const D_NOTIFY = 32 // u32, out: 1 if the source wants a notification
export const D_RECORDS = 36 // u32, out: receive rings that were locked; the caller notifies and unlocks them
export const DIRECT_MAX = 128 // frames that one call takes at the most: what a burst costs by itself weighs half as much as with BURST_MAX
export const D_RECORD = 64 // the records: BURST_MAX at the most; a frame that would need one more is left in the ring
export const D_RECORD_BYTES = 32
export const DR_VPORT = 0 // u32
export const DR_QUEUE = 4 // u32: linear address of the queue block
export const DR_FRAMES = 8 // u32: frames delivered
export const DR_BYTES = 12 // u32: bytes of those
export const DR_LOST = 16 // u32: frames that found no buffer
export const DR_NOTIFY = 20 // u32: 1 if the destination wants a notification
export const DR_LIMIT = 24 // u32: the driver's available index, read once
export const DIRECT_BYTES = D_RECORD + BURST_MAX * D_RECORD_BYTES
