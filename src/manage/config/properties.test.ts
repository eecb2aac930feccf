import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkSource } from './load.ts'
import { parseYaml } from './yaml-source.ts'

const GUID = '0d3c1f9f-0004-4c56-9b7e-7b0b6d0e5f0c'
const machine = { env: {}, cwd: '/home/user', canWrite: () => true }
const load = (port: string, more = '') =>
  checkSource(
    parseYaml('lab.yaml', `switch:\n  name: lab0\n${more}  ports:\n    - { name: a, endpoint: { kind: memory }, ${port} }\n`),
    '/etc/lab.yaml',
    machine,
  ).switch
const complaint = (port: string, expected: RegExp): void => {
  assert.throws(() => load(port), expected)
}

test('a port names the VM whose adapter it has', () => {
  assert.equal(load('vm: web').ports[0]!.vm, 'web')
  assert.equal(load('link: up').ports[0]!.vm, undefined)
})

test('shorthands become properties, before those that are listed', () => {
  assert.deepEqual(
    load(`vlan: 10, security: { allowTeaming: true }, properties: [{ id: rate-limit, value: 5 }]`).ports[0]!.properties,
    [
      { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } },
      { type: 'security', value: { allowTeaming: true } },
      { type: 'custom', id: 'rate-limit', value: 5 },
    ],
  )
  assert.equal(load('link: up').ports[0]!.properties, undefined)
  assert.deepEqual(load('link: up', `  properties: [{ id: ${GUID}, value: x, version: "1.1" }]\n`).properties, [
    { type: 'custom', id: GUID, value: 'x', version: '1.1' },
  ])
})

test('guards written under security become the protection of the port, which no extension sees (ES-496)', () => {
  const properties = (security: string) => load(`security: { ${security} }`).ports[0]!.properties
  const protection = { type: 'protection', value: { dhcpGuard: true, routerGuard: false } }
  assert.deepEqual(properties('allowTeaming: true, dhcpGuard: true, routerGuard: false'), [
    { type: 'security', value: { allowTeaming: true } },
    protection,
  ])
  assert.deepEqual(properties('dhcpGuard: true, routerGuard: false'), [protection])
  assert.deepEqual(properties(''), [{ type: 'security', value: {} }])
  complaint('security: { dhcpGuard: 1 }', /property protection: dhcpGuard: 1 is neither true nor false/)
})

test('the example of guards is a good configuration', () => {
  const file = new URL('../../../examples/guards.yaml', import.meta.url)
  const { ports } = checkSource(parseYaml('guards.yaml', readFileSync(file, 'utf8')), '/etc/guards.yaml', machine).switch
  assert.deepEqual(
    ports.map(({ properties = [] }) => properties.map(({ type }) => type)),
    [[], ['protection'], ['security', 'protection']],
  )
})

test('a property that no port could have is refused before anything starts', () => {
  complaint('vlan: 4095', /switch\.ports\[0\]\.vlan/)
  complaint('vlan: { mode: trunk }', /property vlan: trunkVlanIds: is missing/)
  complaint('security: { spoofing: true }', /property security: spoofing: there is no such option/)
  complaint('vlan: 1, properties: [{ type: vlan, value: { mode: access, accessVlanId: 2 } }]', /two properties of type vlan/)
  complaint('properties: [{ value: 1 }]', /a custom property has no id/)
  complaint(`properties: [{ type: isolation, id: ${GUID}, value: {} }]`, /a property of type isolation has an id/)
  complaint('properties: [{ id: x, instance: y, value: 1 }]', /a GUID/)
  complaint('properties: [{ id: x, version: "one", value: 1 }]', /a version in quotes/)
})

test('a wrong member of a property is told at its place, with what may have been meant', () => {
  complaint('vlan: { mode: acces, accessVlanId: 10 }', /switch\.ports\[0\]\.vlan\.mode: .*not one of access, trunk, private/)
  complaint('vlan: { mode: trunk, trunkVlanIds: [1, 20-10] }', /switch\.ports\[0\]\.vlan\.trunkVlanIds\[1\]: /)
  complaint('security: { dhcpGard: true }', /switch\.ports\[0\]\.security\.dhcpGard: [\s\S]*did you mean "dhcpGuard"\?/)
  complaint('security: { alowTeaming: true }', /did you mean "allowTeaming"\?/)
  complaint('security: { stormLimit: { brodcast: 1 } }', /security\.stormLimit\.brodcast: [\s\S]*did you mean "broadcast"\?/)
  complaint('security: { sourceGuard: [10.0.0.1, x] }', /security\.sourceGuard\[1\]: .*"x" is not a prefix/)
  const pvlan = 'mode: private, primaryVlanId: 100'
  complaint(`vlan: { ${pvlan}, pvlanMode: isolated, secondaryVlanId: 100 }`, /100 is the primary VLAN, which all ports/)
  complaint(`vlan: { ${pvlan}, pvlanMode: promiscuous, secondaryVlanIds: [90-101] }`, /100 is the primary VLAN/)
  complaint(
    `vlan: { ${pvlan}, pvlanMode: community }`,
    /secondaryVlanId: is missing: write the one that it sends in, such as 101/,
  )
})

test('the bandwidth of a port and of the switch is checked value by value, and becomes a property that no extension sees', () => {
  const { ports, properties } = load(
    'bandwidth: { maximumBandwidth: 100mbit, minimumBandwidthWeight: 5 }',
    '  bandwidth: { capacity: 10gbit, minimumBandwidthMode: weight, defaultFlowMinimumBandwidthWeight: 20 }\n',
  )
  assert.deepEqual(ports[0]!.properties, [
    { type: 'bandwidth', value: { maximumBandwidth: '100mbit', minimumBandwidthWeight: 5 } },
  ])
  assert.deepEqual(properties, [
    { type: 'bandwidth', value: { capacity: '10gbit', minimumBandwidthMode: 'weight', defaultFlowMinimumBandwidthWeight: 20 } },
  ])
  complaint(
    'bandwidth: { maximumBandwidth: 10mb }',
    /lab\.yaml:4:77: switch\.ports\[0\]\.bandwidth\.maximumBandwidth: expected bits per second/,
  )
  complaint('bandwidth: { minimumBandwidthWeight: 101 }', /lab\.yaml:4:\d+/)
  complaint('bandwidth: { maximum: 1mbit }', /maximum/)
  complaint('bandwidth: { maximumBandwidth: 1mbit, minimumBandwidthAbsolute: 2mbit }', /above maximumBandwidth/)
})

test('ACLs of a port become properties, and what is wrong is shown at its line', () => {
  const entry = '{ action: meter, direction: both, remoteIPAddress: 10.0.0.0/8 }'
  const rule = '{ name: dns, action: allow, direction: outbound, protocol: udp, remotePort: 53, weight: 10 }'
  assert.deepEqual(load(`acls: [${entry}], extendedAcls: [${rule}]`).ports[0]!.properties, [
    { type: 'acl', value: { entries: [{ action: 'meter', direction: 'both', remoteIPAddress: '10.0.0.0/8' }] } },
    {
      type: 'extended-acl',
      value: {
        rules: [{ name: 'dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 10 }],
      },
    },
  ])
  complaint('acls: [{ action: drop, direction: both, remoteIPAddress: ANY }]', /lab\.yaml:4:\d+.*action/s)
  complaint(
    `extendedAcls: [${rule}, { action: deny, direction: inbound, remoteIPAddress: 10.0.0.1/8 }]`,
    /lab\.yaml:4:\d+.*extendedAcls\[1\]\.remoteIPAddress.*bits beyond the first 8.*\^/s,
  )
})
