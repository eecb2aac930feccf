// The lists below the house: ports, addresses, drops, events, the network, latency.
import './tables.css'
import { useEffect } from 'preact/hooks'
import { Tabs } from '../parts/tabs.tsx'
import { lookAtNetwork } from '../state/network.ts'
import { useStore } from '../state/store.ts'
import { AddressTable } from './address-table.tsx'
import { DropTable } from './drop-table.tsx'
import { EventList } from './event-list.tsx'
import { Latency } from './latency.tsx'
import { NetworkView } from './network-view.tsx'
import { PortTable } from './port-table.tsx'

export function Tables() {
  const ports = useStore(({ view }) => view?.ports.length)
  const addresses = useStore(({ view }) => view?.macTable.used)
  const reasons = useStore(({ view }) => view?.drops.length)
  const events = useStore((state) => state.events.length)
  const hasNetwork = useStore(({ view, network }) => (view?.overlay ?? null) !== null || (network?.network ?? null) !== null)
  const hosts = useStore(({ network }) => (network?.network == null ? undefined : network.hosts.length))
  useEffect(() => void lookAtNetwork(false), [])
  return (
    <section class="tables" id="tables" aria-label="Lists">
      <Tabs
        label="Lists"
        tabs={[
          { key: 'ports', title: 'Ports', count: ports, content: () => <PortTable /> },
          { key: 'addresses', title: 'Addresses', count: addresses, content: () => <AddressTable /> },
          { key: 'drops', title: 'Drops', count: reasons, content: () => <DropTable /> },
          { key: 'events', title: 'Events', count: events, content: () => <EventList /> },
          ...(hasNetwork ? [{ key: 'network', title: 'Network', count: hosts, content: () => <NetworkView /> }] : []),
          { key: 'latency', title: 'Latency', content: () => <Latency /> },
        ]}
      />
    </section>
  )
}
