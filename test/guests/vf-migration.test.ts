// A guest with a virtual function that QEMU migrates from one vmswitch process to another: the function goes before the guest does, the
// guest gets one of the target's adapter, and TCP connections go on all the while.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { vmms } from '../../src/cli/vmm/vmms.ts'
import { connectControl } from '../../src/manage/control-client.ts'
import type { PortStatus, RemoteSwitchHost } from '../../src/manage/host.ts'
import { GuestBench } from '../support/qemu.ts'
import { prepareVfGuests } from '../support/vf-guests.ts'

const ground = await prepareVfGuests()
const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const bondScript = readFileSync(new URL('../../examples/guest/bond-vf.sh', import.meta.url))
const MAC = '52:54:00:77:06:01'
const PEER_MAC = '52:54:00:77:06:02'
const WAIT_MS = 60_000
const BLOCK_BYTES = 65_536

type Form = 'vfio-user' | 'vhost-user'

async function until(done: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !(await done()); await sleep(50)) assert.ok(performance.now() < end, what())
}

/** A process, what it has said so far, and its end. */
function start(context: TestContext, args: readonly string[]) {
  const child = spawn(bin, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => {
      text += bytes
    })
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  context.after(async () => {
    child.kill('SIGINT')
    await ended
  })
  return { ended, text: () => text }
}

/** A vmswitch process with an SR-IOV adapter; the wires of all adapters are one. */
async function startSwitch(context: TestContext, directory: string, name: string, mode: string, ports: readonly string[]) {
  const runtime = join(directory, name)
  await mkdir(runtime)
  const file = join(directory, `${name}.yaml`)
  const uplink = `{ kind: stream, path: ${directory}/wire.sock, mode: ${mode} }`
  const all = ['{ name: outside, endpoint: { kind: adapter, adapter: nic0 } }', ...ports]
  await writeFile(
    file,
    `adapters: [{ name: nic0, vfs: 2, uplink: ${uplink} }]
switch:
  name: ${name}
  type: external
  ports: [${all.join(', ')}]
runtime: { directory: ${runtime} }
`,
  )
  const { text } = start(context, ['up', file, '--no-guests'])
  const control = join(runtime, 'control.sock')
  const host: RemoteSwitchHost = connectControl(control)
  const isUp = async (): Promise<boolean> => (await host.status().catch(() => undefined))?.name === name
  await until(isUp, () => `switch ${name}: ${text()}`)
  return { runtime, control, host, text }
}

type Switch = Awaited<ReturnType<typeof startSwitch>>

const portOf = async ({ host }: Switch): Promise<PortStatus | undefined> =>
  (await host.ports()).find(({ name }) => name === 'alpha')
const vfOf = async ({ host }: Switch) => (await host.vfs()).find(({ port }) => port === 'alpha')
/** Frames from and to the guest that its function carried. */
async function carried(of: Switch): Promise<number> {
  const { vports } = await of.host.adapter('nic0')
  const vf = await vfOf(of)
  const counters = vports.find((vport) => vport.id === vf?.vport)?.counters
  return counters === undefined ? 0 : Math.min(counters.receivedFrames, counters.sentFrames)
}

function attachment(port: PortStatus): string[] {
  const answer = vmms.qemu(port, 192)
  assert.ok('attachment' in answer)
  return answer.attachment.arguments.slice(4).flatMap((word) => word.split(' ')) // the guest's machine and memory are there already
}

/** Two switches; guest alpha with a function in use, at the source; guest beta at the source too, without one. */
async function open(context: TestContext, form: Form) {
  if ('skip' in ground) throw new Error(ground.skip)
  const bench = await GuestBench.open(ground.tests)
  context.after(() => bench.close())
  const { directory } = bench
  const source = await startSwitch(context, directory, 'source', 'server', [
    `{ name: alpha, mac: "${MAC}", endpoint: { kind: vhost-user, path: alpha.sock }, iov: { form: ${form}, qmp: plug.sock } }`,
    `{ name: beta, mac: "${PEER_MAC}", endpoint: { kind: vhost-user, path: beta.sock } }`,
  ])
  const target = await startSwitch(context, directory, 'target', 'client', [])
  const { program } = ground
  const alpha = bench.guest({ name: 'alpha', nics: [], program, extraArguments: attachment((await portOf(source))!) })
  const path = join(source.runtime, 'beta.sock')
  const nic = { mac: PEER_MAC, address: '10.77.0.2/24', backend: { kind: 'vhost-user', path } } as const
  const beta = bench.guest({ name: 'beta', nics: [nic], program })
  await Promise.all([alpha, beta].map((guest) => guest.start().then(() => guest.ready())))
  const state = (): string => `${source.text()}\n--- target\n${target.text()}`
  await alpha.check('ip address add 10.77.0.1/24 dev eth0 && ip link set eth0 up')
  if (form === 'vfio-user') await alpha.check('modprobe igbvf')
  else {
    await alpha.check(`echo ${bondScript.toString('base64')} | base64 -d >/tmp/bond-vf.sh`)
    await alpha.check('sh /tmp/bond-vf.sh watch >/tmp/bond.log 2>&1 </dev/null & echo started')
  }
  await until(async () => (await vfOf(source))?.state === 'active', state)
  return { bench, program, source, target, alpha, beta, state }
}

