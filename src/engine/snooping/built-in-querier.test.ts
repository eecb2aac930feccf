import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NicState, PortState } from '../../ndis/oids.ts'
import { PortTable, portTableBytes, VlanMode } from '../../switch/port-table.ts'
import { GroupTable, groupMeta, groupTableBytes } from '../../switch/snooping/group-table.ts'
import { MembershipMessage, MessageKind } from '../../switch/snooping/membership-message.ts'
import { QUERIER_TABLE_BYTES, QuerierTable } from '../../switch/snooping/querier-table.ts'
import { BuiltInQuerier, linkLocalOf } from './built-in-querier.ts'
import type { QuerierConfig } from './snooping-config.ts'

const PORTS = 16
const timers = { robustness: 2, intervalSeconds: 100, responseTenths: 100, lastMemberTenths: 10 }

interface Sent {
  readonly at: number
  readonly vlan: number
  readonly isIpv4: boolean
  readonly group: number
}

// A querier in virtual time: `pass` runs it every 200 ms and tells what it sent.
function querier(config: QuerierConfig = {}, families = [true]) {
  const table = new PortTable(new SharedArrayBuffer(portTableBytes(PORTS)), 0, PORTS)
  for (const port of [1, 2])
    table.set(port, { portState: PortState.created, nicState: NicState.connected, flags: 0, mac: undefined, vlan: 0 })
  const size = { ports: PORTS, groups: 64 }
  const groups = new GroupTable(new SharedArrayBuffer(groupTableBytes(size)), size)
  groups.divide(2)
  const queriers = new QuerierTable(new SharedArrayBuffer(QUERIER_TABLE_BYTES), timers)
  let now = 1000
  let sent: Sent[] = []
  const changes: string[] = []
  const sut = new BuiltInQuerier(config, {
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    families,
    timers,
    table,
    groups,
    queriers,
    send: async (frame) => {
      const isTagged = frame[12] === 0x81
      const message = new MembershipMessage()
      const l3 = isTagged ? 18 : 14
      const isIpv4 = frame[l3]! >> 4 === 4
      assert.equal(message.read(frame, frame.length, l3, isIpv4), MessageKind.query)
      sent.push({ at: now, vlan: isTagged ? frame[15]! : 0, isIpv4, group: message.group0 })
    },
    changed: (vlan, isIpv4, other) => changes.push(`${vlan} ${isIpv4} ${other === undefined ? 'own' : other.port}`),
  })
  const pass = (seconds: number): Sent[] => {
    sent = []
    for (const end = now + seconds * 10; now < end; now += 2) sut.run(now)
    return sent
  }
  const heard = (source0: number, port = 2): void =>
    queriers.heard(
      0,
      port,
      { isIpv4: true, source0, source1: 0, source2: 0, source3: 0, responseTenths: 100, intervalSeconds: 100 },
      now,
    )
  return { sut, table, groups, queriers, pass, heard, changes, now: () => now }
}

describe('the built-in querier', () => {
  test('asks twice at first, then once in an interval, for IPv4 and IPv6', () => {
    const { pass, queriers, now } = querier({}, [true, false])
    const times = (isIpv4: boolean, sent: readonly Sent[]): number[] =>
      sent.filter((one) => one.isIpv4 === isIpv4).map(({ at }) => at)
    const sent = pass(240)
    assert.deepEqual(times(true, sent), [1000, 1250, 2250, 3250])
    assert.deepEqual(times(false, sent), [1000, 1250, 2250, 3250])
    assert.equal(queriers.restricts(0, true, 1099), false, 'members have time to answer')
    assert.equal(queriers.restricts(0, true, now()), true)
  })

  test('without an address gives way to any other querier, and asks again when that is gone', () => {
    const { pass, heard, changes } = querier()
    pass(1)
    heard(0x0a0000fe)
    assert.deepEqual(pass(100), [])
    assert.ok(pass(120).length > 0, 'after 2 × 100 s + 5 s')
    assert.deepEqual(changes, ['0 true own', '0 true 2', '0 true own'])
  })

  test('with an address gives way to a lower one alone, and to none of 0', () => {
    const { pass, heard } = querier({ address: '10.0.0.5' })
    pass(1)
    heard(0)
    assert.ok(pass(110).length > 0)
    heard(0x0a000006)
    assert.ok(pass(110).length > 0)
    heard(0x0a000004)
    assert.deepEqual(pass(110), [])
  })

  test('asks in the VLANs that ports are in untagged, in those with members, and in those of the configuration', () => {
    const { pass, table, groups, queriers } = querier({ vlans: [40] })
    table.setVlan(1, { mode: VlanMode.access, primary: 10 })
    table.setVlan(2, { mode: VlanMode.trunk, primary: 20, set: [30, 31] })
    groups.join(groupMeta(30, true), 0xef010203, 0, 0, 0, 2, 9000)
    const vlans = new Set(pass(1).map(({ vlan }) => vlan))
    assert.deepEqual([...vlans].sort(), [10, 20, 30, 40])
    assert.equal(queriers.isOwn(30, true), true)
    groups.sweep(9000, () => false)
    pass(1)
    assert.equal(queriers.isOwn(30, true), false, 'no members are left there')
  })

  test('asks for a group that a member left, as often as robustness says, and no more once somebody answers', () => {
    const { pass, groups, now } = querier()
    pass(60)
    const meta = groupMeta(0, true)
    const join = (): number => groups.join(meta, 0xef010203, 0, 0, 0, 1, now() + 2600)
    join()
    const slot = groups.find(meta, 0xef010203, 0, 0, 0)
    groups.want(slot, 2)
    const asked = pass(5).filter(({ group }) => group === 0xef010203)
    assert.deepEqual(
      asked.map(({ at }) => at - asked[0]!.at),
      [0, 10],
    )
    groups.want(slot, 2)
    assert.equal(pass(0.2).length, 1)
    join()
    assert.deepEqual(pass(5), [])
  })

  test('asks at once when a port comes back, at most once a second', () => {
    const { pass, sut, now } = querier()
    pass(60)
    sut.hurry(now())
    assert.equal(pass(0.2).length, 1)
    for (let i = 0; i < 5; i++) sut.hurry(now())
    assert.equal(pass(0.8).length, 0)
    assert.equal(pass(0.4).length, 1)
  })

  test('has an IPv6 address made of its MAC address', () => {
    assert.equal(querier().sut.addressText(false), 'fe80::ff:fe00:1')
    assert.equal(querier({ ipv6Address: 'fe80::7' }).sut.addressText(false), 'fe80::7')
    assert.equal(linkLocalOf(Uint8Array.of(2, 0, 0, 0, 0, 1)).length, 16)
  })
})
