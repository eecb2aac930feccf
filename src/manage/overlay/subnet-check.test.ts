import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RunningSwitch } from '../../engine/host.ts'
import { checkVirtualSubnet } from './subnet-check.ts'

/** A switch whose configuration names `given`, and whose overlay has `known`. */
const running = (given: readonly number[], known: readonly number[] | null): Pick<RunningSwitch, 'overlay' | 'config'> => {
  const subnets = (ids: readonly number[]) => ids.map((vsid) => ({ vsid, peers: [] }))
  const found = { config: { overlay: { subnets: subnets(given) } }, overlay: () => known && { subnets: () => subnets(known) } }
  return found as unknown as Pick<RunningSwitch, 'overlay' | 'config'>
}

test('a port is in no virtual subnet that the overlay does not have', () => {
  for (const security of [undefined, {}, { virtualSubnetId: 0 }, { virtualSubnetId: 5001 }, { virtualSubnetId: 'x' }])
    checkVirtualSubnet(running([5001], [5001]), 'web', security)
  checkVirtualSubnet(running([5001], [5001, 7]), 'web', { virtualSubnetId: 7 })
  assert.throws(() => checkVirtualSubnet(running([5001], [5001]), 'web', { virtualSubnetId: 7 }), {
    code: 'no-such-subnet',
    message: /port "web" would be in virtual subnet 7, which the overlay does not have \(it has 5001\)/,
  })
})

test('without an overlay any number is as good, and a network tells the virtual subnets where the configuration names none', () => {
  checkVirtualSubnet(running([], null), 'web', { virtualSubnetId: 7 })
  checkVirtualSubnet(running([], [5001]), 'web', { virtualSubnetId: 7 })
})
