import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NicState, PortState } from '../ndis/oids.ts'
import { macKey } from './mac-table.ts'
import { type PortEntry, PortFlag, PortTable, portTableBytes } from './port-table.ts'

const entry = (given: Partial<PortEntry> = {}): PortEntry => ({
  portState: PortState.created,
  nicState: NicState.connected,
  flags: 0,
  mac: undefined,
  vlan: 0,
  ...given,
})

test('what one view writes, another over the same memory reads, and the generation tells', () => {
  const buffer = new SharedArrayBuffer(portTableBytes(8))
  const writer = new PortTable(buffer, 0, 8)
  const reader = new PortTable(buffer, 0, 8)
  const before = reader.generation
  writer.set(5, entry({ mac: '02:00:00:00:00:05', flags: PortFlag.learn, vlan: 12 }))
  assert.notEqual(reader.generation, before)
  assert.equal(reader.highest, 5)
  const { low, high } = macKey('02:00:00:00:00:05')
  assert.deepEqual([reader.macLow(5), reader.macHigh(5), reader.vlan(5), reader.flags(5)], [low, high, 12, PortFlag.learn])
  writer.clear(5)
  assert.equal(reader.connected(5), false)
  assert.deepEqual([reader.macLow(5), reader.macHigh(5), reader.vlan(5), reader.flags(5)], [0, 0, 0, 0])
})

test('only a connected connection with its link up may be a destination (ES-106, ES-430)', () => {
  const table = new PortTable(new SharedArrayBuffer(portTableBytes(8)), 0, 8)
  for (const nicState of Object.values(NicState)) {
    table.set(3, entry({ nicState }))
    assert.equal(table.connected(3), nicState === NicState.connected)
  }
  table.set(3, entry({ flags: PortFlag.linkDown }))
  assert.equal(table.connected(3), false)
})

test('ids outside the table are never connected (ES-009)', () => {
  const table = new PortTable(new SharedArrayBuffer(portTableBytes(4)), 0, 4)
  for (let port = 1; port < 4; port++) table.set(port, entry())
  for (const port of [0, -1, 4, 65536, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    assert.equal(table.connected(port), false, `${port}`)
})

test('NIC index 1 exists on the external port only (ES-322, ES-323)', () => {
  const table = new PortTable(new SharedArrayBuffer(portTableBytes(4)), 0, 4)
  table.set(1, entry())
  table.set(2, entry({ flags: PortFlag.external }))
  assert.deepEqual(
    [0, 1, 2, -1, 0.5].map((nic) => table.usable(1, nic)),
    [true, false, false, false, false],
  )
  assert.deepEqual(
    [0, 1, 2, -1, 0.5].map((nic) => table.usable(2, nic)),
    [true, true, false, false, false],
  )
})
