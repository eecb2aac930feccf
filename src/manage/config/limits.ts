// Limits of a configuration. The JSON Schema and the documentation take them from here.

/** Bytes of a configuration file that are read at the most. */
export const CONFIG_FILE_MAX_BYTES = 1024 * 1024
/** Characters of a name (switch, port, guest). */
export const NAME_MAX = 48
/** Characters of a port's name for people. */
export const FRIENDLY_NAME_MAX = 256
/** Bytes of a unix socket's path that Linux takes (sun_path without its final zero). */
export const SOCKET_PATH_MAX_BYTES = 107
/** Characters of a network interface's name (IFNAMSIZ without its final zero). */
export const INTERFACE_NAME_MAX = 15
export const PROCESSORS_MAX = 16
export const PORTS_MAX = 1024
/** IP addresses of a guest that a configuration names. */
export const CUSTOMER_ADDRESSES_MAX = 32
export const EXTENSIONS_MAX = 64
export const GUESTS_MAX = 256
export const QUEUE_PAIRS_MAX = 16
/** The smallest MTU that IPv4 allows, and the largest that virtio-net's 16-bit field holds. */
export const MTU_MIN = 68
export const MTU_MAX = 65535
/** The largest MTU that drivers of the 82576 virtual function set (9216 bytes of frame). */
export const VF_MTU_MAX = 9194
/** Frames per second, and milliseconds before the first one, that a replay may be asked for. */
export const REPLAY_RATE_MAX = 10_000_000
export const REPLAY_DELAY_MAX_MS = 3_600_000
export const MAC_TABLE_ENTRIES_MIN = 16
export const MAC_TABLE_ENTRIES_MAX = 1_048_576
export const AGEING_SECONDS_MAX = 1_000_000
export const GUEST_MEMORY_MIB_MIN = 64
export const GUEST_MEMORY_MIB_MAX = 1_048_576
/** Properties of one port, or of the switch. */
export const PROPERTIES_MAX = 256
export const VLAN_MAX = 4094
/** SR-IOV adapters of one configuration, and virtual functions of one adapter. */
export const ADAPTERS_MAX = 16
/** Frames per second that a WebSocket client may be allowed. */
export const CLIENT_FRAMES_MAX = 10_000_000
export const ORIGINS_MAX = 32
export const VFS_MAX = 63
/** IovWeight and VmqWeight of Set-VMNetworkAdapter. */
export const IOV_WEIGHT_MAX = 100
export const VMQ_WEIGHT_MAX = 100
/** VM queues of one adapter in VMQ mode, the default queue not counted. */
export const VM_QUEUES_MAX = 255
export const REBALANCE_SECONDS_MAX = 3600
/** Further physical adapters of a team, beside the endpoint of the port. */
export const TEAM_UPLINKS_MAX = 31
/** MonitorSession is a byte. */
export const MIRROR_SESSION_MAX = 255
/** Milliseconds that the control path may be told to wait. */
export const WAIT_MS_MAX = 600_000
export const CREATE_ATTEMPTS_MAX = 100
/** A failover lab: its length in seconds, frames per second, Mbit/s, steps, and how often one of them is repeated. */
export const FAILOVER_SECONDS_MAX = 3600
export const FAILOVER_PPS_MAX = 100_000
export const FAILOVER_MBPS_MAX = 1000
export const FAILOVER_STEPS_MAX = 256
export const FAILOVER_TIMES_MAX = 10_000
