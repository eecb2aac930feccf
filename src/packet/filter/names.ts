// Names that capture filters know: protocols, ports, fields, flags. Those of tcpdump's manual, and of /etc/services the ones in daily use.

/** Protocol words: ether type, or protocol number in IPv4, IPv6 or both. */
export const protocols = {
  ether: {},
  link: {},
  ip: { etherType: 0x0800 },
  ip6: { etherType: 0x86dd },
  arp: { etherType: 0x0806 },
  rarp: { etherType: 0x8035 },
  tcp: { v4: 6, v6: 6 },
  udp: { v4: 17, v6: 17 },
  sctp: { v4: 132, v6: 132 },
  icmp: { v4: 1 },
  icmp6: { v6: 58 },
  igmp: { v4: 2 },
  igrp: { v4: 9 },
  pim: { v4: 103, v6: 103 },
  vrrp: { v4: 112 },
  ah: { v4: 51, v6: 51 },
  esp: { v4: 50, v6: 50 },
} as const satisfies Readonly<Record<string, { readonly etherType?: number; readonly v4?: number; readonly v6?: number }>>

export type ProtocolWord = keyof typeof protocols

/** Protocol numbers by name, for `proto`. */
export const protocolNumbers: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  gre: 47,
  esp: 50,
  ah: 51,
  icmp6: 58,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  sctp: 132,
}

/** Ether types by name, for `ether proto`. */
export const etherTypes: Readonly<Record<string, number>> = {
  ip: 0x0800,
  ip6: 0x86dd,
  arp: 0x0806,
  rarp: 0x8035,
}

/** Ports by name; a name stands for its number with every protocol. */
export const ports: Readonly<Record<string, number>> = {
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  bootps: 67,
  bootpc: 68,
  tftp: 69,
  http: 80,
  pop3: 110,
  ntp: 123,
  imap2: 143,
  snmp: 161,
  bgp: 179,
  https: 443,
  syslog: 514,
  mysql: 3306,
  mdns: 5353,
  postgresql: 5432,
}

/** Offsets and values that may stand for numbers: `tcp[tcpflags] & tcp-syn != 0`. */
export const constants: Readonly<Record<string, number>> = {
  icmptype: 0,
  icmpcode: 1,
  icmp6type: 0,
  icmp6code: 1,
  tcpflags: 13,
  'icmp-echoreply': 0,
  'icmp-unreach': 3,
  'icmp-sourcequench': 4,
  'icmp-redirect': 5,
  'icmp-echo': 8,
  'icmp-routeradvert': 9,
  'icmp-routersolicit': 10,
  'icmp-timxceed': 11,
  'icmp-paramprob': 12,
  'icmp6-destinationrunreach': 1,
  'icmp6-packettoobig': 2,
  'icmp6-timeexceeded': 3,
  'icmp6-echo': 128,
  'icmp6-echoreply': 129,
  'icmp6-routersolicit': 133,
  'icmp6-routeradvert': 134,
  'icmp6-neighborsolicit': 135,
  'icmp6-neighboradvert': 136,
  'tcp-fin': 1,
  'tcp-syn': 2,
  'tcp-rst': 4,
  'tcp-push': 8,
  'tcp-ack': 16,
  'tcp-urg': 32,
  'tcp-ece': 64,
  'tcp-cwr': 128,
}
