// Two real guests on QEMU's own sockets, without a switch: what fails here is the lab's fault, not the switch's.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LabError } from '../../src/lab/errors.ts'
import { GuestBench, prepareGuestTests } from '../support/qemu.ts'

const tests = await prepareGuestTests()
const options = { skip: tests.skip, timeout: 120_000 }

test('two guests on a stream socket ping each other and pass a file whole', options, async (context) => {
  const bench = await GuestBench.open(tests)
  context.after(() => bench.close())
  const path = join(bench.directory, 'link')
  const alpha = bench.guest({
    name: 'alpha',
    nics: [{ mac: '52:54:00:77:00:01', address: '10.77.0.1/24', backend: { kind: 'stream', path, server: true } }],
  })
  const beta = bench.guest({
    name: 'beta',
    nics: [{ mac: '52:54:00:77:00:02', address: '10.77.0.2/24', backend: { kind: 'stream', path } }],
  })
  await alpha.start()
  await beta.start()
  await Promise.all([alpha.ready(), beta.ready()])
  const ping = await alpha.ping('10.77.0.2')
  assert.equal(ping.received, 3)
  assert.ok(ping.averageMs > 0)
  await alpha.check('dd if=/dev/urandom of=/tmp/payload bs=64k count=32 2>/dev/null')
  const sent = (await alpha.check('sha256sum </tmp/payload')).split(' ')[0]
  const [bytes, , received] = (await alpha.check('nc 10.77.0.2 5001 </tmp/payload')).split(' ')
  assert.equal(bytes, String(32 * 64 * 1024))
  assert.equal(received, sent)
  await Promise.all([alpha.stop(), beta.stop()])
  assert.equal(alpha.bootMs > 0, true)
})

test('a guest runs commands beside each other and tells their exit codes and output', options, async (context) => {
  const bench = await GuestBench.open(tests)
  context.after(() => bench.close())
  const guest = bench.guest({ name: 'solo', nics: [] })
  await guest.start()
  await guest.ready()
  assert.deepEqual(await guest.run('echo out; echo err >&2; exit 3'), { code: 3, output: 'out\nerr\n' })
  assert.deepEqual(await guest.run('true'), { code: 0, output: '' })
  const [slow, fast] = await Promise.all([guest.check('sleep 1; echo slow'), guest.check('echo fast')])
  assert.deepEqual([slow, fast], ['slow', 'fast'])
  const many = await guest.check('seq 20000')
  assert.equal(many.split('\n').length, 20_000)
  const hung = await guest.run('sleep 60', { timeoutMs: 1_000 })
  assert.equal(hung.code, 137)
  assert.partialDeepStrictEqual(await guest.qmp.execute('query-status'), { status: 'running', running: true })
  await assert.rejects(guest.qmp.execute('no-such-command'), { code: 'qmp-failed' })
  await assert.rejects(guest.run('x'.repeat(20_000)), { code: 'guest-command-too-long' })
})

test('a guest that dies fails what waits for it and leaves no process', options, async (context) => {
  const bench = await GuestBench.open(tests)
  context.after(() => bench.close())
  const guest = bench.guest({ name: 'mortal', nics: [] })
  await guest.start()
  const pid = Number(readFileSync(join(bench.directory, 'mortal.pid'), 'utf8'))
  await guest.ready()
  const open = guest.run('sleep 30')
  const failed = assert.rejects(open, (error) => error instanceof LabError && error.code === 'guest-exited')
  process.kill(pid, 'SIGKILL')
  assert.equal((await guest.exited).signal, 'SIGKILL')
  await failed
  await assert.rejects(guest.run('true'), { code: 'guest-exited' })
  await guest.stop()
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
})

test('a QEMU that refuses its arguments says so at once, with its own words', options, async (context) => {
  const bench = await GuestBench.open(tests)
  context.after(() => bench.close())
  const guest = bench.guest({ name: 'broken', nics: [], extraArguments: ['-device', 'no-such-device'] })
  await assert.rejects(
    guest.start(),
    (error) => error instanceof LabError && error.code === 'guest-exited' && /no-such-device/.test(error.message),
  )
})

test('a guest stopped while it starts leaves nothing, and a stopped guest starts again', options, async (context) => {
  const bench = await GuestBench.open(tests)
  context.after(() => bench.close())
  const guest = bench.guest({ name: 'fickle', nics: [] })
  const started = assert.rejects(guest.start(), LabError)
  await guest.stop()
  await started
  assert.deepEqual(globSync('fickle.{pid,agent,qmp}', { cwd: bench.directory }), [])
  await guest.start()
  await assert.rejects(guest.start(), /started already/)
  await guest.ready()
  assert.equal(await guest.check('hostname'), 'fickle')
  await guest.stop()
  await guest.stop()
})
