// Where each address of the network is: ports that hosts tell of, and records of the overlay that no port stands behind.
import type { NetworkStatus } from '../../../src/manage/cluster/cluster-calls.ts'
import type { OverlayRecord } from '../../../src/manage/overlay/overlay-calls.ts'

export interface Place {
  readonly mac: string
  /** 0: in no virtual subnet. */
  readonly subnet: number
  readonly addresses: readonly string[]
  /** Name of the port; empty: none is known. */
  readonly port: string
  /** Name of the host, or its provider address. */
  readonly host: string
  readonly state: string
}

/** Names of the hosts by provider address. */
export const hostNames = (network: NetworkStatus | null): ReadonlyMap<string, string> =>
  new Map(network?.hosts.flatMap(({ name, providerAddresses }) => providerAddresses.map((address) => [address, name])))

/** Ports in the order of the network's answer, then records. */
export function placesOf(network: NetworkStatus | null, records: readonly OverlayRecord[]): readonly Place[] {
  const ports = (network?.ports ?? []).map(
    ({ name, host, mac, virtualSubnetId, customerAddresses, state, message }): Place => ({
      mac,
      subnet: virtualSubnetId,
      addresses: customerAddresses,
      port: name,
      host,
      state: message === null ? state : `${state}: ${message}`,
    }),
  )
  const known = new Set(ports.map(({ subnet, mac }) => `${subnet} ${mac}`))
  const names = hostNames(network)
  const others = records
    .filter(({ vsid, mac }) => !known.has(`${vsid} ${mac}`))
    .map(
      ({ vsid, mac, addresses, provider, kind }): Place => ({
        mac,
        subnet: vsid,
        addresses,
        port: '',
        host: names.get(provider) ?? provider,
        state: kind === 'learned' ? 'learned' : 'record',
      }),
    )
  return [...ports, ...others]
}

/** The places that fit every word. */
export function placesWith(places: readonly Place[], filter: string): readonly Place[] {
  const words = filter
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((word) => word !== '')
  if (words.length === 0) return places
  return places.filter(({ mac, subnet, addresses, port, host, state }) => {
    const text = `${mac} ${subnet === 0 ? '' : `subnet ${subnet}`} ${addresses.join(' ')} ${port} ${host} ${state}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}
