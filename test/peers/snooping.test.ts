// Snooping of IGMP and MLD between network namespaces: kernels join and leave groups, and a bridge of the kernel asks for members. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RunningSwitch } from '../../src/engine/host.ts'
import type { SnoopingConfig, SnoopingStatus } from '../../src/engine/snooping/snooping-config.ts'
import { whyNoTap } from '../support/machine.ts'
import { type Guest, tapWorld } from '../support/tap-world.ts'
import { until } from '../support/until.ts'
import { run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/group-member.py', import.meta.url))
const skip = whyNoTap() ?? (existsSync(PYTHON) ? false : 'this machine has no python3')
const GROUP = '239.1.2.3'
const GROUP6 = 'ff15::77'
const FRAMES = 5
/** A group of the link, which goes to all ports. */
const TO_ALL = '224.0.0.77'
/** Of 10 ms each. */
const TRIES = 2000

/** A host behind a port, which does what it is told. */
class Host {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: AsyncIterator<string>

  constructor({ name, device }: Guest) {
    this.#process = spawn('ip', ['netns', 'exec', name, PYTHON, script, device], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  async line(): Promise<string> {
    return String((await this.#lines.next()).value)
  }

  async ask(command: string): Promise<unknown> {
    this.#process.stdin.write(`${command}\n`)
    return JSON.parse(await this.line()) as unknown
  }

  async heard(): Promise<Record<string, number>> {
    return (await this.ask('heard')) as Record<string, number>
  }

  close(): void {
    this.#process.stdin.end()
    this.#process.kill()
  }
}

interface World {
  readonly vmswitch: RunningSwitch
  readonly hosts: readonly Host[]
  readonly sides: readonly Guest[]
  readonly mdb: () => SnoopingStatus
}

const timers = { queryIntervalSeconds: 4, queryResponseSeconds: 0.5, lastMemberQuerySeconds: 0.2 }

interface Lan {
  /** The fourth host is a bridge. */
  readonly bridged?: boolean
  /** The VLANs of the hosts, the fourth one's with tags: it listens, and says nothing there. */
  readonly vlans?: readonly number[]
}

// Four TAP ports, each in a namespace of its own.
async function world(t: TestContext, snooping: SnoopingConfig, { bridged = false, vlans }: Lan = {}): Promise<World> {
  const hosts: Host[] = []
  t.after(() => {
    for (const host of hosts) host.close()
  })
  const ports = vlans === undefined ? {} : Object.fromEntries(vlans.map((vlan, i) => [`p${i + 1}`, inVlan(vlan, i === 3)]))
  const none = { p1: null, p2: null, p3: null, p4: null }
  const { vmswitch, guests } = await tapWorld(t, [], none, { config: { snooping }, ports })
  const sides = Object.values(guests)
  for (const [i, side] of sides.entries()) {
    if (bridged && i === 3) bridge(side)
    else side.ip('addr', 'add', `198.51.100.${i + 1}/24`, 'dev', side.device)
  }
  for (const side of sides) hosts.push(new Host(side))
  for (const host of hosts) assert.equal(await host.line(), 'ready')
  return { vmswitch, hosts, sides, mdb: () => vmswitch.effects.snooping.status() }
}

const inVlan = (id: number, isTrunk: boolean) => ({
  properties: [
    {
      type: 'vlan' as const,
      value: isTrunk ? { mode: 'trunk', nativeVlanId: 1, trunkVlanIds: [id] } : { mode: 'access', accessVlanId: id },
    },
  ],
})

// A bridge of the kernel that asks for members, with an address of its own.
function bridge(side: Guest): void {
  side.ip('link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '1', 'mcast_querier', '1', 'mcast_query_use_ifaddr', '1')
  side.ip('link', 'set', 'br0', 'type', 'bridge', 'mcast_query_interval', '200', 'mcast_query_response_interval', '50')
  side.ip('link', 'set', 'br0', 'type', 'bridge', 'mcast_last_member_interval', '20', 'mcast_startup_query_interval', '50')
  side.ip('link', 'set', side.device, 'master', 'br0', 'up')
  side.ip('addr', 'add', '198.51.100.4/24', 'dev', 'br0')
  side.ip('addr', 'add', 'fe80::4/64', 'dev', 'br0', 'nodad')
  side.ip('link', 'set', 'br0', 'up')
}

const joined = (it: World, group: string): string[] =>
  it
    .mdb()
    .groups.filter((entry) => entry.group === group)
    .map(({ port }) => port)

const allHosts = [[0, 1, 2, 3]] as const

/**
 * How many frames of a group each host hears of those that the first one of `lans` sends; `lans`: the hosts of each, who hear each other, the
 * sender first.
 */
async function stream(it: World, group: string, lans: readonly (readonly number[])[] = allHosts): Promise<number[]> {
  for (const host of it.hosts) await host.heard()
  const counts = it.hosts.map(() => ({ frames: 0, isOver: false }))
  await it.hosts[lans[0]![0]!]!.ask(`send ${group} ${FRAMES}`)
  // A port's frames are served in order: who hears the last one, which goes to all, has heard all that there was for it; and those of another
  // LAN what came to them by mistake, when they hear one that was sent after that.
  for (const [sender, ...listeners] of lans) {
    await it.hosts[sender!]!.ask(`send ${TO_ALL} 1`)
    const isOver = (): boolean => listeners.every((i) => counts[i]!.isOver)
    for (let tries = 0; tries < TRIES && !isOver(); tries++) {
      for (const [i, host] of it.hosts.entries()) {
        const heard = await host.heard()
        counts[i]!.frames += heard[group] ?? 0
        counts[i]!.isOver ||= heard[TO_ALL] !== undefined
      }
      await sleep(10)
    }
    assert.ok(isOver(), 'all hear what goes to all')
  }
  return counts.map(({ frames }) => frames)
}

// Groups go to all until members have had time to answer the first question.
async function comesTo(
  it: World,
  group: string,
  expected: readonly number[],
  what: string,
  lans: readonly (readonly number[])[] = allHosts,
): Promise<void> {
  let heard: number[] = []
  for (let tries = 0; tries < 80; tries++) {
    heard = await stream(it, group, lans)
    if (heard.join() === expected.join()) return
    await sleep(250)
  }
  assert.deepEqual(heard, expected, what)
}

test('kernels join and leave: streams reach members alone, and nobody where snooping floods no unregistered groups', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const it = await world(t, { ...timers, floodUnregistered: false, querier: {} })
  const old = it.sides[2]!.name
  run('ip', 'netns', 'exec', old, 'sh', '-c', 'echo 2 > /proc/sys/net/ipv4/conf/all/force_igmp_version')
  run('ip', 'netns', 'exec', old, 'sh', '-c', 'for f in /proc/sys/net/ipv6/conf/*/force_mld_version; do echo 1 > $f; done')
  await until(() => it.mdb().queriers.filter(({ kind }) => kind === 'built-in').length === 2, 'the built-in querier')
  for (const group of [GROUP, GROUP6]) {
    await comesTo(it, group, [0, 0, 0, 0], `${group} has no members`)
    await it.hosts[1]!.ask(`join ${group}`)
    await until(() => joined(it, group).join() === 'p2', `p2 in ${group}`)
    assert.deepEqual(await stream(it, group), [0, FRAMES, 0, 0])
    await it.hosts[2]!.ask(`join ${group}`)
    await until(() => joined(it, group).join() === 'p2,p3', `p3 in ${group}`)
    assert.deepEqual(await stream(it, group), [0, FRAMES, FRAMES, 0])
    await it.hosts[1]!.ask(`leave ${group}`)
    await until(() => joined(it, group).join() === 'p3', `p2 out of ${group}`)
    assert.deepEqual(await stream(it, group), [0, 0, FRAMES, 0])
  }
  const before = it.mdb().counters.invalid
  const sent = (await it.hosts[0]!.ask('malformed')) as number
  await until(() => it.mdb().counters.invalid - before === sent, 'malformed messages')
  assert.equal(joined(it, GROUP).join(), 'p3')
  await it.vmswitch.effects.snooping.configure(undefined)
  assert.deepEqual(await stream(it, GROUP), [0, FRAMES, FRAMES, FRAMES], 'switched off')
})

test('a bridge of the kernel asks: its port is a router port, hears of members, and ends memberships with its queries', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const it = await world(t, { ...timers, floodUnregistered: false }, { bridged: true })
  const families = (): string[] => it.mdb().routers.map(({ port, family }) => `${port} ${family}`)
  await until(() => ['p4 ipv4', 'p4 ipv6'].every((one) => families().includes(one)), 'router ports')
  assert.deepEqual(
    it
      .mdb()
      .queriers.map(({ address, port, kind }) => `${kind} ${port} ${address}`)
      .sort(),
    ['other p4 198.51.100.4', 'other p4 fe80::4'],
  )
  for (const group of [GROUP, GROUP6]) {
    await comesTo(it, group, [0, 0, 0, FRAMES], 'a router gets all')
    await it.hosts[1]!.ask(`join ${group}`)
    await until(() => joined(it, group).join() === 'p2', `p2 in ${group}`)
    const known = (): boolean => run('ip', 'netns', 'exec', it.sides[3]!.name, 'bridge', 'mdb', 'show').includes(group)
    await until(known, 'the report at the bridge')
    assert.deepEqual(await stream(it, group), [0, FRAMES, 0, FRAMES])
    await it.hosts[1]!.ask(`leave ${group}`)
    await until(() => joined(it, group).length === 0, `p2 out of ${group}`)
    assert.deepEqual(await stream(it, group), [0, 0, 0, FRAMES])
  }
})

test('a group of one VLAN is another one than that of the next: members, streams and leaves stay in theirs, and a router gets them with tags', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const config = { ...timers, floodUnregistered: false, querier: {}, routerPorts: ['p4'] }
  const it = await world(t, config, { vlans: [10, 10, 20, 20] })
  const ten = [
    [0, 1],
    [2, 3],
  ]
  const twenty = [ten[1]!, ten[0]!]
  const inVlans = (group: string): string =>
    it
      .mdb()
      .groups.filter((entry) => entry.group === group)
      .map(({ vlan, port }) => `${vlan} ${port}`)
      .sort()
      .join()
  for (const group of [GROUP, GROUP6]) {
    await comesTo(it, group, [0, 0, 0, 0], `${group} has no members`, ten)
    await it.hosts[1]!.ask(`join ${group}`)
    await until(() => inVlans(group) === '10 p2', `p2 in ${group}`)
    assert.deepEqual(await stream(it, group, ten), [0, FRAMES, 0, 0])
    await comesTo(it, group, [0, 0, 0, FRAMES], 'its members are in the other VLAN, a router in this one', twenty)
    await it.hosts[2]!.ask(`join ${group}`)
    await until(() => inVlans(group) === '10 p2,20 p3', `p3 in ${group}`)
    assert.deepEqual(await stream(it, group, ten), [0, FRAMES, 0, 0])
    await it.hosts[1]!.ask(`leave ${group}`)
    await until(() => inVlans(group) === '20 p3', `p2 out of ${group}`)
    assert.deepEqual(await stream(it, group, ten), [0, 0, 0, 0])
    assert.deepEqual(await stream(it, group, twenty), [0, 0, 0, FRAMES])
  }
})
