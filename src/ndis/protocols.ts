// IP protocol numbers that extensions ask for.
/** IP protocol number of ICMP. */
export const PROTOCOL_ICMP = 1
/** IP protocol number of TCP. */
export const PROTOCOL_TCP = 6
/** IP protocol number of UDP. */
export const PROTOCOL_UDP = 17
/** IP protocol number of ICMPv6. */
export const PROTOCOL_ICMP6 = 58
