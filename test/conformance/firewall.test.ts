// The in-box extension firewall under the contract, judging everything that comes.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { parseFirewallOptions } from '../../src/extensions/firewall/options.ts'
import { verifyExtension } from '../../src/lab/verify/verify-extension.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const file = fileURLToPath(new URL('../../src/extensions/firewall/index.ts', import.meta.url))

test('firewall keeps the contract under verification, enforcing and telling', async () => {
  for (const mode of ['enforce', 'audit']) {
    const egress = [
      { groups: ['all'], protocol: 'tcp', ports: [80, 443] },
      { to: 'any', protocol: 'udp', ports: '1-2000' },
      { domains: '*.example.org', resolvers: ['10.0.0.0/8', 'fd00::/8'] },
    ]
    const groups = [{ name: 'all', ports: ['*'], egress, ingress: [{ from: 'any', protocol: 'tcp', ports: '1-1024' }] }]
    const { breaches, faults } = await verifyExtension({
      file,
      shown: 'firewall',
      options: { mode, vms: 4, groups, audit: { allowed: true } },
      seed: 5,
      steps: 60,
      seconds: 15,
      directory: temporaryDirectory(),
    })
    assert.deepEqual([breaches, faults], [[], []])
  }
})

test('the options of the example are options of the extension', () => {
  const text = readFileSync(new URL('../../examples/firewall.yaml', import.meta.url), 'utf8')
  const { switch: config } = parse(text) as { switch: { extensions: { options: unknown }[] } }
  assert.equal(parseFirewallOptions(config.extensions[0]!.options).groups.length, 2)
})
