import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatMac, parseMac } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'
import { KnownAs } from './address-answers.ts'
import { CustomerAddressTable } from './customer-addresses.ts'

function stationOf(table: CustomerAddressTable, vsid: number, address: string): string | null {
  const bytes = ipBytes(address)
  const padded = new Uint8Array(bytes.length + 3)
  padded.set(bytes, 3)
  const mac = new Uint8Array(8)
  const found = table.stationOf(vsid, padded, 3, bytes.length as 4 | 16, mac, 2)
  return found === KnownAs.nobody ? null : formatMac(mac, 2)
}

test('an address is that of one station in one virtual subnet, of either family', () => {
  const table = new CustomerAddressTable(7)
  table.set(5001, ipBytes('10.0.0.2'), parseMac('02:00:00:00:00:02'))
  table.set(5001, ipBytes('fd00::2'), parseMac('02:00:00:00:00:02'))
  table.set(5002, ipBytes('10.0.0.2'), parseMac('02:00:00:00:00:03'))
  assert.equal(stationOf(table, 5001, '10.0.0.2'), '02:00:00:00:00:02')
  assert.equal(stationOf(table, 5001, 'fd00::2'), '02:00:00:00:00:02')
  assert.equal(stationOf(table, 5002, '10.0.0.2'), '02:00:00:00:00:03')
  assert.equal(stationOf(table, 5002, 'fd00::2'), null)
  assert.equal(stationOf(table, 5003, '10.0.0.2'), null)
})

test('who gets an address last has it, and only they can give it up', () => {
  const table = new CustomerAddressTable(7)
  const [one, two] = ['02:00:00:00:00:01', '02:00:00:00:00:02']
  table.set(5001, ipBytes('10.0.0.2'), parseMac(one))
  table.set(5001, ipBytes('10.0.0.2'), parseMac(two))
  table.remove(5001, ipBytes('10.0.0.2'), parseMac(one))
  assert.equal(stationOf(table, 5001, '10.0.0.2'), two)
  table.remove(5001, ipBytes('10.0.0.2'))
  assert.equal(stationOf(table, 5001, '10.0.0.2'), null)
  assert.equal(table.size, 0)
})

test('it holds what a map holds, whatever is set and removed', () => {
  const operation = fc.record({ add: fc.boolean(), vsid: fc.integer({ min: 1, max: 3 }), last: fc.nat(120), mac: fc.nat(3) })
  fc.assert(
    fc.property(fc.integer(), fc.array(operation, { maxLength: 600 }), (seed, operations) => {
      const table = new CustomerAddressTable(seed)
      const map = new Map<string, string>()
      for (const { add, vsid, last, mac: number } of operations) {
        const address = last % 2 === 0 ? `10.0.0.${last}` : `fd00::${last}`
        const mac = `02:00:00:00:00:0${number}`
        const key = `${vsid} ${address}`
        if (add) {
          table.set(vsid, ipBytes(address), parseMac(mac))
          map.set(key, mac)
        } else {
          table.remove(vsid, ipBytes(address), parseMac(mac))
          if (map.get(key) === mac) map.delete(key)
        }
      }
      assert.equal(table.size, map.size)
      for (let vsid = 1; vsid <= 3; vsid++)
        for (let last = 0; last <= 120; last++) {
          const address = last % 2 === 0 ? `10.0.0.${last}` : `fd00::${last}`
          assert.equal(stationOf(table, vsid, address), map.get(`${vsid} ${address}`) ?? null)
        }
    }),
    { numRuns: 60 },
  )
})
