import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'
import { parseYaml } from './yaml-source.ts'

const machine = { env: {}, cwd: '/home/user', canWrite: () => true }
const lab = (snooping: string): string =>
  `switch:\n  name: lan\n  snooping: ${snooping}\n  ports:\n    - { name: r1, endpoint: { kind: memory } }\n`
const load = (snooping: string) => checkSource(parseYaml('lab.yaml', lab(snooping)), '/etc/lab/lab.yaml', machine)

function complaint(snooping: string): string {
  try {
    load(snooping)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return assert.fail('the configuration was accepted')
}

test('snooping is written as it is meant, and off without it', () => {
  const all =
    '{ igmp: true, mld: false, floodUnregistered: false, routerPorts: [r1], querier: { address: 10.0.0.1, ipv6Address: fe80::1, vlans: [0, 10] } }'
  assert.deepEqual(load(all).switch.snooping, {
    igmp: true,
    mld: false,
    floodUnregistered: false,
    routerPorts: ['r1'],
    querier: { address: '10.0.0.1', ipv6Address: 'fe80::1', vlans: [0, 10] },
  })
  assert.deepEqual(load('{}').switch.snooping, {})
  assert.equal(checkSource(parseYaml('x.yaml', 'switch: { name: lan }'), '/x.yaml', machine).switch.snooping, undefined)
})

test('what is wrong with snooping is shown at its place', () => {
  assert.match(complaint('{ routerPorts: [r2] }'), /lab\.yaml:3:29: switch\.snooping\.routerPorts\[0\]: there is no port "r2"/)
  assert.match(complaint('{ fastLeavePorts: [r2] }'), /fastLeavePorts\[0\]: there is no port "r2"[\s\S]*did you mean "r1"/)
  assert.match(
    complaint('{ querier: { address: 10.0.0 } }'),
    /switch\.snooping\.querier\.address: .*an IPv4 address, such as 10\.77\.0\.1/,
  )
  assert.match(complaint('{ querier: { ipv6Address: "2001::1" } }'), /an IPv6 link-local address, such as fe80::1/)
  assert.match(complaint('{ queryIntervalSeconds: 5 }'), /members may take 10 s to answer, and are asked every 5 s/)
  assert.match(complaint('{ groups: 5 }'), /switch\.snooping\.groups/)
  assert.match(complaint('{ igpm: true }'), /did you mean "igmp"|igmp/)
})
