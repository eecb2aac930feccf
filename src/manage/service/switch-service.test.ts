import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { StateStore } from '../store/state-store.ts'
import { SwitchService } from './switch-service.ts'

interface World {
  readonly service: SwitchService
  readonly store: StateStore
  readonly file: string
  readonly directory: string
}

function world(t: TestContext): World {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-service-'))
  const path = join(directory, 'state.db')
  const store = StateStore.open(path)
  const service = new SwitchService(
    { stateDirectory: directory, control: join(directory, 'control.sock') },
    { store, log: () => {}, fatal: (error) => assert.fail(error) },
  )
  t.after(async () => {
    await service.close()
    store.close()
    rmSync(directory, { recursive: true })
  })
  // From now on the disk is full for whatever is called z.
  const other = new DatabaseSync(path)
  other.exec("CREATE TRIGGER z BEFORE INSERT ON entries WHEN NEW.name = 'z' BEGIN SELECT RAISE(ABORT, 'disk full'); END")
  other.close()
  return { service, store, file: join(directory, 'x.yaml'), directory }
}

const port = (name: string, more: object = {}) => ({ name, endpoint: { kind: 'memory' as const }, ...more })
const config = (directory: string, more: object = {}) => ({
  switch: { name: 'lab', ports: [port('a', { vlan: 10 }), port('b')], ...more },
  runtime: { directory: join(directory, 'run') },
})
const code = (expected: string) => (error: Error & { code?: string }) => {
  assert.equal(error.code, expected, error.message)
  return true
}
const names = async ({ service }: World) => (await service.host.ports()).map(({ name }) => name)

test('a change that can not be stored is taken back, and the next one is not disturbed', async (t) => {
  const it = world(t)
  await it.service.apply({ config: config(it.directory), file: it.file })
  const before = await it.service.configuration()
  await assert.rejects(it.service.host.addPort(port('z')), code('not-stored'))
  assert.deepEqual(await names(it), ['a', 'b'])
  assert.deepEqual(await it.service.configuration(), before)
  await it.service.host.addPort(port('c'))
  assert.deepEqual(await names(it), ['a', 'b', 'c'])
  assert.deepEqual(
    it.store.load()?.config.switch.ports.map(({ name }) => name),
    ['a', 'b', 'c'],
  )
})

test('a configuration that can not be stored is not applied', async (t) => {
  const it = world(t)
  await it.service.apply({ config: config(it.directory), file: it.file })
  const properties = await it.service.host.properties({})
  const ports = [port('a', { vlan: 20, link: 'down' }), port('z')]
  await assert.rejects(it.service.apply({ config: config(it.directory, { ports }), file: it.file }), code('not-stored'))
  assert.deepEqual((await names(it)).sort(), ['a', 'b'])
  assert.deepEqual(await it.service.host.properties({}), properties)
  assert.equal((await it.service.host.ports()).find(({ name }) => name === 'a')?.link, 'up')
  await assert.rejects(
    it.service.apply({ config: config(it.directory, { ports, processors: 2 }), file: it.file, restart: true }),
    code('not-stored'),
  )
  assert.equal((await it.service.host.status()).processors.length, 1)
  assert.deepEqual((await names(it)).sort(), ['a', 'b'])
})

test('changes run one at a time, in the order in which they were asked for', async (t) => {
  const it = world(t)
  await it.service.apply({ config: config(it.directory), file: it.file })
  const all = ['c', 'd', 'e'].map((name) => it.service.host.addPort(port(name)))
  const applied = it.service.apply({ config: config(it.directory), file: it.file })
  const late = it.service.host.addPort(port('f'))
  await Promise.all([...all, late])
  assert.deepEqual(
    (await applied).changes.map(({ action, name }) => `${action} ${name}`),
    ['removed c', 'removed d', 'removed e'],
  )
  assert.deepEqual(await names(it), ['a', 'b', 'f'])
})

test('settings of virtual functions are stored, and set again at the next start', async (t) => {
  const it = world(t)
  const ports = [{ name: 'outside', endpoint: { kind: 'adapter', adapter: 'nic0' } }]
  const whole = { ...config(it.directory, { type: 'external', ports }), adapters: [{ name: 'nic0', vfs: 2 }] }
  await it.service.apply({ config: whole, file: it.file })
  await it.service.host.setVf({ adapter: 'nic0', vf: 1, words: { trust: true } })
  await it.service.host.setVf({ adapter: 'nic0', vf: 1, words: { max_tx_rate: 100 } })
  await it.service.close()
  await it.service.start()
  const [adapter] = await it.service.host.adapters()
  assert.deepEqual([adapter?.shown[1]?.trust, adapter?.shown[1]?.max_tx_rate], [true, 100])
  // An adapter that goes takes its settings along.
  await it.service.apply({ config: config(it.directory), file: it.file, restart: true })
  assert.deepEqual(it.store.load()?.vfs, [])
})

test('nothing is stored of a configuration that is wrong, or does not start', async (t) => {
  const it = world(t)
  const request = (more: object) => it.service.apply({ config: config(it.directory, more), file: it.file })
  await assert.rejects(request({ ports: [{ name: 'a' }] }), code('bad-request'))
  await assert.rejects(request({ extensions: [{ use: 'acl', options: { default: 'nonsense' } }] }))
  assert.equal(await it.service.configuration(), null)
  assert.equal(it.store.revision, 0)
  await assert.rejects(it.service.host.ports(), code('no-switch'))
})
