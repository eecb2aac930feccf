import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import { ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import { datagram, type Family, tcp } from '../../../test/support/tracked-frames.ts'
import { OptionReader } from '../../ndis/module-options.ts'
import type { ExtendedAclRule } from '../../ndis/standard-properties.ts'
import { connectionTableBytes } from '../conntrack/connection-layout.ts'
import { listConnections } from '../conntrack/connection-records.ts'
import { compileAcls } from './acl-plan.ts'
import { parseExtendedAcl } from './extended-acl-options.ts'

const address = { 4: ['10.0.0.1', '10.0.0.2'], 6: ['fd00::1', 'fd00::2'] } as const
const families: readonly Family[] = [4, 6]
const base = { weight: 1, stateful: false, idleSessionTimeoutSeconds: 255 }
const denyIn: ExtendedAclRule = { ...base, name: 'nothing in', action: 'deny', direction: 'inbound', weight: 0 }
const openOut: ExtendedAclRule = { ...base, name: 'out', action: 'allow', direction: 'outbound', stateful: true }

const options = { connections: 1024, ports: 16 }
const TABLE_BYTES = connectionTableBytes(options.connections, options.ports)

class Switch {
  readonly harness = new DataPathHarness({ shortCut: true, spareBytes: TABLE_BYTES }).connect(2)
  readonly #family: Family

  constructor(family: Family, rules: readonly ExtendedAclRule[], ...tenants: readonly number[]) {
    this.#family = family
    for (const tenant of tenants) this.rule(tenant, rules)
  }

  /** Gives a port other rules. */
  rule(tenant: number, rules: readonly ExtendedAclRule[]): void {
    const { buffer, spare: at } = this.harness
    const plan = compileAcls(tenant, { extendedAcl: { rules } }, 1, () => ({ buffer, at, ...options }), this.harness.place)
    this.harness.acls.set(tenant, plan)
  }

  /** Connections that a port has. */
  connections(port: number): number {
    return listConnections(this.harness.acls.connections!.store, port, this.harness.nowMs).connections.length
  }

  /** True if a packet of port `from` reaches the other port. */
  passes(from: number, protocol: number, payload: readonly number[]): boolean {
    const to = 3 - from
    const [source, destination] = from === 1 ? address[this.#family] : address[this.#family].toReversed()
    const parts = { from, to: mac(to), source: source!, destination: destination! }
    const before = this.harness.sink(to).frames.length
    this.harness.send(from, this.#family === 4 ? ipv4({ ...parts, protocol }, payload) : ipv6(parts, protocol, payload))
    return this.harness.sink(to).frames.length > before
  }
}

for (const family of families) {
  test(`a stateful rule lets the answers to what it allowed in, and nothing else (ES-335, ES-336, IPv${family})`, () => {
    const one = new Switch(family, [openOut, denyIn], 1)
    assert.ok(!one.passes(2, 17, datagram(53, 1000)))
    assert.ok(one.passes(1, 17, datagram(1000, 53)))
    assert.ok(one.passes(2, 17, datagram(53, 1000)))
    assert.ok(!one.passes(2, 17, datagram(53, 1001)))
    assert.deepEqual(one.harness.drops(1), { 'extended-acl': 2 })
    one.harness.nowMs += 256_000
    assert.ok(!one.passes(2, 17, datagram(53, 1000)))
  })

  test(`a handshake is followed where one direction has no rules at all (IPv${family})`, () => {
    const one = new Switch(family, [openOut], 1)
    assert.ok(one.passes(1, 6, tcp({ flags: 'S', seq: 9 })))
    assert.ok(one.passes(2, 6, tcp({ flags: 'SA', seq: 99, ack: 10, ports: [80, 1000] })))
    assert.ok(one.passes(1, 6, tcp({ flags: 'A', seq: 10, ack: 100 })))
    assert.ok(one.passes(1, 6, tcp({ flags: 'PA', seq: 10, ack: 100, bytes: 10 })))
    assert.ok(!one.passes(2, 6, tcp({ flags: 'R', seq: 0x70000000, ports: [80, 1000] })))
    assert.deepEqual(one.harness.drops(1), { 'connection-invalid': 1 })
  })

  test(`a rule for what comes in lets the answers out (IPv${family})`, () => {
    const openIn: ExtendedAclRule = {
      ...base,
      name: 'web',
      action: 'allow',
      direction: 'inbound',
      stateful: true,
      localPorts: [80, 80],
    }
    const denyOut: ExtendedAclRule = { ...denyIn, name: 'nothing out', direction: 'outbound' }
    const one = new Switch(family, [openIn, denyIn, denyOut], 1)
    assert.ok(!one.passes(1, 6, tcp({ flags: 'SA', seq: 5, ack: 10, ports: [80, 1000] })))
    assert.ok(one.passes(2, 6, tcp({ flags: 'S', seq: 9 })))
    assert.ok(one.passes(1, 6, tcp({ flags: 'SA', seq: 5, ack: 10, ports: [80, 1000] })))
    assert.ok(!one.passes(2, 6, tcp({ flags: 'S', seq: 9, ports: [1000, 81] })))
  })

  test(`a flow between two ports with stateful rules is followed at each, by its own rules (IPv${family})`, () => {
    const one = new Switch(family, [openOut, denyIn], 1, 2)
    assert.ok(!one.passes(1, 17, datagram(1000, 53))) // the other port lets nothing in that it did not ask for
    assert.deepEqual([one.connections(1), one.connections(2)], [1, 0])
    assert.ok(one.passes(2, 17, datagram(53, 1000))) // what the first one has asked for is an answer there
    assert.deepEqual([one.connections(1), one.connections(2)], [1, 1])
    assert.ok(one.passes(1, 17, datagram(1000, 53)))
    one.rule(2, [])
    one.rule(1, [{ ...denyIn, stateful: false }])
    assert.ok(!one.passes(2, 17, datagram(53, 1000)))
  })

  test(`a deny rule that comes later ends no connection that is open, and lets no other begin (IPv${family})`, () => {
    const one = new Switch(family, [openOut, denyIn], 1)
    assert.ok(one.passes(1, 17, datagram(1000, 53)))
    one.rule(1, [openOut, denyIn, { ...denyIn, name: 'nothing out', direction: 'outbound', weight: 99 }])
    for (let n = 0; n < 3; n++) {
      assert.ok(one.passes(2, 17, datagram(53, 1000)))
      assert.ok(one.passes(1, 17, datagram(1000, 53)))
    }
    assert.ok(!one.passes(1, 17, datagram(1001, 53)))
  })

  test(`a segment without a connection that a stateful rule allows is dropped (IPv${family})`, () => {
    const one = new Switch(family, [openOut, denyIn], 1)
    assert.ok(!one.passes(1, 6, tcp({ flags: 'A', seq: 10, ack: 100 })))
    assert.ok(!one.passes(1, 6, tcp({ flags: 'FA', seq: 10, ack: 100 })))
    assert.deepEqual(one.harness.drops(1), { 'connection-invalid': 2 })
    const { store } = one.harness.acls.connections!
    store.pickUp(1, one.harness.nowMs)
    one.harness.nowMs += 119_999
    assert.ok(one.passes(1, 6, tcp({ flags: 'A', seq: 10, ack: 100 })))
    one.harness.nowMs += 1
    assert.ok(!one.passes(1, 6, tcp({ flags: 'A', seq: 10, ack: 100, ports: [1001, 80] })))
    assert.deepEqual(one.harness.drops(1), { 'connection-invalid': 3 })
  })
}

test('a stateful rule without idleSessionTimeout lets a connection be idle for 255 s', () => {
  const rules = [{ action: 'allow', direction: 'outbound', stateful: true }]
  assert.equal(parseExtendedAcl(new OptionReader({ rules })).rules[0]!.idleSessionTimeoutSeconds, 255)
})
