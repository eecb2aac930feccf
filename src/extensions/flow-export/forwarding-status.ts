// What became of packets, in the numbers of IPFIX (forwardingStatus, RFC 7270) and of sFlow (discard codes), for the names of drop
// reasons.

/** forwardingStatus: the upper two bits are 1 = forwarded, 2 = dropped. */
export const ForwardingStatus = { unknown: 0, forwarded: 64, dropped: 128, denied: 129, unroutable: 131, policed: 138 } as const

/** Codes of a discarded packet, in place of sFlow's output interface. */
export const DiscardCode = { unknown: 256, acl: 258, noBuffer: 259, shaped: 261, tooBig: 262 } as const

const kinds: readonly { readonly names: RegExp; readonly status: number; readonly code: number }[] = [
  {
    names: /acl|guard|denied|spoofing|isolation|not-allowed|not-admitted|firewall|connection-invalid/,
    status: ForwardingStatus.denied,
    code: DiscardCode.acl,
  },
  { names: /limit/, status: ForwardingStatus.policed, code: DiscardCode.shaped },
  { names: /no-destination|hairpin|not-connected/, status: ForwardingStatus.unroutable, code: DiscardCode.unknown },
  { names: /mtu|oversize/, status: ForwardingStatus.dropped, code: DiscardCode.tooBig },
  { names: /ring-full|no-resources|not-reading|table-full/, status: ForwardingStatus.dropped, code: DiscardCode.noBuffer },
]

/** The forwarding status for the name of a drop reason. */
export const statusOfReason = (name: string): number =>
  kinds.find(({ names }) => names.test(name))?.status ?? ForwardingStatus.dropped

/** The discard code for the name of a drop reason. */
export const codeOfReason = (name: string): number => kinds.find(({ names }) => names.test(name))?.code ?? DiscardCode.unknown

/** Remembers what a number stands for, so that each name is looked at once. */
export function remembered(nameOf: (reason: number) => string, judge: (name: string) => number): (reason: number) => number {
  const known = new Int32Array(256).fill(-1)
  return (reason) => {
    let value = known[reason & 0xff]!
    if (value < 0) {
      value = judge(nameOf(reason))
      known[reason & 0xff] = value
    }
    return value
  }
}
