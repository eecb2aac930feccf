// What dhcp-dns counts, and what became of a packet that it heard.

export const LabCounter = {
  offers: 0,
  leases: 1,
  refused: 2,
  advertisements: 3,
  questions: 4,
  limited: 5,
  learned: 6,
  shortages: 7,
  forwarded: 8,
  returned: 9,
} as const

export const labCounterNames = [
  'dhcp-answers',
  'dhcpv6-answers',
  'unanswered',
  'advertisements',
  'dns-answers',
  'limited',
  'learned',
  'without-address',
  'dns-forwarded',
  'dns-returned',
] as const

/** What became of a packet: none of its business, answered, or kept without an answer. */
export const Heard = { nothing: 0, answered: 1, unanswered: 2 } as const
