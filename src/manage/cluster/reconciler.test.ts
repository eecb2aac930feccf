import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leaseKey, NETWORK_KEY, policyKey, portKey, subnetKey } from './keys.ts'
import { MemoryBucket, VirtualClock } from './memory-store.ts'
import type { OwnPort } from './own-ports.ts'
import { SimulatedHost } from './simulated-host.ts'

const SUBNET = 5001

export const port = (name: string, more: Partial<OwnPort> = {}): OwnPort => ({
  name,
  mac: `52:54:00:00:00:${name.charCodeAt(0).toString(16).padStart(2, '0')}`,
  virtualSubnetId: SUBNET,
  customerAddresses: [`10.1.0.${name.charCodeAt(0)}`],
  vm: name,
  tenant: '',
  link: 'up',
  policies: [],
  ...more,
})

function world({ subnet = {} as object, network = {} as object } = {}) {
  const clock = new VirtualClock()
  const bucket = new MemoryBucket(clock)
  bucket.put(NETWORK_KEY, JSON.stringify({ v: 1, name: 'lab', minimumVersion: 1, overlay: 'vxlan', ...network }), 0)
  bucket.put(subnetKey(SUBNET), JSON.stringify({ v: 1, virtualSubnetId: SUBNET, ...subnet }), 0)
  let starts = 0
  const host = (name: string, ports: readonly OwnPort[] = []): SimulatedHost => {
    const made = new SimulatedHost(
      { host: name, instance: `start-${starts++}`, providerAddresses: [`192.0.2.${name.charCodeAt(0)}`], software: '1.0.0' },
      bucket.connect(() => 2),
      clock,
    )
    made.setPorts(ports)
    return made
  }
  return { clock, bucket, host }
}

const lookups = ({ reconciler }: SimulatedHost): string[] =>
  [...reconciler.lookups.current.values()].map(({ mac, providerAddress }) => `${mac} ${providerAddress}`).sort()
const state = ({ reconciler }: SimulatedHost, name: string) => reconciler.states.get(name)?.state
const codes = ({ events }: SimulatedHost): string[] => events.map(({ code }) => code)

test('every host has the look-up records and flood peers of the others, and none of its own', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b', [port('y')])
  clock.run(1000)
  assert.deepEqual(lookups(a), ['52:54:00:00:00:79 192.0.2.98'])
  assert.deepEqual(lookups(b), ['52:54:00:00:00:78 192.0.2.97'])
  assert.deepEqual(a.reconciler.lookups.peersOf(SUBNET), ['192.0.2.98'])
  assert.equal(a.reconciler.settled, true)
  assert.deepEqual(codes(a), ['joined', 'host-joined'])
  a.setPorts([])
  clock.run(1000)
  assert.deepEqual(lookups(b), [])
  assert.deepEqual(b.reconciler.lookups.peersOf(SUBNET), [])
})

test('of two hosts that claim the same at the same time one has it, and the other is told who', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b', [port('z', { mac: port('x').mac })])
  clock.run(1000)
  assert.deepEqual([state(a, 'x'), state(b, 'z')].sort(), ['held', 'refused'])
  const loser = state(b, 'z') === 'refused' ? b : a
  assert.match(loser.events.find(({ code }) => code === 'claim-refused')?.message ?? '', /52:54:00:00:00:78.*by host/)
  assert.equal(loser.reconciler.settled, true, 'it does not try over and over')
  const winner = loser === a ? b : a
  winner.setPorts([])
  clock.run(1000)
  assert.equal([...loser.reconciler.states.values()][0]?.state, 'held', 'what is given up is free for others')
})

