// The guards of ports against frames that another implementation crafts (scapy), from one network namespace to another. Needs root.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { whyNoTap } from '../support/machine.ts'
import { type Guest, type TapWorld, tapWorld } from '../support/tap-world.ts'
import { run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/guard-frames.py', import.meta.url))

interface Cases {
  readonly frames: readonly { readonly name: string; readonly reason: string }[]
  readonly storm: number
}

function whyNoScapy(): string | undefined {
  const done = spawnSync(PYTHON, ['-c', 'import scapy'], { encoding: 'utf8' })
  return done.status === 0 ? undefined : 'this machine has no scapy (python3-scapy)'
}

const skip = whyNoTap() ?? whyNoScapy() ?? false

const guests = { p1: '02:00:00:00:77:01', p2: '02:00:00:00:77:02' } as const

// Two guests whose kernels are quiet.
async function quietGuests(t: TestContext): Promise<TapWorld> {
  const world = await tapWorld(t, [], guests, { processors: 1 })
  for (const [name, { device }] of Object.entries(world.guests))
    world.in(name, 'sysctl', '-qw', `net.ipv6.conf.${device}.disable_ipv6=1`)
  return world
}

const python = ({ name, device }: Guest, what: string): string[] => ['netns', 'exec', name, PYTHON, script, what, device]

/** Sends all frames from the first namespace. Returns what the second heard. */
async function exchange({ guests: { p1, p2 } }: TapWorld): Promise<{ heard: string[]; storm: number }> {
  const hearing = spawn('ip', python(p2!, 'hear'), { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  await new Promise<void>((resolve, reject) => {
    hearing.on('error', reject).on('exit', () => reject(new Error('the hearing side ended early')))
    hearing.stdout.on('data', (data) => {
      said += String(data)
      if (said.startsWith('ready\n')) resolve()
    })
  })
  const ended = new Promise((resolve) => hearing.on('close', resolve))
  run('ip', ...python(p1!, 'send'))
  await ended
  return JSON.parse(said.slice('ready\n'.length)) as { heard: string[]; storm: number }
}

test("scapy's servers, routers, spoofers and storms are dropped by name, and honest frames pass", {
  skip,
  timeout: 60_000,
}, async (t) => {
  const cases = JSON.parse(run(PYTHON, script, 'list')) as Cases
  const one = await quietGuests(t)
  const free = await exchange(one)
  assert.deepEqual(
    [free.heard, free.storm],
    [cases.frames.map(({ name }) => name), cases.storm],
    'without guards all of it passes',
  )

  const { policies } = one.vmswitch
  const value = {
    dhcpGuard: true,
    routerGuard: true,
    sourceGuard: ['10.77.0.1', 'fd00:77::1'],
    stormLimit: { broadcast: 1 },
  }
  await policies.add(one.vmswitch.portId('p1'), { type: 'protection', value })
  const { heard, storm } = await exchange(one)
  assert.deepEqual(
    heard,
    cases.frames.filter(({ reason }) => reason === '').map(({ name }) => name),
  )
  const drops = one.vmswitch.drops().find(({ port }) => port === 'p1')?.reasons ?? {}
  for (const guard of ['dhcp-guard', 'router-guard', 'source-guard'])
    assert.equal(drops[guard], cases.frames.filter(({ reason }) => reason === guard).length, guard)
  const late = drops['storm-limit'] ?? 0
  assert.ok(late > 0, 'the limit was reached')
  assert.equal(storm + late, cases.storm)
})
