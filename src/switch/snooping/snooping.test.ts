import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame } from '../../../test/support/data-path-harness.ts'
import { igmpFrame, igmpV3Report, mldFrame, mldV2Report, pimHello, stream } from '../../../test/support/group-frames.ts'
import { VlanMode } from '../port-table.ts'
import { GroupCounter, GroupPort, GroupTable, groupTableBytes } from './group-table.ts'
import { QUERIER_TABLE_BYTES, QuerierTable } from './querier-table.ts'
import { Snooping, type SnoopingPlan } from './snooping.ts'

const timers = { robustness: 2, intervalSeconds: 125, responseTenths: 100, lastMemberTenths: 10 }
const GROUP = '239.1.2.3'
const GROUP6 = 'ff15::1234'

interface Sut {
  readonly harness: DataPathHarness
  readonly groups: GroupTable
  readonly queriers: QuerierTable
  /** Ports that got the frame. */
  readonly send: (port: number, bytes: Uint8Array) => number[]
  readonly at: (seconds: number) => void
}

function snooping(change: Partial<SnoopingPlan> = {}, { ports = 5, ownQuerier = true, shortCut = false } = {}): Sut {
  const harness = new DataPathHarness({ shortCut }).connect(ports)
  const size = { ports: harness.ports.ports, groups: 64 }
  const plan: SnoopingPlan = {
    groups: new SharedArrayBuffer(groupTableBytes(size)),
    queriers: new SharedArrayBuffer(QUERIER_TABLE_BYTES),
    size,
    timers,
    igmp: true,
    mld: true,
    floodUnregistered: false,
    ...change,
  }
  const groups = new GroupTable(plan.groups, size)
  groups.divide(ports)
  const queriers = new QuerierTable(plan.queriers, timers)
  const { dataPath, pool } = harness
  dataPath.forwarding.snooping = new Snooping(plan, {
    pool,
    ports: harness.ports,
    copy: (slot, from, length, target) => dataPath.copyBytes(slot, from, length, target),
  })
  const at = (seconds: number): void => {
    dataPath.forwarding.nowSeconds = seconds
    groups.sweep(seconds * 10, () => false)
  }
  at(100)
  if (ownQuerier) for (const vlan of [0, 10, 20]) for (const family of [true, false]) queriers.setOwn(vlan, family, 1)
  const send = (port: number, bytes: Uint8Array): number[] => {
    const before = Array.from({ length: ports }, (_, i) => harness.sink(i + 1).frames.length)
    const from = Buffer.from(bytes)
    from[11] = port // its own address
    harness.send(port, from)
    return before.flatMap((count, i) => (harness.sink(i + 1).frames.length > count ? [i + 1] : []))
  }
  return { harness, groups, queriers, send, at }
}

