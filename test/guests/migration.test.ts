// A guest that QEMU migrates from one vmswitch process to another: its port moves along, and its TCP connection goes on.
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { QemuGuest } from '../../src/lab/qemu.ts'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { RemoteSwitchHost } from '../../src/manage/host.ts'
import { prepareGuestTests } from '../support/qemu.ts'

const tests = await prepareGuestTests()
const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const policies = fileURLToPath(new URL('../conformance/extensions/policy-filtering.ts', import.meta.url))
const MAC = '52:54:00:77:00:01'
const WAIT_MS = 60_000
const BLOCKS = 60
const BLOCK_BYTES = 65_536

async function until(done: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + WAIT_MS
  while (!(await done().catch(() => false))) {
    assert.ok(performance.now() < end, `waited for ${what}`)
    await sleep(50)
  }
}

/** A vmswitch process with these ports, and what its log said. */
async function startSwitch(context: TestContext, directory: string, name: string, ports: string[]) {
  const runtime = join(directory, name)
  await mkdir(runtime)
  const file = join(directory, `${name}.yaml`)
  const extensions = `[{ use: ${policies}, options: { blocks: [${name}-state] } }]`
  await writeFile(
    file,
    `switch:\n  name: ${name}\n  extensions: ${extensions}\n  ports:\n${ports.map((port) => `    - ${port}\n`).join('')}runtime: { directory: ${runtime} }\n`,
  )
  const child: ChildProcess = spawn(bin, ['up', file, '--no-guests'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const log: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => log.push(bytes.toString()))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  context.after(async () => {
    child.kill('SIGINT')
    await ended
  })
  const control = join(runtime, 'control.sock')
  const host: RemoteSwitchHost = connectControl(control)
  await until(async () => (await host.status()).name === name, `switch ${name}: ${log.join('')}`)
  return { runtime, control, host, log: () => log.join('') }
}

function guest(directory: string, name: string, mac: string, address: string, path: string, extra: string[] = []): QemuGuest {
  if (tests.skip !== false) throw new Error(`a test that must be skipped runs: ${tests.skip}`)
  return new QemuGuest({
    name,
    image: tests.image,
    runDirectory: directory,
    accelerator: tests.choice.accelerator,
    memoryMiB: 128,
    nics: [{ mac, address, backend: { kind: 'vhost-user', path } }],
    extraArguments: extra,
  })
}

test('a TCP connection of a guest goes on, with every byte, while guest and port migrate to another switch (ES-491, ES-494, ES-495)', {
  skip: tests.skip,
  timeout: 180_000,
}, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'vmm-'))
  context.after(() => rm(directory, { recursive: true, force: true }))
  const link = (mode: string): string => `{ name: link, endpoint: { kind: stream, path: ${directory}/link.sock, mode: ${mode} } }`
  const source = await startSwitch(context, directory, 'source', [
    `{ name: alpha, mac: "${MAC}", security: { allowMacSpoofing: false }, endpoint: { kind: vhost-user, path: alpha.sock } }`,
    '{ name: beta, mac: "52:54:00:77:00:02", endpoint: { kind: vhost-user, path: beta.sock } }',
    link('server'),
  ])
  const target = await startSwitch(context, directory, 'target', [link('client')])

  const alpha = guest(directory, 'alpha', MAC, '10.77.0.1/24', join(source.runtime, 'alpha.sock'))
  const beta = guest(directory, 'beta', '52:54:00:77:00:02', '10.77.0.2/24', join(source.runtime, 'beta.sock'))
  const incoming = `unix:${directory}/ram.sock`
  await mkdir(join(directory, 'moved'))
  const moved = guest(join(directory, 'moved'), 'alpha', MAC, '10.77.0.1/24', join(target.runtime, 'alpha.sock'), [
    '-incoming',
    incoming,
  ])
  context.after(() => Promise.all([alpha, beta, moved].map((one) => one.stop())))
  await Promise.all([alpha, beta].map((one) => one.start().then(() => one.ready())))
  assert.equal((await beta.ping('10.77.0.1')).received, 3)

  // The guest that moves echoes what the other one sends, a block at a time, before, during and after the migration.
  await beta.check(`dd if=/dev/urandom of=/tmp/payload bs=${BLOCK_BYTES} count=${BLOCKS} 2>/dev/null`)
  const echoed = beta.check(
    `(i=0; while [ $i -lt ${BLOCKS} ]; do dd if=/tmp/payload bs=${BLOCK_BYTES} skip=$i count=1 2>/dev/null; usleep 200000; i=$((i+1)); done) | nc 10.77.0.1 7 >/tmp/back; sha256sum </tmp/payload; sha256sum </tmp/back`,
    { timeoutMs: 90_000 },
  )
  const before = (await source.host.ports()).find(({ name }) => name === 'alpha')!.counters.receivedFrames

  const migration = new Promise<{ error: Error | null; stdout: string; stderr: string }>((resolve) =>
    execFile(bin, ['migrate', 'alpha', '--to', target.control, '--socket', source.control], (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    ),
  )
  await until(async () => (await target.host.ports()).some(({ name }) => name === 'alpha'), 'the port to be prepared')
  assert.deepEqual(
    (await target.host.properties({ port: 'alpha' })).map(({ type, value }) => [type, value]),
    [['security', { allowMacSpoofing: false }]],
  )
  await moved.start()
  await alpha.qmp.execute('migrate', { uri: incoming })
  await until(async () => {
    const { status } = (await alpha.qmp.execute('query-migrate')) as { status: string }
    assert.notEqual(status, 'failed')
    return status === 'completed'
  }, 'the guest to be migrated')
  const { error, stdout, stderr } = await migration
  const state = `${stdout}${stderr}\n${source.log()}\n${target.log()}`
  assert.equal(error, null, state)
  assert.match(stdout, /^alpha +no +restored +0$/m)

  const [sent, received] = (await echoed).split('\n')
  assert.equal(received, sent, state)
  assert.equal((await moved.ping('10.77.0.2')).received, 3, 'from its new place')
  assert.ok(!(await source.host.ports()).some(({ name }) => name === 'alpha'))
  const after = (await target.host.ports()).find(({ name }) => name === 'alpha')!
  assert.ok(after.connected && after.counters.receivedFrames > before, 'its counters went along')
  assert.ok(
    (await source.host.fdb({ port: 'link' })).some(({ mac }) => mac === MAC),
    'the other switch learned where it is',
  )
})
