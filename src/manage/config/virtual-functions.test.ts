import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'
import { parseYaml } from './yaml-source.ts'

const machine = { env: {}, cwd: '/home/user', canWrite: () => true }

const load = (ports: string) =>
  checkSource(parseYaml('lab.yaml', `switch:\n  name: lab0\n  ports:\n${ports}`), '/etc/lab/lab.yaml', machine)

function complaint(ports: string): string {
  try {
    load(ports)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message
  }
  return assert.fail('the configuration was accepted')
}

const standby = '    - { name: s, endpoint: { kind: vhost-user, path: s.sock } }\n'

test('a virtual function gets its defaults, an absolute path and its address in normal form', () => {
  const { endpoint } = load('    - { name: v, endpoint: { kind: vf, path: v.sock, mac: 52-54-00-77-00-0A } }\n').switch.ports[0]!
  assert.deepEqual(endpoint, {
    kind: 'vf',
    path: '/run/vmswitch/lab0/v.sock',
    mac: '52:54:00:77:00:0a',
    mtu: 1500,
    trusted: false,
    requireSeals: true,
  })
})

test('a virtual function may name the port that stands in for it', () => {
  load(`${standby}    - { name: v, endpoint: { kind: vf, path: v.sock, mac: 52:54:00:77:00:0a, standby: s } }\n`)
})

test('what can not work is refused with a remedy', () => {
  const vf = (more: string, mac = '52:54:00:77:00:0a', port = ''): string =>
    `${standby}    - { name: v, ${port}endpoint: { kind: vf, path: v.sock, mac: "${mac}"${more} } }\n`
  assert.match(complaint(vf('', '01:00:5e:00:00:01')), /group address/)
  assert.match(complaint(vf('', '00:00:00:00:00:00')), /is no address/)
  assert.match(complaint(vf('', undefined, 'mac: 52:54:00:77:00:0b, ')), /leave mac of the port out/)
  assert.match(complaint(vf(', standby: nobody')), /no port "nobody"/)
  assert.match(complaint(vf(', standby: v')), /of kind vf/)
  assert.match(complaint(vf(', standby: s', undefined, 'mac: 52:54:00:77:00:0a, ')), /leave mac of both ports out/)
  assert.match(complaint(vf(', mtu: 9195')), /9194/)
})
