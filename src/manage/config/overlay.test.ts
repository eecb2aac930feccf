import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'
import { parseYaml } from './yaml-source.ts'

const machine = { env: {}, cwd: '/home/user', canWrite: () => true }
const UPLINK = '{ name: wire, endpoint: { kind: uplink, interface: eth9 } }'
const GUEST = '{ name: web, security: { virtualSubnetId: 5001 }, endpoint: { kind: memory } }'

interface Lab {
  readonly ports?: readonly string[]
  readonly type?: string
}

const load = (overlay: string, { ports = [UPLINK, GUEST], type = 'external' }: Lab = {}) => {
  const text = `switch:\n  name: lan\n  type: ${type}\n  overlay: ${overlay}\n  ports:\n${ports.map((port) => `    - ${port}\n`).join('')}`
  return checkSource(parseYaml('lab.yaml', text), '/etc/lab/lab.yaml', machine)
}

function complaint(overlay: string, lab: Lab = {}): string {
  try {
    load(overlay, lab)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return assert.fail('the configuration was accepted')
}

const overlay = (more: string, kind = 'vxlan', provider = '192.0.2.1/24'): string =>
  `{ kind: ${kind}, providerAddresses: [{ address: "${provider}" }]${more === '' ? '' : `, ${more}`} }`
const SUBNET = 'subnets: [{ vsid: 5001 }]'

test('an overlay is read with its defaults, and its addresses in normal form', () => {
  const text = `{ kind: geneve, providerAddresses: [{ address: "2001:DB8:0::1/64", gateway: "2001:db8::FE" }, { address: 192.0.2.1/24 }],
    subnets: [{ vsid: 5001, routingDomain: blue, peers: ["2001:DB8::2"] }],
    records: [{ vsid: 5001, mac: 02-00-00-00-00-AA, addresses: [10.0.0.2, "FD00:0::2"], provider: "2001:db8:0:0::2" }] }`
  assert.deepEqual(load(text).switch.overlay, {
    kind: 'geneve',
    providerAddresses: [{ address: '2001:db8::1/64', gateway: '2001:db8::fe' }, { address: '192.0.2.1/24' }],
    subnets: [{ vsid: 5001, routingDomain: 'blue', peers: ['2001:db8::2'] }],
    records: [{ vsid: 5001, mac: '02:00:00:00:00:aa', addresses: ['10.0.0.2', 'fd00::2'], provider: '2001:db8::2' }],
    routes: [],
  })
  assert.deepEqual(load(overlay('subnets: [{ vsid: 5001 }]')).switch.overlay?.subnets, [{ vsid: 5001, peers: [] }])
})

test('a switch without an overlay has none', () => {
  const config = checkSource(parseYaml('x.yaml', 'switch: { name: lan }'), '/x.yaml', machine)
  assert.equal('overlay' in config.switch, false)
})

test('an overlay without an external port is refused at its place', () => {
  const message = complaint(overlay(SUBNET), { ports: [GUEST], type: 'private' })
  assert.match(message, /lab\.yaml:4:\d+: switch\.overlay: the switch has no external port[\s\S]*kind: uplink/)
})

test('provider addresses are addresses of this host, each once', () => {
  assert.match(
    complaint(overlay(SUBNET, 'vxlan', '192.0.2.1')),
    /providerAddresses\[0\]\.address: "192\.0\.2\.1" is not the address/,
  )
  assert.match(complaint(overlay(SUBNET, 'vxlan', '239.0.0.1/8')), /is not the address of a host/)
  const twice = `{ kind: vxlan, providerAddresses: [{ address: "fd00::1/64" }, { address: "fd00:0::1/64" }], ${SUBNET} }`
  assert.match(complaint(twice), /providerAddresses\[1\]\.address: fd00::1 is there twice/)
  const gateway = `{ kind: vxlan, providerAddresses: [{ address: 192.0.2.1/24, gateway: "fd00::1" }], ${SUBNET} }`
  assert.match(complaint(gateway), /gateway: fd00::1 is an IPv6 address, and this host has no provider address of IPv6/)
})

test('a subnet that a port is in must be there, once, with a number that the encapsulation has', () => {
  assert.match(complaint(overlay('subnets: [{ vsid: 5002 }]')), /port "web" is in virtual subnet 5001[\s\S]*there are 5002/)
  assert.match(complaint(overlay('subnets: [{ vsid: 5001 }, { vsid: 5001 }]')), /subnets\[1\]\.vsid: there are two subnets 5001/)
  const low = complaint(overlay('subnets: [{ vsid: 5001 }, { vsid: 4095 }]', 'nvgre'))
  assert.match(low, /subnets\[1\]\.vsid: NVGRE has no virtual subnet 4095[\s\S]*from 4096 to 16777214/)
  assert.ok(load(overlay('subnets: [{ vsid: 5001 }, { vsid: 4095 }]')))
})

test('peers are other hosts of a family that this one has', () => {
  const peers = (list: string): string => complaint(overlay(`subnets: [{ vsid: 5001, peers: [${list}] }]`))
  assert.match(peers('192.0.2.1'), /subnets\[0\]\.peers\[0\]: 192\.0\.2\.1 is this host itself/)
  assert.match(peers('192.0.2.2, 192.0.2.2'), /peers\[1\]: 192\.0\.2\.2 is there twice/)
  assert.match(peers('"fd00::2"'), /no provider address of IPv6/)
  assert.match(peers('host2'), /"host2" is not the address of a host/)
})

test('records are about guests of a subnet that is there, each guest and each address once', () => {
  const record = (...records: string[]): string => complaint(overlay(`${SUBNET}, records: [${records.join(', ')}]`))
  const at = (mac: string, more = ''): string => `{ vsid: 5001, mac: ${mac}, provider: 192.0.2.2${more} }`
  const guest = '02:00:00:00:00:02'
  assert.match(
    record(`{ vsid: 5003, mac: ${guest}, provider: 192.0.2.2 }`),
    /records\[0\]\.vsid: there is no virtual subnet 5003/,
  )
  assert.match(record(at(guest), at(guest)), /records\[1\]\.mac: .* has a record already/)
  assert.match(
    record(`{ vsid: 5001, mac: ${guest}, provider: 192.0.2.1 }`),
    /records\[0\]\.provider: 192\.0\.2\.1 is this host itself/,
  )
  assert.match(record(at('01:00:5e:00:00:01')), /records\[0\]\.mac: 01:00:5e:00:00:01 is a group address/)
  assert.match(record(at(guest, ', addresses: [224.0.0.1]')), /addresses\[0\]: "224\.0\.0\.1" is not the address of a guest/)
  const both = record(at(guest, ', addresses: [10.0.0.2]'), at('02:00:00:00:00:03', ', addresses: [10.0.0.2]'))
  assert.match(both, /records\[1\]\.addresses\[0\]: 10\.0\.0\.2 is an address of 02:00:00:00:00:02 already/)
  assert.match(record(`{ vsid: 5001, mac: ${guest}, provider: 192.0.2.2, adresses: [] }`), /did you mean "addresses"/)
})

test('an MTU that leaves too little for guests is refused with what is needed', () => {
  assert.match(complaint(overlay(`mtu: 1300, ${SUBNET}`)), /overlay\.mtu: an MTU of 1300 leaves 1250 bytes[\s\S]*at least 1330/)
  assert.match(complaint(overlay(`mtu: 1340, ${SUBNET}`, 'vxlan', 'fd00::1/64')), /leaves 1270 bytes[\s\S]*at least 1350/)
  assert.ok(load(overlay(`mtu: 1322, ${SUBNET}`, 'nvgre')))
})

test('settings that an encapsulation does not have are refused', () => {
  assert.match(complaint(overlay(`udpPort: 4789, ${SUBNET}`, 'nvgre')), /udpPort: NVGRE has no UDP port/)
  assert.match(complaint(overlay(`multicast: 10.0.0.1, ${SUBNET}`)), /"10\.0\.0\.1" is no multicast group/)
  assert.match(complaint(overlay(`multicast: "ff02::1", ${SUBNET}`)), /no provider address of IPv6/)
  assert.equal(load(overlay(`multicast: 239.1.1.1, ${SUBNET}`)).switch.overlay?.multicast, '239.1.1.1')
})

const BLUE = '{ vsid: 5001, routingDomain: blue, prefixes: [10.1.0.0/24], gateways: [10.1.0.1] }'

test('prefixes, gateways and routes are read in normal form; a next hop of zeros is none', () => {
  const text = `subnets: [{ vsid: 5001, routingDomain: blue, prefixes: ["FD00:1::/64"], gateways: ["FD00:1:0::1"] }],
    routes: [{ vsid: 5001, prefix: "FD00:9::/48", nextHop: "FD00:1::09" }, { vsid: 5001, prefix: 10.9.0.0/16, nextHop: 0.0.0.0, metric: 7 }]`
  const found = load(overlay(text)).switch.overlay!
  assert.deepEqual(found.subnets[0], {
    vsid: 5001,
    routingDomain: 'blue',
    prefixes: ['fd00:1::/64'],
    gateways: ['fd00:1::1'],
    peers: [],
  })
  assert.deepEqual(found.routes, [
    { vsid: 5001, prefix: 'fd00:9::/48', nextHop: 'fd00:1::9', metric: 0 },
    { vsid: 5001, prefix: '10.9.0.0/16', metric: 7 },
  ])
})

test('prefixes of a routing domain are those of one subnet each; gateways lie in them', () => {
  const subnets = (...list: string[]): string => complaint(overlay(`subnets: [${list.join(', ')}]`))
  const second = '{ vsid: 5002, routingDomain: blue, prefixes: [10.1.0.0/24] }'
  assert.match(
    subnets(BLUE, second),
    /subnets\[1\]\.prefixes\[0\]: virtual subnet 5001 of routing domain "blue" has the prefix 10\.1\.0\.0\/24 already/,
  )
  assert.ok(load(overlay(`subnets: [${BLUE}, ${second.replace('blue', 'red')}]`)))
  assert.match(subnets('{ vsid: 5001, prefixes: [10.1.0.1/24] }'), /prefixes\[0\]: "10\.1\.0\.1\/24" is not a prefix/)
  assert.match(subnets('{ vsid: 5001, prefixes: [10.1.0.0/24, 10.1.0.0/24] }'), /prefixes\[1\]: 10\.1\.0\.0\/24 is there twice/)
  assert.match(subnets('{ vsid: 5001, prefixes: [10.1.0.0/24], gateways: [10.1.0.1] }'), /gateways: .* no routing domain/)
  assert.match(subnets(BLUE.replace('10.1.0.1]', '10.2.0.1]')), /gateways\[0\]: 10\.2\.0\.1 is in none of the prefixes/)
  assert.match(subnets(BLUE.replace('10.1.0.1]', '10.1.0.1, 10.1.0.1]')), /gateways\[1\]: 10\.1\.0\.1 is there twice/)
  const guest = 'records: [{ vsid: 5001, mac: 02:00:00:00:00:02, addresses: [10.1.0.1], provider: 192.0.2.2 }]'
  assert.match(complaint(overlay(`subnets: [${BLUE}], ${guest}`)), /records\[0\]\.addresses\[0\]: 10\.1\.0\.1 is a gateway/)
})

test('routes lead through guests of subnets with a routing domain', () => {
  const routes = (list: string, subnet = BLUE): string => complaint(overlay(`subnets: [${subnet}], routes: [${list}]`))
  assert.match(routes('{ vsid: 7, prefix: 0.0.0.0/0 }'), /routes\[0\]\.vsid: there is no virtual subnet 7/)
  assert.match(routes('{ vsid: 5001, prefix: 0.0.0.0/0 }', '{ vsid: 5001 }'), /routes\[0\]\.vsid: .* is in no routing domain/)
  assert.match(routes('{ vsid: 5001, prefix: 10.9.0.0 }'), /routes\[0\]\.prefix: "10\.9\.0\.0" is not a prefix/)
  assert.match(routes('{ vsid: 5001, prefix: 0.0.0.0/0, nextHop: "fd00::9" }'), /routes\[0\]\.nextHop: .* another family/)
  assert.match(routes('{ vsid: 5001, prefix: 0.0.0.0/0, nextHop: 10.1.0.1 }'), /routes\[0\]\.nextHop: .* the router itself/)
  assert.match(routes('{ vsid: 5001, prefix: 0.0.0.0/0, nextHop: 224.0.0.1 }'), /nextHop: "224\.0\.0\.1" is not the address/)
  const twice = '{ vsid: 5001, prefix: 0.0.0.0/0 }, { vsid: 5001, prefix: 0.0.0.0/0, nextHop: 0.0.0.0 }'
  assert.match(routes(twice), /routes\[1\]\.prefix: the same route is there twice/)
})
