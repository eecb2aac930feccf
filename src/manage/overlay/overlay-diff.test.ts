import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planChanges } from '../apply/plan.ts'
import { checkSource } from '../config/load.ts'
import type { OverlayConfig, RecordConfig } from '../config/types.ts'
import { parseYaml } from '../config/yaml-source.ts'
import { overlayDiff, overlaySettings } from './overlay-diff.ts'
import { withoutRecord, withoutRoute, withoutSubnet, withRecord, withRoute, withSubnet } from './overlay-edits.ts'

const record = (last: string, provider = '192.0.2.2'): RecordConfig => ({
  vsid: 5001,
  mac: `02:00:00:00:00:${last}`,
  addresses: [],
  provider,
})
const overlay: OverlayConfig = {
  kind: 'vxlan',
  providerAddresses: [{ address: '192.0.2.1/24' }],
  subnets: [
    { vsid: 5001, peers: [] },
    { vsid: 5002, peers: ['192.0.2.2'] },
  ],
  records: [record('0a'), record('0b')],
  routes: [],
}

test('overlays that are the same differ in nothing, whatever the order', () => {
  assert.equal(overlayDiff(overlay, overlay), null)
  assert.equal(overlayDiff(overlay, { ...overlay, records: overlay.records.toReversed() }), null)
})

test('what comes, goes and changes is told by subnet and record', () => {
  const to: OverlayConfig = {
    ...overlay,
    subnets: [
      { vsid: 5001, peers: ['192.0.2.3'] },
      { vsid: 5003, peers: [] },
    ],
    records: [record('0a', '192.0.2.3'), record('0c')],
  }
  const diff = overlayDiff(overlay, to)
  assert.deepEqual(diff?.details, ['subnets: 1 added, 1 changed, 1 removed', 'records: 1 added, 1 changed, 1 removed'])
  assert.deepEqual(diff?.records.removed, [record('0b')])
  assert.deepEqual(diff?.records.set, [
    { from: record('0a'), to: record('0a', '192.0.2.3') },
    { from: undefined, to: record('0c') },
  ])
})

test('settings are all but subnets, records and routes', () => {
  assert.deepEqual(overlaySettings(overlay), { kind: 'vxlan', providerAddresses: overlay.providerAddresses })
  assert.equal(overlaySettings(undefined), undefined)
})

test('records and subnets that are set over the API stand in the place of those before, in normal form', () => {
  const moved = withRecord(overlay, { vsid: 5001, mac: '02-00-00-00-00-0A', provider: '192.0.2.9' })
  assert.deepEqual(moved.records, [record('0a', '192.0.2.9'), record('0b')])
  assert.deepEqual(withRecord(overlay, record('0c')).records.length, 3)
  assert.deepEqual(withoutRecord(overlay, { vsid: 5001, mac: '02-00-00-00-00-0B' }).records, [record('0a')])
  assert.deepEqual(withSubnet(overlay, { vsid: 5001, peers: ['FD00::2'] }).subnets[0], { vsid: 5001, peers: ['fd00::2'] })
  assert.deepEqual(
    withoutSubnet(overlay, 5002).subnets.map(({ vsid }) => vsid),
    [5001],
  )
})

test('a route is known by subnet, prefix and next hop; it goes and comes where its subnet gets another routing domain', () => {
  const route = { vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9', metric: 0 }
  const routed = withRoute(overlay, { ...route, nextHop: '10.1.0.9' })
  assert.deepEqual(routed.routes, [route])
  const dearer = withRoute(routed, { ...route, metric: 9 })
  assert.deepEqual(dearer.routes, [{ ...route, metric: 9 }])
  assert.deepEqual(withoutRoute(dearer, { vsid: 5001, prefix: '0.0.0.0/0' }).routes, dearer.routes)
  assert.deepEqual(withoutRoute(dearer, { vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9' }).routes, [])
  assert.deepEqual(overlayDiff(overlay, routed)?.details, ['routes: 1 added'])
  assert.deepEqual(overlayDiff(routed, dearer)?.routes.set, [{ from: route, to: { ...route, metric: 9 } }])
  const red = withSubnet(routed, { vsid: 5001, routingDomain: 'red' })
  const diff = overlayDiff(routed, red)!
  assert.deepEqual(diff.routes, { removed: [route], set: [{ from: undefined, to: route }] })
})

const machine = { env: {}, cwd: '/home/user', canWrite: () => true }
const configured = (text: string): ReturnType<typeof checkSource> =>
  checkSource(
    parseYaml(
      'lab.yaml',
      `switch:\n  name: lan\n  type: external\n${text}  ports: [{ name: wire, endpoint: { kind: uplink, interface: eth9 } }]\n`,
    ),
    '/etc/lab.yaml',
    machine,
  )
const tunnels = (more: string, kind = 'vxlan'): ReturnType<typeof checkSource> =>
  configured(`  overlay: { kind: ${kind}, providerAddresses: [{ address: 192.0.2.1/24 }], ${more} }\n`)

test('apply changes subnets and records while the switch runs, and all else of an overlay with a restart', () => {
  const from = tunnels('subnets: [{ vsid: 5001 }]')
  const live = planChanges(from, tunnels('subnets: [{ vsid: 5001, peers: [192.0.2.2] }, { vsid: 5002 }]'))
  assert.equal(live.restart, false)
  assert.deepEqual(
    live.changes.map(({ name, how, details }) => [name, how, details]),
    [['overlay', 'live', ['subnets: 1 added, 1 changed']]],
  )
  assert.equal(planChanges(from, from).changes.length, 0)
  for (const to of [
    tunnels('subnets: [{ vsid: 5001 }]', 'geneve'),
    tunnels('ttl: 3, subnets: [{ vsid: 5001 }]'),
    configured(''),
  ]) {
    const plan = planChanges(from, to)
    assert.equal(plan.restart, true)
    assert.equal(plan.overlay, null)
    assert.match(plan.changes[0]!.details.join(), /^overlay/)
  }
})
