// `vmswitch verify` and the extensions that it must find wrong, or right.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type InBoxExtensionName, inBoxExtensionNames } from '../../src/extensions/catalog.ts'
import type { VerifyReport } from '../../src/lab/verify/report.ts'
import { verifyExtension } from '../../src/lab/verify/verify-extension.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const SEED = 11

const verify = (file: string, steps: number, options: unknown = {}): Promise<VerifyReport> =>
  verifyExtension({ file, shown: file, options, seed: SEED, steps, seconds: 30, directory: temporaryDirectory() })

const bad: readonly { name: string; rules: readonly string[]; steps?: number }[] = [
  { name: 'capturing', rules: ['ES-306', 'ES-307', 'ES-308', 'ES-309', 'ES-310'] },
  { name: 'filtering', rules: ['ES-066', 'ES-315', 'ES-347'] },
  { name: 'forwarding', rules: ['ES-317', 'ES-320', 'ES-328', 'ES-441'], steps: 150 },
  { name: 'holder', rules: ['ES-056'] },
  { name: 'handles', rules: ['ES-066', 'ES-440', 'ES-442', 'ES-443'] },
  { name: 'oids', rules: ['ES-114', 'ES-128', 'ES-170', 'ES-188', 'ES-198', 'ES-249'], steps: 150 },
  { name: 'reader', rules: ['ES-093', 'ES-399'] },
  { name: 'writer', rules: ['ES-055', 'ES-066', 'ES-360', 'ES-371', 'ES-421', 'ES-438'] },
]

for (const { name, rules, steps = 30 } of bad)
  test(`verify finds what bad-${name} does wrong, by rule (${rules.join(', ')})`, async () => {
    const report = await verify(`${root}test/conformance/extensions/bad-${name}.ts`, steps)
    assert.equal(report.passed, false)
    const found = new Set(report.breaches.map(({ rule }) => rule))
    for (const rule of rules) assert.ok(found.has(rule), `${rule} is not among ${[...found].join(', ')}`)
  })

test('verify finds an extension that throws, and goes on with it', async () => {
  const { passed, faults, steps } = await verify(`${root}test/conformance/extensions/bad-thrower.ts`, 30)
  assert.equal(passed, false)
  assert.equal(steps, 30)
  assert.ok(faults.some(({ code, message }) => code === 'extension-failed' && message.includes('no such protocol')))
})

test('verify finds a request that is never answered, and the switch goes on (ES-249)', async () => {
  const { breaches } = await verify(`${root}test/conformance/extensions/bad-silent.ts`, 10)
  assert.ok(breaches.some(({ rule, what }) => rule === 'ES-249' && what.includes('not answered')))
})

/** Of those that are refused without any. */
const optionsOf: { readonly [Name in InBoxExtensionName]?: unknown } = {
  'dhcp-dns': { ipv4: { address: '10.0.0.2/24', pool: '10.0.0.100-10.0.0.200' } },
  'flow-export': { ipfix: { collectors: ['127.0.0.1:4739'] } },
}

for (const name of inBoxExtensionNames)
  test(`the in-box extension ${name} keeps the contract under verification`, async () => {
    const report = await verify(`${root}src/extensions/${name}/index.ts`, 60, optionsOf[name])
    assert.deepEqual(report.breaches, [])
    assert.deepEqual(report.faults, [])
    assert.ok(report.passed && report.frames > 0)
  })

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const cli = (...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(`${root}bin/vmswitch`, ['verify', ...args], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })

test('vmswitch verify says what is wrong, which rule says so, and how to see it again', async () => {
  const { code, stdout } = await cli('test/conformance/extensions/bad-capturing.ts', '--seed', '5', '--steps', '10')
  assert.equal(code, 1)
  assert.match(stdout, /bad-capturing 1\.0\.0, capturing: 10 steps, \d+ frames in [\d.]+ s, seed 5/)
  assert.match(stdout, /ES-306: a capturing extension dropped a packet\n +first in step \d+: in ingress, packet \d+/)
  assert.match(stdout, /again: vmswitch verify test\/conformance\/extensions\/bad-capturing\.ts --seed 5 --steps 10/)
})

test('vmswitch verify passes a good extension, in JSON too, and ends although an extension does not return', async () => {
  const [good, stuck, missing] = await Promise.all([
    cli('examples/extensions/block-telnet.ts', '--seed', '5', '--steps', '20', '--json'),
    cli('test/conformance/extensions/bad-spinner.ts', '--seed', '5', '--steps', '20'),
    cli('no-such-extension.ts'),
  ])
  assert.equal(good.code, 0, good.stderr)
  const report = JSON.parse(good.stdout) as VerifyReport
  assert.deepEqual([report.passed, report.seed, report.steps, report.extension.class], [true, 5, 20, 'filtering'])
  assert.equal(stuck.code, 1)
  assert.match(stuck.stdout, /stuck: .* the extension does not return/)
  assert.equal(missing.code, 2)
  assert.match(missing.stderr, /there is no file/)
})
