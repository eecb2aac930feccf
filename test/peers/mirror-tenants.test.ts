// Mirroring and the isolation of tenants between network namespaces, with the kernel's own sockets on TAP interfaces. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BUSYBOX, type TapWorld, type TapWorldOptions, tapWorld, whyNoWorld } from '../support/tap-world.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/team-frames.py', import.meta.url))
const skip = whyNoWorld()
const addressOf = (name: string): string => `198.51.100.${name.slice(1)}`

const names = ['p1', 'p2', 'p3', 'p4'] as const
type Name = (typeof names)[number]

// Four guests, whose addresses the switch learns.
async function fourGuests(t: TestContext, ports: TapWorldOptions['ports'], isolateTenants = false): Promise<TapWorld> {
  const macs = Object.fromEntries(names.map((name) => [name, null]))
  const world = await tapWorld(t, [], macs, { processors: 1, ports: ports ?? {}, config: { isolateTenants } })
  for (const name of names) {
    const { device } = world.guests[name]!
    world.guests[name]!.ip('address', 'add', `${addressOf(name)}/24`, 'dev', device)
  }
  return world
}

/** Whether one reaches another with the kernel's ping. */
const reaches = (world: TapWorld, from: Name, to: Name): boolean =>
  world.in(from, BUSYBOX, 'ping', '-c', '1', '-W', '1', addressOf(to)).status === 0

async function listen({ guests }: TapWorld, name: Name): Promise<ChildProcessByStdio<null, Readable, null>> {
  const guest = guests[name]!
  const words = ['netns', 'exec', guest.name, PYTHON, script, 'count', guest.device]
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
  const it = await fourGuests(t, { p2: { portMirroring: 'source' }, p3: { portMirroring: 'destination' } })
  for (const [direction, expected] of [
    ['both', ['request', 'reply']],
    ['sent', ['reply']],
    ['received', ['request']],
  ] as const) {
    await it.vmswitch.setPort('p2', { monitorDirection: direction })
    assert.ok(reaches(it, 'p1', 'p2'))
    const monitor = await listen(it, 'p3')
    assert.ok(reaches(it, 'p1', 'p2'))
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
  const it = await fourGuests(t, { p1: { tenant: 'shop' }, p2: { tenant: 'shop' }, p3: { tenant: 'bank' } }, true)
  assert.deepEqual(
    [reaches(it, 'p1', 'p2'), reaches(it, 'p1', 'p3'), reaches(it, 'p1', 'p4'), reaches(it, 'p3', 'p2')],
    [true, false, false, false],
  )
  await it.vmswitch.setPort('p3', { tenant: 'shop' })
  assert.ok(reaches(it, 'p3', 'p2'))
})
