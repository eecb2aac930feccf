// The parts of the console that need no browser: the drawing, the order of the stack, forms of policies, rates, time lines.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DRAWN_MAX, drawGuests } from '../../console/src/house/layout.ts'
import { forbidden, moved } from '../../console/src/house/order.ts'
import { stepsAt } from '../../console/src/house/trace-steps.ts'
import { headersOf } from '../../console/src/panel/decode.ts'
import { frameOf } from '../../console/src/panel/frames.ts'
import { forms, policyValue, problemsOf, shownFields, typedOf } from '../../console/src/panel/policy-forms.ts'
import { fieldProblems, fieldsValue, formParts, refusedField, typedFields } from '../../console/src/panel/property-fields.ts'
import { domainProblems, domainValue, jsonValue, typedDomain } from '../../console/src/panel/property-values.ts'
import { timelineOf } from '../../console/src/panel/timeline.ts'
import { ratesOf } from '../../console/src/state/rates.ts'
import { placesOf, placesWith } from '../../console/src/tables/network-places.ts'
import { bitRate, duration, flowLevel, nanoseconds } from '../../console/src/units.ts'
import type { NetworkStatus } from '../../src/manage/cluster/cluster-calls.ts'
import { fakeHost } from '../../src/manage/control/fake-host.ts'
import type { LivePort, LiveView } from '../../src/manage/live/live-view.ts'
import type { PropertyField } from '../../src/ndis/property-fields.ts'
import { parseStandardProperty } from '../../src/switch/policies/standard-properties.ts'

const view = (await fakeHost().host.live()) as LiveView
const portsOf = (count: number): LivePort[] =>
  Array.from({ length: count }, (_, i) => ({ ...view.ports[0]!, name: `g${i}`, id: i + 1, connected: i % 3 > 0 }))

describe('the drawing of guests', () => {
  test('keeps every card inside the floor and off the others, at any width and number', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 260, max: 3000 }), (count, width) => {
        const { cards, height } = drawGuests(portsOf(count), width, null)
        assert.equal(
          cards.reduce((sum, { ports }) => sum + ports.length, 0),
          count,
        )
        for (const [i, card] of cards.entries()) {
          assert.ok(card.x >= 0 && card.x + card.width <= width && card.y < height)
          for (const other of cards.slice(i + 1))
            assert.ok(card.y !== other.y || Math.abs(card.x - other.x) >= Math.min(card.width, other.width))
        }
      }),
    )
  })

  test('groups many ports by kind and state, but for the chosen one', () => {
    assert.equal(drawGuests(portsOf(DRAWN_MAX), 1000, null).cards.length, DRAWN_MAX)
    const { cards } = drawGuests(portsOf(1000), 1000, 'g500')
    assert.deepEqual(
      cards.map(({ title, ports }) => [title, ports.length]),
      [
        ['g500', 1],
        ['vhost-user, connected', 665],
        ['vhost-user, waiting', 334],
      ],
    )
  })
})

describe('the order of the stack', () => {
  const stack = [
    { name: 'a', class: 'capturing' },
    { name: 'b', class: 'filtering' },
    { name: 'c', class: 'filtering' },
  ]
  test('may change within a class only, and the rule says so (ES-018)', () => {
    assert.deepEqual(moved(stack, 'b', null), ['a', 'c', 'b'])
    assert.equal(forbidden(stack, moved(stack, 'b', null)), null)
    assert.match(String(forbidden(stack, moved(stack, 'c', 'a'))), /“c” is a filtering extension .* above “a”.*ES-018/)
  })
})

