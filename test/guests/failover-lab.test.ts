// The failover lab with a real guest: its TCP stream goes on over fifty flaps of its virtual function, or over as many as the time allows.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSwitch } from '../../src/engine/host.ts'
import { totalsOf } from '../../src/lab/failover/failover-report.ts'
import { planFailover } from '../../src/lab/failover/plan-failover.ts'
import { runQemuLab } from '../../src/lab/failover/qemu-lab.ts'
import { checkSource } from '../../src/manage/config/load.ts'
import { parseYaml } from '../../src/manage/config/yaml-source.ts'
import { engineConfig } from '../../src/manage/switch-host.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const FLAPS = 50
/** A machine that is slow or busy makes fewer in the time that there is. */
const FLAPS_MIN = 5
const TIME_FOR_FLAPS_MS = 75_000
const ground = await prepareVfGuests()
const skip = 'skip' in ground ? ground.skip : false

// All are due at once: each is done when the one before is.
const steps = Array.from({ length: FLAPS }, () => '{ action: remove, at: 1 }, { action: assign, at: 1 }').join(', ')
const yaml = (directory: string): string => `
runtime: { directory: ${directory} }
adapters: [{ name: nic0, vfs: 2 }]
switch:
  name: flaps
  type: external
  ports:
    - { name: outside, endpoint: { kind: adapter, adapter: nic0 } }
    - { name: alpha, mac: "52:54:00:77:05:01", endpoint: { kind: vhost-user, path: a.sock }, iov: { form: vfio-user } }
    - { name: beta, mac: "52:54:00:77:05:02", endpoint: { kind: vhost-user, path: b.sock } }
guests: [{ name: alpha, port: alpha, kind: qemu, memoryMiB: 192 }]
failover: { load: { seconds: 2, udpPps: 100, tcpMbps: 1 }, steps: [${steps}] }
`

test('the TCP stream of a real guest goes on, with every byte, over up to fifty flaps of its virtual function (SR-251, SR-252, SR-CS-52)', {
  skip,
  timeout: 240_000,
}, async (context) => {
  if ('skip' in ground || ground.tests.skip !== false) return
  const { program, tests } = ground
  const directory = await mkdtemp(join(tmpdir(), 'vmf-'))
  context.after(() => rm(directory, { recursive: true, force: true }))
  const machine = { env: {}, cwd: directory, canWrite: () => true }
  const config = checkSource(parseYaml('lab.yaml', yaml(directory)), join(directory, 'lab.yaml'), machine)
  const plan = planFailover(config)
  const events: string[] = []
  const timeIsUp = new AbortController()
  const result = await runQemuLab(
    plan,
    { program, image: tests.image, choice: tests.choice },
    {
      interrupt: timeIsUp.signal,
      log: ({ source, code, message }) => events.push(`${source}: ${code}: ${message}`),
      write: (line) => {
        events.push(line)
        if (line.startsWith('alpha: up')) setTimeout(() => timeIsUp.abort(), TIME_FOR_FLAPS_MS).unref()
      },
      createSwitch: (plug, log) => createSwitch(engineConfig(plan.config), { log, plug }),
    },
  )
  const { transitions } = result.account
  const shown = JSON.stringify({ events, tcp: result.tcp, problems: result.problems }, null, 1)
  assert.deepEqual(
    transitions.filter(({ failed }) => failed).map(({ note }) => note),
    [],
    shown,
  )
  assert.ok(transitions.length >= 2 * FLAPS_MIN, `${transitions.length} transitions only\n${shown}`)
  assert.ok(result.tcp?.intact, shown)
  assert.equal(totalsOf(result.account).duplicated, 0, shown)
  context.diagnostic(
    `${transitions.length / 2} flaps, ${result.tcp.receivedBytes} bytes, ${totalsOf(result.account).lost} round trips lost`,
  )
})
