import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RemoteSwitchHost } from './host.ts'
import { migratePort } from './migrate.ts'

const CALLS = ['prepare', 'expect', 'hold', 'expect', 'hand over', 'await', 'take over', 'forget'] as const
type Call = (typeof CALLS)[number]

/** Two hosts of a network that note what they are asked; what is named in `failing` fails. */
function world(failing: readonly string[] = [], { announced = true, held = true, waits = 0 } = {}) {
  const done: string[] = []
  let waited = 0
  const does = async <T>(what: string, answer: T): Promise<T> => {
    done.push(what)
    if (failing.includes(what)) throw new Error(`${what} failed`)
    return answer
  }
  const source = {
    save: async () => 'policies',
    holdPort: () => does('hold', undefined),
    vfs: async () => [],
    awaitStop: async () => waited++ >= waits,
    handOver: () => does('hand over', 'all'),
    restore: (saved: string) => does(`restore ${saved}`, undefined),
    abandonMigration: () => does('release', undefined),
  }
  const target = {
    prepareMigration: () => does('prepare', { name: 'web' }),
    stillMigrating: (_: string, last: boolean) => does(last ? 'stays' : 'alive', undefined),
    takeOver: () => does('take over', { ports: [] }),
    abandonMigration: () => does('abandon', undefined),
  }
  const network = {
    from: 'one',
    target: {
      expectPort: (_: string, from: string) =>
        does('expect', { state: announced && from === 'one' ? ('moving' as const) : null }),
      awaitPort: () => does('await', { state: held ? ('held' as const) : ('moving' as const) }),
      forgetPort: () => does('forget', undefined),
    },
  }
  let unheard = 0
  const steps = { ready: () => {}, cancelled: () => false, unheard: () => unheard++ }
  const move = (within?: typeof network) =>
    migratePort(
      source as unknown as RemoteSwitchHost,
      target as unknown as RemoteSwitchHost,
      'web',
      { waitForStop: true, network: within },
      steps,
    )
  const run = () => move(network)
  const alone = () => move()
  return { done, run, alone, unheard: () => unheard }
}

test('the others know where a port will be before its host lets go, and where it is before its guest is connected there', async () => {
  const { done, run, unheard } = world()
  await run()
  assert.deepEqual(done, CALLS)
  assert.equal(unheard(), 0)
})

test('as long as a guest does not stop, the target is told that it is still waited for', async () => {
  const { done, run } = world([], { waits: 3 })
  await run()
  assert.deepEqual(done.slice(2, 8), ['hold', 'expect', 'expect', 'expect', 'expect', 'hand over'])
})

test('two switches without a network in common ask none', async () => {
  const { done, alone } = world()
  await alone()
  assert.deepEqual(done, ['prepare', 'hold', 'alive', 'stays', 'hand over', 'take over'])
})

test('without a network too the target is told that a guest is still waited for, if it understands that', async () => {
  for (const failing of [[], ['alive', 'stays']]) {
    const { done, alone } = world(failing, { waits: 2 })
    await alone()
    assert.deepEqual(done, ['prepare', 'hold', 'alive', 'alive', 'alive', 'stays', 'hand over', 'take over'])
  }
})

test('a port that the network does not know moves without it', async () => {
  const { done, run, unheard } = world([], { announced: false })
  await run()
  assert.deepEqual(done, ['prepare', 'expect', 'hold', 'alive', 'stays', 'hand over', 'take over'])
  assert.equal(unheard(), 0)
})

test('a network that does not hear of a port in time, or can not be asked, keeps its guest waiting no longer, and that is told', async () => {
  for (const [failing, options] of [
    [[], { held: false }],
    [['await'], {}],
  ] as const) {
    const { done, run, unheard } = world(failing, options)
    await run()
    assert.deepEqual(done, CALLS)
    assert.equal(unheard(), 1)
  }
})

test('whatever fails, the source has its port again, after the claims of the target are gone', async () => {
  const undone: Readonly<Record<Exclude<Call, 'await' | 'forget'>, readonly string[]>> = {
    prepare: [],
    expect: ['abandon'],
    hold: ['forget', 'abandon'],
    'hand over': ['forget', 'abandon', 'release'],
    'take over': ['forget', 'abandon', 'restore all'],
  }
  for (const [call, expected] of Object.entries(undone)) {
    const { done, run } = world([call])
    await assert.rejects(run(), new RegExp(`${call} failed`))
    assert.deepEqual(done.slice(done.indexOf(call) + 1), expected, call)
  }
})

test('a target that can not be asked any more does not keep the source from having its port again', async () => {
  const { done, run } = world(['take over', 'forget', 'abandon'])
  await assert.rejects(run(), /take over failed/)
  assert.equal(done.at(-1), 'restore all')
})
