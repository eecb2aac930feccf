// The guards of ports against frames that another implementation crafts (scapy), from one network namespace to another. Needs root.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { Namespace, run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/guard-frames.py', import.meta.url))
const MAC = '02:00:00:00:77:0'

interface Cases {
  readonly frames: readonly { readonly name: string; readonly reason: string }[]
  readonly storm: number
}

function whyNoScapy(): string | undefined {
  const done = spawnSync(PYTHON, ['-c', 'import scapy'], { encoding: 'utf8' })
  return done.status === 0 ? undefined : 'this machine has no scapy (python3-scapy)'
}

const skip = whyNoTap() ?? whyNoScapy() ?? false

interface World {
  readonly vmswitch: RunningSwitch
  readonly sides: readonly Namespace[]
  readonly interfaces: readonly string[]
}

// Two TAP ports, each in a namespace of its own, in which the kernel is quiet.
async function world(t: TestContext): Promise<World> {
  const sides = [new Namespace(), new Namespace()]
  const interfaces = [1, 2].map((side) => `vg${process.pid % 100000}x${side}`)
  const ports = interfaces.map(
    (name, i): PortConfig => ({
      name: `p${i + 1}`,
      mac: `${MAC}${i + 1}`,
      macSpoofing: 'off',
      learning: false,
      link: 'up',
      endpoint: { kind: 'tap', interface: name, mtu: 1500, queues: 1 },
    }),
  )
  const macTable = { entries: 64, ageingSeconds: 0 }
  const vmswitch = await createSwitch(
    { name: 'guarded', type: 'private', processors: 1, extensions: [], ports, macTable, directory: temporaryDirectory() },
    { log: () => {} },
  )
  t.after(async () => {
    await vmswitch.close()
    for (const side of sides) side.delete()
  })
  for (const [i, side] of sides.entries()) {
    run('ip', 'link', 'set', interfaces[i]!, 'netns', side.name)
    run('ip', 'netns', 'exec', side.name, 'sysctl', '-qw', `net.ipv6.conf.${interfaces[i]!}.disable_ipv6=1`)
    side.ip('link', 'set', interfaces[i]!, 'address', `${MAC}${i + 1}`)
    side.ip('link', 'set', interfaces[i]!, 'up')
  }
  for (let i = 0; i < 500 && !vmswitch.ports().every(({ connected }) => connected); i++) await sleep(10)
  return { vmswitch, sides, interfaces }
}

const python = (side: Namespace, ...words: string[]): string[] => ['netns', 'exec', side.name, PYTHON, script, ...words]

/** Sends all frames from the first namespace. Returns what the second heard. */
async function exchange({ sides, interfaces }: World): Promise<{ heard: string[]; storm: number }> {
  const hearing = spawn('ip', python(sides[1]!, 'hear', interfaces[1]!), { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  await new Promise<void>((resolve, reject) => {
    hearing.on('error', reject).on('exit', () => reject(new Error('the hearing side ended early')))
    hearing.stdout.on('data', (data) => {
      said += String(data)
      if (said.startsWith('ready\n')) resolve()
    })
  })
  const ended = new Promise((resolve) => hearing.on('close', resolve))
  run('ip', ...python(sides[0]!, 'send', interfaces[0]!))
  await ended
  return JSON.parse(said.slice('ready\n'.length)) as { heard: string[]; storm: number }
}

test("scapy's servers, routers, spoofers and storms are dropped by name, and honest frames pass", {
  skip,
  timeout: 60_000,
}, async (t) => {
  const cases = JSON.parse(run(PYTHON, script, 'list')) as Cases
  const one = await world(t)
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
