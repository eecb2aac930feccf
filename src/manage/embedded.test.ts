import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connectControl } from './control/control-client.ts'
import { createSwitch } from './embedded.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-embedded-'))
after(() => rmSync(directory, { recursive: true }))
/** A second's work, for which a machine that others hold takes the better part of a minute. */
const START_MS = 110_000
const example = fileURLToPath(new URL('../../examples/embedded.ts', import.meta.url))
const memory = (name: string) => ({ name, endpoint: { kind: 'memory' as const } })
const config = (name: string, more: object = {}) => ({
  switch: { name, ports: [memory('a'), memory('b')], ...more },
  runtime: { directory: join(directory, name) },
})
const frame = (last: number): Uint8Array => {
  const bytes = new Uint8Array(60).fill(last)
  bytes.fill(0xff, 0, 6)
  bytes.set([0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5], 6)
  return bytes
}

test('the example runs, and is the one in the README', () => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [example], { encoding: 'utf8', timeout: START_MS })
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^b received 60 bytes\n\[ 'a: up, 1 frames from it', 'b: down, 0 frames from it' \]\n$/)
  assert.ok(readFileSync(new URL('../../README.md', import.meta.url), 'utf8').includes(readFileSync(example, 'utf8')))
})

test('an embedded switch answers as the control API does, with its errors, and tells what happens', async () => {
  const codes: string[] = []
  const lab = await createSwitch(config('one'), { onEvent: ({ code }) => codes.push(code) })
  const path = await lab.serve()
  const client = connectControl(path)
  assert.deepEqual(
    (await lab.ports()).map(({ name }) => name),
    (await client.ports()).map(({ name }) => name),
  )
  await assert.rejects(lab.setLink('nobody', true), { code: 'no-such-port' })
  await assert.rejects(client.setLink('nobody', true), { code: 'no-such-port' })
  await lab.addPort({ name: 'c', vlan: 7, endpoint: { kind: 'stream', path: 'c.sock' } })
  assert.equal((await lab.properties({ port: 'c' }))[0]?.type, 'vlan')
  await assert.rejects(lab.peer('c'), { code: 'wrong-endpoint' })
  await assert.rejects(lab.peer('nobody'), { code: 'no-such-port' })
  assert.match(await lab.metrics(), /vmswitch_port_/)
  await lab.close()
  await lab.close()
  assert.ok(codes.includes('port-added'))
  assert.ok(!existsSync(path))
  await assert.rejects(client.ports(), { code: 'not-running' })
})

test('peers of memory ports send frames through the switch, which captures and traces see', async () => {
  await using lab = await createSwitch(config('two'))
  const [a, b] = await Promise.all([lab.peer('a'), lab.peer('b')])
  assert.equal(await lab.peer('b'), b, 'asked again, it is the same')
  const capture = await lab.capture({ ports: ['a'] })
  const chunks = capture.chunks[Symbol.asyncIterator]()
  const arrived = new Promise<Uint8Array>((resolve) => b.onFrame(resolve))
  assert.ok(a.send(frame(7)))
  assert.deepEqual(await arrived, frame(7))
  let captured = Buffer.alloc(0)
  while (!captured.includes(Buffer.from(frame(7))))
    captured = Buffer.concat([captured, (await chunks.next()).value as Uint8Array])
  await capture.stop()
  const traced = await lab.trace({ port: 'a', frame: Buffer.from(frame(8)).toString('hex') })
  assert.deepEqual(traced.delivered, ['b'])
})

test('events begin where they are asked for, and end with the signal or the switch', async () => {
  const lab = await createSwitch(config('three'))
  const from = lab.events({ kinds: ['port'] })
  const stop = new AbortController()
  const stopped = lab.events({ signal: stop.signal })
  await lab.addPort(memory('c'))
  await lab.removePort('c')
  assert.equal((await from.next()).value?.code, 'port-added')
  assert.equal((await from.next()).value?.code, 'port-removed')
  stop.abort()
  assert.equal((await stopped.next()).done, true)
  const last = from.next()
  await lab.close()
  assert.equal((await last).done, true)
})

test('what can not be started leaves nothing, and says why', async () => {
  const nonsense = { switch: { name: 'four', prts: [] } } as unknown as Parameters<typeof createSwitch>[0]
  await assert.rejects(createSwitch(nonsense), { code: 'config-invalid', message: /unknown key "prts"/ })
  const failing = config('five', { extensions: [{ use: 'acl', options: { default: 'nonsense' } }] })
  await assert.rejects(createSwitch(failing))
  const again = await createSwitch(config('five'))
  await again.close()
})