test('an address is found where its port is, or where a record says; what a port has is not shown twice', () => {
  const port = { name: 'web', host: 'h1', mac: '52:54:00:00:00:01', virtualSubnetId: 5001, customerAddresses: ['10.1.0.1'] }
  const more = { tenant: '', link: 'up', state: 'held', message: null } as const
  const hosts = [{ name: 'h2', providerAddresses: ['192.0.2.2'] }]
  const network = { hosts, ports: [{ ...port, ...more }] } as unknown as NetworkStatus
  const record = (mac: string, provider: string) => ({ vsid: 5001, mac, addresses: [], provider, kind: 'learned' as const })
  const places = placesOf(network, [
    record(port.mac, '192.0.2.1'),
    record('52:54:00:00:00:02', '192.0.2.2'),
    record('52:54:00:00:00:03', '192.0.2.3'),
  ])
  const shown = (filter: string) => placesWith(places, filter).map(({ mac, port: name, host }) => [mac.slice(-2), name, host])
  assert.deepEqual(shown(''), [
    ['01', 'web', 'h1'],
    ['02', '', 'h2'],
    ['03', '', '192.0.2.3'],
  ])
  assert.deepEqual(shown('subnet 5001 h2'), [['02', '', 'h2']])
  assert.deepEqual(shown('10.1.0.1 WEB'), [['01', 'web', 'h1']])
  assert.deepEqual(placesOf(null, []), [])
})

test('fields of a property become a form and its value again, with what was touched and what it had alone', () => {
  const fields: readonly PropertyField[] = [
    { name: 'perSecond', type: 'integer', min: 1, max: 10, required: true, description: 'Frames a second.' },
    { name: 'dropAll', type: 'boolean' },
    { name: 'mode', type: 'choice', choices: ['drop', 'mark'], default: 'drop' },
    { name: 'delay', type: 'quantity' },
    { name: 'more', type: 'json', advanced: true },
  ]
  const keys = (value: object): string[] => formParts(fields, { ...value }).advanced.map(({ key }) => key)
  assert.deepEqual([keys({}), keys({ more: 1 })], [['more'], []], 'what is seldom set is folded away unless it is set')
  const [first, second, third] = formParts(fields, {}).usual
  assert.deepEqual(first, { key: 'perSecond', label: 'Per second', kind: 'number', hint: 'Frames a second. · 1 to 10 · needed' })
  assert.deepEqual([second?.kind, third?.choices], ['flag', ['drop', 'mark']])
  const blank = typedFields(fields)
  assert.deepEqual(blank, { perSecond: '', dropAll: '', mode: 'drop', delay: '', more: '' })
  assert.deepEqual(fieldProblems(fields, blank), { perSecond: 'is needed' })
  assert.deepEqual(Object.keys(fieldProblems(fields, { ...blank, perSecond: '11', more: '{' })), ['perSecond', 'more'])
  assert.deepEqual(fieldsValue(fields, { ...blank, perSecond: '7' }), { perSecond: 7 })
  const typed = { perSecond: '7', dropAll: 'true', mode: 'mark', delay: '20ms', more: '[1]' }
  const value = { perSecond: 7, dropAll: true, mode: 'mark', delay: '20ms', more: [1] }
  assert.deepEqual(fieldsValue(fields, typed), value)
  assert.deepEqual(typedFields(fields, value), typed)
  assert.deepEqual(fieldsValue(fields, { ...blank, perSecond: '7' }, { ...value, delay: 5 }), {
    perSecond: 7,
    dropAll: false,
    mode: 'drop',
  })
  assert.equal(refusedField(fields, 'property rate-limit: delay: 5 is not a time'), 'delay')
  assert.equal(refusedField(fields, 'property rate-limit: what: 5'), undefined)
})

test('steps of a trace are numbered where they happen', () => {
  const step = (stage: 'arrival' | 'ingress' | 'delivery', extension: string | null, port?: string) => ({
    stage,
    extension,
    packet: 1,
    text: '',
    ...(port === undefined ? {} : { port }),
  })
  const steps = [step('arrival', null), step('ingress', 'acl'), step('delivery', null, 'b'), step('ingress', 'acl')]
  const trace = { port: 'a', summary: '', steps, delivered: ['b'], tunnels: [] }
  assert.deepEqual(stepsAt(trace, { port: 'a' }), [1])
  assert.deepEqual(stepsAt(trace, { extension: 'acl' }), [2, 4])
  assert.deepEqual(stepsAt(trace, { port: 'b' }), [3])
  assert.deepEqual(stepsAt(null, { port: 'b' }), [])
})

