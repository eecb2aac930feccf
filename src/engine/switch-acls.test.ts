import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, mac } from '../../test/support/data-path-harness.ts'
import { ipv4 } from '../../test/support/guard-frames.ts'
import { datagram } from '../../test/support/tracked-frames.ts'
import { OptionReader } from '../ndis/module-options.ts'
import { parseAcl } from '../switch/acl/acl-options.ts'
import { type PortAclRules, withPrograms } from '../switch/acl/acl-plan.ts'
import { parseExtendedAcl } from '../switch/acl/extended-acl-options.ts'
import { received } from '../switch/acl/program.ts'
import { SwitchAcls } from './switch-acls.ts'
import { SwitchConnections } from './switch-connections.ts'

const GUEST = 1
const OTHER = 2

const rulesOf = (entries: readonly object[], rules: readonly object[]): PortAclRules => ({
  acl: parseAcl(new OptionReader({ entries }, 'acl')),
  extendedAcl: parseExtendedAcl(new OptionReader({ rules }, 'extended-acl')),
})

const meter = { action: 'meter', direction: 'outbound', remoteIPAddress: '10.0.0.0/8' }
const dns = { name: 'dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 5 }
const rest = { name: 'rest', action: 'deny', direction: 'outbound' }

/** Memory for programs, which is overwritten when it is given back. */
class Arena {
  readonly buffer = new SharedArrayBuffer(1024 * 1024)
  readonly #taken = new Map<number, number>()
  #next = 64

  get taken(): number {
    return [...this.#taken.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  allocate(bytes: number): number {
    const at = this.#next
    this.#next += Math.ceil(bytes / 64) * 64
    this.#taken.set(at, bytes)
    return at
  }

  free(at: number, bytes: number): void {
    assert.equal(this.#taken.get(at), bytes, 'what is given back was taken, once')
    this.#taken.delete(at)
    new Uint8Array(this.buffer, at, bytes).fill(0xff)
  }
}

/** ACLs of a switch whose two processors are data paths of their own. */
class World {
  readonly processors = [0, 1].map((processor) => new DataPathHarness({ processor }).connect(2))
  readonly arena = new Arena()
  readonly acls = new SwitchAcls({
    memory: this.arena,
    processors: {
      clients: this.processors,
      all: async (request) => {
        for (const [i, { acls }] of this.processors.entries()) {
          const asked = request(i)
          assert.equal(asked.kind, 'acls')
          if (asked.kind !== 'acls') continue
          const plan = structuredClone(asked.plan) // as it comes to another thread
          acls.set(asked.port, plan && withPrograms(plan, (program) => received(program, this.arena.buffer)))
        }
      },
    },
    connections: new SwitchConnections({ ports: 16 }, { nowMs: () => 0 }),
  })

  /** The guest sends to a UDP port through a processor; returns what it counted, by name. */
  send(processor: number, port: number): Record<string, number> {
    const parts = { from: GUEST, to: mac(OTHER), source: '10.0.0.1', destination: '10.0.0.2' }
    this.processors[processor]!.send(GUEST, ipv4({ ...parts, protocol: 17 }, datagram(9, port)))
    return this.counts()
  }

  counts(): Record<string, number> {
    const { entries, rules } = this.acls.counts(GUEST)
    return Object.fromEntries([
      ...entries.map(({ text, packets }) => [text, packets] as const),
      ...rules.map(({ name, packets }) => [name, packets] as const),
    ])
  }
}

describe('the ACLs of a switch', () => {
  test('count what all processors saw', async () => {
    const world = new World()
    await world.acls.apply(GUEST, rulesOf([meter], [dns, rest]))
    world.send(0, 53)
    world.send(1, 53)
    assert.deepEqual(world.send(1, 80), { '10.0.0.0/8': 3, dns: 2, rest: 1 })
    const [first] = world.acls.counts(GUEST).entries
    assert.equal(first!.bytes, world.processors[0]!.portCounter(GUEST, 'receivedBytes') * 3)
  })

  test('go on counting for what stays when entries and rules come, go and change places', async () => {
    const world = new World()
    await world.acls.apply(GUEST, rulesOf([meter], [dns, rest]))
    world.send(0, 53)
    world.send(1, 80)
    const ntp = { ...dns, name: 'ntp', remotePort: 123 }
    await world.acls.apply(GUEST, rulesOf([{ ...meter, remoteIPAddress: '10.0.0.2' }, meter], [ntp, rest, dns]))
    assert.deepEqual(world.counts(), { '10.0.0.2/32': 0, '10.0.0.0/8': 2, ntp: 0, rest: 1, dns: 1 })
    assert.deepEqual(world.send(1, 53), { '10.0.0.2/32': 1, '10.0.0.0/8': 2, ntp: 0, rest: 1, dns: 2 })
    await world.acls.apply(GUEST, rulesOf([], [dns, rest]))
    assert.deepEqual(world.send(0, 53), { dns: 3, rest: 1 })
  })

  test('begin anew for a rule that says something else under its old name', async () => {
    const world = new World()
    await world.acls.apply(GUEST, rulesOf([], [dns]))
    world.send(0, 53)
    await world.acls.apply(GUEST, rulesOf([], [{ ...dns, remotePort: '53-54' }]))
    assert.deepEqual(world.counts(), { dns: 0 })
  })

  test('are forgotten with their port, on all processors', async () => {
    const world = new World()
    await world.acls.apply(GUEST, rulesOf([], [rest]))
    world.send(0, 80)
    world.acls.forget(GUEST)
    assert.deepEqual(world.send(1, 80), {})
    for (const { acls } of world.processors) assert.equal(acls.plans[GUEST], undefined)
    await world.acls.apply(GUEST, rulesOf([], [rest]))
    assert.deepEqual(world.counts(), { rest: 0 })
  })

  test('take memory for the programs in force, and give back those that all processors left', async () => {
    const world = new World()
    const many = Array.from({ length: 200 }, (_, i) => ({ ...dns, name: `dns ${i}`, remotePort: 53 + i, weight: i }))
    await world.acls.apply(GUEST, rulesOf([meter], [dns, rest]))
    const { linear } = world.acls.bytes(GUEST)
    assert.ok(linear > 0)
    assert.equal(world.arena.taken, linear)
    await Promise.all([
      world.acls.apply(GUEST, rulesOf([meter], [...many, rest])),
      world.acls.apply(OTHER, rulesOf([{ ...meter, remoteIPAddress: '10.0.0.0/9' }], [])),
      world.acls.apply(GUEST, rulesOf([meter], [rest, ...many])),
    ])
    assert.ok(world.acls.bytes(GUEST).linear > linear)
    assert.equal(world.arena.taken, world.acls.bytes(GUEST).linear + world.acls.bytes(OTHER).linear)
    assert.deepEqual(world.acls.figures(), { linear: world.arena.taken, own: 0 })
    assert.equal(world.send(0, 80)['dns 27'], 1)
    await world.acls.apply(GUEST, rulesOf([], []))
    world.acls.forget(OTHER)
    await Promise.resolve()
    assert.deepEqual(world.acls.bytes(GUEST), { linear: 0, own: 0 })
    assert.equal(world.arena.taken, 0)
  })
  test('take memory once for ports that have the same, which each counts for itself and keeps when others go', async () => {
    const world = new World()
    await world.acls.apply(OTHER, rulesOf([meter], [dns, rest]))
    await world.acls.apply(GUEST, rulesOf([meter], [dns, rest]))
    assert.equal(world.arena.taken, world.acls.bytes(GUEST).linear)
    assert.deepEqual(world.send(0, 53), { '10.0.0.0/8': 1, dns: 1, rest: 0 })
    assert.deepEqual(
      world.acls.counts(OTHER).rules.map(({ packets }) => packets),
      [0, 0],
    )
    world.acls.forget(OTHER)
    await Promise.resolve()
    assert.equal(world.arena.taken, world.acls.bytes(GUEST).linear)
    assert.deepEqual(world.send(1, 80), { '10.0.0.0/8': 2, dns: 1, rest: 1 })
    await world.acls.apply(GUEST, rulesOf([], []))
    assert.equal(world.arena.taken, 0)
  })
})
