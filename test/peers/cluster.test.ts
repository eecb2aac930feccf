// A network of three hosts under real failure: three NATS servers, three services in network namespaces of their own, guests whose kernels
// are real. What fails is killed, stopped or cut off; what must go on is asked for all the time.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NetworkStatus } from '../../src/manage/cluster/cluster-calls.ts'
import { migratePort } from '../../src/manage/migrate.ts'
import { type ClusterGuest, type ClusterHost, ClusterWorld, places, STREAM, SUBNET, until } from '../support/cluster-world.ts'
import { noNatsServer } from '../support/nats-server.ts'
import { whyNoSpawnIn } from '../support/spawn-in.ts'
import { whyNoWorld } from '../support/tap-world.ts'
import { whyNoVeth } from '../support/veth.ts'

const MANY = 1000
const STOPPED_MS = 8000
const WRITES = 40
/** Even, so that the port is at home again. */
const MOVES = 6

const skip = whyNoWorld() || (whyNoVeth() ?? (noNatsServer() || whyNoSpawnIn()))

/** Waits until `host` sends what is for `guest` to where the service of `to` is. */
const recordAt = (host: ClusterHost, { mac }: ClusterGuest, { name, provider }: ClusterHost): Promise<boolean> =>
  until(
    `the look-up record of ${mac} at ${name}`,
    async () => (await host.control.overlayRecords({ mac })).map((record) => record.provider).join() === provider,
    2,
  )

/** Moves the port of a guest; answers the milliseconds from the call that lets go of it until `third` sent to the new place. */
async function movedAfter(guest: ClusterGuest, from: ClusterHost, to: ClusterHost, third: ClusterHost): Promise<number> {
  let letGo = 0
  const source = {
    ...from.control,
    handOver: (name: string) => {
      letGo = performance.now()
      return from.control.handOver(name)
    },
  }
  const options = { waitForStop: false, network: { from: from.name, target: to.cluster } }
  const known = recordAt(third, guest, to).then(() => performance.now())
  const moved = migratePort(source, to.control, guest.name, options, { ready: () => {}, cancelled: () => false })
  const [knownAt] = await Promise.all([known, moved])
  return knownAt - letGo
}

