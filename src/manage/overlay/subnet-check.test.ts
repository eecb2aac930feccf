import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkVirtualSubnet } from './subnet-check.ts'

test('a port is in no virtual subnet that the overlay does not have; without an overlay any number is as good', () => {
  const overlay = { subnets: () => [{ vsid: 5001, peers: [] }] }
  for (const security of [undefined, {}, { virtualSubnetId: 0 }, { virtualSubnetId: 5001 }, { virtualSubnetId: 'x' }])
    checkVirtualSubnet(overlay, 'web', security)
  checkVirtualSubnet(null, 'web', { virtualSubnetId: 7 })
  assert.throws(() => checkVirtualSubnet(overlay, 'web', { virtualSubnetId: 7 }), {
    code: 'no-such-subnet',
    message: /port "web" would be in virtual subnet 7, which the overlay does not have \(it has 5001\)/,
  })
})
