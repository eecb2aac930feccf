// What all processors of a switch share: its port table, MAC table, drop reasons and references, in control memory.
import type { SharedMemory } from '../linux/shared-memory.ts'
import { ReferenceTable, referenceTableBytes } from '../switch/control/references.ts'
import { MacTable, macTableBytes } from '../switch/mac-table.ts'
import { PortTable, portTableBytes } from '../switch/port-table.ts'
import { REASON_REGISTRY_BYTES, ReasonRegistry } from '../switch/reason-registry.ts'
import type { ProcessorAddresses } from './messages.ts'

const MAC_ENTRIES_MIN = 16
const PAGE = 4096

export interface SharedTables {
  readonly ports: number
  readonly macEntries: number
  readonly addresses: Pick<ProcessorAddresses, 'portTable' | 'macTable' | 'reasons' | 'references'>
  readonly table: PortTable
  readonly macs: MacTable
  readonly reasons: ReasonRegistry
  readonly references: ReferenceTable
}

/** Makes the tables for port ids below `ports` and at least `macEntries` addresses. */
export function createSharedTables(memory: SharedMemory, ports: number, macEntriesWanted: number): SharedTables {
  const macEntries = 2 ** Math.ceil(Math.log2(Math.max(MAC_ENTRIES_MIN, macEntriesWanted)))
  const addresses = {
    portTable: memory.allocate(portTableBytes(ports), PAGE),
    macTable: memory.allocate(macTableBytes(macEntries, ports), PAGE),
    reasons: memory.allocate(REASON_REGISTRY_BYTES, PAGE),
    references: memory.allocate(referenceTableBytes(ports), PAGE),
  }
  return {
    ports,
    macEntries,
    addresses,
    table: new PortTable(memory.buffer, addresses.portTable, ports),
    macs: new MacTable(memory.buffer, addresses.macTable, macEntries, ports),
    reasons: new ReasonRegistry(memory.buffer, addresses.reasons),
    references: new ReferenceTable(memory.buffer, addresses.references, ports),
  }
}
