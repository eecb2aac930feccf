import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  BandwidthProperty,
  ExtendedAclProperty,
  ProtectionProperty,
  SecurityProperty,
} from '../../ndis/standard-properties.ts'
import { type ImposedInput, type InForce, readImposed, withImposed } from './imposed.ts'
import { ImposedTable } from './imposed-table.ts'
import { parseStandardProperty } from './standard-properties.ts'

const policy = (properties: ImposedInput['properties'], name = 'net') => readImposed({ name, virtualSubnetId: 5001, properties })
const own = (type: 'security' | 'protection' | 'bandwidth' | 'extended-acl', value: object): InForce => ({
  type,
  property: parseStandardProperty(type, value),
})
const inForce = (all: readonly InForce[], type: string): unknown => all.find((one) => one.type === type)?.property
const rule = (name: string, action: 'allow' | 'deny', weight = 0) => ({ name, action, direction: 'outbound', weight })

test('of limits the lower one is in force, and a guard that either has is on', () => {
  const imposed = policy([
    { type: 'bandwidth', value: { maximumBandwidth: '100mbit', maximumReceiveBandwidth: '50mbit' } },
    { type: 'protection', value: { dhcpGuard: true, stormLimit: { broadcast: 100 } } },
  ])
  const now = withImposed(
    [
      own('bandwidth', { maximumBandwidth: '1gbit', maximumReceiveBandwidth: '10mbit', minimumBandwidthAbsolute: '200mbit' }),
      own('protection', { routerGuard: true, stormLimit: { broadcast: 500, multicast: 20 } }),
    ],
    [imposed],
  )
  const { maximumBandwidth, maximumReceiveBandwidth, minimumBandwidthAbsolute } = inForce(now, 'bandwidth') as BandwidthProperty
  assert.deepEqual([maximumBandwidth, maximumReceiveBandwidth, minimumBandwidthAbsolute], [100e6, 10e6, 100e6])
  const { dhcpGuard, routerGuard, stormLimit } = inForce(now, 'protection') as ProtectionProperty
  assert.deepEqual([dhcpGuard, routerGuard], [true, true])
  assert.deepEqual(stormLimit, [
    { classes: ['multicast'], packetsPerSecond: 20 },
    { classes: ['broadcast'], packetsPerSecond: 100 },
  ])
  const stricter = withImposed([own('protection', { stormLimit: { broadcast: 7 } })], [imposed])
  assert.deepEqual((inForce(stricter, 'protection') as ProtectionProperty).stormLimit, [
    { classes: ['broadcast'], packetsPerSecond: 7 },
  ])
})

test('a port without properties gets what the network imposes, and nothing else', () => {
  const now = withImposed([], [policy([{ type: 'bandwidth', value: { maximumBandwidth: '1mbit' } }])])
  assert.deepEqual(now, [{ type: 'bandwidth', property: { maximumBandwidth: 1e6 } }])
  assert.deepEqual(withImposed([], [policy([{ type: 'security', value: { allowTeaming: false } }])]), [])
  assert.equal(
    (
      inForce(
        withImposed([], [policy([{ type: 'security', value: { allowMacSpoofing: false } }])]),
        'security',
      ) as SecurityProperty
    ).allowMacSpoofing,
    false,
  )
})

test('rules of the network are heavier than the heaviest of the port, whose own keep their places', () => {
  const imposed = policy([{ type: 'extended-acl', value: { rules: [rule('no', 'deny'), rule('but', 'allow', 3)] } }])
  const now = withImposed([own('extended-acl', { rules: [rule('mine', 'allow', 65_535)] })], [imposed])
  const { rules } = inForce(now, 'extended-acl') as ExtendedAclProperty
  assert.deepEqual(
    rules.map(({ name }) => name),
    ['mine', 'net: no', 'net: but'],
  )
  assert.deepEqual(
    rules.toSorted((a, b) => b.weight - a.weight).map(({ name }) => name),
    ['net: but', 'net: no', 'mine'],
  )
})