describe('a network of three hosts', { skip, timeout: 600_000 }, () => {
  let world: ClusterWorld
  before(async () => {
    world = new ClusterWorld()
    await world.open()
  })
  after(() => world.close())

  test('guests of one virtual subnet on three hosts reach each other by what the network tells alone, and it is seen from one place', async () => {
    await world.settled()
    const { hosts, guests } = world
    for (const from of guests) for (const to of guests) if (from !== to) await from.reaches(to)
    const [first] = hosts
    const { stdout } = await first!.run('network')
    assert.match(stdout, /network lab, host h1: joined since/)
    assert.match(stdout, /h1 +here +192\.0\.2\.1 +1 /)
    assert.match(stdout, /h2 +alive +[\d.]+ s ago +192\.0\.2\.2 +1 /)
    assert.match(stdout, /g3 +h3 +02:00:00:00:51:03 +5001 +10\.1\.0\.3 +up +held/)
    const overlay = await first!.run('overlay')
    assert.match(overlay.stdout, /192\.0\.2\.2/)
    assert.match(overlay.stdout, /192\.0\.2\.3/)
  })

  test('a NATS server that leads is killed: what was acknowledged stays, changes go on, and guests notice nothing', async (t) => {
    await world.settled()
    const { hosts, guests, nats } = world
    const [first, second, third] = hosts
    const pings = guests[0]!.pings(guests[1]!)
    const leader = await until('a leader', () => nats.leaderOf(STREAM) ?? false)
    const told: number[] = []
    let isKilled: Promise<void> | null = null
    for (let k = 0; k < WRITES; k++) {
      const virtualSubnetId = 6000 + k
      await second!.cluster.setSubnet({ virtualSubnetId, name: `s${k}` }).then(
        () => told.push(virtualSubnetId),
        () => undefined, // not acknowledged
      )
      if (k === WRITES / 4) isKilled = nats.kill(leader)
    }
    await isKilled
    await until('another leader', () => nats.leaderOf(STREAM) !== null)
    const led = performance.now()
    const goesOn = hosts.map((host, i) =>
      until(`a change of ${host.name} after the election`, () =>
        host.cluster.setSubnet({ virtualSubnetId: 7000 + i }).then(
          () => told.push(7000 + i) > 0 && Math.round(performance.now() - led),
          () => false,
        ),
      ),
    )
    t.diagnostic(`changes went on ${await Promise.all(goesOn)} ms after the servers had another leader`)
    assert.ok(told.length > WRITES / 4)
    for (const host of hosts)
      await host.sees(`all that was acknowledged: ${told}`, ({ subnets }) => {
        const ids = new Set(subnets.map(({ virtualSubnetId }) => virtualSubnetId))
        return told.every((id) => ids.has(id))
      })
    assert.equal((await pings()).lost, 0)
    await nats.start(leader)
    await until('all servers with all records', () => nats.isWhole(STREAM))
    await third!.sees('nobody lost', ({ state, hosts: all }) => state === 'joined' && all.every((one) => one.state !== 'lost'))
    for (const id of told)
      await until(`the end of ${id}`, () =>
        first!.cluster.removeSubnet(id).then(
          () => true,
          () => false,
        ),
      )
  })

  test('a host that is cut off from the servers goes on, says since when, and comes back without a record changing at the others', async () => {
    await world.settled()
    const { hosts, guests } = world
    const [first, second, third] = hosts
    const pings = [guests[0]!.pings(guests[1]!), guests[1]!.pings(guests[2]!)]
    const [seen, generation] = [first!.events.length, (await first!.control.overlay())!.generation]
    world.natsLink(second!, false)
    try {
      const { since } = await second!.sees('that it is cut off', ({ state }) => state === 'partitioned')
      assert.match((await second!.run('network')).stdout, new RegExp(`partitioned since ${since}: the last known state goes on`))
      await first!.sees('that the host is lost', (status) =>
        status.hosts.some(({ name, state }) => name === 'h2' && state === 'lost'),
      )
      await guests[1]!.reaches(guests[2]!)
      // Meanwhile something changes on both sides.
      await second!.control.addPort({ name: 'inside', mac: '02:00:00:00:52:02', endpoint: { kind: 'memory' } })
      await third!.control.addPort({ name: 'outside', mac: '02:00:00:00:52:03', endpoint: { kind: 'memory' } })
      await first!.sees('what changed where the servers are', (status) => places(status).includes('outside h3 held'))
    } finally {
      world.natsLink(second!, true)
    }
    const all = 'g1 h1 held,g2 h2 held,g3 h3 held,inside h2 held,outside h3 held'
    for (const host of hosts) await host.sees('both changes', (status) => status.state === 'joined' && places(status) === all)
    for (const ping of pings) assert.equal((await ping()).lost, 0)
    assert.equal((await first!.control.overlay())!.generation, generation, 'no look-up record changed')
    assert.ok(first!.told('host-lost', 'h2', seen) >= 1)
    await until('the return of the host', () => first!.told('host-returned', 'h2', seen) === first!.told('host-lost', 'h2', seen))
    assert.equal(first!.told('record-refused', 'h2', seen), 0)
  })

  test('a service that is killed is missed by its lease, and has its ports again when it is back, a thousand of them', async (t) => {
    await world.settled()
    const { hosts, guests } = world
    const [first, second, third] = hosts
    const pings = guests[0]!.pings(guests[1]!)
    await third!.kill()
    await first!.sees('that the host is lost', (status) =>
      status.hosts.some(({ name, state }) => name === 'h3' && state === 'lost'),
    )
    await third!.start()
    await guests[2]!.plug(third!.space)
    await world.settled()
    await guests[0]!.reaches(guests[2]!)

    const many = Array.from({ length: MANY }, (_, k) => ({
      name: `m${k}`,
      mac: `02:00:00:01:${(k >> 8).toString(16).padStart(2, '0')}:${(k & 255).toString(16).padStart(2, '0')}`,
      properties: [{ type: 'security', value: { virtualSubnetId: SUBNET } }],
      endpoint: { kind: 'vhost-user', path: `m${k}.sock` },
    }))
    const isAll = ({ ports }: NetworkStatus) =>
      ports.filter(({ host, state }) => host === 'h3' && state === 'held').length === MANY + 1
    const added = performance.now()
    await third!.apply([guests[2]!.port, ...many])
    await second!.sees('a thousand ports', isAll)
    t.diagnostic(`${MANY} ports applied and known to another host after ${Math.round(performance.now() - added)} ms`)
    await third!.kill()
    const began = performance.now()
    const ready = await third!.start()
    await third!.sees('its own ports', (status) => status.state === 'joined' && isAll(status))
    t.diagnostic(
      `started again with ${MANY} ports: ready after ${Math.round(ready)} ms, all held in the network after ${Math.round(performance.now() - began)} ms`,
    )
    await guests[2]!.plug(third!.space)
    await guests[0]!.reaches(guests[2]!)
    await second!.sees('a thousand ports again', isAll)
    await third!.apply([guests[2]!.port])
    assert.equal((await pings()).lost, 0)
    await world.settled()
  })

  test('what another host has is refused with its name, and traffic of the owner goes on', async () => {
    await world.settled()
    const { hosts, guests } = world
    const [first, second, third] = hosts
    const pings = guests[2]!.pings(guests[0]!)
    const { generation } = (await third!.control.overlay())!
    const properties = [{ type: 'security', value: { virtualSubnetId: SUBNET } }] as const
    const endpoint = { kind: 'memory' } as const
    await second!.control.addPort({ name: 'thief', mac: guests[0]!.mac, properties: [...properties], endpoint })
    await second!.control.addPort({ name: guests[0]!.name, mac: '02:00:00:00:53:01', properties: [...properties], endpoint })
    const isRefused = ({ ports }: NetworkStatus) =>
      ports.filter(({ host, state }) => host === 'h2' && state === 'refused').length === 2
    await second!.sees('both refused', isRefused)
    const { stdout } = await second!.run('network', 'ports')
    assert.match(stdout, /thief +h2 .*refused +the MAC address 02:00:00:00:51:01 in virtual subnet 5001 is claimed by host h1/)
    assert.match(stdout, /g1 +h2 .*refused +the port name "g1" is claimed by host h1/)
    assert.equal(places(await first!.cluster.network()), 'g1 h1 held,g2 h2 held,g3 h3 held', 'nobody else hears of them')
    await guests[2]!.reaches(guests[0]!)
    assert.equal((await third!.control.overlay())!.generation, generation, 'no look-up record changed')
    assert.equal((await pings()).lost, 0)
  })

  test('what the network imposes holds at all hosts, whatever their ports say, and at one that starts without the network', async () => {
    await world.settled()
    const { hosts, guests } = world
    const [first, , third] = hosts
    const own = { rules: [{ action: 'allow', direction: 'outbound', weight: 65_535 }] }
    await third!.control.addProperty({ port: 'g3', type: 'extended-acl', value: own })
    await guests[2]!.reaches(guests[0]!)
    const rules = join(first!.directory, 'rules.yaml')
    writeFileSync(rules, '- { name: no echo, action: deny, direction: outbound, protocol: icmp }')
    const options = ['--subnet', String(SUBNET), '--rules', rules, '--maximum-bandwidth', '100mbit']
    const { code, stderr } = await first!.run('network', 'policy', 'set', 'quiet', ...options)
    assert.equal(code, 0, stderr)
    for (const [i, host] of hosts.entries())
      await host.sees('the policy', ({ policies }) => policies[0]?.ports.join() === guests[i]!.name)
    assert.match((await third!.run('property', '--port', 'g3')).stdout, /bandwidth \(from the network: quiet\)/)
    assert.equal(
      await guests[2]!.asks(guests[0]!),
      false,
      "a rule of the port's own does not let through what the network denies",
    )
    world.natsLink(third!, false)
    try {
      await third!.kill()
      await third!.start()
      await guests[2]!.plug(third!.space)
      assert.match((await third!.run('property', '--port', 'g3')).stdout, /extended-acl \(from the network: quiet\)/)
      assert.equal(await guests[2]!.asks(guests[0]!), false)
    } finally {
      world.natsLink(third!, true)
    }
    await until('the end of the policy', () =>
      first!.cluster.removePolicy('quiet').then(
        () => true,
        () => false,
      ),
    )
    await third!.sees('its end', ({ state, policies }) => state === 'joined' && policies.length === 0)
    await guests[2]!.reaches(guests[0]!)
    await third!.control.removeProperty({ port: 'g3', type: 'extended-acl' })
  })

  test('a port moves to another host and back: the third sends to the new place, and the guest goes on there', async (t) => {
    await world.settled()
    const { hosts, guests } = world
    const [first, second, third] = hosts
    const guest = guests[0]!
    for (let move = 0; move < MOVES; move++) {
      const [from, to] = move % 2 === 0 ? [first!, second!] : [second!, first!]
      if (move === 0) {
        const { code, stderr } = await from.run('migrate', guest.name, '--now', '--to', to.socket)
        assert.equal(code, 0, stderr)
        await recordAt(third!, guest, to)
      } else {
        const ms = await movedAfter(guest, from, to, third!)
        t.diagnostic(
          `from ${from.name} to ${to.name}: the third host sent to the new place ${ms.toFixed(1)} ms after ${from.name} was told to let go`,
        )
      }
      await guest.plug(to.space)
      await guests[2]!.reaches(guest)
    }
    await world.settled()
  })

  test('a service that stands still for a while hears what it missed', async () => {
    await world.settled()
    const { hosts } = world
    const [first, second, third] = hosts
    third!.signal('SIGSTOP')
    try {
      await second!.control.addPort({ name: 'late', mac: '02:00:00:00:54:01', endpoint: { kind: 'memory' } })
      for (let k = 0; k < WRITES; k++) await first!.cluster.setSubnet({ virtualSubnetId: 8000, name: `s${k}` })
      await sleep(STOPPED_MS)
    } finally {
      third!.signal('SIGCONT')
    }
    await third!.sees(
      'all that it missed',
      (status) =>
        status.state === 'joined' &&
        places(status).includes('late h2 held') &&
        status.subnets.some(({ virtualSubnetId, name }) => virtualSubnetId === 8000 && name === `s${WRITES - 1}`),
    )
    await first!.cluster.removeSubnet(8000)
  })
})
