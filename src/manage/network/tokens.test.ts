import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { ATTEMPTS_MAX, AttemptLimit, addressKey, WINDOW_MS } from '../../endpoints/attempts.ts'
import { addToken, findHolder, parseTokens, readTokens, removeToken, TokenFile } from './tokens.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-tokens-'))
after(() => rmSync(directory, { recursive: true }))
let files = 0
const fresh = (): string => join(directory, `${++files}.tokens`)
const hash = 'a'.repeat(64)

describe('a token file', () => {
  test('keeps hashes, and knows each token by its name and role', () => {
    const path = fresh()
    const alice = addToken(path, { name: 'alice', role: 'admin' })
    const bob = addToken(path, { name: 'bob', role: 'reader' })
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.ok(!readFileSync(path, 'utf8').includes(alice))
    const entries = readTokens(path)
    assert.deepEqual(findHolder(entries, alice), { name: 'alice', role: 'admin' })
    assert.deepEqual(findHolder(entries, bob), { name: 'bob', role: 'reader' })
    for (const wrong of ['', 'alice', `${alice} `, alice.slice(1), hash]) assert.equal(findHolder(entries, wrong), null)
    assert.throws(() => addToken(path, { name: 'bob', role: 'admin' }), { code: 'token-exists' })
    removeToken(path, 'alice')
    assert.equal(findHolder(readTokens(path), alice), null)
    assert.throws(() => removeToken(path, 'alice'), { code: 'no-such-token' })
  })

  test('of one line without a hash is the token of an admin, and must not be short', () => {
    const [entry] = parseTokens('correct horse battery staple\n', 'f')
    assert.equal(entry?.role, 'admin')
    assert.deepEqual(findHolder([entry!], 'correct horse battery staple'), { name: 'token', role: 'admin' })
    assert.throws(() => parseTokens('short', 'f'), { code: 'weak-token' })
  })

  test('that is not as it should be is refused with its line', () => {
    const refused = (text: string, words: RegExp) =>
      assert.throws(() => parseTokens(text, 'f'), { code: 'bad-token-file', message: words })
    refused(`alice admin sha256:${hash}\nbob root sha256:${hash}`, /^f:2: "root" is no role: there are reader, operator, admin/)
    refused(`alice admin sha256:${hash}\nalice reader sha256:${hash}`, /^f:2: "alice" has a token already/)
    refused(`# people\nalice admin sha256:${hash.slice(1)}`, /^f:2: this is no/)
    refused('one two three\nfour five six', /^f:1: this is no/)
  })

  test('is read again when it changes, and lets nobody in when it can not be used', () => {
    const path = fresh()
    const token = addToken(path, { name: 'alice', role: 'admin' })
    addToken(path, { name: 'bob', role: 'reader' })
    let now = 0
    const told: string[] = []
    const tokens = new TokenFile(path, { nowMs: () => now, unusable: ({ message }) => told.push(message) })
    assert.equal(tokens.holder(token)?.name, 'alice')
    removeToken(path, 'alice')
    now += 1000
    assert.equal(tokens.holder(token), null)
    const again = addToken(path, { name: 'alice', role: 'operator' })
    now += 1000
    assert.equal(tokens.holder(again)?.role, 'operator')
    chmodSync(path, 0o644)
    now += 1000
    assert.equal(tokens.holder(again), null)
    assert.match(told[0] ?? '', /has mode 644/)
    chmodSync(path, 0o600)
    now += 1000
    assert.equal(tokens.holder(again)?.role, 'operator')
    rmSync(path)
    now += 1000
    assert.equal(tokens.holder(again), null)
  })

  test('without a token is refused', () => {
    const path = fresh()
    writeFileSync(path, '# nobody yet\n', { mode: 0o600 })
    assert.throws(() => new TokenFile(path, { nowMs: () => 0, unusable: () => {} }), { code: 'bad-token-file' })
  })
})

describe('wrong tokens', () => {
  test('of one address are heard so often, and then not until their time is over', () => {
    let now = 0
    const limit = new AttemptLimit(() => now)
    for (let i = 1; i <= ATTEMPTS_MAX; i++) {
      assert.equal(limit.waitSeconds('192.0.2.1'), 0)
      assert.equal(limit.failed('192.0.2.1'), i === ATTEMPTS_MAX)
    }
    assert.equal(limit.waitSeconds('::ffff:192.0.2.1'), WINDOW_MS / 1000)
    assert.equal(limit.waitSeconds('192.0.2.2'), 0)
    now += WINDOW_MS - 1
    assert.equal(limit.waitSeconds('192.0.2.1'), 1)
    now += 1
    assert.equal(limit.waitSeconds('192.0.2.1'), 0)
  })

  test('are counted by network where an address is of IPv6', () => {
    assert.equal(addressKey('2001:db8:0:1::5'), addressKey('2001:db8:0:1:ffff:ffff:ffff:ffff'))
    assert.notEqual(addressKey('2001:db8:0:1::5'), addressKey('2001:db8:0:2::5'))
    assert.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0')
    assert.equal(addressKey('::1'), '0:0:0:0')
  })

  test('of many addresses are forgotten, the oldest first', () => {
    const limit = new AttemptLimit(() => 0)
    for (let i = 0; i < ATTEMPTS_MAX; i++) limit.failed('192.0.2.1')
    for (let i = 0; i < 4096; i++) limit.failed(`10.0.${i >> 8}.${i & 255}`)
    assert.equal(limit.waitSeconds('192.0.2.1'), 0)
  })
})
