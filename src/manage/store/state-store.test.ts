import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { checkSource } from '../config/load.ts'
import { keptOf, keptPause, keptQueue, keptVf, NOTHING_KEPT } from './kept.ts'
import { SCHEMA_VERSION } from './migrations.ts'
import { identifiedConfig, type StoredState, withPorts } from './state.ts'
import { claimStateDirectory, stateDirectory } from './state-directory.ts'
import { StateStore } from './state-store.ts'
import { StoreError } from './store-error.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-store-'))
after(() => rmSync(directory, { recursive: true }))
let files = 0
const fresh = (): string => join(directory, `${++files}.db`)

const data = {
  switch: {
    name: 'lab',
    type: 'external',
    extensions: [{ use: 'counters' }],
    ports: [
      ...['b', 'a'].map((name) => ({ name, vlan: 7, endpoint: { kind: 'memory' } })),
      { name: 'outside', endpoint: { kind: 'adapter', adapter: 'nic0' } },
    ],
    properties: [{ id: '0d3c1f9f-0004-4c56-9b7e-7b0b6d0e5f0c', value: 'x' }],
  },
  adapters: [{ name: 'nic0', vfs: 2 }],
}
const source = { file: 'x.yaml', lines: [], data, placeOfValue: () => null, placeOfKey: () => null }
const state: StoredState = {
  config: identifiedConfig(checkSource(source, '/etc/x.yaml', { env: {}, cwd: '/', canWrite: () => true })),
  vfs: [{ adapter: 'nic0', vf: 1, words: { trust: true } }],
}

const refused =
  (code: StoreError['code'], words = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof StoreError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, words)
    return true
  }

describe('a store', () => {
  test('keeps what operators did to the running switch, as long as there is what they did it to', () => {
    const store = StateStore.open(fresh())
    const kept = keptQueue(keptVf(keptPause(NOTHING_KEPT, 'counters', true), 'a', false), 'b', 1)
    store.commit({ ...state, kept })
    assert.deepEqual(store.load()?.kept, kept)
    const gone = keptPause(keptQueue(keptVf(kept, 'z', true), 'b', null), 'no-such', true)
    assert.deepEqual(keptOf(gone, state.config), { ...kept, queues: [] })
    store.close()
  })

  test('gives back what was committed, in its order, after it was closed', () => {
    const path = fresh()
    const store = StateStore.open(path)
    assert.equal(store.load(), null)
    store.commit(state)
    assert.deepEqual(store.load(), state)
    store.close()
    const again = StateStore.open(path)
    assert.deepEqual(again.load(), state)
    assert.equal(again.revision, 1)
    again.close()
  })

  test('is readable by its owner only, in write-ahead mode', () => {
    const path = fresh()
    const store = StateStore.open(path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const other = new DatabaseSync(path)
    assert.deepEqual({ ...other.prepare('PRAGMA journal_mode').get() }, { journal_mode: 'wal' })
    other.close()
    store.close()
  })

  test('counts commits that change something, and writes what is gone', () => {
    const store = StateStore.open(fresh())
    store.commit(state)
    store.commit(state)
    assert.equal(store.revision, 1)
    store.commit(withPorts(state, []))
    assert.equal(store.revision, 2)
    assert.deepEqual(store.load()?.config.switch.ports, [])
    store.close()
  })

  test('changes nothing when a write fails half way', () => {
    const path = fresh()
    const store = StateStore.open(path)
    store.commit(state)
    const other = new DatabaseSync(path)
    other.exec("CREATE TRIGGER no BEFORE INSERT ON entries WHEN NEW.name = 'z' BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.close()
    const ports = [
      ...state.config.switch.ports,
      { ...state.config.switch.ports[0]!, name: 'y' },
      { ...state.config.switch.ports[0]!, name: 'z' },
    ]
    assert.throws(() => store.commit(withPorts(state, ports)), refused('not-stored', /disk full/))
    assert.deepEqual(store.load(), state)
    assert.equal(store.revision, 1)
    store.close()
    const again = StateStore.open(path)
    assert.deepEqual(again.load(), state)
    again.close()
  })

  test('gives an overlay that was stored before there were customer routes an empty list of them', () => {
    const path = fresh()
    const first = StateStore.open(path)
    first.commit(state)
    first.close()
    const database = new DatabaseSync(path)
    database.exec(`UPDATE entries SET value = json_set(value, '$.overlay', json('{"kind":"vxlan"}')) WHERE kind = 'switch'`)
    database.exec('PRAGMA user_version = 2')
    database.close()
    const store = StateStore.open(path)
    assert.deepEqual(store.load()?.config.switch.overlay, { kind: 'vxlan', routes: [] })
    store.close()
  })

  test('refuses a newer one, one of another program, a damaged one, and one that others may read', () => {
    const newer = fresh()
    StateStore.open(newer).close()
    const database = new DatabaseSync(newer)
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`)
    database.close()
    assert.throws(() => StateStore.open(newer), refused('state-too-new'))
    const foreign = fresh()
    const other = new DatabaseSync(foreign)
    other.exec('CREATE TABLE t (x)')
    other.close()
    chmodSync(foreign, 0o600)
    assert.throws(() => StateStore.open(foreign), refused('state-unusable', /another program/))
    const garbage = fresh()
    writeFileSync(garbage, 'not a database at all, but long enough to be one'.repeat(50), { mode: 0o600 })
    assert.throws(() => StateStore.open(garbage), refused('state-damaged'))
    const open = fresh()
    writeFileSync(open, '', { mode: 0o600 })
    chmodSync(open, 0o640)
    assert.throws(() => StateStore.open(open), refused('state-not-private', /chmod 600/))
  })
})

describe('a state directory', () => {
  test('is made for its owner, and locked by one at a time', () => {
    const path = join(directory, 'made/here')
    const lock = claimStateDirectory(path)
    assert.equal(statSync(path).mode & 0o777, 0o700)
    assert.throws(() => claimStateDirectory(path), refused('state-in-use', new RegExp(`process ${process.pid} uses ${path}`)))
    lock.release()
    claimStateDirectory(path).release()
  })

  test('that others may write to is refused', () => {
    const path = join(directory, 'open')
    mkdirSync(path)
    chmodSync(path, 0o777)
    assert.throws(() => claimStateDirectory(path), refused('state-not-private', /chmod 700/))
  })

  test('is the one that was asked for, else of the manager, of the user, of the machine', () => {
    const cwd = '/work'
    assert.equal(stateDirectory('s', { env: { STATE_DIRECTORY: '/a' }, cwd, uid: 0 }), '/work/s')
    assert.equal(stateDirectory(undefined, { env: { STATE_DIRECTORY: '/a:/b', XDG_STATE_HOME: '/x' }, cwd, uid: 0 }), '/a')
    assert.equal(stateDirectory(undefined, { env: { XDG_STATE_HOME: '/x' }, cwd, uid: 0 }), '/x/vmswitch')
    assert.equal(stateDirectory(undefined, { env: { HOME: '/root' }, cwd, uid: 0 }), '/var/lib/vmswitch')
    assert.equal(stateDirectory(undefined, { env: { HOME: '/home/u' }, cwd, uid: 7 }), '/home/u/.local/state/vmswitch')
  })
})
