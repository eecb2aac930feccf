import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlayError } from '../../switch/overlay/options.ts'
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import { LookupRecords } from '../../switch/overlay/records.ts'
import { type Lookup, lookupId } from './lookups.ts'
import { type FedSubnet, fedSubnets, OverlayFeed } from './overlay-feed.ts'

/** An overlay's records without a data path behind them. */
function overlay() {
  let told = 0
  const records = new LookupRecords({ kind: 'vxlan', own: ['192.0.2.1'] }, { changed: () => told++ })
  const control = {
    generation: 0,
    status: () => assert.fail('nobody asks'),
    subnets: () => records.subnets(),
    records: () => records.list().map((record) => ({ ...record, kind: 'static' as const })),
    set: async (all: Parameters<OverlayControl['set']>[0]) => records.setAll(all),
    remove: async (one: Parameters<OverlayControl['remove']>[0]) => void records.remove(one),
    setSubnet: async (subnet: Parameters<OverlayControl['setSubnet']>[0]) => records.setSubnet(subnet),
    removeSubnet: async (vsid: number) => records.removeSubnet(vsid),
    routes: () => [],
    setRoute: async () => assert.fail('a network has no routes'),
    removeRoute: async () => assert.fail('a network has no routes'),
  } satisfies OverlayControl
  const shown = (): string[] => records.list().map(({ vsid, mac, provider }) => `${vsid} ${mac.slice(-2)} ${provider}`)
  return { control, records, shown, told: () => told }
}

const lookup = (number: number, virtualSubnetId = 5001, host = 2): Lookup => ({
  virtualSubnetId,
  mac: `52:54:00:00:00:0${number}`,
  customerAddresses: [`10.1.0.${number}`],
  providerAddress: `192.0.2.${host}`,
})
const all = (...lookups: readonly Lookup[]) => new Map(lookups.map((one) => [lookupId(one), one]))
const subnets = (...ids: readonly number[]) => new Map(ids.map((id) => [id, {}]))

test('an overlay gets the records of the subnets in which this host has ports, and loses them with the last port', async () => {
  const { control, shown, records } = overlay()
  const feed = new OverlayFeed(() => control)
  const lookups = all(lookup(1), lookup(2, 6000))
  await feed.bring({ subnets: subnets(5001), lookups })
  assert.deepEqual(shown(), ['5001 01 192.0.2.2'])
  await feed.bring({ subnets: subnets(5001, 6000), lookups })
  assert.deepEqual(shown(), ['5001 01 192.0.2.2', '6000 02 192.0.2.2'])
  await feed.bring({ subnets: subnets(6000), lookups })
  assert.deepEqual(shown(), ['6000 02 192.0.2.2'])
  assert.deepEqual(
    records.subnets().map(({ vsid }) => vsid),
    [6000],
  )
})

test('a record that moved is changed alone, and what does not differ is not told again', async () => {
  const { control, shown, told } = overlay()
  const feed = new OverlayFeed(() => control)
  const lookups = all(lookup(1), lookup(2))
  await feed.bring({ subnets: subnets(5001), lookups })
  const before = told()
  await feed.bring({ subnets: subnets(5001), lookups })
  assert.equal(told(), before)
  const moved = lookup(2, 5001, 3)
  await feed.bring({ subnets: subnets(5001), lookups: all(lookup(1), moved) }, [moved])
  assert.deepEqual(shown(), ['5001 01 192.0.2.2', '5001 02 192.0.2.3'])
  assert.equal(told(), before + 1)
})

test('a switch that starts anew gets all of it again, and one without an overlay is left alone', async () => {
  let current: ReturnType<typeof overlay> | null = overlay()
  const feed = new OverlayFeed(() => current?.control ?? null)
  const wish = { subnets: subnets(5001), lookups: all(lookup(1)) }
  await feed.bring(wish)
  current = null
  await feed.bring(wish, [])
  assert.equal(feed.size, 0)
  current = overlay()
  await feed.bring(wish, [])
  assert.deepEqual(current.shown(), ['5001 01 192.0.2.2'])
})

test('records and subnets of others stay, and a record that somebody removed is no obstacle', async () => {
  const { control, shown, records } = overlay()
  records.setSubnet({ vsid: 5001, peers: [] })
  records.set({ vsid: 5001, mac: '52:54:00:00:00:09', addresses: [], provider: '192.0.2.9' })
  const feed = new OverlayFeed(() => control)
  await feed.bring({ subnets: subnets(5001), lookups: all(lookup(1)) })
  records.remove({ vsid: 5001, mac: lookup(1).mac })
  await feed.bring({ subnets: subnets(), lookups: all() })
  assert.deepEqual(shown(), ['5001 09 192.0.2.9'])
})

const blue = { routingDomainId: 'blue', prefixes: ['10.1.0.0/24'], gateways: ['10.1.0.1'] }
const ports = [{ virtualSubnetId: 0 }, { virtualSubnetId: 5001 }]

test('virtual subnets that a host routes to are fed with those of its ports, and no others', () => {
  const known = new Map<number, FedSubnet>([
    [5001, blue],
    [5002, { routingDomainId: 'blue' }],
    [5003, { routingDomainId: 'red' }],
    [5004, {}],
  ])
  assert.deepEqual([...fedSubnets(ports, known).keys()], [5001, 5002])
  assert.deepEqual(fedSubnets(ports, known).get(5001), blue)
  assert.deepEqual([...fedSubnets(ports, new Map()).keys()], [5001])
  assert.deepEqual([...fedSubnets([], known).keys()], [])
})

test('what the network says of routing follows its changes; one subnet that contradicts another is no obstacle to records', async () => {
  const { control, records, shown } = overlay()
  const strict: OverlayControl = {
    ...control,
    setSubnet: async (subnet) => {
      const isTaken = records
        .subnets()
        .some(({ vsid, prefixes }) => vsid !== subnet.vsid && prefixes?.[0] === subnet.prefixes?.[0])
      if (subnet.prefixes !== undefined && isTaken) throw new OverlayError('bad-overlay', 'the prefix is taken')
      return control.setSubnet(subnet)
    },
  }
  const feed = new OverlayFeed(() => strict)
  const prefixes = (): unknown => records.subnets().map(({ vsid, prefixes: all }) => `${vsid} ${all?.join() ?? ''}`)
  const lookups = all(lookup(1))
  await feed.bring({ subnets: new Map([[5001, blue]]), lookups })
  await feed.bring({ subnets: new Map([[5001, { ...blue, prefixes: ['10.2.0.0/24'] }]]), lookups }, [])
  assert.deepEqual(prefixes(), ['5001 10.2.0.0/24'])
  const both = new Map([
    [5001, blue],
    [5002, blue],
  ])
  await assert.rejects(feed.bring({ subnets: both, lookups: all(lookup(1), lookup(2, 5002)) }), { code: 'bad-overlay' })
  assert.deepEqual(prefixes(), ['5001 10.1.0.0/24', '5002 '])
  assert.deepEqual(shown(), ['5001 01 192.0.2.2', '5002 02 192.0.2.2'])
  await feed.bring({ subnets: new Map([[5002, blue]]), lookups: all(lookup(2, 5002)) })
  assert.deepEqual(prefixes(), ['5002 10.1.0.0/24'])
})
