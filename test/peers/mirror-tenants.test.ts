// Mirroring and the isolation of tenants between network namespaces, with the kernel's own sockets on TAP interfaces. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../src/engine/host.ts'
import { whyNoTap } from '../support/machine.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { Namespace, run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/team-frames.py', import.meta.url))
const skip = whyNoTap() ?? (existsSync('/bin/busybox') ? false : 'this machine has no busybox, whose ping is used')
const addressOf = (side: number): string => `198.51.100.${side}`

interface World {
  readonly vmswitch: RunningSwitch
  readonly sides: readonly Namespace[]
  readonly interfaces: readonly string[]
}

// Four TAP ports, each in a namespace of its own.
async function world(t: TestContext, more: readonly Partial<PortConfig>[], isolateTenants: boolean): Promise<World> {
  const sides = [1, 2, 3, 4].map(() => new Namespace())
  const interfaces = sides.map((_, i) => `vx${process.pid % 100000}x${i}`)
  const vmswitch = await createSwitch(
    {
      name: 'mirrored',
      type: 'private',
      processors: 1,
      extensions: [],
      isolateTenants,
      ports: interfaces.map((name, i) => ({
        name: `p${i + 1}`,
        mac: null,
        macSpoofing: 'off',
        learning: true,
        link: 'up',
        endpoint: { kind: 'tap', interface: name, mtu: 1500, queues: 1 },
        ...more[i],
      })),
      macTable: { entries: 64, ageingSeconds: 0 },
      directory: temporaryDirectory(),
    },
    { log: () => {} },
  )
  t.after(async () => {
    await vmswitch.close()
    for (const side of sides) side.delete()
  })
  for (const [i, side] of sides.entries()) side.take(interfaces[i]!, `${addressOf(i + 1)}/24`)
  for (let i = 0; i < 500 && !vmswitch.ports().every(({ connected }) => connected); i++) await sleep(10)
  return { vmswitch, sides, interfaces }
}

/** Whether side `from` reaches side `to` with the kernel's ping. */
function reaches({ sides }: World, from: number, to: number): boolean {
  try {
    run('ip', 'netns', 'exec', sides[from - 1]!.name, '/bin/busybox', 'ping', '-c', '1', '-W', '1', addressOf(to))
    return true
  } catch {
    return false
  }
}

async function listen({ sides, interfaces }: World, side: number): Promise<ChildProcessByStdio<null, Readable, null>> {
  const words = ['netns', 'exec', sides[side - 1]!.name, PYTHON, script, 'count', interfaces[side - 1]!]
  const hearing = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => hearing.stdout.once('data', resolve))
  return hearing
}

async function heard(hearing: ChildProcessByStdio<null, Readable, null>): Promise<Record<string, number>> {
  let said = ''
  hearing.stdout.on('data', (data) => {
    said += String(data)
  })
  hearing.kill('SIGTERM')
  await new Promise((resolve) => hearing.on('close', resolve))
  return JSON.parse(said) as Record<string, number>
}

test('a monitor in its own namespace hears both directions of a ping, or one, as the direction says', {
  skip,
  timeout: 30_000,
}, async (t) => {
  const it = await world(t, [{}, { portMirroring: 'source' }, { portMirroring: 'destination' }], false)
  for (const [direction, expected] of [
    ['both', ['request', 'reply']],
    ['sent', ['reply']],
    ['received', ['request']],
  ] as const) {
    await it.vmswitch.setPort('p2', { monitorDirection: direction })
    assert.ok(reaches(it, 1, 2))
    const monitor = await listen(it, 3)
    assert.ok(reaches(it, 1, 2))
    await sleep(100)
    const counts = await heard(monitor)
    assert.deepEqual(Object.keys(counts).sort(), [...expected].sort())
    for (const kind of expected) assert.equal(counts[kind], 1, `${kind} once`)
  }
})

test('namespaces of one tenant reach each other, those of another do not, and a change of tenant is in force at once', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const it = await world(t, [{ tenant: 'shop' }, { tenant: 'shop' }, { tenant: 'bank' }], true)
  assert.deepEqual(
    [
      [1, 2],
      [1, 3],
      [1, 4],
      [3, 2],
    ].map(([from, to]) => reaches(it, from!, to!)),
    [true, false, false, false],
  )
  await it.vmswitch.setPort('p3', { tenant: 'shop' })
  assert.ok(reaches(it, 3, 2))
})
