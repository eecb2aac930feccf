// The in-box extension dhcp-dns under the contract: it originates more than any other.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { parseDhcpDnsOptions } from '../../src/extensions/dhcp-dns/options.ts'
import { verifyExtension } from '../../src/lab/verify/verify-extension.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const file = fileURLToPath(new URL('../../src/extensions/dhcp-dns/index.ts', import.meta.url))

test('dhcp-dns keeps the contract under verification, as the station that frames are sent to', async () => {
  const { breaches, faults } = await verifyExtension({
    file,
    shown: 'dhcp-dns',
    options: {
      ipv4: { address: '10.0.0.2/24', pool: '10.0.0.100-10.0.0.200' },
      ipv6: { address: 'fd00::2/64', mode: 'stateful', intervalSeconds: 4 },
    },
    seed: 4,
    steps: 60,
    seconds: 15,
    directory: temporaryDirectory(),
  })
  assert.deepEqual([breaches, faults], [[], []])
})

test('the options of the example are options of the extension', () => {
  const text = readFileSync(new URL('../../examples/dhcp-dns.yaml', import.meta.url), 'utf8')
  const { switch: config } = parse(text) as { switch: { extensions: { options: unknown }[] } }
  assert.equal(parseDhcpDnsOptions(config.extensions[0]!.options).statics.length, 1)
})