describe('snooping', () => {
  for (const shortCut of [false, true])
    test(`sends a stream to members alone, and to nobody once they left${shortCut ? ', with the short cut' : ''}`, () => {
      const { send, at, harness } = snooping({}, { shortCut })
      assert.deepEqual(send(1, stream(GROUP)), [])
      assert.deepEqual(harness.drops(1), { 'no-group-member': 1 })
      for (const [join, leave, group] of [
        [igmpFrame(0x16, GROUP), igmpFrame(0x17, GROUP), GROUP],
        [igmpFrame(0x12, GROUP), igmpFrame(0x17, GROUP), GROUP],
        [igmpV3Report([[4, GROUP, []]]), igmpV3Report([[3, GROUP, []]]), GROUP],
        [mldFrame(131, GROUP6), mldFrame(132, GROUP6), GROUP6],
        [mldV2Report([[4, GROUP6, []]]), mldV2Report([[3, GROUP6, []]]), GROUP6],
      ] as const) {
        at(100)
        assert.deepEqual(send(2, join), [], 'a report goes to routers, of which there are none')
        send(4, join)
        assert.deepEqual(send(1, stream(group)), [2, 4])
        assert.deepEqual(send(2, stream(group)), [4], 'not back to the sender')
        send(2, leave)
        at(104) // the last member's time is over
        assert.deepEqual(send(1, stream(group)), [4])
        at(361) // 2 × 125 s + 10 s
        assert.deepEqual(send(1, stream(group)), [])
      }
    })

  test('ends a membership at once where fast leave is on', () => {
    const { send, groups } = snooping()
    groups.setPort(2, GroupPort.fastLeave)
    send(2, igmpFrame(0x16, GROUP))
    assert.deepEqual(send(1, stream(GROUP)), [2])
    send(2, igmpFrame(0x17, GROUP))
    assert.deepEqual(send(1, stream(GROUP)), [])
  })

  test('floods what it must: link-local groups, all nodes, other protocols, broadcast, and everything without a querier', () => {
    const { send } = snooping()
    const everyone = [2, 3, 4, 5]
    assert.deepEqual(send(1, stream('224.0.0.251')), everyone)
    assert.deepEqual(send(1, stream('ff02::1')), everyone)
    assert.deepEqual(send(1, stream('ff02::1:ff00:1')), everyone, 'a solicited node that nobody reported')
    assert.deepEqual(send(1, frame('01:00:5e:00:00:01', 1, 'x')), everyone, 'no IP')
    assert.deepEqual(send(1, frame(0xff, 1, 'x')), everyone)
    assert.deepEqual(snooping({}, { ownQuerier: false }).send(1, stream(GROUP)), everyone)
    assert.deepEqual(snooping({ floodUnregistered: true }).send(1, stream(GROUP)), everyone)
    assert.deepEqual(snooping({ igmp: false }).send(1, stream(GROUP)), everyone)
    assert.deepEqual(snooping({ mld: false }).send(1, stream(GROUP6)), everyone)
  })

  test('sends what is for a solicited node to those who reported it', () => {
    const { send } = snooping()
    send(3, mldV2Report([[4, 'ff02::1:ff00:1', []]]))
    assert.deepEqual(send(1, stream('ff02::1:ff00:1')), [3])
  })

  test('keeps a join of certain sources as one of the group, and asks what is left of it when sources are blocked', () => {
    const { send, groups, at } = snooping()
    send(2, igmpV3Report([[5, GROUP, ['10.0.0.9']]]))
    assert.deepEqual(send(1, stream(GROUP)), [2])
    send(2, igmpV3Report([[6, GROUP, ['10.0.0.9']]]))
    assert.equal(groups.takeWanted(), true)
    at(104)
    assert.deepEqual(send(1, stream(GROUP)), [])
  })

  test('learns router ports from queries and PIM hellos, and sends them reports and streams', () => {
    const { send, at } = snooping({}, { ownQuerier: false })
    assert.deepEqual(send(5, igmpFrame(0x11, '0.0.0.0', { source: '10.0.0.254', code: 100 })), [1, 2, 3, 4])
    assert.deepEqual(send(1, stream(GROUP)), [2, 3, 4, 5], 'members have not had time to answer')
    at(111)
    assert.deepEqual(send(2, igmpFrame(0x16, GROUP)), [5])
    assert.deepEqual(send(1, stream(GROUP)), [2, 5])
    assert.deepEqual(send(4, pimHello(105)), [1, 2, 3, 5])
    assert.deepEqual(send(1, stream(GROUP)), [2, 4, 5])
    assert.deepEqual(send(4, pimHello(0)), [1, 2, 3, 5])
    assert.deepEqual(send(1, stream(GROUP)), [2, 5])
    at(400)
    assert.deepEqual(send(1, stream(GROUP)), [2, 3, 4, 5], 'the querier is gone')
  })

  test('does the same for MLD, and lets a group-specific query end what nobody renews', () => {
    const { send, at } = snooping({}, { ownQuerier: false })
    send(5, mldFrame(130, '::', { code: 1000 }))
    at(111)
    send(2, mldV2Report([[4, GROUP6, []]]))
    send(3, mldV2Report([[4, GROUP6, []]]))
    assert.deepEqual(send(1, stream(GROUP6)), [2, 3, 5])
    send(4, mldFrame(130, GROUP6, { code: 1000 }))
    at(120)
    assert.deepEqual(send(1, stream(GROUP6)), [2, 3, 4, 5], 'one who is not the querier asks')
    send(5, mldFrame(130, GROUP6, { code: 1000 }))
    send(3, mldV2Report([[2, GROUP6, []]]))
    at(125)
    assert.deepEqual(send(1, stream(GROUP6)), [3, 4, 5])
  })

  test('sends reports to a querier without an address, but streams to routers alone', () => {
    const { send, at } = snooping({}, { ownQuerier: false })
    send(5, igmpFrame(0x11, '0.0.0.0', { source: '0.0.0.0', code: 100 }))
    at(111)
    assert.deepEqual(send(2, igmpFrame(0x16, GROUP)), [5])
    assert.deepEqual(send(1, stream(GROUP)), [2])
  })

  test('takes ports that are configured as router ports', () => {
    const { send, groups } = snooping()
    groups.setPort(3, GroupPort.router)
    assert.deepEqual(send(2, igmpFrame(0x16, GROUP)), [3])
    assert.deepEqual(send(1, stream('239.9.9.9')), [3])
  })

  test('believes no router behind a guarded port', () => {
    const { send, harness, at } = snooping({}, { ownQuerier: false })
    harness.ports.setGuards(5, { dhcpGuard: false, routerGuard: true, stormLimit: [] })
    assert.deepEqual(send(5, igmpFrame(0x11, '0.0.0.0', { source: '10.0.0.1', code: 100 })), [])
    assert.deepEqual(harness.drops(5), { 'router-guard': 1 })
    send(5, pimHello(105))
    at(111)
    assert.deepEqual(send(1, stream(GROUP)), [2, 3, 4, 5])
  })

  test('keeps VLANs apart: access ports, trunks and tags', () => {
    const { send, harness } = snooping()
    harness.ports.setVlan(1, { mode: VlanMode.access, primary: 10 })
    harness.ports.setVlan(2, { mode: VlanMode.access, primary: 10 })
    harness.ports.setVlan(3, { mode: VlanMode.access, primary: 20 })
    harness.ports.setVlan(4, { mode: VlanMode.trunk, primary: 1, set: [10, 20] })
    send(2, igmpFrame(0x16, GROUP))
    send(3, igmpFrame(0x16, GROUP))
    assert.deepEqual(send(1, stream(GROUP)), [2])
    send(4, igmpFrame(0x16, GROUP, { tags: [20] }))
    assert.deepEqual(send(1, stream(GROUP)), [2])
    send(4, mldFrame(131, GROUP6, { tags: [10] }))
    assert.deepEqual(send(1, stream(GROUP6)), [4])
    assert.deepEqual(send(4, stream(GROUP, { tags: [10] })), [2])
    assert.deepEqual(send(4, stream(GROUP, { tags: [20] })), [3])
  })

  test('knows members of a private VLAN by its primary one', () => {
    const { send, harness } = snooping()
    harness.ports.setVlan(1, { mode: VlanMode.promiscuous, primary: 10, set: [101] })
    harness.ports.setVlan(2, { mode: VlanMode.isolated, primary: 10, secondary: 101 })
    harness.ports.setVlan(3, { mode: VlanMode.isolated, primary: 10, secondary: 101 })
    send(2, igmpFrame(0x16, GROUP))
    send(3, igmpFrame(0x16, GROUP))
    assert.deepEqual(send(1, stream(GROUP)), [2, 3])
    assert.deepEqual(send(2, stream(GROUP)), [], 'isolated from each other')
  })

  test('reads messages behind two tags and extension headers, and in memory of the guest', () => {
    const { send } = snooping()
    send(2, igmpFrame(0x16, GROUP, { tags: [10, 7] }))
    assert.deepEqual(send(1, stream(GROUP, { tags: [10, 7] })), [2])
    const groups = Array.from({ length: 7 }, (_, i) => [4, `ff15::${i + 1}`, []] as const)
    send(3, mldV2Report(groups)) // longer than the headers that policy sees
    assert.deepEqual(send(1, stream('ff15::7')), [3])
    send(4, mldFrame(131, GROUP6, { extensions: 3 }))
    assert.deepEqual(send(1, stream(GROUP6)), [4])
  })

  test('refuses messages whose checksum, length or hop limit is wrong, and counts them', () => {
    const { send, harness, groups } = snooping()
    const wrong = [
      igmpFrame(0x16, GROUP, { ttl: 2 }),
      igmpFrame(0x16, GROUP, { breaks: 'checksum' }),
      igmpFrame(0x16, GROUP, { breaks: 'length' }),
      igmpFrame(0x16, GROUP, { breaks: 'header' }),
      igmpV3Report([[4, '10.1.1.1', []]]),
      igmpV3Report([[4, GROUP, []]], { records: 9 }),
      mldFrame(131, GROUP6, { ttl: 64 }),
      mldFrame(131, GROUP6, { breaks: 'checksum' }),
      mldFrame(131, GROUP6, { source: '2001:db8::1' }),
      mldFrame(130, '::', { source: '::' }),
      mldV2Report([[4, GROUP6, []]], { records: 2 }),
    ]
    for (const [i, bytes] of wrong.entries()) assert.deepEqual(send(2, bytes), [], `number ${i}`)
    assert.deepEqual(harness.drops(2), { 'membership-message-invalid': wrong.length })
    assert.equal(groups.counted(GroupCounter.invalid), wrong.length)
    assert.equal(groups.used, 0)
  })

  test('floods IGMP messages of types that it does not know', () => {
    const { send } = snooping()
    assert.deepEqual(send(2, igmpFrame(0x30, GROUP)), [1, 3, 4, 5])
  })

  test('mirrors what members get', () => {
    const { send, harness } = snooping()
    harness.ports.setMonitor(2, 2)
    harness.ports.setMonitor(5, 1)
    send(2, igmpFrame(0x16, GROUP))
    assert.deepEqual(send(1, stream(GROUP)), [2, 5])
  })

  test('a flood of joins from one port is refused above its share, and costs no other port a group', () => {
    const { send, groups } = snooping()
    for (let i = 0; i < 4; i++) send(2, igmpFrame(0x16, `239.7.0.${i}`))
    for (let i = 0; i < 500; i++) send(3, igmpFrame(0x16, `239.8.${i >> 8}.${i & 255}`))
    assert.equal(groups.held(3), groups.share)
    assert.equal(groups.refused(3), 500 - groups.share)
    for (let i = 4; i < groups.share; i++) send(2, igmpFrame(0x16, `239.7.0.${i}`))
    assert.equal(groups.held(2), groups.share)
    assert.equal(groups.refused(2), 0)
    for (let i = 0; i < groups.share; i++) assert.deepEqual(send(1, stream(`239.7.0.${i}`)), [2])
  })

  test('switched off, it does not exist', () => {
    const { send, harness } = snooping()
    harness.dataPath.forwarding.snooping = undefined
    assert.deepEqual(send(1, stream(GROUP)), [2, 3, 4, 5])
  })
})
