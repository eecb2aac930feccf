// Real Linux guests on a real switch: the main job.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { QemuGuest } from '../../src/lab/qemu.ts'
import { prepareGuestTests } from '../support/qemu.ts'
import { QemuLab, transfer } from '../support/qemu-lab.ts'
import { until } from '../support/until.ts'

const tests = await prepareGuestTests()
const options = { skip: tests.skip, timeout: 120_000 }
const MEBIBYTE = 2 ** 20

const ports = (endpoint = '') => `
  ports:
    - { name: alpha, mac: "52:54:00:77:00:01", endpoint: { kind: vhost-user, path: alpha.sock${endpoint} } }
    - { name: beta, mac: "52:54:00:77:00:02", endpoint: { kind: vhost-user, path: beta.sock${endpoint} } }
`

async function open(context: TestContext, yaml: string): Promise<QemuLab> {
  const lab = await QemuLab.open(tests, yaml)
  context.after(() => lab.close())
  return lab
}

const counters = (lab: QemuLab, port: string) => lab.running.ports().find(({ name }) => name === port)!.counters

/** A counter of a guest's kernel, of those of IPv4. */
async function ipv4Counter(guest: QemuGuest, name: string): Promise<number> {
  const [names, values] = (await guest.check('grep ^Ip: /proc/net/snmp')).split('\n').map((line) => line.trim().split(' '))
  return Number(values![names!.indexOf(name)])
}

test(
  'two guests ping and pass a file whole through capture and filter, and tshark reads the capture',
  options,
  async (context) => {
    const lab = await open(
      context,
      `switch:
  name: lab0
  extensions:
    - { use: capture, options: { file: lab0.pcapng } }
    - { use: acl, options: { rules: [{ action: deny, protocol: tcp, destinationPorts: 9 }] } }
${ports()}`,
    )
    const [alpha, beta] = await lab.boot({ alpha: {}, beta: {} })
    assert.equal((await alpha.ping('10.77.0.2')).received, 3)
    assert.equal((await beta.ping('10.77.0.1', { bytes: 1400 })).received, 3)
    assert.equal((await beta.ping('10.77.0.1', { bytes: 4000 })).received, 3, 'fragments')
    for (const [from, to] of [
      [alpha, '10.77.0.2'],
      [beta, '10.77.0.1'],
    ] as const) {
      const { bytes, sent, received } = await transfer(from, to, 8)
      assert.equal(bytes, 8 * MEBIBYTE)
      assert.equal(received, sent)
    }
    assert.notEqual((await alpha.run('echo hello | nc -w 2 10.77.0.2 9')).code, 0, 'the filter denies port 9')
    assert.equal((await alpha.run('echo hello | nc -w 2 10.77.0.2 7')).output, 'hello\n')
    const segmented = counters(lab, 'alpha')
    assert.ok(segmented.receivedBytes / segmented.receivedFrames > 2_000, 'large segments cross the switch uncut')
    assert.ok(lab.running.drops().some(({ reasons }) => Object.keys(reasons).some((reason) => reason.startsWith('acl'))))

    const capture = join(lab.config.runtime.directory, 'lab0.pcapng')
    assert.ok(existsSync(capture))
    await context.test('tshark', { skip: spawnSync('tshark', ['-v']).status !== 0 && 'tshark is not installed' }, async () => {
      const fields = ['-T', 'fields', '-e', 'ip.src', '-e', 'icmp.type']
      const requests = () => {
        const read = spawnSync('tshark', ['-n', '-r', capture, '-Y', 'icmp.type == 8', ...fields], { encoding: 'utf8' })
        return read.stdout.split('\n')
      }
      for (const from of ['10.77.0.1', '10.77.0.2'])
        await until(() => requests().includes(`${from}\t8`), `the echo requests of ${from} in the capture`)
    })
  },
)

test('guests with several queues, packed rings and unmergeable buffers pass files whole', options, async (context) => {
  const lab = await open(context, `switch:\n  name: lab0\n${ports(', queuePairs: 2')}`)
  const [alpha, beta] = await lab.boot({
    alpha: { processors: 2, nic: { queues: 2, properties: ['packed=on'] } },
    beta: { nic: { properties: ['mrg_rxbuf=off', 'guest_tso4=off', 'guest_tso6=off', 'guest_ufo=off', 'guest_csum=off'] } },
  })
  assert.equal((await alpha.ping('10.77.0.2')).received, 3)
  for (const [from, to] of [
    [alpha, '10.77.0.2'],
    [beta, '10.77.0.1'],
  ] as const) {
    const { bytes, sent, received } = await transfer(from, to, 4)
    assert.equal(bytes, 4 * MEBIBYTE)
    assert.equal(received, sent)
  }
})

test('a guest that is killed in a transfer harms nobody, and its successor takes its place', options, async (context) => {
  const lab = await open(
    context,
    `switch:
  name: lab0
  ports:
    - { name: alpha, mac: "52:54:00:77:00:01", endpoint: { kind: vhost-user, path: alpha.sock } }
    - { name: beta, mac: "52:54:00:77:00:02", endpoint: { kind: vhost-user, path: beta.sock } }
    - { name: gamma, mac: "52:54:00:77:00:03", endpoint: { kind: vhost-user, path: gamma.sock } }
`,
  )
  const [alpha, beta, gamma] = await lab.boot({ alpha: {}, beta: {}, gamma: {} })
  const doomed = alpha.run('cat /dev/zero | nc 10.77.0.2 9', { timeoutMs: 30_000 }).catch(() => undefined)
  await until(() => counters(lab, 'beta').sentBytes > MEBIBYTE, 'a transfer that is under way')
  await alpha.stop()
  await doomed
  assert.equal((await gamma.ping('10.77.0.2')).received, 3)
  const successor = lab.guest('alpha')
  await successor.start()
  await successor.ready()
  assert.equal((await successor.ping('10.77.0.2')).received, 3)
  const { sent, received } = await transfer(beta, '10.77.0.1', 2)
  assert.equal(received, sent)
})

test('a jumbo MTU carries jumbo frames', options, async (context) => {
  const lab = await open(context, `switch:\n  name: lab0\n${ports(', mtu: 9000')}`)
  const [alpha, beta] = await lab.boot({ alpha: { nic: { mtu: 9000 } }, beta: { nic: { mtu: 9000 } } })
  assert.equal((await alpha.check('cat /sys/class/net/eth0/mtu')).trim(), '9000')
  assert.equal((await alpha.ping('10.77.0.2', { bytes: 8900, count: 3 })).received, 3)
  // Counting frames would count what else the guests' kernels say to each other, as their multicast reports.
  for (const guest of [alpha, beta]) assert.equal(await ipv4Counter(guest, 'ReasmReqds'), 0, 'nothing came in fragments')
  assert.equal((await alpha.ping('10.77.0.2', { bytes: 9500, count: 1 })).received, 1)
  assert.equal(await ipv4Counter(beta, 'ReasmReqds'), 2, 'what is longer than the MTU does')
})