test('without the network everything stays, says since when, and heals without a change of tunnels', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b', [port('y')])
  clock.run(1000)
  const before = lookups(a)
  let changes = 0
  a.onChange = () => changes++
  a.connection.setUp(false)
  clock.run(3_600_000)
  assert.equal(a.reconciler.standing, 'partitioned')
  assert.equal(a.reconciler.sinceMs, 1000)
  assert.deepEqual(lookups(a), before)
  assert.deepEqual(codes(a).slice(-1), ['partitioned'], 'it does not call the others lost, whom it only can not hear')
  assert.deepEqual(codes(b).slice(-1), ['host-lost'])
  assert.equal(lookups(b).length, 1, 'the tunnels to a lost host stay: frames may still arrive there')
  a.connection.setUp(true)
  clock.run(1000)
  assert.equal(a.reconciler.standing, 'joined')
  assert.equal(state(a, 'x'), 'held')
  assert.deepEqual(lookups(a), before)
  assert.equal(changes, 0)
  assert.deepEqual(codes(b).slice(-1), ['host-returned'])
})

test('what a lost host had can be claimed elsewhere, and is not taken back when it returns', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b')
  const c = host('c')
  clock.run(1000)
  a.connection.setUp(false)
  b.setPorts([port('x')])
  clock.run(1000)
  assert.equal(state(b, 'x'), 'refused', 'a host that is silent for a moment is not lost')
  clock.run(10_000)
  assert.equal(state(b, 'x'), 'held')
  assert.deepEqual(lookups(c), ['52:54:00:00:00:78 192.0.2.98'])
  let changes = 0
  c.onChange = () => changes++
  a.connection.setUp(true)
  clock.run(10_000)
  assert.equal(state(a, 'x'), 'refused')
  assert.equal(state(b, 'x'), 'held')
  assert.equal(changes, 0)
})

test('a host that starts again keeps what it had', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b')
  clock.run(1000)
  a.kill()
  let changes = 0
  b.onChange = () => changes++
  clock.run(2000)
  const again = host('a', [port('x')])
  clock.run(1000)
  assert.equal(state(again, 'x'), 'held')
  assert.equal(changes, 0, 'the others see nothing of it')
})

test('a host that comes and goes is kept out longer each time', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b')
  clock.run(1000)
  const outAndIn = () => {
    a.connection.setUp(false)
    clock.run(8000)
    a.connection.setUp(true)
    clock.run(1500)
    return b.reconciler.leases.isLost('a')
  }
  assert.deepEqual([outAndIn(), outAndIn(), outAndIn()], [false, true, true])
  clock.run(60_000)
  assert.equal(b.reconciler.leases.isLost('a'), false)
})

test("records of a foreign tenant, an unknown subnet or another one's address are not believed, and told", () => {
  const { clock, bucket, host } = world({ subnet: { tenant: 'red', hosts: ['a', 'evil'], prefixes: ['10.1.0.0/24'] } })
  const a = host('a', [port('x', { tenant: 'red' })])
  const b = host('b')
  clock.run(1000)
  const evil = { host: 'evil', instance: 'e', aliveSince: 1, ttlMs: 60_000, providerAddresses: ['192.0.2.66'], software: '0' }
  bucket.put(leaseKey('evil'), JSON.stringify({ v: 1, ...evil }), 0)
  const told = (name: string, more: Partial<OwnPort>) => {
    const made = port(name, { tenant: 'red', ...more })
    for (const thing of [`port.${name}`, `mac.${made.virtualSubnetId}-${made.mac.replaceAll(':', '')}`])
      bucket.put(`host.evil.claim.${thing}`, JSON.stringify({ v: 1, port: name }), 0)
    for (const address of made.customerAddresses)
      bucket.put(
        `host.evil.claim.ip.${made.virtualSubnetId}-${address.replaceAll('.', '=2e')}`,
        JSON.stringify({ v: 1, port: name }),
        0,
      )
    bucket.put(portKey('evil', name), JSON.stringify({ v: 1, ...made }), 0)
  }
  told('m', { mac: port('x').mac })
  told('n', { customerAddresses: port('x').customerAddresses as string[] })
  told('o', { tenant: 'blue' })
  told('p', { virtualSubnetId: 6000 })
  told('q', { customerAddresses: ['10.2.0.1'] })
  bucket.put(portKey('evil', 'r'), JSON.stringify({ v: 1, ...port('s', { tenant: 'red' }) }), 0)
  bucket.put(portKey('evil', 't'), JSON.stringify({ v: 1, ...port('t', { tenant: 'red' }) }), 0)
  bucket.put('host.evil.port.u', '{"v":1,', 0)
  bucket.put('host.evil.port.v', '{"v":2}', 0)
  clock.run(1000)
  assert.deepEqual(lookups(b), ['52:54:00:00:00:78 192.0.2.97'], 'nothing of it is taken')
  assert.equal(state(a, 'x'), 'held')
  const refused = [...b.reconciler.lookups.refused.values()].map(({ port: name, problem }) => `${name} ${problem.code}`).sort()
  assert.deepEqual(refused, [
    'm claimed-elsewhere',
    'n claimed-elsewhere',
    'o foreign-tenant',
    'p unknown-subnet',
    'q outside',
    't unclaimed',
  ])
  assert.deepEqual(
    [...b.reconciler.view.refused.values()].map(({ key, code }) => `${key.slice(-1)} ${code}`),
    ['r wrong-key', 'u not-json', 'v too-new'],
  )
  assert.equal(codes(b).filter((code) => code === 'record-refused').length, 6)
  const foreign = host('c', [port('w', { tenant: 'red' })])
  clock.run(1000)
  assert.match(foreign.reconciler.states.get('w')?.message ?? '', /may have no ports/)
})

