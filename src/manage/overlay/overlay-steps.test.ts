import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunningSwitch } from '../../engine/host.ts'
import { CustomerRoutes } from '../../switch/overlay/customer-routes.ts'
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import { LookupRecords } from '../../switch/overlay/records.ts'
import type { OverlayConfig } from '../config/types.ts'
import { overlayDiff } from './overlay-diff.ts'
import { overlaySteps } from './overlay-steps.ts'

/** An overlay's subnets and routes without a data path behind them. */
function overlay() {
  const records = new LookupRecords({ kind: 'vxlan', own: ['192.0.2.1'] }, { changed: () => {} })
  const routes = new CustomerRoutes({ changed: () => {} })
  const control: Pick<OverlayControl, 'subnets' | 'setSubnet' | 'removeSubnet' | 'setRoute' | 'removeRoute' | 'records'> = {
    subnets: () => records.subnets(),
    records: () => [],
    setSubnet: async (subnet) => {
      const kept = records.setSubnet({ ...subnet, ...routes.checkSubnet(subnet) })
      routes.setSubnet(records.subnetIndex(subnet.vsid), kept)
      return kept
    },
    removeSubnet: async (vsid) => {
      routes.removeSubnet(vsid)
      records.removeSubnet(vsid)
    },
    setRoute: async (route) => routes.set(route),
    removeRoute: async (route) => void routes.remove(route),
  }
  const shown = (): unknown => [
    records
      .subnets()
      .map(({ vsid, routingDomain, prefixes }) => `${vsid} ${routingDomain} ${prefixes?.join()}`)
      .sort(),
    routes.list(),
  ]
  return { running: { overlay: () => control } as unknown as RunningSwitch, shown }
}

const config = (subnets: OverlayConfig['subnets'], routes: OverlayConfig['routes'] = []): OverlayConfig => ({
  kind: 'vxlan',
  providerAddresses: [{ address: '192.0.2.1/24' }],
  subnets,
  records: [],
  routes,
})
const subnet = (vsid: number, routingDomain: string, ...prefixes: string[]) => ({ vsid, routingDomain, prefixes, peers: [] })
const empty = config([])

for (const [what, from, to] of [
  [
    'prefixes are exchanged between subnets',
    config([subnet(1, 'blue', '10.1.0.0/24'), subnet(2, 'blue', '10.2.0.0/24')]),
    config([subnet(1, 'blue', '10.2.0.0/24'), subnet(2, 'blue', '10.1.0.0/24')]),
  ],
  [
    'a subnet with routes gets another routing domain',
    config([subnet(1, 'blue', '10.1.0.0/24')], [{ vsid: 1, prefix: '0.0.0.0/0', nextHop: '10.1.0.9', metric: 0 }]),
    config([subnet(1, 'red', '10.1.0.0/24')], [{ vsid: 1, prefix: '0.0.0.0/0', nextHop: '10.1.0.9', metric: 3 }]),
  ],
  [
    'a subnet goes with its routes, another one comes with its prefix',
    config([subnet(1, 'blue', '10.1.0.0/24')], [{ vsid: 1, prefix: '0.0.0.0/0', metric: 0 }]),
    config([subnet(2, 'blue', '10.1.0.0/24')], [{ vsid: 2, prefix: '0.0.0.0/0', metric: 0 }]),
  ],
] as const)
  test(`steps lead from one overlay to the other, and back: ${what}`, async () => {
    const { running, shown } = overlay()
    for (const step of overlaySteps(overlayDiff(empty, from)!, running)) await step.do()
    const before = shown()
    const steps = overlaySteps(overlayDiff(from, to)!, running)
    for (const step of steps) await step.do()
    const wanted = overlay()
    for (const step of overlaySteps(overlayDiff(empty, to)!, wanted.running)) await step.do()
    assert.deepEqual(shown(), wanted.shown())
    for (const step of steps.toReversed()) await step.undo()
    assert.deepEqual(shown(), before)
  })