type Lab = Awaited<ReturnType<typeof open>>

/** Two connections from beta that alpha echoes, until `end`: blocks of 64 KiB, and lines whose arrival is timed. */
async function startStreams({ beta, state }: Lab) {
  await beta.check(`dd if=/dev/urandom of=/tmp/block bs=${BLOCK_BYTES} count=1 2>/dev/null`)
  const blocks = beta.check(
    'while [ ! -e /tmp/end ]; do cat /tmp/block; echo >>/tmp/count; usleep 200000; done | nc 10.77.0.1 7 >/tmp/back; wc -l </tmp/count; wc -c </tmp/back; for i in $(cat /tmp/count | sed s/^/x/); do cat /tmp/block; done | cmp - /tmp/back && echo same',
    { timeoutMs: 120_000 },
  )
  const lines = beta.check(
    'i=0; while [ ! -e /tmp/end ]; do i=$((i+1)); echo $i; usleep 50000; done | nc 10.77.0.1 7 | while read -r n; do read -r up idle </proc/uptime; echo $up $n; done',
    { timeoutMs: 120_000 },
  )
  for (const stream of [blocks, lines]) stream.catch(() => undefined) // told when they are waited for
  return async (): Promise<{ silenceMs: number; bytes: number }> => {
    await beta.check('touch /tmp/end')
    const [count, bytes, same] = (await blocks).split('\n')
    assert.equal(same, 'same', state())
    assert.equal(Number(bytes), Number(count) * BLOCK_BYTES)
    const ticks = (await lines).split('\n').map((line) => line.split(' ').map(Number) as [number, number])
    assert.deepEqual(
      ticks.map(([, n]) => n),
      ticks.map((_, i) => i + 1),
      state(),
    )
    const silences = ticks.slice(1).map(([at], i) => at - ticks[i]![0])
    return { silenceMs: Math.round(Math.max(...silences) * 1000), bytes: Number(bytes) }
  }
}

/** `vmswitch migrate`, and QEMU's migration when it asks for that. Returns the guest at its new place. */
async function migrate(context: TestContext, lab: Lab, isOnVf: (at: Switch) => Promise<boolean>) {
  const { bench, program, source, target, alpha, state } = lab
  const command = start(context, ['migrate', 'alpha', '--to', target.control, '--socket', source.control])
  const said = (): string => `${command.text()}\n${state()}`
  await until(async () => (await portOf(target)) !== undefined, said)
  const incoming = `unix:${bench.directory}/ram.sock`
  const moved = bench.guest({
    name: 'moved',
    nics: [],
    program,
    extraArguments: [...attachment((await portOf(target))!), '-incoming', incoming],
  })
  await moved.start()
  await until(() => command.text().includes('is prepared at'), said)
  await alpha.qmp.execute('migrate', { uri: incoming })
  let wasOnVf = true
  await until(async () => {
    const { status } = (await alpha.qmp.execute('query-migrate')) as { status: string }
    assert.notEqual(status, 'failed', said())
    if (status === 'active') wasOnVf = await isOnVf(source)
    return status === 'completed'
  }, said)
  assert.equal(await command.ended, 0, said())
  assert.equal(wasOnVf, false, `memory was copied while the guest used its function\n${said()}`)
  assert.equal(await portOf(source), undefined)
  return { moved, said }
}

for (const form of ['vfio-user', 'vhost-user'] as const)
  test(`TCP connections of a guest with a ${form} function go on while it migrates to another switch, where it has a function again (SR-251, SR-252, SR-255)`, {
    skip: 'skip' in ground ? ground.skip : false,
    timeout: 180_000,
  }, async (context) => {
    const lab = await open(context, form)
    const { source, target, state } = lab
    const endStreams = await startStreams(lab)
    const start = await carried(source)
    await until(
      async () => (await carried(source)) > start + 20,
      () => `the function is not used\n${state()}`,
    )
    const { said } = await migrate(context, lab, async (at) => (await vfOf(at))?.state === 'active')
    await until(async () => (await vfOf(target))?.state === 'active', said)
    await until(
      async () => (await carried(target)) > 20,
      () => `the function of the target is not used\n${said()}`,
    )
    assert.equal((await source.host.adapter('nic0')).vfs.allocated, 0)
    const { silenceMs, bytes } = await endStreams()
    context.diagnostic(`${form}: ${bytes} bytes echoed whole, longest silence of a connection ${silenceMs} ms`)
  })
