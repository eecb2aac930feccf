import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, mac } from '../../test/support/data-path-harness.ts'
import { ipv4 } from '../../test/support/guard-frames.ts'
import { datagram } from '../../test/support/tracked-frames.ts'
import { OptionReader } from '../ndis/module-options.ts'
import { parseAcl } from '../switch/acl/acl-options.ts'
import type { PortAclRules } from '../switch/acl/acl-plan.ts'
import { parseExtendedAcl } from '../switch/acl/extended-acl-options.ts'
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

/** ACLs of a switch whose two processors are data paths of their own. */
class World {
  readonly processors = [0, 1].map((processor) => new DataPathHarness({ processor }).connect(2))
  readonly acls = new SwitchAcls({
    processors: {
      clients: this.processors,
      all: async (request) => {
        for (const [i, { acls }] of this.processors.entries()) {
          const asked = request(i)
          assert.equal(asked.kind, 'acls')
          if (asked.kind === 'acls') acls.set(asked.port, asked.plan)
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
})
