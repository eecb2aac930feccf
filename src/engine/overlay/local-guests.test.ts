import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NicState, PortState } from '../../ndis/oids.ts'
import { MacTable, macKey, macTableBytes } from '../../switch/mac-table.ts'
import { KnownAs } from '../../switch/overlay/address-answers.ts'
import { addressText, LookupRecords } from '../../switch/overlay/records.ts'
import { PortTable, portTableBytes } from '../../switch/port-table.ts'
import { CustomerPlaces } from './customer-places.ts'
import { LocalGuests } from './local-guests.ts'

const PORTS = 8
const MAC = '02:00:00:00:00:01'
const VSID = 5001

function world(entries = 64) {
  const table = new PortTable(new ArrayBuffer(portTableBytes(PORTS)), 0, PORTS)
  const macs = new MacTable(new ArrayBuffer(macTableBytes(entries, 2048)), 0, entries, 2048)
  const full: string[] = []
  const places = new CustomerPlaces({ table: macs, full: (mac, subnet) => full.push(`${subnet} ${mac}`) })
  const records = new LookupRecords({ kind: 'vxlan', own: ['192.0.2.1'] }, { changed: () => {} })
  const addresses = new Map<number, readonly string[]>()
  const departed: string[] = []
  const guests = new LocalGuests({
    table,
    records,
    places,
    addressesOf: (port) => addresses.get(port) ?? [],
    departed: (of, mac) => departed.push(`${of} ${mac}`),
  })
  records.setSubnet({ vsid: VSID, peers: [] })
  const subnet = records.subnetIndex(VSID)
  const connect = (port: number, mac: string): void => {
    table.set(port, { portState: PortState.created, nicState: NicState.connected, flags: 0, mac, vlan: 0 })
    table.setSubnet(port, VSID)
  }
  const placeOf = (mac: string): number => {
    const { low, high } = macKey(mac)
    return macs.lookup(low, high, subnet)
  }
  const told = (): string[] =>
    guests.follow().map(({ address, gone, kind }) => `${gone ? '-' : '+'}${addressText(address)} ${kind ?? KnownAs.station}`)
  return { table, records, places, guests, addresses, connect, placeOf, told, full, subnet, departed }
}

test('a guest behind a port is found there, with its addresses; when it goes, its record counts again, and it is told that it left', () => {
  const { table, records, guests, addresses, connect, placeOf, told, subnet, departed } = world()
  addresses.set(1, ['10.1.0.1', 'fd00::1'])
  connect(1, MAC)
  assert.deepEqual(told(), [`+10.1.0.1 ${KnownAs.local}`, `+fd00::1 ${KnownAs.local}`])
  assert.equal(placeOf(MAC), 1)
  assert.ok(guests.has(subnet, MAC))
  assert.deepEqual(told(), [])
  addresses.set(1, ['10.1.0.2'])
  assert.deepEqual(told(), [`-10.1.0.1 ${KnownAs.local}`, `-fd00::1 ${KnownAs.local}`, `+10.1.0.2 ${KnownAs.local}`])
  records.set({ vsid: VSID, mac: MAC, addresses: ['10.1.0.2'], provider: '192.0.2.2' })
  assert.deepEqual(departed, [])
  table.setSubnet(1, 0)
  assert.deepEqual(told(), [`-10.1.0.2 ${KnownAs.local}`, `+10.1.0.2 ${KnownAs.station}`])
  assert.equal(placeOf(MAC), PORTS + records.peers().get('192.0.2.2')!)
  assert.equal(guests.has(subnet, MAC), false)
  assert.deepEqual(departed, [`${subnet} ${MAC}`])
})

test('a guest that went to another port of the switch stays found when the first one goes', () => {
  const { table, connect, placeOf, told, departed } = world()
  connect(1, MAC)
  told()
  connect(2, MAC)
  told()
  assert.equal(placeOf(MAC), 2)
  table.setSubnet(1, 0)
  told()
  assert.equal(placeOf(MAC), 2)
  assert.deepEqual(departed, [])
})

test('what finds no room in the table is told of once, and counted until it has or goes', () => {
  const { places, full } = world(16)
  const macs = Array.from({ length: 20 }, (_, i) => `02:00:00:00:01:${(16 + i).toString(16)}`)
  for (const mac of macs) places.set(mac, 1, 1)
  assert.ok(full.length >= 4)
  assert.equal(places.unplaced, full.length)
  const [first] = full
  places.set(first!.slice(2), 1, 2)
  assert.equal(full.filter((one) => one === first).length, 1)
  for (const mac of macs) places.remove(mac, 1)
  assert.equal(places.unplaced, 0)
  for (const mac of macs) places.set(mac, 1, 1)
  assert.ok(places.unplaced > 0)
  places.flush(1)
  assert.equal(places.unplaced, 0)
})
