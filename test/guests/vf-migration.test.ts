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
import { pairedCards } from '../../src/lab/paired-cards.ts'
import type { QemuGuest } from '../../src/lab/qemu.ts'
import { connectControl } from '../../src/manage/control/control-client.ts'
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
  return { ended, isOver: () => child.exitCode !== null, text: () => text, interrupt: () => child.kill('SIGINT') }
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
  const { text, isOver } = start(context, ['up', file, '--no-guests'])
  const control = join(runtime, 'control.sock')
  const host: RemoteSwitchHost = connectControl(control)
  const isUp = async (): Promise<boolean> => isOver() || (await host.status().catch(() => undefined))?.name === name
  await until(isUp, text)
  assert.ok(!isOver(), text())
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
  const { endpoint, iov } = port
  if (iov?.qmp === undefined && endpoint.kind === 'vhost-user') return pairedCards(MAC, endpoint.path, iov!.path)
  const answer = vmms.qemu(port, 192)
  assert.ok('attachment' in answer)
  return answer.attachment.arguments.slice(4).flatMap((word) => word.split(' ')) // the guest's machine and memory are there already
}

/** Two switches; guest alpha with a function in use, at the source; guest beta at the source too, without one. `more`: keys of iov. */
async function open(context: TestContext, form: Form, more = ', qmp: plug.sock') {
  if ('skip' in ground) throw new Error(ground.skip)
  const bench = await GuestBench.open(ground.tests)
  context.after(() => bench.close())
  const { directory } = bench
  const source = await startSwitch(context, directory, 'source', 'server', [
    `{ name: alpha, mac: "${MAC}", endpoint: { kind: vhost-user, path: alpha.sock }, iov: { form: ${form}${more} } }`,
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

/** `vmswitch migrate`, when it has asked for QEMU's migration. */
async function prepareMove(context: TestContext, from: Switch, to: Switch, state: () => string) {
  const command = start(context, ['migrate', 'alpha', '--to', to.control, '--socket', from.control])
  const said = (): string => `${command.text()}\n${state()}`
  await until(() => command.text().includes('is prepared at'), said)
  return { ...command, said }
}

/** Moves the guest and its port. Returns the guest at its new place. */
async function move(
  context: TestContext,
  { bench, program, state }: Lab,
  { guest, from, to, name }: { guest: QemuGuest; from: Switch; to: Switch; name: string },
): Promise<QemuGuest> {
  const command = await prepareMove(context, from, to, state)
  const incoming = `unix:${bench.directory}/${name}.sock`
  const extraArguments = [...attachment((await portOf(to))!), '-incoming', incoming]
  const moved = bench.guest({ name, nics: [], program, extraArguments })
  await moved.start()
  await guest.qmp.execute('migrate', { uri: incoming })
  let wasOnVf = false
  await until(async () => {
    const { status } = (await guest.qmp.execute('query-migrate')) as { status: string }
    assert.notEqual(status, 'failed', command.said())
    if (status === 'active') wasOnVf = (await vfOf(from))?.state === 'active'
    return status === 'completed'
  }, command.said)
  assert.equal(await command.ended, 0, command.said())
  assert.equal(wasOnVf, false, `the guest used its function to the last\n${command.said()}`)
  assert.equal(await portOf(from), undefined)
  assert.equal((await from.host.adapter('nic0')).vfs.allocated, 0)
  await until(async () => (await vfOf(to))?.state === 'active', command.said)
  await isUsed(to, moved, command.said)
  return moved
}

async function isUsed(at: Switch, guest: QemuGuest, state: () => string): Promise<void> {
  const before = await carried(at)
  const end = performance.now() + WAIT_MS
  while ((await carried(at)) <= before + 20) {
    await sleep(50)
    if (performance.now() < end) continue
    const seen = await guest.run('cat /tmp/bond.log /proc/net/bonding/bond0; ip address; dmesg | tail -20')
    assert.fail(`the function is not used\n${seen.output}\n${state()}`)
  }
}

/** A migration that QEMU and the operator call off when the function is out already: it comes back. */
async function giveUp(context: TestContext, { source, target, alpha, state }: Lab): Promise<void> {
  const command = await prepareMove(context, source, target, state)
  const { 'max-bandwidth': bandwidth } = (await alpha.qmp.execute('query-migrate-parameters')) as { 'max-bandwidth': number }
  await alpha.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 1000 })
  await alpha.qmp.execute('migrate', { uri: 'exec:cat >/dev/null' })
  await until(async () => (await vfOf(source))?.state === 'waiting', command.said)
  await alpha.qmp.execute('migrate_cancel')
  await alpha.qmp.execute('migrate-set-parameters', { 'max-bandwidth': bandwidth })
  await until(async () => (await vfOf(source))?.state === 'active', command.said)
  command.interrupt()
  assert.equal(await command.ended, 130, command.said())
  assert.equal(await portOf(target), undefined)
  await isUsed(source, alpha, command.said)
}

const options = { skip: 'skip' in ground ? ground.skip : false, timeout: 180_000 }

test(
  'TCP connections of a guest with a PCI function go on while it migrates to another switch and back, and when that is given up (SR-251, SR-252, SR-255)',
  options,
  async (context) => {
    const lab = await open(context, 'vfio-user')
    const { source, target, alpha, state } = lab
    const endStreams = await startStreams(lab)
    await isUsed(source, alpha, state)
    await giveUp(context, lab)
    const there = await move(context, lab, { guest: alpha, from: source, to: target, name: 'there' })
    // A function that is kept out of its guest by a migration to nowhere does not keep the guest from a real one.
    await target.host.removeVf({ port: 'alpha', surprise: false })
    await move(context, lab, { guest: there, from: target, to: source, name: 'back' })
    const { silenceMs, bytes } = await endStreams()
    context.diagnostic(`vfio-user: ${bytes} bytes echoed whole, longest silence of a connection ${silenceMs} ms`)
  },
)

test(
  'a guest whose VMM has the PCI function from the start finds it at the other switch too, and its TCP connections go on (SR-251, SR-252, SR-255)',
  options,
  async (context) => {
    const lab = await open(context, 'vfio-user', '')
    const { source, target, alpha, state } = lab
    const endStreams = await startStreams(lab)
    await isUsed(source, alpha, state)
    await move(context, lab, { guest: alpha, from: source, to: target, name: 'there' })
    const { silenceMs, bytes } = await endStreams()
    context.diagnostic(`vfio-user without QMP: ${bytes} bytes echoed whole, longest silence of a connection ${silenceMs} ms`)
  },
)

test(
  'TCP connections of a guest with a virtio function go on while it migrates to another switch (SR-251, SR-252, SR-255)',
  options,
  async (context) => {
    const lab = await open(context, 'vhost-user')
    const { source, target, alpha, state } = lab
    const endStreams = await startStreams(lab)
    await isUsed(source, alpha, state)
    await move(context, lab, { guest: alpha, from: source, to: target, name: 'there' })
    const { silenceMs, bytes } = await endStreams()
    context.diagnostic(`vhost-user: ${bytes} bytes echoed whole, longest silence of a connection ${silenceMs} ms`)
  },
)
