import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatPrefix } from '../../packet/addresses.ts'
import { KnownAs } from './address-answers.ts'
import { CUSTOMER_ROUTES_MAX, CustomerRoutes, type RoutesChange } from './customer-routes.ts'
import { addressText } from './records.ts'

const subnet = (vsid: number, prefixes: readonly string[], routingDomain = 'blue', gateways: readonly string[] = []) => ({
  vsid,
  routingDomain,
  prefixes,
  gateways,
  peers: [],
})

/** Customer routes, and in `known` what processors make of what they are told. */
function world() {
  const changes: RoutesChange[] = []
  const known = new Map<string, string>()
  const gateways = new Set<string>()
  const domains = new Map<number, number>()
  const routes = new CustomerRoutes({
    changed: (change) => {
      changes.push(change)
      for (const { domain, prefix, length, vsid, nextHop, gone } of change.routing.routes) {
        const text = formatPrefix({ family: prefix.length === 4 ? 4 : 6, bytes: prefix, length })
        const key = `${domain} ${text}`
        if (gone) assert.ok(known.delete(key), `${key} goes, and was not there`)
        else known.set(key, nextHop === undefined ? `${vsid}` : `${vsid} ${addressText(nextHop)}`)
      }
      for (const { subnet: index, domain } of change.routing.domains) domains.set(index, domain)
      for (const { vsid, address, gone, kind } of change.addresses) {
        assert.equal(kind, KnownAs.router)
        if (gone) gateways.delete(`${vsid} ${addressText(address)}`)
        else gateways.add(`${vsid} ${addressText(address)}`)
      }
    },
  })
  return { routes, changes, known, gateways, domains }
}

