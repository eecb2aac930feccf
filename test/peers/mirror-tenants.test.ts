// Mirroring and the isolation of tenants between network namespaces, with the kernel's own sockets on TAP interfaces. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BUSYBOX, eventually, type TapWorld, type TapWorldOptions, tapWorld, whyNoWorld } from '../support/tap-world.ts'
import { VethPair } from '../support/veth.ts'

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

/** Which addresses of another one reaches, both tried at once. */
function reachesBy(world: TapWorld, from: Name, to: Name): string {
  const tries = { IPv4: addressOf(to), IPv6: `fd51::${to.slice(1)}` }
  const pings = Object.entries(tries).map(([what, to]) => `(${BUSYBOX} ping -c 1 -W 1 ${to} >/dev/null && echo ${what}) &`)
  const { output } = world.in(from, BUSYBOX, 'sh', '-c', `${pings.join(' ')} wait`)
  return output.split('\n').filter(Boolean).sort().join(', ')
}
const ALL = 'IPv4, IPv6'

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

test('namespaces of one tenant reach each other, those of another do not, of both families; a change is in force at once', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const it = await fourGuests(t, { p1: { tenant: 'shop' }, p2: { tenant: 'shop' }, p3: { tenant: 'bank' } }, true)
  for (const name of names) {
    const guest = it.guests[name]!
    guest.ip('address', 'add', `fd51::${name.slice(1)}/64`, 'dev', guest.device, 'nodad')
  }
  await eventually(() => reachesBy(it, 'p1', 'p2') === ALL, 'answers within a tenant')
  assert.deepEqual([reachesBy(it, 'p1', 'p3'), reachesBy(it, 'p4', 'p2')], ['', ''])
  await it.vmswitch.setPort('p3', { tenant: 'shop' })
  await eventually(() => reachesBy(it, 'p3', 'p2') === ALL, 'answers of the new tenant')
})

test('two tenants with the same addresses in virtual subnets of one switch do not meet, and each reaches its own', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const subnets = { a1: 5001, a2: 5001, b1: 5002, b2: 5002 } as const
  const guests = { a1: '02:00:00:00:84:01', a2: '02:00:00:00:84:02', b1: '02:00:00:00:84:01', b2: '02:00:00:00:84:02' }
  const inSubnet = (virtualSubnetId: number) => ({ type: 'security', value: { virtualSubnetId } }) as const
  const ports = Object.fromEntries(
    Object.entries(subnets).map(([name, vsid]) => [name, { properties: [inSubnet(vsid)] }] as const),
  )
  // Virtual subnets are an overlay's; here its tunnels lead nowhere.
  const cable = new VethPair()
  t.after(() => cable.delete())
  const endpoint = {
    kind: 'uplink',
    interface: cable.near,
    via: 'packet',
    queues: 1,
    promiscuous: true,
    qdiscBypass: false,
  } as const
  const uplink = { name: 'uplink', mac: null, macSpoofing: 'off', learning: true, link: 'up', endpoint } as const
  const overlay = {
    kind: 'vxlan',
    providerAddresses: [{ address: '192.0.2.1/24' }],
    subnets: [5001, 5002].map((vsid) => ({ vsid, peers: [] })),
    records: [],
  } as const
  const it = await tapWorld(t, [], guests, { ports, others: [uplink], config: { type: 'external', overlay } })
  // Each tenant has hosts 1 and 2, and 3 or 4 beside.
  for (const [name, hosts] of Object.entries({ a1: [1], a2: [2, 3], b1: [1], b2: [2, 4] })) {
    const guest = it.guests[name]!
    for (const host of hosts) {
      guest.ip('address', 'add', `198.51.100.${host}/24`, 'dev', guest.device)
      guest.ip('address', 'add', `fd84::${host}/64`, 'dev', guest.device, 'nodad')
    }
  }
  const pings = (from: string, host: number): boolean[] =>
    [`198.51.100.${host}`, `fd84::${host}`].map((to) => it.in(from, BUSYBOX, 'ping', '-c', '1', '-W', '1', to).status === 0)
  /** Echoes that a guest was asked for. */
  const asked = (name: string): number[] =>
    ['snmp', 'snmp6'].map((file) => {
      const { output } = it.in(name, 'cat', `/proc/net/${file}`)
      if (file === 'snmp6') return Number(/^Icmp6InEchos\s+(\d+)/m.exec(output)?.[1])
      const [names, values] = output.split('\n').filter((line) => line.startsWith('Icmp:'))
      return Number(values!.split(' ')[names!.split(' ').indexOf('InEchos')])
    })
  const reached = [
    ['a1', 2],
    ['a1', 3],
    ['b1', 2],
    ['b1', 4],
  ] as const
  for (const [name, host] of reached) await eventually(() => pings(name, host).every(Boolean), `${host} to ${name}`)
  // By now neighbours are known: what is refused is refused for its subnet.
  const [ofA, ofB] = [asked('a2'), asked('b2')]
  await eventually(() => pings('a1', 2).every(Boolean), 'an answer')
  assert.deepEqual(asked('b2'), ofB, 'what one tenant asks the other does not hear')
  assert.ok(asked('a2').every((count, k) => count > ofA[k]!))
  assert.deepEqual([...pings('a1', 4), ...pings('b1', 3)], [false, false, false, false])
})
