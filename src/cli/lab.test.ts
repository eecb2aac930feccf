// `vmswitch lab failover`: its refusals, and whole runs with software guests.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { resultJson } from '../lab/failover/failover-report.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmf-'))
after(() => rmSync(directory, { recursive: true }))

/** The example with another failover section. */
function fileWith(name: string, failover: string): string {
  const example = readFileSync(new URL('../../examples/failover.yaml', import.meta.url), 'utf8')
  const path = join(directory, `${name}.yaml`)
  writeFileSync(path, `runtime: { directory: ${join(directory, name)} }\n${example.split('\nfailover:')[0]}\n${failover}`)
  return path
}

function lab(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'lab', 'failover', ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

test('several flaps of a VF under load lose nothing when they are planned, and a TCP stream goes on over all of them (SR-251, SR-252, PD-11, SR-CS-52)', () => {
  const file = fileWith(
    'flaps',
    `failover:
  load: { seconds: 3, udpPps: 1000, tcpMbps: 5 }
  steps:
    - { action: remove, at: 0.3, every: 0.5, times: 4 }
    - { action: assign, at: 0.55, every: 0.5, times: 4 }
`,
  )
  const { status, stdout, stderr } = lab(file, '--json')
  const result = JSON.parse(stdout) as ReturnType<typeof resultJson>
  assert.equal(status, 0, `${stderr}\n${stdout}`)
  assert.deepEqual(result.problems, [])
  assert.equal(result.transitions.length, 8)
  for (const { action, streams } of result.transitions)
    assert.deepEqual(
      streams.map(({ to }) => to),
      action === 'remove' ? ['synthetic', 'synthetic'] : ['vf', 'vf'],
    )
  assert.equal(result.totals.lost, 0)
  assert.ok(result.totals.sent > 1000)
  assert.ok(result.tcp?.intact)
})

test('what is torn out loses what its rings held and no more; exhaustion and a pulled adapter leave the streams alone (SR-307)', () => {
  const plot = join(directory, 'plot.svg')
  const file = fileWith(
    'torn',
    `failover:
  load: { seconds: 3, udpPps: 2000, tcpMbps: 5 }
  steps:
    - { action: surprise, at: 0.3 }
    - { action: assign, at: 0.7 }
    - { action: reset, at: 1.1 }
    - { action: exhaust, at: 1.3 }
    - { action: pull, at: 1.6 }
    - { action: plug, at: 2.2 }
`,
  )
  const { status, stdout, stderr } = lab(file, '--plot', plot)
  assert.equal(status, 0, `${stderr}\n${stdout}`)
  assert.match(stdout, /surprise alpha {2}beta → alpha {2}synthetic/)
  assert.match(stdout, /plug nic0 +beta → alpha {2}vf/)
  assert.match(stdout, /TCP: \d+ bytes arrived as they were sent, over 6 actions/)
  assert.match(stderr, /exhaust nic0: 3 VFs and \d+ VPorts taken, then NDIS_STATUS_RESOURCES; given back/)
  assert.match(readFileSync(plot, 'utf8'), /^<svg /)
})

test('a file without what the lab needs is refused, with what to write', () => {
  for (const [name, failover, message] of [
    ['none', '', /has no failover section; examples\/failover\.yaml shows one/],
    ['port', 'failover: { port: gamma }\n', /the switch has no port "gamma"/],
    ['synthetic', 'failover: { port: beta }\n', /port "beta" has no iov section/],
    ['target', 'failover: { steps: [{ action: pull, at: 1, port: alpha }] }\n', /pull is not done to a port/],
    ['adapter', 'failover: { steps: [{ action: pull, at: 1, adapter: nic9 }] }\n', /pull of "nic9": there is none/],
  ] as const) {
    const { status, stderr } = lab(fileWith(name, failover))
    assert.equal(status, 1, stderr)
    assert.match(stderr, message)
  }
  const { status, stderr } = lab(fileWith('word', 'failover: { steps: [{ action: explode, at: 1 }] }\n'))
  assert.equal(status, 2)
  assert.match(stderr, /explode/)
})
