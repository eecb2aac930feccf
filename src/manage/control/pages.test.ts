import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { startCliService } from '../../../test/support/cli-service.ts'
import type { PortInput } from '../config/types.ts'
import { connectService } from '../service/service-client.ts'
import { connectControl, connectTables } from './control-client.ts'
import { ControlError } from './control-errors.ts'
import { listOf, pageOf } from './pages.ts'

const keyOf = (name: string): readonly string[] => [name]

test('an entry that is there all the time comes exactly once, whatever comes and goes between two pages', () => {
  const names = fc.uniqueArray(fc.string({ maxLength: 4 }), { maxLength: 40 })
  const changes = fc.array(fc.record({ come: names, go: names }), { maxLength: 20 })
  fc.assert(
    fc.property(names, names, changes, fc.integer({ min: 1, max: 7 }), (stay, others, steps, limit) => {
      const table = new Set([...others, ...stay])
      const seen: string[] = []
      let after: string | undefined
      for (let i = 0; ; i++) {
        const page = pageOf([...table].reverse(), keyOf, { limit, after })
        assert.ok(page.items.length <= limit)
        assert.equal(page.total, table.size)
        seen.push(...page.items)
        if (page.next === null) break
        after = page.next
        for (const name of steps[i]?.go ?? []) if (!stay.includes(name)) table.delete(name)
        for (const name of steps[i]?.come ?? []) table.add(name)
      }
      assert.equal(new Set(seen).size, seen.length)
      for (const name of stay) assert.ok(seen.includes(name), name)
    }),
    { numRuns: 300 },
  )
})

test('a cursor that is none, or of another table, is refused', () => {
  const { next } = pageOf(['a', 'b'], keyOf, { limit: 1 })
  for (const after of [
    'x',
    'W10',
    'eyJhIjoxfQ',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('["a","b"]').toString('base64url'),
  ])
    assert.throws(
      () => pageOf(['a'], keyOf, { limit: 1, after }),
      (error) => error instanceof ControlError && error.code === 'bad-request',
      after,
    )
  assert.deepEqual(pageOf([] as string[], keyOf, { limit: 1, after: next! }).items, [])
})

const PORTS = 1000
const port = (name: string): PortInput => ({ name, endpoint: { kind: 'vhost-user', path: `${name}.sock` } })

test('a thousand ports are read page by page from a running service while others come and go', async () => {
  const service = await startCliService()
  try {
    const steady = Array.from({ length: PORTS }, (_, i) => `s${i}`)
    const passing = ['x0', 'x1', 'x2', 'x3']
    const ports = [...steady.slice(0, PORTS / 2), ...passing, ...steady.slice(PORTS / 2)].map(port)
    const config = { switch: { name: 'many', ports }, runtime: { directory: `${service.directory}/run` } }
    await connectService(service.socket).apply({ config, file: `${service.directory}/many.yaml` })
    const host = connectControl(service.socket)
    const names: string[] = []
    let number = 0
    for await (const { name } of connectTables(service.socket, 100).ports()) {
      names.push(name)
      if (names.length % 90 !== 0) continue
      const old = passing.shift()
      if (old !== undefined) await host.removePort(old)
      await host.addPort(port(`n${number++}`))
    }
    assert.equal(new Set(names).size, names.length)
    assert.deepEqual(
      names.filter((name) => name.startsWith('s')),
      steady,
    )
    const listed = await host.ports()
    assert.equal(listed.length, PORTS + number)
    assert.deepEqual(await listOf(connectTables(service.socket, 333).fdb()), await host.fdb({}))
    const lines = (await service.run(['ports'])).stdout.trimEnd().split('\n')
    assert.equal(lines.length, listed.length + 1) // and the names of the columns
  } finally {
    await service.close()
  }
})
