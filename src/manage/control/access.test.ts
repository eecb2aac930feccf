import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namedOperations } from '../openapi/operation-roles.ts'
import { operations } from '../openapi/operations.ts'
import { type AuditRecord, auditText, type Caller, type Role, roles } from './access.ts'
import { controlRoutes } from './control-server.ts'
import { fakeHost } from './fake-host.ts'
import { groupId, socketRole } from './socket-access.ts'

const caller = (role: Role): Caller => ({ name: 'someone', role, from: '192.0.2.7' })

function world(access?: 'change' | 'read') {
  const told: AuditRecord[] = []
  const { host, calls } = fakeHost()
  const app = controlRoutes({ host, log: () => {}, access, audit: (record) => told.push(record) })
  const ask = async (role: Role, method: string, path: string, body?: string) => {
    const answer = await app.request(path, { method, ...(body === undefined ? {} : { body }) }, { caller: caller(role) })
    return { status: answer.status, code: ((await answer.json().catch(() => ({}))) as { code?: string }).code }
  }
  return { told, calls, ask }
}

test('each operation can be asked for from its role on, and by nobody below it', async () => {
  const { ask } = world()
  for (const { method, path, role } of operations) {
    if (path === '/v1/events') continue // its answer does not end
    for (const asking of roles) {
      const { status, code } = await ask(
        asking,
        method.toUpperCase(),
        path.replace(/:\w+/g, 'x'),
        method === 'get' ? undefined : '{"no":1}',
      )
      const refused = roles.indexOf(asking) < roles.indexOf(role)
      assert.equal(code === 'role-needed', refused, `${asking}: ${method} ${path}: ${status} ${code}`)
      if (refused) assert.equal(status, 403)
    }
  }
})

test('operations that have a role of their own are operations', () => {
  const all = new Set(operations.map(({ method, path }) => `${method} ${path}`))
  assert.deepEqual(
    namedOperations.filter((named) => !all.has(named)),
    [],
  )
})

test('what no table knows is for admins, and looking is for all', async () => {
  const { ask } = world()
  assert.equal((await ask('operator', 'POST', '/v1/something')).code, 'role-needed')
  assert.equal((await ask('admin', 'POST', '/v1/something')).code, 'no-such-route')
  assert.equal((await ask('reader', 'GET', '/v1/something')).code, 'no-such-route')
  assert.equal((await ask('operator', 'DELETE', '/v1/ports/%61lpha')).code, 'role-needed')
  assert.equal((await ask('reader', 'PATCH', '/v1/ports/alpha', '{"link":"up"}')).code, 'role-needed')
})

test('changes leave a line with who, what and how it ended, looking does not', async () => {
  const { ask, told, calls } = world()
  await ask('reader', 'GET', '/v1/ports')
  await ask('operator', 'PATCH', '/v1/ports/alpha', '{"link":"down"}')
  await ask('operator', 'PATCH', '/v1/ports/nobody', '{"link":"down"}')
  await ask('reader', 'PATCH', '/v1/ports/alpha', '{"link":"up"}')
  assert.deepEqual(told.map(auditText), [
    'someone (operator, 192.0.2.7): PATCH /v1/ports/alpha: 200',
    'someone (operator, 192.0.2.7): PATCH /v1/ports/nobody: 404',
    'someone (reader, 192.0.2.7): PATCH /v1/ports/alpha: 403',
  ])
  assert.ok(!calls.includes('setLink {"name":"alpha","up":true}'))
})

test('a server for looking makes readers of admins', async () => {
  const { ask } = world('read')
  assert.equal((await ask('admin', 'PATCH', '/v1/ports/alpha', '{"link":"up"}')).code, 'read-only')
  assert.equal((await ask('admin', 'GET', '/v1/ports')).status, 200)
})

test('at the control socket root and the owner are admins, others readers', () => {
  assert.equal(socketRole(0, 1000), 'admin')
  assert.equal(socketRole(1000, 1000), 'admin')
  assert.equal(socketRole(1001, 1000), 'reader')
})

test('a group is known by its name or number', () => {
  const groups = 'root:x:0:\nnetdev:x:106:alice,bob\n'
  assert.equal(groupId('netdev', groups), 106)
  assert.equal(groupId('7', groups), 7)
  assert.throws(() => groupId('net', groups), { code: 'no-such-group' })
})
