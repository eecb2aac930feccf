// Random lives of a few hosts in virtual time: ports come, go and move, connections break, processes die, the bucket fills, its servers choose a
// leader.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NETWORK_KEY, subnetKey } from './keys.ts'
import { MemoryBucket, VirtualClock } from './memory-store.ts'
import type { OwnPort } from './own-ports.ts'
import { SimulatedHost } from './simulated-host.ts'
import { thingsOf } from './view.ts'

const NAMES = ['a', 'b', 'c', 'd']
const SUBNET = 5001
const RUNS = 60

interface Life {
  readonly name: string
  host: SimulatedHost
  ports: OwnPort[]
  up: boolean
  alive: boolean
}

const makePort = (name: number, mac: number): OwnPort => ({
  name: `p${name}`,
  mac: `52:54:00:00:00:0${mac}`,
  virtualSubnetId: SUBNET,
  customerAddresses: [`10.1.0.${mac}`],
  vm: `p${name}`,
  tenant: '',
  link: 'up',
  policies: [],
})

class World {
  readonly clock = new VirtualClock()
  readonly bucket = new MemoryBucket(this.clock)
  readonly lives: Life[]
  #starts = 0
  #seed = 1

  constructor() {
    this.bucket.put(NETWORK_KEY, JSON.stringify({ v: 1, name: 'lab', minimumVersion: 1 }), 0)
    this.bucket.put(subnetKey(SUBNET), JSON.stringify({ v: 1, virtualSubnetId: SUBNET }), 0)
    this.lives = NAMES.map((name) => ({ name, host: this.#start(name), ports: [], up: true, alive: true }))
  }

  #start(name: string): SimulatedHost {
    const delay = (): number => {
      this.#seed = (Math.imul(this.#seed, 1103515245) + 12345) & 0x7fffffff
      return 1 + (this.#seed % 40)
    }
    const options = {
      host: name,
      instance: `s${this.#starts++}`,
      providerAddresses: [`192.0.2.${name.charCodeAt(0)}`],
      software: '1',
    }
    return new SimulatedHost(options, this.bucket.connect(delay), this.clock)
  }

  setPorts(life: Life, ports: OwnPort[]): void {
    life.ports = ports
    if (life.alive) life.host.setPorts(ports)
  }

  setUp(life: Life, up: boolean): void {
    life.up = up
    if (life.alive) life.host.connection.setUp(up)
  }

  kill(life: Life): void {
    if (life.alive) life.host.kill()
    life.alive = false
  }

  restart(life: Life): void {
    if (life.alive) return
    life.host = this.#start(life.name)
    life.alive = true
    if (!life.up) life.host.connection.setUp(false)
    life.host.setPorts(life.ports)
  }

  /** Lets time pass in small steps, and looks after each. */
  run(ms: number): void {
    for (let left = ms; left > 0; left -= 25) {
      this.clock.run(Math.min(25, left))
      this.check()
    }
  }

  /** No two hosts that hear each other hold the same thing. */
  check(): void {
    const holders = new Map<string, string>()
    for (const { name, host, ports, alive } of this.lives) {
      if (!alive || host.reconciler.standing !== 'joined') continue
      for (const port of ports) {
        if (host.reconciler.states.get(port.name)?.state !== 'held') continue
        for (const thing of thingsOf(port)) {
          const other = holders.get(thing)
          assert.equal(other, undefined, `${thing} is held by ${other} and ${name} at ${this.clock.nowMs} ms`)
          holders.set(thing, name)
        }
      }
    }
  }

  /** Everybody is there and hears: all agree, nothing that was taken is missing, nothing is left over. */
  checkEnd(): void {
    const held = new Map<string, string>()
    for (const { name, host, ports } of this.lives) {
      assert.equal(host.reconciler.standing, 'joined', name)
      assert.ok(host.reconciler.settled, `${name} has nothing to do any more`)
      for (const port of ports) {
        const state = host.reconciler.states.get(port.name)
        if (state?.state === 'held') held.set(`${SUBNET}/${port.mac}`, name)
        else if (state?.state === 'refused')
          assert.ok(this.lives.some((one) => one.name === state.holder && one.ports.length > 0))
        else assert.fail(`port ${port.name} of ${name} is ${state?.state}`)
      }
    }
    for (const { name, host } of this.lives) {
      const expected = [...held]
        .filter(([, holder]) => holder !== name)
        .map(([id, holder]) => `${id} 192.0.2.${holder.charCodeAt(0)}`)
      const found = [...host.reconciler.lookups.current].map(([id, { providerAddress }]) => `${id} ${providerAddress}`)
      assert.deepEqual(found.sort(), expected.sort(), `look-up records of ${name}`)
      assert.equal(host.reconciler.lookups.refused.size, 0, `${name} sees nothing that it must not believe`)
    }
  }
}

const hostIndex = fc.integer({ min: 0, max: NAMES.length - 1 })
const small = fc.integer({ min: 1, max: 4 })
const actions = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('add' as const), host: hostIndex, name: small, mac: small }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), host: hostIndex, name: small }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), host: hostIndex, to: hostIndex }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('down' as const, 'up' as const), host: hostIndex }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'restart' as const), host: hostIndex }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('fill' as const, 'empty' as const), host: hostIndex }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('leaderless' as const, 'led' as const), host: hostIndex }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('wait' as const), host: hostIndex, ms: fc.integer({ min: 1, max: 12_000 }) }),
  },
)
type Action = typeof actions extends fc.Arbitrary<infer T> ? T : never

