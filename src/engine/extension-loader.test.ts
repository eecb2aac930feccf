import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../../test/support/temp-dir.ts'
import { SharedMemory } from '../linux/shared-memory.ts'
import { ExtensionError, loadExtension, moduleUrl } from './extension-loader.ts'
import { SinkWriter } from './sink-ring.ts'

const ID = '9d1c5c1e-1111-4222-8333-444455556666'
const memory = SharedMemory.create()

function bench() {
  const directory = temporaryDirectory()
  let files = 0
  const load = (source: string, options: unknown = {}, processors = 1) => {
    const file = join(directory, `e${files++}.mjs`)
    writeFileSync(file, source)
    return loadExtension({ name: 'mine', url: moduleUrl(file), onFailure: 'open', options }, { memory, processors, directory })
  }
  return { directory, load }
}

const definition = (extra = '', head = ''): string =>
  `${head}export default { id: '${ID}', name: 'x', version: '1.0.0', class: 'filtering', attach: () => ({}), ${extra} }`

const refused = (work: Promise<unknown>, code: string, says: RegExp): Promise<void> =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof ExtensionError)
    assert.equal(error.code, code)
    assert.match(error.message, says)
    assert.match(error.message, /"mine"/)
    return true
  })

test("a module that can't be imported, or is no extension, is refused with what is wrong", async () => {
  const { directory, load } = bench()
  const missing = { name: 'mine', url: moduleUrl(join(directory, 'none.mjs')), onFailure: 'open', options: {} } as const
  await refused(loadExtension(missing, { memory, processors: 1, directory }), 'NOT_FOUND', /cannot load .*none\.mjs/)
  await refused(load('export default {'), 'NOT_FOUND', /cannot load/)
  await refused(load('throw new Error("at import")'), 'NOT_FOUND', /at import/)
  await refused(load('export const a = 1'), 'BAD_MODULE', /no default export/)
  await refused(load('export default null'), 'BAD_MODULE', /no default export|"id"/)
  await refused(load(definition().replace(ID, 'no-guid')), 'BAD_MODULE', /"id" is not a GUID/)
  await refused(load(definition("name: ''")), 'BAD_MODULE', /"name" is missing/)
  await refused(load(definition("class: 'routing'")), 'BAD_MODULE', /"class" is not capturing, filtering or forwarding/)
  await refused(load(definition('attach: 7')), 'BAD_MODULE', /"attach" is not a function/)
})

