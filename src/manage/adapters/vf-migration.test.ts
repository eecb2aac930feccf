// Ports with virtual functions on their way between managed switches: what the target gives, and what is said where it gives none.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createSwitch } from '../../engine/host.ts'
import { checkSource } from '../config/load.ts'
import { parseYaml } from '../config/yaml-source.ts'
import type { SwitchEvent, SwitchHost } from '../host.ts'
import { migratePort } from '../migrate.ts'
import { engineConfig, manageSwitch } from '../switch-host.ts'

const ALPHA =
  '{ name: alpha, mac: "52:54:00:77:00:01", endpoint: { kind: vhost-user, path: a.sock }, iov: { form: vhost-user, path: a-vf.sock, weight: 50 } }'
const never = { ready: () => {}, cancelled: () => false }
const remote = (host: SwitchHost) => host as unknown as Parameters<typeof migratePort>[0]
const code = (expected: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === expected

/** `vfs`: of the switch's adapter; undefined: it has none. */
async function managed(t: TestContext, name: string, ports: string[], vfs: number | undefined) {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-vfmove-'))
  const adapter = vfs === undefined ? '' : `adapters: [{ name: nic0, vfs: ${vfs} }]\n`
  const all = [...(vfs === undefined ? [] : ['{ name: outside, endpoint: { kind: adapter, adapter: nic0 } }']), ...ports]
  const type = vfs === undefined ? 'private' : 'external'
  const yaml = `${adapter}switch: { name: ${name}, type: ${type}, ports: [${all.join(', ')}] }\nruntime: { directory: ${directory} }\n`
  const components = { env: {}, cwd: directory, canWrite: () => true }
  const config = checkSource(parseYaml('lab.yaml', yaml), join(directory, 'lab.yaml'), components)
  const events: SwitchEvent[] = []
  const running = await createSwitch(engineConfig(config), { log: (event) => events.push(event) })
  t.after(async () => {
    await running.close()
    rmSync(directory, { recursive: true })
  })
  const host = manageSwitch(running, config)
  const having = async (): Promise<string[]> => (await host.vfs()).map(({ port }) => port)
  return { ...host, events, having }
}

test('a port that migrates gives its VF back and gets one at the target, by its weight there', async (t) => {
  const source = await managed(t, 'one', [ALPHA], 1)
  const target = await managed(t, 'two', [], 1)
  assert.deepEqual(await source.having(), ['alpha'])
  const { ports } = await migratePort(remote(source), remote(target), 'alpha', { waitForStop: false }, never)
  assert.deepEqual(
    ports.map(({ withoutVf }) => withoutVf),
    [null],
  )
  assert.deepEqual([await source.having(), await target.having()], [[], ['alpha']])
  const settings = (await target.ports()).find(({ name }) => name === 'alpha')?.iov
  assert.deepEqual([settings?.weight, settings?.form], [50, 'vhost-user'])
})

test('a target without an adapter, or without a VF left, takes the port, whose guest stays on its synthetic card; it says why (SR-253)', async (t) => {
  const source = await managed(t, 'one', [ALPHA], 1)
  const plain = await managed(t, 'two', [], undefined)
  const full = await managed(t, 'three', [], 0)
  for (const [from, to, why] of [
    [source, plain, /^the switch has no SR-IOV adapter to give port "alpha" a VF from$/],
    [plain, full, /^adapter "nic0" has no VF left for port "alpha"$/],
  ] as const) {
    const { ports } = await migratePort(remote(from), remote(to), 'alpha', { waitForStop: false }, never)
    assert.match(ports[0]!.withoutVf!, why)
    assert.equal(to.events.filter((event) => event.code === 'vf-not-assigned').length, 1)
    assert.equal((await to.ports()).find(({ name }) => name === 'alpha')?.iov?.weight, 50)
  }
})

test('a switch without an adapter restores a port with iov and tells that it has no VF; a new one it refuses', async (t) => {
  const source = await managed(t, 'one', [ALPHA], 1)
  const plain = await managed(t, 'two', [], undefined)
  const saved = await source.save({})
  const { ports } = await plain.restore(saved.replace('"kind":"adapter","adapter":"nic0"', '"kind":"memory"'))
  assert.match(ports.find(({ name }) => name === 'alpha')!.withoutVf!, /no SR-IOV adapter/)
  assert.match(plain.events.find((event) => event.code === 'vf-not-assigned')!.message, /traffic stays on the synthetic path$/)
  await plain.setPort('alpha', { monitorSession: 2 })
  const iov = { weight: 1, path: 'b-vf.sock' }
  const beta = { name: 'beta', mac: '52:54:00:77:00:02', endpoint: { kind: 'vhost-user', path: 'b.sock' }, iov }
  await assert.rejects(async () => plain.addPort(beta as never), code('bad-request'))
})

test('a refused or abandoned migration leaves the VF at the source', async (t) => {
  const source = await managed(t, 'one', [ALPHA], 1)
  const taken = await managed(t, 'two', [ALPHA], 1)
  const target = await managed(t, 'three', [], 1)
  const before = (await source.vfs())[0]!.serialNumber
  await assert.rejects(migratePort(remote(source), remote(taken), 'alpha', { waitForStop: false }, never), code('port-exists'))
  assert.equal((await source.vfs())[0]!.serialNumber, before, 'it was not even taken away')
  const cancelled = { ready: () => {}, cancelled: () => true }
  // The call waits for a guest that is there: nobody is, so that it goes through at once without this.
  const busy = { ...remote(source), awaitStop: async () => false }
  await assert.rejects(migratePort(busy, remote(target), 'alpha', { waitForStop: true }, cancelled), code('cancelled'))
  assert.deepEqual([await source.having(), await target.having()], [['alpha'], []])
  assert.ok(!(await target.ports()).some(({ name }) => name === 'alpha'))
  await source.removeVf({ port: 'alpha', surprise: false })
  await source.assignVf('alpha')
})