function act(world: World, action: Action): void {
  const life = world.lives[action.host]!
  switch (action.do) {
    case 'add': {
      const rest = life.ports.filter(({ name, mac }) => name !== `p${action.name}` && !mac.endsWith(`0${action.mac}`))
      world.setPorts(life, [...rest, makePort(action.name, action.mac)])
      return
    }
    case 'remove':
      world.setPorts(
        life,
        life.ports.filter(({ name }) => name !== `p${action.name}`),
      )
      return
    case 'move': {
      const target = world.lives[action.to]!
      const [port] = life.ports
      if (port === undefined || target === life || target.ports.some(({ name, mac }) => name === port.name || mac === port.mac))
        return
      const { movingFrom: _, ...plain } = port
      world.setPorts(target, [...target.ports, { ...plain, movingFrom: life.name }])
      world.run(300)
      world.setPorts(
        life,
        life.ports.filter((one) => one !== port),
      )
      return
    }
    case 'down':
      world.setUp(life, false)
      return
    case 'up':
      world.setUp(life, true)
      return
    case 'kill':
      world.kill(life)
      return
    case 'restart':
      world.restart(life)
      return
    case 'fill':
      world.bucket.maxBytes = 0
      return
    case 'leaderless':
      world.bucket.isLed = false
      return
    case 'led':
      world.bucket.isLed = true
      return
    case 'empty':
      world.bucket.maxBytes = Number.POSITIVE_INFINITY
      return
    case 'wait':
      world.run(action.ms)
      return
  }
}

test('whatever happens, no two hosts that hear each other hold the same, and in the end all agree', () => {
  fc.assert(
    fc.property(fc.array(actions, { maxLength: 30 }), (sequence) => {
      const world = new World()
      world.run(500)
      for (const action of sequence) act(world, action)
      world.bucket.maxBytes = Number.POSITIVE_INFINITY
      world.bucket.isLed = true
      for (const life of world.lives) {
        world.restart(life)
        world.setUp(life, true)
        world.setPorts(
          life,
          life.ports.map(({ movingFrom: _, ...port }) => port),
        )
      }
      world.run(20_000)
      world.clock.run(380_000)
      world.checkEnd()
    }),
    { numRuns: RUNS },
  )
})

test('a port that was held stays held while its host is heard, whatever others ask for', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), small, small), { maxLength: 20 }), (others) => {
      const world = new World()
      const [first] = world.lives
      world.setPorts(first!, [makePort(1, 1)])
      world.run(500)
      for (const [host, name, mac] of others) {
        act(world, { do: 'add', host, name, mac })
        world.run(name * 100)
        assert.equal(first!.host.reconciler.states.get('p1')?.state, 'held')
      }
    }),
    { numRuns: RUNS },
  )
})
