// The calls about SR-IOV adapters: over the control API with its client, and over the engine's contract.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { AdapterRequest } from '../../adapter/requests.ts'
import type { AdapterStatus, SwitchAdapters } from '../../engine/adapter-config.ts'
import { connectControl } from '../control/control-client.ts'
import { ControlError, problemOf } from '../control/control-errors.ts'
import { controlRoutes, startControlServer } from '../control/control-server.ts'
import { fakeHost } from '../control/fake-host.ts'
import type { VfShown, VfWords } from './adapter-calls.ts'
import { adapterHost } from './adapter-host.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-adapters-'))
after(() => rmSync(directory, { recursive: true }))

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ControlError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, message)
  return true
}

test('a client asks, pulls, plugs and sets over the control API as it would ask the host', async () => {
  const path = join(directory, 'a.sock')
  const { host, calls } = fakeHost()
  const server = await startControlServer({ path }, { host, log: () => {} })
  const client = connectControl(path)
  assert.deepEqual(await client.adapters(), await host.adapters())
  assert.deepEqual(await client.adapter('nic0'), await host.adapter('nic0'))
  assert.deepEqual(await client.vfs(), await host.vfs())
  assert.equal((await client.pullAdapter('nic0')).state, 'removed')
  assert.equal((await client.plugAdapter('nic0')).state, 'running')
  assert.equal((await client.setVf({ adapter: 'nic0', vf: 1, words: { vlan: 7, trust: true } })).vlan, 7)
  assert.equal((await client.assignVf('alpha')).state, 'waiting')
  await client.removeVf({ port: 'alpha', surprise: true })
  await client.resetVf('alpha')
  const request = { oid: 'OID_NIC_SWITCH_ENUM_VPORTS', type: 'method', payload: { flags: 0 } } as const
  assert.deepEqual(await client.adapterRequest('nic0', request), {
    status: 0,
    statusName: 'NDIS_STATUS_SUCCESS',
    output: { hex: '00ff' },
  })
  await assert.rejects(client.adapter('nic1'), refused('no-such-adapter', /no adapter "nic1"/))
  await server.close()
  assert.deepEqual(calls, [
    'pullAdapter "nic0"',
    'plugAdapter "nic0"',
    'setVf {"name":"nic0","vf":1,"words":{"vlan":7,"trust":true}}',
    'assignVf "alpha"',
    'removeVf {"port":"alpha","surprise":true}',
    'resetVf "alpha"',
    'adapterRequest {"name":"nic0","oid":"OID_NIC_SWITCH_ENUM_VPORTS","type":"method","payload":{"flags":0}}',
  ])
})

test('every error of an adapter has its HTTP status', async () => {
  const app = controlRoutes({ host: fakeHost().host, log: () => {} })
  const status = async (method: string, route: string, data?: unknown): Promise<[number, string]> => {
    const answer = await app.request(route, { method, ...(data === undefined ? {} : { body: JSON.stringify(data) }) })
    return [answer.status, ((await answer.json()) as { code: string }).code]
  }
  assert.deepEqual(await status('GET', '/v1/adapters/none'), [404, 'no-such-adapter'])
  assert.deepEqual(await status('PATCH', '/v1/adapters/nic0/vfs/0', { qos: 9 }), [400, 'bad-vf-setting'])
  assert.deepEqual(await status('PATCH', '/v1/adapters/nic0/vfs/first', { qos: 1 }), [400, 'bad-request'])
  assert.deepEqual(await status('PATCH', '/v1/adapters/nic0/vfs/0', { speed: 1 }), [400, 'bad-request'])
  assert.deepEqual(await status('POST', '/v1/vfs/assign', { port: 'beta' }), [409, 'no-iov'])
  assert.deepEqual(await status('POST', '/v1/vfs/assign', {}), [400, 'bad-request'])
  assert.deepEqual(await status('POST', '/v1/adapters/nic0/request', { oid: -1, type: 'set' }), [400, 'bad-request'])
  for (const [code, expected] of [
    ['no-such-vf', 404],
    ['no-vf-left', 409],
    ['no-vf', 409],
    ['vf-assigned', 409],
    ['adapter-removed', 409],
  ] as const)
    assert.equal(problemOf(new ControlError(code, '')).status, expected, code)
})