describe('the forms of policies', () => {
  const form = (type: string) => forms.find((one) => one.type === type)!
  const values = {
    vlan: [
      { mode: 'access', accessVlanId: 10 },
      { mode: 'trunk', nativeVlanId: 1, trunkVlanIds: ['10', '20-29'] },
      { mode: 'private', pvlanMode: 'isolated', primaryVlanId: 10, secondaryVlanId: 101 },
      { mode: 'private', pvlanMode: 'promiscuous', primaryVlanId: 10, secondaryVlanIds: ['101-103'] },
    ],
    security: [{ allowMacSpoofing: true, virtualSubnetId: 5000 }],
    protection: [{ dhcpGuard: true, stormLimit: '10mbit', sourceGuard: ['10.0.0.0/8', 'learned'] }, { stormLimit: 100 }],
    bandwidth: [{ reservationMbps: 100 }],
    isolation: [
      { mode: 'vlan', defaultIsolationId: 4094, allowUntaggedTraffic: true },
      { mode: 'native-virtual-subnet', defaultIsolationId: 0xffffff },
      { mode: 'none' },
    ],
  } as const

  test('give back what was set, as the switch reads it', () => {
    for (const [type, all] of Object.entries(values))
      for (const value of all) {
        const typed = typedOf(form(type), value)
        assert.deepEqual(problemsOf(form(type), typed), {})
        const back = policyValue(form(type), typed, value)
        assert.deepEqual(parseStandardProperty(type as 'vlan', back), parseStandardProperty(type as 'vlan', value))
      }
  })

  test('say what is wrong, at its field', () => {
    const wrong = (type: string, typed: Record<string, string>) =>
      Object.keys(problemsOf(form(type), { ...typedOf(form(type), undefined), ...typed }))
    assert.deepEqual(wrong('vlan', {}), ['accessVlanId'])
    assert.deepEqual(wrong('vlan', { accessVlanId: '4095' }), ['accessVlanId'])
    assert.deepEqual(wrong('vlan', { mode: 'trunk', trunkVlanIds: '10, 30-20' }), ['trunkVlanIds'])
    assert.deepEqual(wrong('vlan', { mode: 'private', primaryVlanId: '0', secondaryVlanId: '2' }), ['primaryVlanId'])
    assert.deepEqual(wrong('protection', { stormLimit: 'much' }), ['stormLimit'])
    assert.deepEqual(wrong('isolation', { mode: 'vlan', defaultIsolationId: '4095' }), ['defaultIsolationId'])
    assert.deepEqual(wrong('isolation', { mode: 'native-virtual-subnet', defaultIsolationId: '4095' }), [])
    assert.deepEqual(wrong('security', { dynamicIpAddressLimit: '-1' }), ['dynamicIpAddressLimit'])
  })

  test('show the fields of the mode that is chosen', () => {
    const typed = { ...typedOf(form('vlan'), undefined), mode: 'private', pvlanMode: 'promiscuous' }
    assert.deepEqual(
      shownFields(form('vlan'), typed).map(({ key }) => key),
      ['mode', 'pvlanMode', 'primaryVlanId', 'secondaryVlanIds'],
    )
  })
})

describe('properties of which a port has several', () => {
  const routingDomainId = '952c5004-4465-451c-8cb8-fa9ab382b773'

  test('routing domains come back as the switch reads them', () => {
    const isolationIds = [{ isolationId: 5001, name: 'web of a customer' }, { isolationId: 5002 }]
    for (const value of [{ routingDomainId, routingDomainName: 'red', isolationIds }, { routingDomainId }]) {
      const typed = typedDomain(value, '')
      assert.deepEqual(domainProblems(typed), {})
      const read = (one: unknown) => parseStandardProperty('routing-domain', one)
      assert.deepEqual(read(domainValue(typed)), read(value))
    }
  })

  test('what is wrong with a routing domain stands at its field, and the switch refuses it too', () => {
    const right = { routingDomainId, routingDomainName: '', isolationIds: '' }
    for (const [field, text] of [
      ['routingDomainId', 'red'],
      ['routingDomainName', 'x'.repeat(128)],
      ['isolationIds', '4294967296 web'],
      ['isolationIds', `1 ${'x'.repeat(128)}`],
    ] as const) {
      const typed = { ...right, [field]: text }
      assert.deepEqual(Object.keys(domainProblems(typed)), [field])
      assert.throws(() => parseStandardProperty('routing-domain', domainValue(typed)))
    }
    assert.deepEqual(Object.keys(domainProblems({ ...right, isolationIds: 'web' })), ['isolationIds'])
  })

  test('a value is JSON, or a word', () => {
    assert.deepEqual(jsonValue(' {"delay": "10ms"} '), { delay: '10ms' })
    assert.deepEqual(['fast', '7', 'true', '"7"'].map(jsonValue), ['fast', 7, true, '7'])
    assert.throws(() => jsonValue('{ delay: 1 }'), /no JSON/)
  })
})

