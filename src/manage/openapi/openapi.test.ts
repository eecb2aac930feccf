import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controlRoutes } from '../control/control-server.ts'
import { fakeHost } from '../control/fake-host.ts'
import { pageSchema } from '../control/request-schemas.ts'
import { EventBus } from '../events/event-bus.ts'
import type { ServiceCalls } from '../service/service-calls.ts'
import { openApi, templateOf } from './document.ts'
import { operations } from './operations.ts'

const service: ServiceCalls = {
  cluster: {
    network: () => assert.fail('nobody asks'),
    join: () => assert.fail('nobody asks'),
    leave: () => assert.fail('nobody asks'),
    setSubnet: () => assert.fail('nobody asks'),
    removeSubnet: () => assert.fail('nobody asks'),
    setPolicy: () => assert.fail('nobody asks'),
    removePolicy: () => assert.fail('nobody asks'),
    expectPort: () => assert.fail('nobody asks'),
    awaitPort: () => assert.fail('nobody asks'),
    forgetPort: () => assert.fail('nobody asks'),
  },
  service: () => assert.fail('nobody asks'),
  configuration: () => assert.fail('nobody asks'),
  apply: () => assert.fail('nobody asks'),
  removeSwitch: () => assert.fail('nobody asks'),
}
const app = controlRoutes({
  host: fakeHost().host,
  log: () => {},
  service,
  events: new EventBus(),
  metrics: () => Promise.resolve(''),
})

interface Described {
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, { readonly schema?: unknown }>> }>>
  readonly operationId: string
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Record<string, unknown> }>> }
}
const document = (await (await app.request('/v1/openapi.json')).json()) as {
  openapi: string
  paths: Record<string, Record<string, Described>>
}

test('every route is in the OpenAPI document, and nothing else', () => {
  const routes = app.routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => `${method.toLowerCase()} ${templateOf(path)}`)
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  )
  assert.deepEqual(described.sort(), [...new Set(routes)].sort())
  assert.equal(document.openapi, '3.1.0')
})

test('operations have ids of their own, and each parameter of a path is described', () => {
  const ids = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId))
  assert.equal(new Set(ids).size, ids.length)
  for (const [path, methods] of Object.entries(document.paths))
    for (const { parameters = [] } of Object.values(methods))
      assert.deepEqual(
        parameters.filter((one) => one.in === 'path').map(({ name }) => `{${name}}`),
        path.match(/\{\w+\}/g) ?? [],
        path,
      )
})

test('a body that a schema of the document refuses is refused by its route', async () => {
  for (const { method, path, body } of operations) {
    if (body === undefined) continue
    const schema = document.paths[templateOf(path)]?.[method]?.requestBody?.content['application/json']?.schema
    assert.equal(schema?.additionalProperties, false, path)
    const answer = await app.request(path.replace(/:\w+/g, '0'), { method: method.toUpperCase(), body: '{"noSuchKey":1}' })
    assert.equal(answer.status, 400, path)
    assert.match(((await answer.json()) as { message: string }).message, /unknown key "noSuchKey"|missing/, path)
  }
  assert.deepEqual(openApi(), document)
})

test('long tables come in pages to who asks for a page', async () => {
  const ask = async (path: string) =>
    (await app.request(path)).json() as Promise<{ items: { name: string }[]; total: number; next: string | null }>
  const first = await ask('/v1/ports?limit=1')
  assert.deepEqual([first.items.map(({ name }) => name), first.total], [['alpha'], 2])
  const last = await ask(`/v1/ports?limit=1&after=${first.next}`)
  assert.deepEqual([last.items.map(({ name }) => name), last.next], [['beta'], null])
  assert.equal((await ask('/v1/fdb?limit=1&vlan=0')).items.length, 1)
  for (const bad of ['limit=0', 'limit=10001', 'limit=x', 'after=nonsense', 'after=', `after=${'A'.repeat(5000)}`])
    assert.equal((await app.request(`/v1/ports?${bad}`)).status, 400, bad)
  const foreign = (await ask('/v1/fdb?limit=1')).next
  assert.equal((await app.request(`/v1/ports?after=${foreign}`)).status, 400)
  assert.ok(Array.isArray(await ask('/v1/ports')))
})

test('every operation has a schema of its answer, and the lists that come in pages are asked for with limit and after', () => {
  for (const { method, path, answer, paged = false, query = [] } of operations) {
    const { responses } = document.paths[templateOf(path)]![method]!
    const [content] = Object.values(Object.values(responses)[0]!.content)
    assert.ok(
      answer === 'bytes' || content?.schema !== undefined,
      `${method} ${path} has no schema of its answer (see CONTRIBUTING.md)`,
    )
    assert.equal(paged, query.includes(pageSchema), path)
  }
})
