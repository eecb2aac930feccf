// The lists below the house: ports, addresses, drops, events, latency.
import './tables.css'
import { Tabs } from '../parts/tabs.tsx'
import { useStore } from '../state/store.ts'
import { AddressTable } from './address-table.tsx'
import { DropTable } from './drop-table.tsx'
import { EventList } from './event-list.tsx'
import { Latency } from './latency.tsx'
import { PortTable } from './port-table.tsx'

export function Tables() {
  const ports = useStore(({ view }) => view?.ports.length)
  const addresses = useStore(({ view }) => view?.macTable.used)
  const reasons = useStore(({ view }) => view?.drops.length)
  const events = useStore((state) => state.events.length)
  return (
    <section class="tables" id="tables" aria-label="Lists">
      <Tabs
        label="Lists"
        tabs={[
          { key: 'ports', title: 'Ports', count: ports, content: () => <PortTable /> },
          { key: 'addresses', title: 'Addresses', count: addresses, content: () => <AddressTable /> },
          { key: 'drops', title: 'Drops', count: reasons, content: () => <DropTable /> },
          { key: 'events', title: 'Events', count: events, content: () => <EventList /> },
          { key: 'latency', title: 'Latency', content: () => <Latency /> },
        ]}
      />
    </section>
  )
}
