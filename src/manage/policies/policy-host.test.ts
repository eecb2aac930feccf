// A managed switch and its properties and saves, as the control API sees them, without a socket between.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSwitch } from '../../engine/host.ts'
import { checkSource } from '../config/load.ts'
import { parseYaml } from '../config/yaml-source.ts'
import type { SwitchHost } from '../host.ts'
import { migratePort } from '../migrate.ts'
import { engineConfig, manageSwitch } from '../switch-host.ts'
import { PREPARED_SILENCE_MS } from './prepared-ports.ts'

const GUID = '0d3c1f9f-0004-4c56-9b7e-7b0b6d0e5f0c'

/** `more`: further keys of the switch. */
async function managed(
  t: TestContext,
  name: string,
  ports: string,
  more = '',
): Promise<SwitchHost & { directory: string; told: string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-managed-'))
  const yaml = `switch:\n  name: ${name}\n  properties: [{ id: ${GUID}, value: ${name} }]\n  ports: [${ports}]\n${more}runtime: { directory: ${directory} }\n`
  const config = checkSource(parseYaml('lab.yaml', yaml), join(directory, 'lab.yaml'), {
    env: {},
    cwd: directory,
    canWrite: () => true,
  })
  const running = await createSwitch(engineConfig(config), { log: () => {} })
  t.after(async () => {
    await running.close()
    rmSync(directory, { recursive: true })
  })
  const told: string[] = []
  return { ...manageSwitch(running, config, undefined, (event) => told.push(`${event.source} ${event.code}`)), directory, told }
}