test("what the port may speak for is never more than the network's", () => {
  const imposed = policy([{ type: 'protection', value: { sourceGuard: ['10.1.0.0/16', 'fd00::/16'] } }])
  const sources = (value?: object) => {
    const now = withImposed(value === undefined ? [] : [own('protection', value)], [imposed])
    const { prefixes, learned } = (inForce(now, 'protection') as ProtectionProperty).sourceGuard!
    return [prefixes.map(({ address, bits }) => `${address.slice(0, 4).join('.')}/${bits}`).join(), learned]
  }
  const all = '10.1.0.0/16,253.0.0.0/16'
  assert.deepEqual(sources(), [all, false])
  assert.deepEqual(sources({ sourceGuard: ['10.1.2.0/24', '10.2.0.1'] }), ['10.1.2.0/24', false])
  assert.deepEqual(sources({ sourceGuard: ['10.0.0.0/8'] }), [all, false], 'one that is wider is none')
  assert.deepEqual(sources({ sourceGuard: ['learned'] }), [all, false])
})

test('several policies add up', () => {
  const first = policy([{ type: 'bandwidth', value: { maximumBandwidth: '5mbit' } }], 'a')
  const second = policy([
    { type: 'bandwidth', value: { maximumBandwidth: '9mbit', maximumReceiveBandwidth: '3mbit' } },
    { type: 'security', value: { allowMacSpoofing: false, allowTeaming: false } },
  ])
  const now = withImposed(
    [own('security', { allowMacSpoofing: true, allowTeaming: true, virtualSubnetId: 5001 })],
    [first, second],
  )
  assert.deepEqual(inForce(now, 'bandwidth'), { maximumBandwidth: 5e6, maximumReceiveBandwidth: 3e6 })
  const { allowMacSpoofing, allowTeaming, virtualSubnetId } = inForce(now, 'security') as SecurityProperty
  assert.deepEqual([allowMacSpoofing, allowTeaming, virtualSubnetId], [false, false, 5001])
})

test('what would loosen, or is for nobody, is refused with the member that is wrong', () => {
  const refused = (properties: unknown, member: RegExp) =>
    assert.throws(() => policy(properties as ImposedInput['properties']), { message: member })
  refused([{ type: 'security', value: { allowMacSpoofing: true } }], /forbids/)
  refused([{ type: 'security', value: { virtualSubnetId: 7 } }], /forbids/)
  refused([{ type: 'bandwidth', value: { minimumBandwidthWeight: 7 } }], /limits/)
  refused([{ type: 'protection', value: { dhcpGuard: 'yes' } }], /dhcpGuard.*neither true nor false/)
  assert.throws(() => readImposed({ name: 'x', properties: [] }), /name one of them/)
  assert.throws(() => readImposed({ name: 'x', port: 'p', virtualSubnetId: 1, properties: [] }), /name one of them/)
})

test('a policy belongs to the ports of its virtual subnet or name, and rules that did not change stay the same object', () => {
  const table = new ImposedTable()
  const rules = { type: 'extended-acl', value: { rules: [rule('no', 'deny')] } } as const
  const ofSubnet = policy([rules])
  table.set([ofSubnet, readImposed({ name: 'of-port', port: 'web', properties: [rules] })])
  const inSubnet = [own('security', { virtualSubnetId: 5001 })]
  const names = (name: string, all: readonly InForce[]) => table.of(name, all).map((one) => one.name)
  assert.deepEqual(names('db', inSubnet), ['net'])
  assert.deepEqual(names('web', inSubnet), ['net', 'of-port'])
  assert.deepEqual(names('web', []), ['of-port'])
  assert.deepEqual(names('db', []), [])
  const acl = () => inForce(table.inForce(1, 'db', inSubnet), 'extended-acl')
  const before = acl()
  assert.equal(acl(), before)
  table.set([ofSubnet])
  assert.equal(acl(), before)
  table.set([policy([rules])])
  assert.notEqual(acl(), before)
  table.set([])
  assert.equal(acl(), undefined)
})
