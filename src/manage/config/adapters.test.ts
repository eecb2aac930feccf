import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'
import { derivedMac } from './resolve.ts'
import { parseYaml } from './yaml-source.ts'

const machine = { env: {}, cwd: '/home/user', canWrite: () => true }
const load = (text: string) => checkSource(parseYaml('lab.yaml', text), '/etc/lab/lab.yaml', machine)

function complaint(text: string): string {
  try {
    load(text)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return assert.fail('the configuration was accepted')
}

const GUEST = 'mac: 52:54:00:77:00:01, endpoint: { kind: vhost-user, path: a.sock }'
const EXTERNAL = '{ name: outside, endpoint: { kind: adapter, adapter: nic0 } }'
/** A switch with one adapter; `ports` follow the external one, `adapter` is more of the adapter. */
const lab = (ports: string[] = [], adapter = '', external = EXTERNAL): string =>
  `adapters:\n  - { name: nic0, vfs: 4${adapter} }\nswitch:\n  name: lan\n  type: external\n  ports:\n${[external, ...ports]
    .map((port) => `    - ${port}\n`)
    .join('')}`

test('an adapter gets its defaults, an address that stays the same, and absolute paths', () => {
  const { adapters } = load(lab([], ', uplink: { kind: stream, path: wire.sock }'))
  assert.deepEqual(adapters, [
    {
      name: 'nic0',
      mac: derivedMac('lan', 'nic0'),
      uplink: { kind: 'stream', path: '/run/vmswitch/lan/wire.sock', mode: 'server' },
      vfs: 4,
      mtu: 1500,
      speedMbps: 0,
      order: 'deferred',
    },
  ])
  assert.equal(load(lab()).adapters?.[0]?.uplink, null)
  assert.match(derivedMac('lan', 'nic0'), /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/)
  assert.notEqual(derivedMac('lan', 'nic0'), derivedMac('lan', 'nic1'))
  assert.equal(load(lab([], ', mac: 02-00-00-00-00-0A')).adapters?.[0]?.mac, '02:00:00:00:00:0a')
})

test('a port that wants a virtual function gets a socket of its own name, and says how it is served', () => {
  const [, port] = load(lab([`{ name: alpha, ${GUEST}, iov: { qmp: q.sock } }`])).switch.ports
  assert.deepEqual(port?.iov, {
    weight: 100,
    form: 'vfio-user',
    path: '/run/vmswitch/lan/alpha-vf.sock',
    queuePairs: 1,
    trusted: false,
    requireSeals: true,
    qmp: '/run/vmswitch/lan/q.sock',
  })
  load(lab([`{ name: alpha, ${GUEST}, iov: { form: vhost-user, queuePairs: 4, path: /tmp/x.sock, weight: 1 } }`]))
})

test('an adapter that is not there, taken, there twice or used by nobody is refused with a remedy', () => {
  assert.equal(
    complaint(lab([], '', '{ name: outside, endpoint: { kind: adapter, adapter: nic1 } }'))
      .split('\n')
      .slice(-4)
      .join('\n'),
    [
      'lab.yaml:7:60: switch.ports[0].endpoint.adapter: there is no adapter "nic1"',
      '  7 |     - { name: outside, endpoint: { kind: adapter, adapter: nic1 } }',
      '    |                                                            ^^^^',
      '  did you mean "nic0"?',
    ].join('\n'),
  )
  assert.match(complaint(lab([EXTERNAL.replace('outside', 'second')])), /the adapter "nic0" is taken by port "outside"/)
  assert.match(complaint(lab([], ' }\n  - { name: nic0, vfs: 1')), /the adapter "nic0" is there twice/)
  assert.match(complaint(lab([], ' }\n  - { name: nic9, vfs: 1')), /no port is connected to the adapter "nic9"/)
  assert.match(complaint(lab().replace('external', 'private')), /a switch of type private has no adapter/)
  assert.match(complaint(`switch: { name: lan, type: external, ports: [${EXTERNAL}] }`), /add it under adapters, beside switch/)
  assert.match(complaint(lab([], ', vfs: 64').replace('vfs: 4, ', '')), /expected at most 63, got 64/)
  assert.match(complaint(lab([], ', speedMbp: 10')), /unknown key "speedMbp"\n.*\n.*\n {2}did you mean "speedMbps"\?/)
  assert.match(complaint(lab([], ', uplink: { kind: vhost-user }')), /expected "uplink", "tap", /)
})

test('addresses, interfaces and sockets of adapters are no other ones of the configuration', () => {
  const port = (more: string) => lab([`{ name: alpha, ${GUEST} }`], more)
  assert.match(complaint(port(', mac: 52:54:00:77:00:01')), /the MAC address "52:54:00:77:00:01" is taken by switch\.ports\[1\]/)
  assert.match(complaint(port(', mac: 53:54:00:77:00:01')), /is a group address/)
  assert.match(complaint(port(', uplink: { kind: stream, path: a.sock }')), /a\.sock" is taken by switch\.ports\[1\]/)
  assert.match(
    complaint(lab(['{ name: host, endpoint: { kind: tap, interface: t0 } }'], ', uplink: { kind: tap, interface: t0 }')),
    /the interface "t0" is taken/,
  )
  const twice = lab([`{ name: alpha, ${GUEST}, iov: { path: a.sock } }`])
  assert.match(complaint(twice), /switch\.ports\[1\]\.iov\.path: the socket path "\S+a\.sock" is taken/)
})

test('a port that can not have a virtual function says why', () => {
  const refused = (port: string): string => complaint(lab([port]))
  assert.match(complaint(`switch: { name: lan, ports: [{ name: alpha, ${GUEST}, iov: {} }] }`), /has no SR-IOV adapter/)
  assert.match(refused('{ name: alpha, mac: 52:54:00:77:00:01, endpoint: { kind: stream, path: a }, iov: {} }'), /of kind stream/)
  assert.match(refused('{ name: alpha, endpoint: { kind: vhost-user, path: a }, iov: {} }'), /set mac at the port/)
  assert.match(refused(`{ name: alpha, ${GUEST}, iov: { queuePairs: 2 } }`), /has one queue pair, not 2/)
  assert.match(refused(`{ name: alpha, ${GUEST}, iov: { weight: 101 } }`), /expected at most 100/)
  const isolated = '{ mode: private, pvlanMode: isolated, primaryVlanId: 2, secondaryVlanId: 3 }'
  assert.match(refused(`{ name: alpha, ${GUEST}, iov: {}, vlan: ${isolated} }`), /this port's is of mode private/)
  const trunk = '{ mode: trunk, trunkVlanIds: [10-12] }'
  assert.match(refused(`{ name: alpha, ${GUEST}, iov: {}, vlan: ${trunk} }`), /this port's is of mode trunk/)
  load(lab([`{ name: alpha, ${GUEST}, iov: { weight: 0 }, vlan: ${trunk} }`, '{ name: b, endpoint: { kind: memory } }']))
  load(lab([`{ name: alpha, ${GUEST}, iov: {}, vlan: 10 }`]))
})

test('a team is an uplink with further ones, on an external switch', () => {
  const team = (endpoint: string, type = 'external') =>
    `switch:\n  name: lan\n  type: ${type}\n  ports:\n    - name: team\n      endpoint: ${endpoint}\n      uplinks:\n        - { kind: uplink, interface: eth2 }\n        - { kind: uplink, interface: eth3 }\n`
  const [port] = load(team('{ kind: uplink, interface: eth1 }')).switch.ports
  assert.deepEqual(
    port?.adapters?.map((uplink) => uplink.kind === 'uplink' && uplink.interface),
    ['eth2', 'eth3'],
  )
  assert.match(complaint(team('{ kind: uplink, interface: eth3 }')), /uplinks\[1\]\.interface: the interface "eth3" is taken/)
  assert.match(complaint(team('{ kind: uplink, interface: eth1 }', 'internal')), /a switch of type internal has no uplink/)
  assert.match(complaint(team('{ kind: vhost-user, path: a.sock }')), /behind a port of kind vhost-user is a guest/)
  const [teamed] = load(team('{ kind: uplink, interface: eth1 }\n      teaming: { loadBalancing: Dynamic, standby: [eth3] }'))
    .switch.ports
  assert.deepEqual(teamed?.teaming, { loadBalancing: 'Dynamic', standby: ['eth3'] })
  assert.match(
    complaint(team('{ kind: uplink, interface: eth1 }\n      teaming: { standby: [eth4] }')),
    /standby\[0\]: "eth4" is no member of the team/,
  )
  assert.match(
    complaint('switch: { name: lan, ports: [{ name: a, endpoint: { kind: memory }, teaming: {} }] }'),
    /this port has no further uplinks to team/,
  )
  const adapter = lab([], '', '{ name: x, endpoint: { kind: adapter, adapter: nic0 }, uplinks: [{ kind: tap, interface: t }] }')
  assert.match(complaint(adapter), /no member of a team/)
})

test('the MTU of a port is told where its endpoint has none, sessions of mirroring have any number of sources and destinations', () => {
  const ports = (text: string): string => `switch:\n  name: lan\n  ports:\n${text}`
  const [stream] = load(
    ports('    - { name: s, mtu: 9000, endpoint: { kind: stream, path: s }, friendlyName: Reception desk }\n'),
  ).switch.ports
  assert.deepEqual([stream?.mtu, stream?.friendlyName], [9000, 'Reception desk'])
  assert.match(
    complaint(ports('    - { name: s, mtu: 9000, endpoint: { kind: tap, interface: s } }\n')),
    /set mtu at the endpoint/,
  )
  assert.match(complaint(ports('    - { name: s, friendlyName: "a\\nb", endpoint: { kind: memory } }\n')), /on one line/)
  const mirror = (a: string, b: string): string =>
    ports(
      `    - { name: a, portMirroring: ${a}, endpoint: { kind: memory } }\n    - { name: b, portMirroring: ${b}, endpoint: { kind: memory } }\n`,
    )
  load(mirror('source', 'source'))
  load(mirror('destination', 'destination, monitorSession: 1'))
  load(mirror('destination', 'destination'))
  const [watcher] = load(mirror('all, monitorVlan: 900', 'source, monitorDirection: sent')).switch.ports
  assert.deepEqual([watcher?.portMirroring, watcher?.monitorVlan], ['all', 900])
  assert.match(complaint(mirror('all, monitorVlan: 4095', 'none')), /expected at most 4094/)
  assert.match(complaint(mirror('source, monitorDirection: in', 'none')), /monitorDirection/)
  const { limits } = load('switch: { name: lan, limits: { oidMs: 500 } }').switch
  assert.equal(limits?.oidMs, 500)
  assert.match(complaint('switch: { name: lan, limits: { oidMs: 0 } }'), /expected at least 1/)
})