test('settings of a port are changed together or not at all, and nothing is no change', async () => {
  const { host, calls } = fakeHost()
  const app = controlRoutes({ host, log: () => {} })
  const patch = async (change: unknown): Promise<number> =>
    (await app.request('/v1/ports/alpha', { method: 'PATCH', body: JSON.stringify(change) })).status
  assert.equal(
    await patch({ friendlyName: 'Reception', mtu: 9000, portMirroring: 'source', monitorSession: 3, link: 'down' }),
    200,
  )
  assert.equal(await patch({}), 400)
  assert.equal(await patch({ mtu: 5 }), 400)
  assert.deepEqual(calls, [
    'setPort {"name":"alpha","friendlyName":"Reception","mtu":9000,"portMirroring":"source","monitorSession":3}',
    'setLink {"name":"alpha","up":false}',
  ])
})

/** Adapters as the engine has them, of which only what a test needs is there. */
function engine(given: Partial<SwitchAdapters>, status: Partial<AdapterStatus> = {}) {
  const adapters = {
    list: () => [{ name: 'nic0', vfs: { total: 2, allocated: 0 }, vports: [], assigned: [], ...status }],
    ...given,
  }
  return adapterHost({
    adapters: adapters as unknown as SwitchAdapters,
    switchName: 'lan',
    translated: (work) => work(),
  })
}

test('an OID is named or numbered, and bytes cross as hex', async () => {
  const requests: AdapterRequest[] = []
  const host = engine({
    request: async (_, request) => {
      requests.push(request)
      return { status: 0, output: { data: Uint8Array.of(1, 255), list: [1] } }
    },
  })
  const payload = { vfId: 0, data: { hex: '00Ff' }, nested: [{ hex: '' }] }
  const answer = await host.adapterRequest('nic0', { oid: 'oid_sriov_read_vf_config_space', type: 'method', payload })
  assert.deepEqual(answer, { status: 0, statusName: 'NDIS_STATUS_SUCCESS', output: { data: { hex: '01ff' }, list: [1] } })
  assert.deepEqual(requests[0], {
    oid: 0x00010251,
    type: 'method',
    payload: { vfId: 0, data: Uint8Array.of(0, 255), nested: [new Uint8Array()] },
  })
  await host.adapterRequest('nic0', { oid: '0x10242', type: 'query' })
  assert.deepEqual(requests[1], { oid: 0x10242, type: 'query' })
  const bad = (oid: string, data?: unknown) => async () => host.adapterRequest('nic0', { oid, type: 'set', payload: data })
  await assert.rejects(bad('OID_NONE'), refused('bad-request', /"OID_NONE" is no OID of an adapter/))
  await assert.rejects(bad('0x1', { hex: '0' }), refused('bad-request', /two digits per byte/))
  let deep: unknown = 1
  for (let i = 0; i < 20; i++) deep = [deep]
  await assert.rejects(bad('0x1', deep), refused('bad-request', /16 levels/))
  assert.equal(requests.length, 2)
})

test('an adapter or VF that is not there is refused before the engine is asked', async () => {
  const host = engine({ set: () => assert.fail(), pull: () => assert.fail() })
  await assert.rejects(
    async () => host.pullAdapter('nic1'),
    refused('no-such-adapter', /switch "lan" has no adapter "nic1" \(it has: nic0\)/),
  )
  await assert.rejects(async () => host.setVf({ adapter: 'nic0', vf: 2, words: {} }), refused('no-such-vf', /numbered 0 to 1/))
})

test('the VLAN of a VF that waits for its guest is refused instead of being forgotten', async () => {
  const vport = { id: 1, name: 'alpha', function: 0, filters: [] } as unknown as AdapterStatus['vports'][number]
  const host = engine({ set: async (_, vf, words) => ({ vf, ...words }) as VfShown }, { vports: [vport] })
  const set = (words: VfWords) => async () => host.setVf({ adapter: 'nic0', vf: 0, words })
  await assert.rejects(set({ vlan: 10 }), refused('bad-vf-setting', /port "alpha": set the port's property vlan/))
  assert.deepEqual(await set({ trust: true })(), { vf: 0, trust: true })
})
