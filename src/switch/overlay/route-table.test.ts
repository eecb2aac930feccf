import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isInPrefix, parsePrefix } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'
import { RouteTable } from './route-table.ts'

const route = (domain: number, text: string, subnet: number, nextHop?: string) => {
  const { bytes, length } = parsePrefix(text)
  const hop = nextHop === undefined ? undefined : ipBytes(nextHop)
  return { domain, prefix: bytes, length, subnet, vsid: 5000 + subnet, nextHop: hop, gone: false }
}
const subnetOf = (table: RouteTable, domain: number, address: string): number | undefined => {
  const bytes = ipBytes(address)
  return table.find(domain, bytes, 0, bytes.length === 4)?.subnet
}

describe('customer routes of a processor', () => {
  it('the longest prefix wins, in both families', () => {
    const table = new RouteTable()
    for (const one of [
      route(1, '0.0.0.0/0', 9, '10.1.0.9'),
      route(1, '10.1.0.0/16', 1),
      route(1, '10.1.2.0/24', 2),
      route(1, '10.1.2.3/32', 3),
      route(1, '::/0', 8),
      route(1, 'fd00:1::/64', 4),
      route(1, 'fd00:1::/48', 5),
    ])
      table.change(one)
    assert.deepEqual(
      ['10.1.2.3', '10.1.2.4', '10.1.3.4', '192.0.2.1', 'fd00:1::7', 'fd00:1:0:1::7', 'fd00:2::'].map((address) =>
        subnetOf(table, 1, address),
      ),
      [3, 2, 1, 9, 4, 5, 8],
    )
    assert.deepEqual(table.find(1, ipBytes('192.0.2.1'), 0, true)!.nextHop, ipBytes('10.1.0.9'))
  })

  it('a routing domain does not see the routes of another one', () => {
    const table = new RouteTable()
    table.change(route(1, '10.1.0.0/16', 1))
    table.change(route(2, '10.1.0.0/16', 2))
    assert.equal(subnetOf(table, 1, '10.1.0.1'), 1)
    assert.equal(subnetOf(table, 2, '10.1.0.1'), 2)
    assert.equal(subnetOf(table, 3, '10.1.0.1'), undefined)
  })

  it('a route that is set anew takes the place of the one with its prefix; one that goes lets shorter ones through', () => {
    const table = new RouteTable()
    table.change(route(1, '10.0.0.0/8', 1))
    table.change(route(1, '10.1.0.0/16', 2))
    table.change(route(1, '10.1.0.0/16', 3))
    assert.equal(table.size, 2)
    assert.equal(subnetOf(table, 1, '10.1.0.1'), 3)
    table.change({ ...route(1, '10.1.0.0/16', 3), gone: true })
    assert.equal(subnetOf(table, 1, '10.1.0.1'), 1)
    table.change({ ...route(1, '10.0.0.0/8', 1), gone: true })
    table.change({ ...route(1, '10.0.0.0/8', 1), gone: true })
    assert.equal(subnetOf(table, 1, '10.1.0.1'), undefined)
    assert.equal(table.size, 0)
  })

  it('finds what trying all prefixes in turn finds, whatever routes come and go', () => {
    const octet = fc.constantFrom(0, 1, 128, 255)
    const ipv4 = fc.tuple(octet, octet, octet, octet).map((octets) => Uint8Array.from(octets))
    const ipv6 = fc.array(octet, { minLength: 16, maxLength: 16 }).map((octets) => Uint8Array.from(octets))
    const change = fc.record({
      domain: fc.integer({ min: 1, max: 2 }),
      address: fc.oneof(ipv4, ipv6),
      length: fc.nat(128),
      subnet: fc.integer({ min: 1, max: 99 }),
      gone: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.array(fc.oneof(ipv4, ipv6), { maxLength: 20 }), (changes, asked) => {
        const table = new RouteTable()
        const known = new Map<string, { domain: number; prefix: Uint8Array; length: number; subnet: number }>()
        for (const { domain, address, length: wanted, subnet, gone } of changes) {
          const length = Math.min(wanted, address.length * 8)
          const prefix = address.map((one, i) => one & ~(0xff >> Math.min(8, Math.max(0, length - i * 8))))
          const key = `${domain}/${prefix.length}/${prefix.join()}/${length}`
          table.change({ domain, prefix, length, subnet, vsid: subnet, nextHop: undefined, gone })
          if (gone) known.delete(key)
          else known.set(key, { domain, prefix, length, subnet })
        }
        assert.equal(table.size, known.size)
        for (const address of asked) {
          const best = [...known.values()]
            .filter(
              ({ domain, prefix, length }) =>
                domain === 1 &&
                prefix.length === address.length &&
                isInPrefix({ family: prefix.length === 4 ? 4 : 6, bytes: prefix, length }, address),
            )
            .sort((a, b) => b.length - a.length)[0]
          assert.equal(table.find(1, address, 0, address.length === 4)?.subnet, best?.subnet)
        }
      }),
      { numRuns: 200 },
    )
  })
})
