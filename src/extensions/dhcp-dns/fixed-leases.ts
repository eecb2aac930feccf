// What the configuration has for a VM, as far as it is of one network.
import { isInPrefix } from '../../extension.ts'
import { isOfNetwork, type LabNetwork } from './network-options.ts'
import type { DhcpDnsOptions, StaticLease } from './options.ts'

/** Finds the static lease of the VM at a port, with a MAC address: the first that fits and has no address of another network. */
export function fixedLeases(
  { statics }: DhcpDnsOptions,
  { ipv4, ipv6 }: LabNetwork,
  nameOf: (port: number) => string | undefined,
): (port: number, mac: string) => StaticLease | undefined {
  const here = statics.filter(
    ({ address, address6 }) =>
      (address === undefined || (ipv4 !== undefined && isOfNetwork(address, ipv4.prefix))) &&
      (address6 === undefined || (ipv6 !== undefined && isInPrefix(ipv6.prefix, address6))),
  )
  return (port, mac) =>
    here.find((one) => (one.port === undefined || one.port === nameOf(port)) && (one.mac === undefined || one.mac === mac))
}