test('a property that an extension defines has a GUID, a name, a version, a scope and a check (ES-523)', async () => {
  const { load } = bench()
  const property = (id: string, content: string) => load(definition(`properties: { '${id}': ${content} }`))
  await refused(property('rate', '{}'), 'BAD_MODULE', /the property "rate" is not named by a GUID/)
  const whole = "name: 'rate', version: '1.0', scope: 'port', parse: (raw) => raw"
  for (const wrong of ['null', '{}', `{ ${whole}, version: '1.x' }`, `{ ${whole}, scope: 'nic' }`, `{ ${whole}, parse: 5 }`])
    await refused(property(ID, wrong), 'BAD_MODULE', /has not all of \{ name, version/)
  await (await property(ID, `{ ${whole} }`)).close()
  const fields = (text: string) => property(ID, `{ name: 'rate', version: '1.0', scope: 'port', fields: ${text} }`)
  await refused(fields("[{ name: 'a', type: 'date' }]"), 'BAD_MODULE', /the property .*: field a is of type "date"/)
  await refused(fields('5'), 'BAD_MODULE', /"fields" is no list of fields/)
  await (await fields("[{ name: 'a', type: 'integer' }]")).close()
})

test('options that the extension refuses are refused in its words', async () => {
  const { load } = bench()
  const source = definition(
    `parseOptions(raw) { if (raw.port !== 23) throw new Error('"port" must be 23'); return { parsed: raw.port } }`,
  )
  await refused(load(source, { port: 7 }), 'BAD_OPTIONS', /"port" must be 23/)
  const loaded = await load(source, { port: 23 })
  assert.deepEqual(loaded.plan(0).options, { parsed: 23 })
  await loaded.close()
})

test('sizes that make no sense are refused before anything is reserved', async () => {
  const { load } = bench()
  const before = memory.controlBytesAvailable
  for (const bytes of ['0', '-64', 'NaN', '1e12'])
    await refused(load(definition(`shared: () => ({ good: 64, table: ${bytes} })`)), 'BAD_MODULE', /shared memory "table"/)
  for (const bytes of ['0', '100', '5000', 'NaN', '-4096', '1e12'])
    await refused(
      load(definition(`sinks: () => [{ name: 'good', path: 'a' }, { name: 'log', path: 'b', bufferBytes: ${bytes} }]`)),
      'BAD_MODULE',
      /bufferBytes of sink "log" is .*power of two/,
    )
  assert.equal(memory.controlBytesAvailable, before)
})

test("a file that can't be opened refuses the extension and leaves nothing behind", async () => {
  const { directory, load } = bench()
  writeFileSync(join(directory, 'occupied'), '')
  const before = memory.controlBytesAvailable
  const descriptors = readdirSync('/proc/self/fd').length
  const source = definition(`sinks: () => [{ name: 'a', path: 'good' }, { name: 'b', path: 'occupied/log' }]`)
  await refused(load(source, {}, 2), 'BAD_OPTIONS', /cannot open its file: .*occupied/)
  const open = (): number => readdirSync('/proc/self/fd').length
  for (const end = performance.now() + 20_000; open() > descriptors && performance.now() < end; )
    await new Promise((settled) => setTimeout(settled, 20))
  assert.equal(memory.controlBytesAvailable, before)
  assert.equal(open(), descriptors)
})

test('a disk that is full loses records and counts them; the extension goes on', async () => {
  const { load } = bench()
  const loaded = await load(definition(`sinks: () => [{ name: 'log', path: '/dev/full', bufferBytes: 4096 }]`))
  const sink = loaded.plan(0).sinks[0]!
  const writer = new SinkWriter(memory.buffer, sink.at, sink.bytes, sink.doorbell)
  for (const end = performance.now() + 20_000; loaded.sinks()[0]!.lost <= 1 && performance.now() < end; ) {
    assert.equal(writer.write(Buffer.alloc(1000), 1000), true)
    await new Promise((settled) => setTimeout(settled, 25))
  }
  assert.ok(loaded.sinks()[0]!.lost > 1)
  await loaded.close()
})

test('what was reserved is in the plan of each processor, summed up, and given back', async () => {
  const { directory, load } = bench()
  const before = memory.controlBytesAvailable
  const loaded = await load(
    definition(
      `counters: ['seen', 'dropped'], shared: () => ({ table: 1001 }), sinks: () => [{ name: 'log', path: 'out/log', bufferBytes: 4096 }]`,
    ),
    {},
    2,
  )
  const plans = [loaded.plan(0), loaded.plan(1)]
  assert.notEqual(plans[0]!.counters.at, plans[1]!.counters.at)
  assert.equal(plans[0]!.shared[0]!.at, plans[1]!.shared[0]!.at)
  assert.equal(plans[0]!.shared[0]!.bytes, 1004)
  for (const [i, plan] of plans.entries()) {
    new Float64Array(memory.buffer, plan.counters.at, 2).set([10 + i, i])
    const sink = plan.sinks[0]!
    new SinkWriter(memory.buffer, sink.at, sink.bytes, sink.doorbell).write(Buffer.from(`from ${i}`), 6)
  }
  assert.deepEqual(loaded.counters(), { seen: 21, dropped: 1 })
  await loaded.close()
  assert.equal(readFileSync(join(directory, 'out/log'), 'utf8'), 'from 0')
  assert.equal(readFileSync(join(directory, 'out/log.p1'), 'utf8'), 'from 1')
  assert.equal(memory.controlBytesAvailable, before)
})

test('a file that is full is cut between records, and each further file starts with the preamble', async () => {
  const { directory, load } = bench()
  const loaded = await load(
    definition(`sinks: () => [{ name: 'log', path: 'log', bufferBytes: 4096, rotateBytes: 20, rotateFiles: 2 }]`),
  )
  const sink = loaded.plan(0).sinks[0]!
  const writer = new SinkWriter(memory.buffer, sink.at, sink.bytes, sink.doorbell)
  writer.write(Buffer.from('HEAD'), 4, true)
  for (const text of ['aaaaaaaa', 'bbbbbbbb', 'cccccccc', 'dddddddd', 'eeeeeeee', 'ffffffff', 'gggggggg'])
    writer.write(Buffer.from(text), 8)
  await loaded.close()
  const read = (name: string): string => readFileSync(join(directory, name), 'utf8')
  assert.deepEqual([read('log'), read('log.1'), read('log.2')], ['HEADgggggggg', 'HEADeeeeeeeeffffffff', 'HEADccccccccdddddddd'])
  assert.throws(() => read('log.3'), /ENOENT/)
})

test('a reloaded extension writes a new file, whole, while its predecessor still drains into the old one', async () => {
  const { directory, load } = bench()
  const source = definition(`sinks: () => [{ name: 'log', path: 'log', bufferBytes: 4096 }]`)
  const old = await load(source)
  const write = (loaded: typeof old, text: string): void => {
    const sink = loaded.plan(0).sinks[0]!
    new SinkWriter(memory.buffer, sink.at, sink.bytes, sink.doorbell).write(Buffer.from(text), text.length)
  }
  write(old, 'a')
  const fresh = await load(source)
  write(fresh, 'new')
  write(old, 'b')
  await old.close()
  await fresh.close()
  assert.equal(readFileSync(join(directory, 'log'), 'utf8'), 'new')
})

test('a module is imported anew under a new version', async () => {
  const directory = temporaryDirectory()
  const file = join(directory, 'e.mjs')
  const load = async (version: number): Promise<string> => {
    const loaded = await loadExtension(
      { name: 'mine', url: moduleUrl(file, version), onFailure: 'open', options: {} },
      { memory, processors: 1, directory },
    )
    await loaded.close()
    return loaded.definition.version
  }
  writeFileSync(file, definition())
  assert.equal(await load(0), '1.0.0')
  writeFileSync(file, definition().replace('1.0.0', '2.0.0'))
  assert.equal(await load(0), '1.0.0')
  assert.equal(await load(1), '2.0.0')
})
