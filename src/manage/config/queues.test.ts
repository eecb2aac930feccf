import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'
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
/** A switch of two processors above one adapter. */
const lab = (adapter: string, port = `{ name: alpha, ${GUEST} }`): string =>
  `adapters:\n  - { name: nic0, ${adapter} }\nswitch:\n  name: lan\n  type: external\n  processors: 2\n  ports:\n` +
  `    - { name: outside, endpoint: { kind: adapter, adapter: nic0 } }\n    - ${port}\n`

test('an adapter in VMQ mode and the weights of ports are taken as they are written', () => {
  const config = load(
    lab(
      'mode: vmq, queues: 8, baseProcessor: 1, maxProcessors: 1, rebalanceSeconds: 0',
      `{ name: alpha, vmqWeight: 7, ${GUEST} }`,
    ),
  )
  const [adapter] = config.adapters!
  assert.deepEqual(
    [adapter!.mode, adapter!.vfs, adapter!.queues, adapter!.baseProcessor, adapter!.maxProcessors, adapter!.rebalanceSeconds],
    ['vmq', 0, 8, 1, 1, 0],
  )
  assert.equal(config.switch.ports[1]!.vmqWeight, 7)
  const plain = load(lab('mode: vmq'))
  assert.deepEqual([plain.adapters![0]!.queues, plain.switch.ports[1]!.vmqWeight], [undefined, undefined])
})

test('queues and virtual functions exclude each other (SR-129)', () => {
  assert.match(complaint(lab('mode: vmq, vfs: 2')), /"nic0" is in mode vmq and has no virtual functions/)
  assert.match(complaint(lab('vfs: 2, queues: 4')), /"nic0" is in mode sriov and has no queues/)
  assert.match(complaint(lab('mode: vmq', `{ name: alpha, ${GUEST}, iov: {} }`)), /has no virtual functions to give/)
  assert.match(complaint(lab('vfs: 2', `{ name: alpha, ${GUEST}, vmqWeight: 5 }`)), /no adapter to take queues from/)
})

test('processors, counts and weights that can not be are refused', () => {
  assert.match(complaint(lab('mode: vmq, baseProcessor: 2')), /has processors 0 to 1, and no 2/)
  assert.match(complaint(lab('mode: vmq, queues: 256')), /expected at most 255, got 256/)
  assert.match(complaint(lab('mode: vmq, queues: 0')), /expected at least 1, got 0/)
  assert.match(complaint(lab('mode: vmq, maxProcessors: 0')), /expected at least 1, got 0/)
  assert.match(complaint(lab('mode: vmq', `{ name: alpha, ${GUEST}, vmqWeight: 101 }`)), /expected at most 100, got 101/)
  assert.match(
    complaint(lab('mode: vmq', '{ name: alpha, vmqWeight: 5, endpoint: { kind: memory } }')),
    /a queue is chosen by address, and port "alpha" has none/,
  )
})

test('the example is a good configuration', () => {
  const file = new URL('../../../examples/vmq.yaml', import.meta.url)
  assert.equal(load(readFileSync(file, 'utf8')).adapters![0]!.mode, 'vmq')
})

test('queue pairs of guests are taken as they are written, and what an endpoint does not have is refused', () => {
  const pairs = 'mac: 52:54:00:77:00:01, endpoint: { kind: vhost-user, path: a.sock, queuePairs: 4 }'
  const plain = (port: string, rss = ''): string => `switch:\n  name: lan\n${rss}  ports:\n    - ${port}\n`
  const key = '0123456789'.repeat(8)
  const config = load(
    plain(
      `{ name: alpha, vmmqEnabled: true, vmmqQueuePairs: 2, ${pairs} }`,
      `  rss: { rebalanceSeconds: 0, hashKey: "${key}" }\n`,
    ),
  )
  const [port] = config.switch.ports
  assert.deepEqual([port!.vmmqEnabled, port!.vmmqQueuePairs, config.switch.rss], [true, 2, { rebalanceSeconds: 0, hashKey: key }])
  assert.match(complaint(plain(`{ name: alpha, vmmqQueuePairs: 5, ${pairs} }`)), /port "alpha" can use 4 queue pairs, not 5/)
  assert.match(
    complaint(plain('{ name: alpha, vmmqEnabled: false, endpoint: { kind: memory } }')),
    /no queue pairs to spread frames/,
  )
  assert.match(complaint(plain(`{ name: alpha, ${pairs} }`, '  rss: { hashKey: "12" }\n')), /80 hexadecimal digits/)
})
