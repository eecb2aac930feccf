import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './diagnostics.ts'
import { checkSource } from './load.ts'

const resolved = (listen: object) => {
  const data = { switch: { name: 'lab' }, runtime: { listen } }
  const source = { file: 'x.yaml', lines: [], data, placeOfValue: () => null, placeOfKey: () => null }
  return checkSource(source, '/etc/lab/x.yaml', { env: {}, cwd: '/', canWrite: () => true }).runtime.listen
}

test('files of the listener are found beside the configuration', () => {
  assert.deepEqual(resolved({ address: '192.0.2.1:8443', tokens: 'tokens', certificate: '/c.pem', key: 'k.pem' }), {
    address: '192.0.2.1:8443',
    tokens: '/etc/lab/tokens',
    certificate: '/c.pem',
    key: '/etc/lab/k.pem',
  })
  assert.deepEqual(resolved({ address: '[::1]:0', tokens: '/t', selfSigned: true }), {
    address: '[::1]:0',
    tokens: '/t',
    selfSigned: true,
  })
})

test('a listener without tokens, half a certificate, or two of them, is refused', () => {
  for (const [listen, words] of [
    [{ address: '127.0.0.1:1' }, /tokens/],
    [{ address: 'nowhere', tokens: 't' }, /address/],
    [{ address: '127.0.0.1:1', tokens: 't', key: 'k' }, /belong together/],
    [{ address: '127.0.0.1:1', tokens: 't', key: 'k', certificate: 'c', selfSigned: true }, /leave one of them out/],
  ] as const)
    assert.throws(
      () => resolved(listen),
      (error) => error instanceof ConfigError && words.test(error.message),
      String(words),
    )
})