test('a port moves when the host that had it lets it go, with one change for the others', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b')
  const c = host('c')
  clock.run(1000)
  b.setPorts([port('x', { movingFrom: 'a' })])
  clock.run(1000)
  assert.equal(state(b, 'x'), 'moving')
  assert.equal(state(a, 'x'), 'held')
  const changes: string[] = []
  c.onChange = ({ set, removed }) => changes.push(...set.map((one) => one.providerAddress), ...removed.map(() => 'removed'))
  const start = clock.nowMs
  let movedMs = Number.NaN
  const told = c.onChange
  c.onChange = (differences, nowMs) => {
    told(differences, nowMs)
    movedMs = nowMs - start
  }
  a.setPorts([])
  clock.run(1000)
  assert.equal(state(b, 'x'), 'held')
  assert.deepEqual(
    changes.filter((change) => change !== 'removed'),
    ['192.0.2.98'],
  )
  assert.ok(movedMs <= 10, `after ${movedMs} ms, with 2 ms each way`)
})

test('a full bucket refuses what is new, says so once, and takes it when there is room', () => {
  const { clock, bucket, host } = world()
  const a = host('a')
  clock.run(1000)
  bucket.maxBytes = 0
  a.setPorts([port('x')])
  clock.run(20_000)
  assert.ok(codes(a).filter((code) => code === 'network-full').length > 0)
  assert.ok(codes(a).filter((code) => code === 'network-full').length < 5)
  bucket.maxBytes = 1_000_000
  clock.run(60_000)
  assert.equal(state(a, 'x'), 'held')
})

test('servers that were long without a leader have all changes two seconds after they have one', () => {
  const { clock, bucket, host } = world()
  const a = host('a', [port('x')])
  const b = host('b')
  clock.run(1000)
  bucket.isLed = false
  a.setPorts([port('x'), port('y'), port('z')])
  clock.run(25_000)
  assert.equal(lookups(b).length, 1)
  bucket.isLed = true
  clock.run(2000)
  assert.equal(lookups(b).length, 3)
  assert.equal(a.reconciler.standing, 'joined')
})

