// A real service over its socket: what it answers is what its OpenAPI document says.
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import { type CliService, startCliService } from '../../../test/support/cli-service.ts'
import { natsServer, noNatsServer } from '../../../test/support/nats-server.ts'
import { openApi, templateOf } from './document.ts'
import { operations } from './operations.ts'

interface Answer {
  readonly status: number
  readonly type: string
  readonly text: string
}

type Json = Readonly<Record<string, unknown>>
interface Described {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: Json }>> }>>
}

const document = openApi() as unknown as {
  paths: Record<string, Record<string, Described>>
  components: { schemas: Record<string, Json> }
}
const local = (schema: unknown): string => JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/')
const definitions = JSON.parse(local(document.components.schemas)) as Json
const schemas = new Map<string, z.ZodType>()
const validator = (schema: Json): z.ZodType => {
  const text = local(schema)
  const known = schemas.get(text)
  if (known !== undefined) return known
  const made = z.fromJSONSchema({ ...(JSON.parse(text) as Json), $defs: definitions } as Parameters<typeof z.fromJSONSchema>[0])
  schemas.set(text, made)
  return made
}

/** For an answer; a switch is started anew within it. */
const ANSWER_MS = 30_000

const noNats = noNatsServer()
let service: CliService
const asked = new Set<string>()