const code = (expected: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === expected
const ALPHA = '{ name: alpha, mac: "52:54:00:77:00:01", vlan: 10, endpoint: { kind: vhost-user, path: alpha.sock } }'
const never = { ready: () => {}, cancelled: () => false }
// What is a promise over a connection may be a value here.
const remote = (host: SwitchHost) => host as unknown as Parameters<typeof migratePort>[0]

test('properties are shown with names, changed by type, and errors have stable codes', async (t) => {
  const host = await managed(t, 'one', ALPHA)
  assert.deepEqual(
    (await host.properties({})).map(({ port, type, id, value }) => [port, type, id, value]),
    [
      [null, 'custom', GUID, 'one'],
      ['alpha', 'vlan', null, { mode: 'access', accessVlanId: 10 }],
    ],
  )
  await host.setProperty({ port: 'alpha', type: 'vlan', value: { mode: 'access', accessVlanId: 20 } })
  await host.removeProperty({ type: 'custom', id: GUID })
  assert.deepEqual(
    (await host.properties({ port: 'alpha' })).map(({ value }) => value),
    [{ mode: 'access', accessVlanId: 20 }],
  )
  assert.equal((await host.properties({})).length, 1)
  await assert.rejects(async () => host.addProperty({ port: 'alpha', type: 'vlan', value: {} }), code('bad-property'))
  await assert.rejects(
    async () => host.addProperty({ port: 'alpha', type: 'vlan', value: { mode: 'access', accessVlanId: 1 } }),
    code('property-exists'),
  )
  await assert.rejects(async () => host.removeProperty({ port: 'alpha', type: 'security' }), code('no-such-property'))
  await assert.rejects(async () => host.addProperty({ port: 'none', type: 'security', value: {} }), code('no-such-port'))
  await assert.rejects(async () => host.featureStatus({ id: GUID }), code('no-such-feature'))
})

test('the status of an extension is had by its name, where its identifier is that of the feature', async (t) => {
  const use = '  extensions: [{ use: counters }, { use: dhcp-dns, options: { ipv4: { address: 10.0.0.1/24 } } }]\n'
  const host = await managed(t, 'one', ALPHA, use)
  const { data } = await host.featureStatus({ id: 'dhcp-dns' })
  assert.match(Buffer.from(data, 'base64').toString(), /^\nADDRESS +MAC/)
  await assert.rejects(async () => host.featureStatus({ id: 'counters' }), { code: 'no-such-feature' })
  await assert.rejects(async () => host.featureStatus({ id: 'nobody' }), { code: 'bad-property' })
})

test('a saved switch makes its ports anew elsewhere, with sockets in the other runtime directory', async (t) => {
  const source = await managed(t, 'one', ALPHA)
  const target = await managed(t, 'two', '')
  const saved = await source.save({})
  assert.ok(!saved.includes(source.directory))
  assert.deepEqual(await target.restore(saved), {
    ports: [{ name: 'alpha', created: true, data: 'none', orphans: 0, withoutVf: null }],
  })
  const [alpha] = await target.ports()
  assert.equal(alpha?.endpoint.kind === 'vhost-user' && alpha.endpoint.path, join(target.directory, 'alpha.sock'))
  assert.equal((await target.properties({ port: 'alpha' })).length, 1)
  assert.equal((await target.properties({})).find(({ port, value }) => port === null && value === 'one')?.id, GUID)
  assert.deepEqual(await target.restore(saved), {
    ports: [{ name: 'alpha', created: false, data: 'none', orphans: 0, withoutVf: null }],
  })
})

test('a saved port keeps its name for people, MTU, mirroring, team, and sockets of its virtual function', async (t) => {
  const ports = `{ name: outside, endpoint: { kind: stream, path: up.sock }, uplinks: [{ kind: stream, path: up2.sock }], mtu: 9000 },
    { name: a, mac: "52:54:00:77:00:01", endpoint: { kind: vhost-user, path: a.sock }, friendlyName: Desk, portMirroring: destination,
      monitorSession: 3, iov: { weight: 0, path: a-vf.sock, qmp: q.sock } }`
  const external = '  type: external\n'
  const source = await managed(t, 'one', ports, external)
  const target = await managed(t, 'two', '', external)
  await source.setPort('a', { friendlyName: 'Front desk', monitorSession: 4 })
  const saved = await source.save({})
  assert.ok(!saved.includes(source.directory))
  await target.restore(saved)
  const [outside, a] = await target.ports()
  assert.equal(outside?.mtu, 9000)
  assert.deepEqual([a?.friendlyName, a?.portMirroring, a?.monitorSession], ['Front desk', 'destination', 4])
  assert.deepEqual(
    [a?.iov?.weight, a?.iov?.path, a?.iov?.qmp],
    [0, join(target.directory, 'a-vf.sock'), join(target.directory, 'q.sock')],
  )
  assert.deepEqual((await target.adapters()).length, 0)
})

test('settings of a port are checked as a configuration is, and refused ones change nothing', async (t) => {
  const host = await managed(t, 'one', `${ALPHA}, { name: s, endpoint: { kind: stream, path: s.sock } }`)
  await assert.rejects(async () => host.setPort('alpha', { mtu: 9000 }), code('bad-request'))
  await assert.rejects(async () => host.setPort('none', { mtu: 9000 }), code('no-such-port'))
  assert.equal((await host.setPort('s', { mtu: 9000, portMirroring: 'destination' })).mtu, 9000)
  assert.deepEqual(
    (await host.ports()).map(({ name, mtu, portMirroring }) => [name, mtu, portMirroring]),
    [
      ['alpha', 1500, 'none'],
      ['s', 9000, 'destination'],
    ],
  )
  await assert.rejects(async () => host.assignVf('alpha'), code('no-iov'))
  await assert.rejects(async () => host.adapter('nic0'), code('no-such-adapter'))
})

test('an extension is paused and restarted at its place', async (t) => {
  const host = await managed(t, 'one', ALPHA, '  extensions: [{ use: counters }]\n')
  assert.equal((await host.pauseExtension({ name: 'counters', paused: true })).state, 'paused')
  assert.equal((await host.pauseExtension({ name: 'counters', paused: false })).state, 'running')
  await assert.rejects(async () => host.pauseExtension({ name: 'none', paused: true }), code('no-such-extension'))
})

test('a save that was tampered with is refused whole', async (t) => {
  const source = await managed(t, 'one', ALPHA)
  const target = await managed(t, 'two', '')
  const saved = await source.save({})
  await assert.rejects(async () => target.restore('{}'), code('bad-saved-state'))
  await assert.rejects(async () => target.restore(saved.replace('"vhost-user"', '"no-such-kind"')), code('bad-request'))
  await assert.rejects(async () => target.restore(saved.replace('52:54:00', '53:54:00')), code('bad-request'))
  await assert.rejects(async () => target.prepareMigration(saved.replace(/"ports":\[.*\]/, '"ports":[]')), code('bad-request'))
  assert.deepEqual(await target.ports(), [])
})

test('a prepared port goes when nobody says any more that it is moved, and only then', async (t) => {
  const source = await managed(t, 'one', ALPHA)
  const target = await managed(t, 'two', '')
  const saved = await source.save({ port: 'alpha' })
  const passes = (ms: number): void => t.mock.timers.tick(ms)
  await target.prepareMigration(saved)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  passes(10 * PREPARED_SILENCE_MS) // an older vmswitch migrate says nothing
  await target.stillMigrating('alpha', false)
  passes(PREPARED_SILENCE_MS - 1)
  await target.stillMigrating('alpha', false)
  passes(PREPARED_SILENCE_MS - 1)
  assert.equal((await target.ports()).length, 1)
  passes(1)
  t.mock.timers.reset()
  while (target.told.length === 0) await sleep(20)
  assert.deepEqual([target.told, await target.ports()], [['port alpha migration-given-up'], []])
  await assert.rejects(async () => target.stillMigrating('alpha', false), code('no-such-port'))
  await target.prepareMigration(saved)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await target.stillMigrating('alpha', false)
  await target.stillMigrating('alpha', true)
  passes(10 * PREPARED_SILENCE_MS) // the source may have let go: this is the port now
  t.mock.timers.reset()
  assert.equal((await target.ports()).length, 1)
  await target.abandonMigration('alpha')
  await assert.rejects(async () => source.stillMigrating('alpha', false), code('wrong-state'))
})

test('a migration moves the port; one that the target refuses leaves it at the source', async (t) => {
  const source = await managed(t, 'one', ALPHA)
  const target = await managed(t, 'two', '')
  const taken = await managed(t, 'three', ALPHA)
  await assert.rejects(migratePort(remote(source), remote(taken), 'alpha', { waitForStop: false }, never), code('port-exists'))
  assert.equal((await source.ports()).length, 1)
  await migratePort(remote(source), remote(target), 'alpha', { waitForStop: false }, never)
  assert.deepEqual(await source.ports(), [])
  assert.deepEqual(
    (await target.ports()).map(({ name, connected }) => [name, connected]),
    [['alpha', true]],
  )
  await assert.rejects(async () => target.handOver('alpha'), code('wrong-state'))
  await assert.rejects(async () => target.takeOver(await target.save({ port: 'alpha' })), code('wrong-state'))
})