describe('rates', () => {
  const after = (seconds: number, receivedBytes: number): LiveView => ({
    ...view,
    takenAt: new Date(Date.parse(view.takenAt) + seconds * 1000).toISOString(),
    ports: [{ ...view.ports[0]!, counters: { ...view.ports[0]!.counters, receivedBytes } }],
  })
  const { receivedBytes } = view.ports[0]!.counters
  test('are differences over the time between two views', () => {
    assert.equal(ratesOf(view, after(2, receivedBytes + 1000)).of.get('port alpha')?.inBits, 4000)
  })
  test('count from 0 where a counter began anew, and start with the second view of a port', () => {
    assert.equal(ratesOf(view, after(1, 10)).of.get('port alpha')?.inBits, 80)
    assert.equal(ratesOf({ ...view, ports: [] }, after(1, 10)).of.has('port alpha'), false)
  })
})

test('a time line has a stretch for each way that traffic went', () => {
  const at = (seconds: number): string => new Date(seconds * 1000).toISOString()
  const event = (number: number, seconds: number, code: string, source = 'port a') =>
    ({ number, at: at(seconds), kind: 'failover', source, code, message: '' }) as const
  const events = [
    event(4, 95, 'vf-active', 'port b'),
    event(3, 90, 'vf-inactive'),
    event(2, 60, 'vf-active'),
    event(1, 5, 'vf-active'),
  ]
  const { stretches, marks } = timelineOf(events, 'a', 'synthetic', 100_000, 90_000)
  assert.deepEqual(stretches, [
    { way: 'synthetic', from: 10_000, to: 60_000 },
    { way: 'vf', from: 60_000, to: 90_000 },
    { way: 'synthetic', from: 90_000, to: 100_000 },
  ])
  assert.deepEqual(
    marks.map(({ code }) => code),
    ['vf-inactive', 'vf-active'],
  )
})

test('frames are made of what a form says, and headers are told line by line', () => {
  const wish = {
    kind: 'tcp',
    sourceMac: '02:00:00:00:00:01',
    destinationMac: '02:00:00:00:00:02',
    source: '10.0.0.1',
    destination: '10.0.0.2',
    port: '443',
    vlan: '7',
    hex: '',
  } as const
  const bytes = Uint8Array.from(Buffer.from(frameOf(wish), 'hex'))
  const headers = headersOf(bytes, bytes.length)
  assert.deepEqual(
    headers.map(([name]) => name),
    ['Ethernet', 'VLAN', 'IPv4', 'TCP'],
  )
  assert.match(headers[3]![1], /^40000 to 443, SYN, /)
  assert.throws(() => frameOf({ ...wish, port: 'http' }), /Port is a number up to 65535/)
  assert.throws(() => frameOf({ ...wish, kind: 'hex', hex: 'ff' }), /at least 14 bytes/)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 128 }), fc.nat(70_000), (any, length) => {
      headersOf(any, length)
    }),
  )
})

test('numbers are written as people read them', () => {
  assert.deepEqual([bitRate(0), bitRate(999), bitRate(1_250_000_000)], ['0 b/s', '999 b/s', '1.25 Gb/s'])
  assert.deepEqual([nanoseconds(950), nanoseconds(4200), nanoseconds(2e6)], ['950 ns', '4.2 µs', '2.0 ms'])
  assert.deepEqual([duration(5), duration(3700), duration(90_000)], ['5 s', '1 h 1 min', '1 d 1 h'])
  assert.deepEqual([0, 1, 5000, 5e5, 5e6, 5e9].map(flowLevel), [0, 1, 2, 3, 4, 5])
})