function exchange(method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { socketPath: service.socket, method: method.toUpperCase(), path, agent: false, timeout: ANSWER_MS }
    const outgoing = request(options, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      incoming.on('error', reject)
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, type: String(incoming.headers['content-type'] ?? '').split(';')[0]!, text }),
      )
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path} is not answered`)))
    outgoing.on('error', reject)
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** Asks, and holds the answer against the document. `template`: path of the operation; `path`: what is asked. */
async function ask<T>(method: string, template: string, path: string, body?: unknown): Promise<T> {
  const answer = await exchange(method, path, body)
  const described = document.paths[templateOf(template)]?.[method]
  assert.ok(described, `${method} ${template} is in the document`)
  const response = described.responses[answer.status]
  assert.ok(response, `${method} ${path}: status ${answer.status} is in the document: ${answer.text}`)
  const schema = response.content?.[answer.type]?.schema
  assert.ok(schema, `${method} ${path}: ${answer.type} has a schema`)
  const data: unknown = answer.type === 'application/json' ? JSON.parse(answer.text) : answer.text
  const parsed = validator(schema).safeParse(data)
  assert.ok(
    parsed.success,
    `${method} ${path}: ${parsed.success ? '' : z.prettifyError(parsed.error)}\n${answer.text.slice(0, 2000)}`,
  )
  if (answer.status < 300) asked.add(`${method} ${template}`)
  return data as T
}

const get = <T>(template: string, path = template): Promise<T> => ask('get', template, path)

const rule = { name: 'web', direction: 'inbound', protocol: 'tcp', localPort: 80, action: 'allow', weight: 10, stateful: true }
const configuration = (adapter: object): object => ({
  switch: {
    name: 'answers',
    type: 'external',
    processors: 2,
    snooping: { querier: {} },
    overlay: {
      kind: 'vxlan',
      providerAddresses: [{ address: '192.0.2.1/24' }],
      subnets: [{ vsid: 5001, routingDomain: 'blue', prefixes: ['10.1.0.0/24'] }],
    },
    extensions: [{ use: 'counters' }, { use: 'acl', options: { default: 'allow' } }],
    ports: [
      { name: 'outside', endpoint: { kind: 'adapter', adapter: 'nic0' } },
      { name: 'alpha', mac: '52:54:00:00:00:01', vlan: 10, endpoint: { kind: 'memory' } },
      { name: 'beta', tenant: 'blue', endpoint: { kind: 'vhost-user', path: 'beta.sock', queuePairs: 2 } },
      { name: 'gamma', endpoint: { kind: 'pcap', record: join(service.directory, 'gamma.pcapng') } },
    ],
  },
  adapters: [adapter],
  runtime: { directory: join(service.directory, 'run') },
})
const apply = (config: object, more: object = {}): Promise<unknown> =>
  ask('post', '/v1/apply', '/v1/apply', { config, file: join(service.directory, 'answers.yaml'), ...more })

before(async () => {
  service = await startCliService()
})
after(() => service.close())

describe('answers of a real service are those of its OpenAPI document', () => {
  test('of one without a switch', async () => {
    for (const { method, path } of operations)
      if (method === 'get' && path !== '/v1/events') await get(path, path.replace(/:\w+/g, 'none'))
    assert.equal(((await get('/v1/service')) as { switch: null }).switch, null)
  })

  test('of all that only look, with SR-IOV and with queues', async () => {
    const places: Readonly<Record<string, string>> = {
      '/v1/adapters/:name': '/v1/adapters/nic0',
      '/v1/connections': '/v1/connections?port=alpha',
    }
    const adapters = [
      { name: 'nic0', vfs: 4 },
      { name: 'nic0', mode: 'vmq', queues: 2 },
    ]
    for (const [i, adapter] of adapters.entries()) {
      await apply(configuration(adapter), { dryRun: true, restart: true })
      await apply(configuration(adapter), { restart: i > 0 })
      for (const { method, path, paged } of operations) {
        if (method !== 'get' || path === '/v1/events') continue
        await get(path, places[path] ?? path)
        if (paged === true) await get(path, `${path}?limit=2`)
      }
    }
    for (const { method, path } of operations)
      if (method === 'get' && path !== '/v1/events') assert.ok(asked.has(`get ${path}`), `${path} was answered`)
  })

  test('of events, line by line', async () => {
    const schema = validator({ $ref: '#/components/schemas/NumberedEvent' })
    const seen = await new Promise<unknown[]>((resolve, reject) => {
      const outgoing = request(
        { socketPath: service.socket, path: '/v1/events?after=0', agent: false, timeout: ANSWER_MS },
        (incoming) => {
          let text = ''
          incoming.setEncoding('utf8').on('data', (part: string) => {
            text += part
            const lines = text
              .split('\n')
              .slice(0, -1)
              .filter((line) => line !== '')
            if (lines.length === 0) return
            outgoing.destroy()
            resolve(lines.map((line) => JSON.parse(line) as unknown))
          })
          incoming.on('error', () => {})
        },
      )
      outgoing.on('timeout', () => outgoing.destroy(new Error('no event comes')))
      outgoing.on('error', reject)
      outgoing.end()
    })
    for (const event of seen) assert.ok(schema.safeParse(event).success, JSON.stringify(event))
  })

  test('of a network of hosts', { skip: noNats }, async (t) => {
    const server = await natsServer(t)
    const post = (path: string, body: unknown): Promise<unknown> => ask('post', path, path, body)
    await post('/v1/network/leave', {}) // of none
    await post('/v1/network/join', { servers: 'nats://127.0.0.1:9', network: 'lab', host: 'one' })
    await post('/v1/network/join', { servers: server.url, network: 'lab', host: 'one', providerAddresses: ['192.0.2.1'] })
    await post('/v1/network/join', { servers: server.url, network: 'lab' })
    await ask('put', '/v1/network/subnets', '/v1/network/subnets', { virtualSubnetId: 5001, prefixes: ['10.1.0.0/24'] })
    const properties = [{ type: 'bandwidth', value: { maximumBandwidth: '10mbit' } }]
    await ask('put', '/v1/network/policies', '/v1/network/policies', { name: 'slow', port: 'alpha', properties })
    await ask('put', '/v1/network/policies', '/v1/network/policies', { name: 'slow', properties })
    await ask('get', '/v1/properties', '/v1/properties?port=alpha&imposed=true')
    await get('/v1/network')
    await ask('delete', '/v1/network/policies/:name', '/v1/network/policies/slow')
    await ask('delete', '/v1/network/policies/:name', '/v1/network/policies/slow')
    await ask('delete', '/v1/network/subnets/:id', '/v1/network/subnets/5001')
    await ask('delete', '/v1/network/subnets/:id', '/v1/network/subnets/5001')
    await ask('post', '/v1/network/expect/:name', '/v1/network/expect/alpha', { from: 'two' })
    await ask('post', '/v1/network/expect/:name', '/v1/network/expect/nobody', { from: 'two' })
    await ask('post', '/v1/network/await/:name', '/v1/network/await/alpha', { timeoutMs: 0 })
    await ask('post', '/v1/network/forget/:name', '/v1/network/forget/alpha', {})
    await post('/v1/network/leave', {})
  })

  test('of changes, and of what is refused', async () => {
    await apply(configuration({ name: 'nic0', vfs: 4 }), { restart: true })
    const post = <T>(path: string, body: unknown, template = path): Promise<T> => ask('post', template, path, body)
    const iov = { weight: 100, path: 'delta-vf.sock' }
    await post('/v1/ports', { name: 'delta', mac: '52:54:00:00:00:0d', iov, endpoint: { kind: 'vhost-user', path: 'd.sock' } })
    await post('/v1/ports', { name: 'delta', endpoint: { kind: 'memory' } }) // exists
    await post('/v1/ports', { nonsense: 1 })
    await ask('patch', '/v1/ports/:name', '/v1/ports/delta', { link: 'down', friendlyName: 'D' })
    await ask('patch', '/v1/ports/:name', '/v1/ports/nobody', { link: 'down' })
    await get('/v1/vfs')
    await get('/v1/adapters')
    await post('/v1/vfs/remove', { port: 'delta' })
    await post('/v1/vfs/remove', { port: 'delta' })
    await post('/v1/vfs/assign', { port: 'delta' })
    await post('/v1/vfs/reset', { port: 'delta' })
    await post('/v1/vfs/assign', { port: 'alpha' })
    await ask('patch', '/v1/adapters/:name/vfs/:vf', '/v1/adapters/nic0/vfs/0', { spoofchk: false })
    await ask('patch', '/v1/adapters/:name/vfs/:vf', '/v1/adapters/nic0/vfs/77', { spoofchk: false })
    await post('/v1/adapters/nic0/request', { oid: 'OID_NIC_SWITCH_ENUM_VPORTS', type: 'method' }, '/v1/adapters/:name/request')
    await post('/v1/adapters/nic0/pull', {}, '/v1/adapters/:name/pull')
    await post('/v1/adapters/nic0/plug', {}, '/v1/adapters/:name/plug')
    await ask('patch', '/v1/queues/:port', '/v1/queues/alpha', { processor: 0 })
    await ask('patch', '/v1/rss/:port', '/v1/rss/alpha', { vmmqEnabled: false })
    await post('/v1/rss/alpha/moves', { entries: [0], from: 0, to: 1 }, '/v1/rss/:port/moves')
    await post('/v1/properties', { port: 'alpha', type: 'extended-acl', value: { rules: [rule] } })
    await post('/v1/properties', { port: 'alpha', type: 'security', value: { nonsense: true } })
    await ask('put', '/v1/properties', '/v1/properties', {
      port: 'alpha',
      type: 'vlan',
      value: { mode: 'access', accessVlanId: 9 },
    })
    await post('/v1/properties/remove', { port: 'alpha', type: 'vlan' })
    await post('/v1/acls', { port: 'alpha', entry: { remoteIPAddress: '192.0.2.0/24', direction: 'inbound', action: 'meter' } })
    await get('/v1/acls')
    await post('/v1/acls/remove', { port: 'alpha', which: '0' })
    await post('/v1/acls/remove', { port: 'alpha', which: 'nothing' })
    await post('/v1/feature-status', { id: '0d3c1f9f-0004-4c56-9b7e-7b0b6d0e5f0c' })
    await post('/v1/trace', { port: 'alpha', frame: `ffffffffffff5254000000010800${'00'.repeat(46)}` })
    await post('/v1/trace', { port: 'alpha', frame: 'zz' })
    await post('/v1/fdb/flush', {})
    await ask('put', '/v1/extensions', '/v1/extensions', { names: ['counters', 'acl'] })
    await ask('patch', '/v1/extensions/:name', '/v1/extensions/acl', { paused: true })
    await ask('patch', '/v1/extensions/:name', '/v1/extensions/acl', { paused: false })
    await ask('patch', '/v1/extensions/:name', '/v1/extensions/none', { enabled: false })
    await post('/v1/extensions/acl/reload', {}, '/v1/extensions/:name/reload')
    await post('/v1/extensions', { use: 'mac-guard', options: { unknown: 'pass' } })
    await post('/v1/extensions', { use: 'no-such-thing' })
    await ask('delete', '/v1/extensions/:name', '/v1/extensions/mac-guard')
    await ask('delete', '/v1/snooping', '/v1/snooping')
    await ask('put', '/v1/snooping', '/v1/snooping', { querier: {} })
    const record = { vsid: 5001, mac: '02:00:00:00:00:02', provider: '192.0.2.2' }
    await ask('put', '/v1/overlay/records', '/v1/overlay/records', record)
    await ask('put', '/v1/overlay/records', '/v1/overlay/records', { ...record, vsid: 7 })
    await get('/v1/overlay')
    await get('/v1/overlay/records')
    await post('/v1/overlay/records/remove', record)
    await post('/v1/overlay/records/remove', { vsid: 5001, mac: record.mac })
    await post('/v1/overlay/records/remove', { vsid: 5001, mac: record.mac })
    const route = { vsid: 5001, prefix: '0.0.0.0/0', nextHop: '10.1.0.9' }
    await ask('put', '/v1/overlay/routes', '/v1/overlay/routes', { ...route, metric: 5 })
    await ask('put', '/v1/overlay/routes', '/v1/overlay/routes', { ...route, nextHop: 'fd00::9' })
    await get('/v1/overlay/routes')
    await post('/v1/overlay/routes/remove', route)
    await post('/v1/overlay/routes/remove', route)
    await ask('put', '/v1/overlay/subnets', '/v1/overlay/subnets', { vsid: 5002, peers: ['192.0.2.2'] })
    await post('/v1/overlay/subnets/remove', { vsid: 5002 })
    await post('/v1/overlay/subnets/remove', { vsid: 5002 })
    const { saved } = await post<{ saved: string }>('/v1/save', { port: 'alpha' })
    await post('/v1/restore', { saved })
    await post('/v1/restore', { saved: 'AAAA' })
    await get('/v1/drops/last')
    await ask('delete', '/v1/ports/:name', '/v1/ports/gamma')
    await ask('delete', '/v1/ports/:name', '/v1/ports/gamma')
    await apply({ switch: { ports: 1 } })
    await apply(configuration({ name: 'nic0', vfs: 5 }))
    await ask('delete', '/v1/captures/:id', '/v1/captures/none')
    await ask('delete', '/v1/config', '/v1/config')
    const notHere = /migration|ticket|captures|queues|rss|feature-status/ // they need a guest, a page, a reader, an extension
    const without = (path: string): boolean => notHere.test(path) || (noNats !== false && path.startsWith('/v1/network/'))
    for (const { method, path } of operations)
      if (method !== 'get' && !without(path)) assert.ok(asked.has(`${method} ${path}`), `${method} ${path} was answered`)
  })
})