describe('customer routes on the control thread', () => {
  it('the prefixes of a subnet are routes of its domain, and go with it', () => {
    const { routes, known, domains } = world()
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24', 'fd00:1::/64']))
    routes.setSubnet(2, subnet(5002, ['10.2.0.0/24']))
    routes.setSubnet(3, subnet(5003, ['10.1.0.0/24'], 'red'))
    assert.equal(domains.get(1), domains.get(2))
    assert.notEqual(domains.get(1), domains.get(3))
    const blue = domains.get(1)
    assert.equal(known.get(`${blue} 10.1.0.0/24`), '5001')
    assert.equal(known.get(`${blue} fd00:1::/64`), '5001')
    assert.equal(known.get(`${domains.get(3)} 10.1.0.0/24`), '5003')
    routes.removeSubnet(5001)
    assert.equal(domains.get(1), 0)
    assert.deepEqual([...known.values()].sort(), ['5002', '5003'])
  })

  it('of several routes to a prefix the one with the lowest metric is taken, then the one into a subnet itself', () => {
    const { routes, known } = world()
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24']))
    routes.setSubnet(2, subnet(5002, []))
    routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9', metric: 10 })
    routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.8', metric: 5 })
    assert.equal(known.get('1 0.0.0.0/0'), '5001 10.1.0.8')
    routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9', metric: 1 })
    assert.equal(known.get('1 0.0.0.0/0'), '5001 10.1.0.9')
    routes.set({ vsid: 5002, prefix: '0.0.0.0/0', nextHop: '0.0.0.0', metric: 1 })
    assert.equal(known.get('1 0.0.0.0/0'), '5002')
    routes.remove({ vsid: 5002, prefix: '0.0.0.0/0' })
    routes.remove({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9' })
    assert.equal(known.get('1 0.0.0.0/0'), '5001 10.1.0.8')
    assert.deepEqual(routes.list(), [{ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.8', metric: 5 }])
    assert.deepEqual(routes.list({ routingDomain: 'red' }), [])
    assert.throws(() => routes.remove({ vsid: 5002, prefix: '0.0.0.0/0' }), { code: 'no-such-customer-route' })
  })

  it('gateways are told of when they come and go', () => {
    const { routes, gateways, changes } = world()
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24'], 'blue', ['10.1.0.1', 'fe80::1']))
    assert.deepEqual([...gateways], ['5001 10.1.0.1', '5001 fe80::1'])
    assert.deepEqual(
      changes.at(-1)!.routing.gateways.map(({ isIpv4, address }) => [isIpv4, addressText(address!)]),
      [
        [true, '10.1.0.1'],
        [false, 'fe80::1'],
      ],
    )
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24'], 'blue', ['10.1.0.2']))
    assert.deepEqual([...gateways], ['5001 10.1.0.2'])
    assert.equal(changes.at(-1)!.routing.gateways[1]!.address, undefined)
    const told = changes.length
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24'], 'blue', ['10.1.0.2']))
    assert.equal(changes.at(-1)!.routing.domains.length, 0)
    assert.equal(changes.slice(told).flatMap(({ addresses }) => addresses).length, 0)
    routes.removeSubnet(5001)
    assert.equal(gateways.size, 0)
  })

  it('what contradicts itself is refused, and changes nothing', () => {
    const { routes, changes } = world()
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24'], 'blue', ['10.1.0.1']))
    routes.setSubnet(2, { vsid: 5002, peers: [] })
    const told = changes.length
    const bad = { code: 'bad-overlay' }
    assert.throws(() => routes.setSubnet(3, subnet(5003, ['10.1.0.0/24'])), bad)
    assert.throws(() => routes.setSubnet(3, subnet(5003, ['10.3.0.1/24'])), bad)
    assert.throws(() => routes.setSubnet(3, subnet(5003, ['10.3.0.0'])), bad)
    assert.throws(() => routes.setSubnet(3, subnet(5003, ['10.3.0.0/24', '10.3.0.0/24'])), bad)
    assert.throws(() => routes.setSubnet(3, subnet(5003, ['10.3.0.0/24'], 'blue', ['10.4.0.1'])), bad)
    assert.throws(() => routes.setSubnet(3, subnet(5003, ['10.3.0.0/24'], 'blue', ['224.0.0.1'])), bad)
    assert.throws(() => routes.setSubnet(3, { vsid: 5003, prefixes: ['10.3.0.0/24'], gateways: ['10.3.0.1'], peers: [] }), bad)
    assert.throws(() => routes.set({ vsid: 5002, prefix: '0.0.0.0/0' }), bad)
    assert.throws(() => routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: 'fd00::1' }), bad)
    assert.throws(() => routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.1' }), bad)
    assert.throws(() => routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '224.0.0.1' }), bad)
    assert.throws(() => routes.set({ vsid: 5001, prefix: '0.0.0.0/0', metric: 70000 }), bad)
    assert.throws(() => routes.set({ vsid: 7, prefix: '0.0.0.0/0' }), { code: 'no-such-subnet' })
    assert.equal(changes.length, told)
  })

  it('a subnet stays in its domain while routes lead through it', () => {
    const { routes, known } = world()
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24']))
    routes.set({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9' })
    assert.throws(() => routes.setSubnet(1, subnet(5001, ['10.1.0.0/24'], 'red')), { code: 'in-use' })
    assert.throws(() => routes.removeSubnet(5001), { code: 'in-use' })
    routes.remove({ vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9' })
    routes.setSubnet(1, subnet(5001, ['10.1.0.0/24'], 'red'))
    assert.equal(known.size, 1)
    routes.removeSubnet(5001)
    assert.equal(known.size, 0)
  })

  it('there is an end to routes', () => {
    const { routes } = world()
    routes.setSubnet(1, subnet(5001, []))
    for (let k = 0; k < CUSTOMER_ROUTES_MAX; k++)
      routes.set({ vsid: 5001, prefix: `10.${k >> 8}.${k & 255}.0/24`, nextHop: '10.250.0.9' })
    assert.throws(() => routes.set({ vsid: 5001, prefix: '192.0.2.0/24' }), { code: 'full' })
  })
})
