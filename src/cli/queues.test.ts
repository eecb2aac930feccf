// The commands for receive queues as processes, against a control server with a fake switch behind it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { QueueStatus } from '../manage/adapters/queue-calls.ts'
import { type ControlServer, startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-queues-'))
const socket = join(directory, 'control.sock')
const fake = fakeHost()
let server: ControlServer | undefined

before(async () => {
  server = await startControlServer({ path: socket }, { host: fake.host, log: () => {} })
})
after(async () => {
  await server?.close()
  rmSync(directory, { recursive: true })
})

const vmswitch = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', VMSWITCH_CONTROL: socket }
    execFile(bin, args, { cwd: directory, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })

test('queues are listed with processor, steering, counters and filter, and who shares the default queue is said', async () => {
  const { stdout, stderr } = await vmswitch('queue', 'list')
  assert.match(stdout, /^nic1 +0 +\(default\) +- +running +0 +kernel +12 +0 +0 +-$/m)
  assert.match(stdout, /^nic1 +1 +alpha +100 +running +1 +kernel +1 234 567 +5 +3 +52:54:00:77:00:01 vlan 10$/m)
  assert.match(stderr, /the default queue of nic1 serves beta: no queue: NDIS_STATUS_RESOURCES/)
  assert.equal((await vmswitch('queue')).stdout, stdout)
  const queues = JSON.parse((await vmswitch('queue', 'list', '--json')).stdout) as { queues?: QueueStatus[] } | QueueStatus[]
  assert.ok(JSON.stringify(queues).includes('"handedOver":5'))
})

test('the processor of a queue is chosen, or left to the load again', async () => {
  const set = await vmswitch('queue', 'set', 'alpha', '--processor', '0')
  assert.equal(set.stdout, 'processor 0 serves queue 1 of alpha, whatever the load is\n')
  assert.equal(fake.calls.at(-1), 'setQueue {"port":"alpha","processor":0}')
  await vmswitch('queue', 'set', 'alpha', '--processor', 'auto')
  assert.equal(fake.calls.at(-1), 'setQueue {"port":"alpha","processor":null}')
  for (const bad of ['16', '-1', 'x']) assert.equal((await vmswitch('queue', 'set', 'alpha', '--processor', bad)).code, 2, bad)
  assert.equal((await vmswitch('queue', 'set', 'alpha')).code, 2)
  const refused = await vmswitch('queue', 'set', 'beta', '--processor', '1')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /port "beta" has no queue of its own: its vmqWeight is 0/)
})

test('the queue pairs of guests are shown with their entries and frames, and the table of one guest', async () => {
  const { stdout, stderr } = await vmswitch('queue', 'rss', 'alpha')
  assert.match(stdout, /^alpha +on +0 +0 +64 +1 000 000$/m)
  assert.match(stdout, /^alpha +on +1 +1 +64 +234 567$/m)
  assert.match(stdout, /^ {2}112: {3}0 {2}1 {2}0/m)
  assert.match(stderr, /alpha: 3 moves done, 0 of them forced, 1 waiting/)
  assert.equal((await vmswitch('queue', 'rss', 'beta')).code, 1)
})

test('entries of a table are moved, and the number of queue pairs is chosen', async () => {
  const moved = await vmswitch('queue', 'move', 'alpha', '--entries', '1,4-6', '--from', '0', '--to', '1')
  assert.equal(moved.stdout, '4 entries of alpha move from queue pair 0 to 1\n')
  assert.equal(fake.calls.at(-1), 'moveRss {"port":"alpha","entries":[1,4,5,6],"from":0,"to":1}')
  for (const bad of ['128', '6-4', 'x', ''])
    assert.equal((await vmswitch('queue', 'move', 'alpha', '--entries', bad, '--from', '0', '--to', '1')).code, 2, bad)
  await vmswitch('queue', 'vmmq', 'alpha', '--no-enabled')
  assert.equal(fake.calls.at(-1), 'setVmmq {"port":"alpha","vmmqEnabled":false}')
  await vmswitch('queue', 'vmmq', 'alpha', '--queue-pairs', 'all')
  assert.equal(fake.calls.at(-1), 'setVmmq {"port":"alpha","vmmqQueuePairs":null}')
  assert.equal((await vmswitch('queue', 'vmmq', 'alpha')).code, 1)
  assert.match((await vmswitch('queue', 'vmmq', 'beta', '--enabled')).stderr, /receives on one/)
})