test('what a network imposes is told as a whole, and what can not be read, or was lost with the bucket, takes nothing back', () => {
  const { clock, bucket, host } = world()
  const limit = (maximumBandwidth: unknown) => ({ type: 'bandwidth', value: { maximumBandwidth } })
  const put = (name: string, record: object | null) => {
    const key = policyKey(name)
    const revision = bucket.standing().find((entry) => entry.key === key && entry.value !== null)?.revision ?? 0
    const text = record === null ? null : JSON.stringify({ v: 1, name, virtualSubnetId: SUBNET, properties: [], ...record })
    assert.ok(bucket.put(key, text, revision).done)
  }
  put('slow', { properties: [limit('10mbit')] })
  put('bad', { properties: [limit('fast')] })
  put('both', { port: 'x' })
  const a = host('a', [port('x')])
  const told: string[] = []
  a.onPolicies = (policies) => told.push(policies.map(({ name, properties }) => `${name} ${JSON.stringify(properties)}`).join())
  clock.run(1000)
  const slow = 'slow [{"type":"bandwidth","value":{"maximumBandwidth":"10mbit"}}]'
  assert.deepEqual(told, [slow])
  assert.deepEqual([...a.reconciler.view.refused.keys()].sort(), ['policy.bad', 'policy.both'])
  put('all', {})
  clock.run(1000)
  put('slow', { properties: [limit('none of this')] })
  clock.run(1000)
  assert.deepEqual(told.slice(1), [`all [],${slow}`])
  assert.equal(a.reconciler.view.refused.get('policy.slow')?.code, 'malformed')
  bucket.put(NETWORK_KEY, null, 1)
  put('slow', null)
  clock.run(1000)
  assert.equal(told.length, 2, 'a bucket without its network says nothing')
  bucket.put(NETWORK_KEY, JSON.stringify({ v: 1, name: 'lab', minimumVersion: 1 }), 0)
  put('all', null)
  clock.run(1000)
  assert.deepEqual(told.slice(2), [''])
})

test('a host that can not read what comes is behind, and calls nobody lost', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b', [port('y')])
  clock.run(1000)
  b.connection.setReading(false)
  clock.run(60_000)
  assert.equal(b.reconciler.leases.isLost('a'), false)
  b.connection.setReading(true)
  clock.run(10_000)
  assert.deepEqual([state(a, 'x'), state(b, 'y')], ['held', 'held'])
  assert.ok(!codes(b).includes('host-lost'))
})

test('a jump of the clock calls nobody lost', () => {
  const { clock, host } = world()
  const a = host('a', [port('x')])
  const b = host('b', [port('y')])
  clock.run(1000)
  clock.nowMs += 3_600_000 // the machines slept: all that was on its way comes now
  clock.run(10_000)
  assert.deepEqual([state(a, 'x'), state(b, 'y')], ['held', 'held'])
  assert.deepEqual(lookups(a).length, 1)
})

test('a second host of the same name takes its place, and the first says so and writes no more', () => {
  const { clock, bucket, host } = world()
  const first = host('a', [port('x')])
  clock.run(1000)
  const second = host('a', [port('x')])
  clock.run(1000)
  assert.equal(first.reconciler.standing, 'superseded')
  assert.equal(state(second, 'x'), 'held')
  assert.ok(codes(first).includes('superseded'))
  const before = bucket.writes
  first.setPorts([])
  clock.run(1000)
  assert.equal(bucket.writes, before)
})

test('a network that asks for newer records takes no older host', () => {
  const { clock, host } = world({ network: { minimumVersion: 2 } })
  const a = host('a', [port('x')])
  clock.run(10_000)
  assert.equal(a.reconciler.standing, 'refused')
  assert.deepEqual(codes(a), ['version-refused'])
})

test('members of records that this version does not know are kept', () => {
  const { clock, bucket, host } = world()
  host('a', [port('x')])
  clock.run(500)
  const key = portKey('a', 'x')
  const stands = () => bucket.standing().find((entry) => entry.key === key)!
  bucket.put(key, JSON.stringify({ ...JSON.parse(stands().value!), colour: 'green', link: 'down' }), stands().revision)
  clock.run(500)
  const { colour, link } = JSON.parse(stands().value!)
  assert.deepEqual([colour, link], ['green', 'up'])
})

test('a host that leaves takes everything along', async () => {
  const { clock, bucket, host } = world()
  const a = host('a', [port('x')])
  const b = host('b')
  clock.run(1000)
  const farewell = a.reconciler.farewell()
  a.kill()
  for (const { key, value, expected } of farewell) assert.equal(bucket.put(key, value, expected).done, true)
  clock.run(1000)
  assert.deepEqual(lookups(b), [])
  assert.deepEqual([...b.reconciler.view.hosts.keys()], ['b'])
  assert.equal(codes(b).at(-1), 'host-left')
})
