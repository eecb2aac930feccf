// Hash functions and types of receive side scaling, and the key that is used where nobody gives one (spec 2.9).

/** NDIS_HASH_FUNCTION_MASK and the one function there is. */
export const HASH_FUNCTION_MASK = 0xff
export const HASH_FUNCTION_TOEPLITZ = 0x1

/** NDIS_HASH_*: what the hash of a packet is taken over. */
export const HashType = {
  ipv4: 0x100,
  tcpIpv4: 0x200,
  ipv6: 0x400,
  ipv6Ex: 0x800,
  tcpIpv6: 0x1000,
  tcpIpv6Ex: 0x2000,
} as const

/** NDIS_HASH_UDP_*: ports of UDP count too. An adapter's VPorts do not offer them; queue pairs of guests are chosen by them. */
export const UdpHashType = { udpIpv4: 0x4000, udpIpv6: 0x8000 } as const

export const HASH_TYPES_ALL = Object.values(HashType).reduce((sum, type) => sum | type, 0)

/** What an adapter hashes under where its VPorts have no hash of their own: Toeplitz over everything. */
export const HASH_INFORMATION_ALL = HASH_FUNCTION_TOEPLITZ | HASH_TYPES_ALL

/** The key of the published test vectors. */
export const PUBLISHED_HASH_KEY: Uint8Array = Uint8Array.from(
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa'.match(/../g)!,
  (octet) => Number.parseInt(octet, 16),
)
