import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { decodeIpfix, decodeSflow, type IpfixRecord, numberOf } from '../../../test/support/flow-messages.ts'
import type { Batch } from '../../extension.ts'
import { arpRequestFrame, echoFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import flowExport, { FlowExportCounter } from './index.ts'

const A = '02:00:00:00:00:01'
const B = '02:00:00:00:00:02'
const pair = { sourceMac: A, destinationMac: B, source: '10.0.0.1', destination: '10.0.0.2' }
const pair6 = { ...pair, source: 'fd00::1', destination: 'fd00::2' }
const collectors = '192.0.2.1'
const WALL_MS = 1_700_000_000_123

const noTelnet = {
  id: '00000000-0000-0000-0000-000000000001',
  name: 'no-telnet',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch: Batch) {
      for (let i = 0; i < batch.length; i++) if (batch.destinationPort(i) === 23) batch.drop(i, 'acl-denied')
    },
  }),
}

async function lab(options: object) {
  const host = new ExtensionHost([{ definition: flowExport, options }, { definition: noTelnet }])
  await host.addPorts({ name: 'a', mac: A }, { name: 'b', mac: B }, { name: 'c', mac: '02:00:00:00:00:03' })
  const { counters, sinks, module } = host.modules[0]!
  const messages = (name: string): Uint8Array[] => sinks.get(name)!.records.map(({ bytes }) => bytes)
  return {
    host,
    counters,
    module,
    sinks,
    ipfix: () => decodeIpfix(messages('ipfix')),
    flows: () =>
      decodeIpfix(messages('ipfix'))
        .flatMap(({ records }) => records)
        .filter(({ template }) => template < 258)
        .map(({ values }) => values),
    sflow: () => messages('sflow').map(decodeSflow),
  }
}

const numbers = (record: IpfixRecord, ...elements: number[]): number[] => elements.map((element) => numberOf(record, element))
const packets = (records: readonly IpfixRecord[]): number => records.reduce((sum, record) => sum + numberOf(record, 2), 0)

test('a flow is told once, when it was idle long enough, with all that it was', async () => {
  const { host, flows, ipfix } = await lab({ ipfix: { collectors, idleTimeout: 5 } })
  const start = host.nowMs
  const one = tcpFrame(pair, 4000, 80, { data: new Uint8Array(100) })
  host.send('a', one, one)
  host.advance(1000)
  host.send('a', one)
  host.advance(4000)
  assert.equal(flows().length, 0)
  host.advance(3000)
  const [flow, ...others] = flows()
  assert.equal(others.length, 0)
  assert.deepEqual(numbers(flow!, 8, 12), [0x0a000001, 0x0a000002])
  assert.deepEqual(numbers(flow!, 7, 11, 4, 60), [4000, 80, 6, 4])
  assert.deepEqual(numbers(flow!, 2, 1, 352), [3, 420, 3 * 154])
  assert.deepEqual(numbers(flow!, 132, 133, 89), [0, 0, 64])
  assert.deepEqual(numbers(flow!, 10, 14, 61, 136), [host.id('a'), host.id('b'), 0, 1])
  assert.deepEqual(numbers(flow!, 80, 56), [0x020000000002, 0x020000000001])
  assert.equal(numberOf(flow!, 6), one[14 + 20 + 13])
  const [from, to] = numbers(flow!, 152, 153)
  assert.equal(to! - from!, 1000)
  assert.ok(Math.abs(from! - (WALL_MS + start - host.nowMs)) <= 2000, `${from}`)
  const [first] = ipfix()
  assert.deepEqual([first!.seconds, first!.domain], [1_700_000_000, 1])
})

test('IPv4, IPv6, ICMP, tags and both directions of a conversation are flows of their own; what is no IP has none', async () => {
  const { host, flows, counters } = await lab({ ipfix: { collectors } })
  const tags = [{ protocol: 0x8100, priority: 5, dropEligible: false, id: 77 }]
  host.send(
    'a',
    udpFrame(pair, 1, 2, new Uint8Array(10)),
    udpFrame(pair6, 1, 2, new Uint8Array(10)),
    echoFrame(pair, false, 1, 1, new Uint8Array(10)),
    echoFrame(pair6, false, 1, 1, new Uint8Array(10)),
    arpRequestFrame(A, '10.0.0.1', '10.0.0.2'),
  )
  host.send('a', udpFrame({ ...pair, tags }, 1, 2, new Uint8Array(10)))
  host.send(
    'b',
    udpFrame({ sourceMac: B, destinationMac: A, source: '10.0.0.2', destination: '10.0.0.1' }, 2, 1, new Uint8Array(10)),
  )
  host.advance(20_000)
  const found = flows().map((flow) => [
    ...numbers(flow, 4, 60, 243, 58, 11),
    numberOf(flow, flow.has(32) ? 32 : 139),
    numberOf(flow, 10),
  ])
  const a = host.id('a')
  const b = host.id('b')
  const expected = [
    [17, 4, 0, 0, 2, 0, a],
    [17, 6, 0, 0, 2, 0, a],
    [1, 4, 0, 0, 0x800, 0x800, a],
    [58, 6, 0, 0, 0x8000, 0x8000, a],
    [17, 4, 77, 77, 2, 0, a],
    [17, 4, 0, 0, 1, 0, b],
  ]
  assert.deepEqual(found.map(String).sort(), expected.map(String).sort())
  assert.equal(counters[FlowExportCounter['ipfix-not-ip']], 1)
})

test('padding of short frames is no part of a flow', async () => {
  const { host, flows } = await lab({ ipfix: { collectors } })
  const padded = new Uint8Array(60)
  padded.set(udpFrame(pair, 1, 2, new Uint8Array(1)))
  host.send('a', padded)
  host.advance(20_000)
  assert.deepEqual(numbers(flows()[0]!, 1, 352), [29, 60])
})

test('a super-frame counts as the packets that it is cut into', async () => {
  const { host, flows } = await lab({ ipfix: { collectors } })
  const source = host.source('a', [tcpFrame(pair, 1, 2, { data: new Uint8Array(4000) })])
  const receive = (): number => {
    const taken = source.receive(0, 1)
    host.pool.vnet.set([1, 1, 54, 0, 1000 & 0xff, 1000 >> 8, 34, 0, 16, 0], 0)
    return taken
  }
  host.dataPath.turn({ receive, complete() {} }, host.id('a'))
  host.advance(20_000)
  assert.deepEqual(numbers(flows()[0]!, 2, 1, 352), [4, 4 * 1040, 4 * 1054])
})

test('sFlow chooses among the packets that a super-frame is cut into, and tells the length of each', async () => {
  for (const sampling of [1, 7]) {
    const { host, sflow } = await lab({ sflow: { collectors, agent: '10.9.9.9', sampling, counterInterval: 0 } })
    const source = host.source('a', [tcpFrame(pair, 1, 2, { data: new Uint8Array(4000) })])
    const receive = (): number => {
      const taken = source.receive(0, 1)
      host.pool.vnet.set([1, 1, 54, 0, 1100 & 0xff, 1100 >> 8, 34, 0, 16, 0], 0)
      return taken
    }
    for (let i = 0; i < 7; i++) {
      host.dataPath.turn({ receive, complete() {} }, host.id('a'))
      host.advance(200)
    }
    const samples = sflow().flatMap((datagram) => datagram.samples)
    assert.equal(samples.length, 28 / sampling)
    const lengths = samples.map(({ records }) => records.get(1)!.readUInt32BE(4) - 4)
    for (const length of lengths) assert.ok(length === 54 + 1100 || length === 54 + 700, `${length}`)
    if (sampling === 1) assert.deepEqual(lengths.slice(0, 4), [1154, 1154, 1154, 754])
    assert.ok(samples.at(-1)!.numbers[1]! > 28 - sampling, 'the pool counts them all')
  }
})

test('a dropped packet counts as one, with its reason; frames to several ports have no egress interface', async () => {
  const { host, flows } = await lab({ ipfix: { collectors } })
  const dropped = tcpFrame(pair, 1, 23)
  host.send('a', dropped, dropped)
  host.send('a', udpFrame({ ...pair, destinationMac: 'ff:ff:ff:ff:ff:ff' }, 5, 6, new Uint8Array(10)))
  host.advance(20_000)
  const [denied, flooded] = flows()
  assert.deepEqual(numbers(denied!, 2, 133, 132, 89, 14), [2, 2, 80, 129, 0])
  assert.deepEqual(numbers(flooded!, 2, 133, 89, 14), [1, 0, 64, 0])
})

test('on egress each copy counts at the port that gets it', async () => {
  const { host, flows } = await lab({ ipfix: { collectors, direction: 'both' } })
  host.send('a', udpFrame({ ...pair, destinationMac: 'ff:ff:ff:ff:ff:ff' }, 5, 6, new Uint8Array(10)))
  host.advance(20_000)
  const found = flows().map((flow) => numbers(flow, 61, 10, 14, 2).join())
  const [a, b, c] = ['a', 'b', 'c'].map((port) => host.id(port))
  assert.deepEqual(found.sort(), [`0,${a},0,1`, `1,${a},${b},1`, `1,${a},${c},1`])
})

test('a flow that goes on is told after the active time-out, and goes on as another', async () => {
  const { host, flows } = await lab({ ipfix: { collectors, activeTimeout: 3, idleTimeout: 2 } })
  for (let i = 0; i < 10; i++) {
    host.send('a', udpFrame(pair, 1, 2, new Uint8Array(10)))
    host.advance(1000)
  }
  host.advance(5000)
  assert.equal(packets(flows()), 10)
  assert.deepEqual([...new Set(flows().map((flow) => numberOf(flow, 136)))].sort(), [1, 2])
})

test('a full table sends what is old to make room, and loses no packet', async () => {
  const { host, flows, counters } = await lab({ ipfix: { collectors, flows: 16 } })
  for (let i = 0; i < 200; i++) host.send('a', udpFrame(pair, i, 2, new Uint8Array(10)))
  assert.equal(counters[FlowExportCounter['ipfix-messages-lost']], 0)
  host.advance(20_000)
  assert.equal(packets(flows()), 200)
  assert.equal(counters[FlowExportCounter['ipfix-flows-evicted']], 184)
  assert.equal(flows().filter((flow) => numberOf(flow, 136) === 5).length, 184)
})

test('messages fit into the MTU, their numbers count the records, templates and names come again', async () => {
  const { host, ipfix, module } = await lab({ ipfix: { collectors, mtu: 576, templateInterval: 10 } })
  for (let i = 0; i < 100; i++) host.send('a', udpFrame(i % 2 === 0 ? pair : pair6, i, 2, new Uint8Array(10)))
  host.advance(25_000)
  await module.pause()
  const messages = ipfix()
  let records = 0
  for (const message of messages) {
    assert.ok(message.length <= 548)
    assert.equal(message.sequence, records)
    records += message.records.length
  }
  const described = messages.filter(({ templates }) => templates.length > 0)
  assert.deepEqual(described[0]!.templates, [256, 257, 258, 259])
  assert.equal(described.length, 3)
  const names = messages.flatMap((message) => message.records).filter(({ template }) => template === 259)
  assert.deepEqual(
    names.slice(0, 3).map(({ values }) => [numberOf(values, 10), String(values.get(82)), String(values.get(83))]),
    ['a', 'b', 'c'].map((name) => [host.id(name), name, `port ${host.id(name)} of switch test`]),
  )
})

test('what the sink refuses is counted, and the numbers of messages show the gap', async () => {
  const { host, ipfix, sinks, counters } = await lab({ ipfix: { collectors } })
  host.advance(100)
  sinks.get('ipfix')!.room = 0
  host.send('a', udpFrame(pair, 1, 2, new Uint8Array(10)))
  host.advance(20_000)
  sinks.get('ipfix')!.room = 100
  host.send('a', udpFrame(pair, 1, 2, new Uint8Array(10)))
  host.advance(20_000)
  assert.equal(counters[FlowExportCounter['ipfix-messages-lost']], 1)
  const [described, last] = [ipfix()[0]!, ipfix().at(-1)!]
  assert.equal(last.sequence, described.records.length + 1)
})

test('sampling meters one packet of so many, and the options say so', async () => {
  const { host, flows, ipfix } = await lab({ ipfix: { collectors, sampling: 10 } })
  for (let i = 0; i < 100; i++) host.send('a', ...Array.from({ length: 10 }, () => udpFrame(pair, 1, 2, new Uint8Array(10))))
  host.advance(20_000)
  assert.equal(packets(flows()), 100)
  const options = ipfix()
    .flatMap(({ records }) => records)
    .find(({ template }) => template === 258)!
  assert.deepEqual(numbers(options.values, 304, 309, 310, 305, 306), [3, 1, 10, 1, 9])
})

test('what is left is told when the module pauses', async () => {
  const { host, flows, module } = await lab({ ipfix: { collectors } })
  host.send('a', udpFrame(pair, 1, 2, new Uint8Array(10)))
  await module.pause()
  assert.deepEqual(
    flows().map((flow) => numberOf(flow, 136)),
    [4],
  )
})

test('sFlow samples carry the head of the frame, where it came from and went, and count all packets', async () => {
  const { host, sflow } = await lab({
    sflow: { collectors, agent: '10.9.9.9', sampling: 1, headerBytes: 61, counterInterval: 0 },
  })
  const frame = tcpFrame(pair, 4000, 80, { data: new Uint8Array(300) })
  host.send('a', frame, tcpFrame(pair, 4000, 23))
  host.send('b', udpFrame({ ...pair, sourceMac: B, destinationMac: 'ff:ff:ff:ff:ff:ff' }, 5, 6, new Uint8Array(1)))
  host.advance(200)
  const [datagram] = sflow()
  assert.deepEqual([[...datagram!.agent], datagram!.subAgent, datagram!.sequence], [[10, 9, 9, 9], 0, 1])
  const [first, denied, flooded] = datagram!.samples
  const [a, b] = [host.id('a'), host.id('b')]
  assert.deepEqual([first!.kind, first!.sequence, first!.source, ...first!.numbers], [1, 1, a, 1, 1, 0, a, b])
  assert.deepEqual([denied!.sequence, ...denied!.numbers], [2, 1, 2, 0, a, 0x40000102])
  assert.deepEqual([flooded!.source, flooded!.sequence, ...flooded!.numbers], [b, 1, 1, 1, 0, b, 0x80000002])
  const head = first!.records.get(1)!
  assert.deepEqual(
    [0, 4, 8, 12].map((at) => head.readUInt32BE(at)),
    [1, frame.length + 4, 4, 61],
  )
  assert.deepEqual([...head.subarray(16, 16 + 61)], [...frame.subarray(0, 61)])
  assert.equal(head.length, 16 + 64)
})

test('sFlow takes one of so many at random, and tells the counters of every port in turn', async () => {
  const { host, sflow } = await lab({ sflow: { collectors, agent: 'fd00::9', sampling: 50, counterInterval: 2 } })
  const frame = udpFrame(pair, 1, 2, new Uint8Array(58))
  for (let i = 0; i < 100; i++) host.send('a', ...Array.from({ length: 50 }, () => frame))
  host.advance(5000)
  const samples = sflow().flatMap((datagram) => datagram.samples)
  const flows = samples.filter(({ kind }) => kind === 1)
  assert.equal(flows.length, 100)
  assert.ok(flows.at(-1)!.numbers[1]! > 4900)
  const counters = samples.filter(({ kind }) => kind === 2)
  assert.deepEqual(
    counters.map(({ source, sequence }) => `${source} ${sequence}`),
    [1, 2].flatMap((sequence) => ['a', 'b', 'c'].map((port) => `${host.id(port)} ${sequence}`)),
  )
  const [sender, receiver] = counters.map(({ records }) => records.get(1)!)
  assert.deepEqual([Number(sender!.readBigUInt64BE(24)), sender!.readUInt32BE(32)], [5000 * 100, 5000])
  assert.deepEqual([Number(receiver!.readBigUInt64BE(56)), receiver!.readUInt32BE(64)], [5000 * 100, 5000])
  assert.equal(sender!.readUInt32BE(20), 3)
  assert.equal(String(counters[0]!.records.get(1005)!.subarray(4, 5)), 'a')
})

test('a module that replaces another one goes on with its numbers, and sends nothing before it takes over', async () => {
  const options = {
    ipfix: { collectors, idleTimeout: 1 },
    sflow: { collectors, agent: '192.0.2.9', sampling: 1, counterInterval: 1 },
  }
  const old = await lab(options)
  for (let n = 0; n < 5; n++) {
    old.host.send('a', udpFrame(pair, 5000 + n, 53, new Uint8Array(10)))
    old.host.advance(3000)
  }
  await old.module.pause()
  const records = old.ipfix().reduce((sum, message) => sum + message.records.length, 0)
  const datagrams = old.sflow().length
  const sampled = old
    .sflow()
    .flatMap(({ samples }) => samples)
    .filter(({ kind }) => kind === 1).length
  const heir = await lab(options)
  heir.module.handlers.takeOver!(structuredClone(old.module.handlers.handOver!()))
  heir.host.send('a', udpFrame(pair, 6000, 53, new Uint8Array(10)))
  heir.host.advance(3000)
  assert.equal(heir.ipfix()[0]!.sequence, records)
  assert.equal(heir.sflow()[0]!.sequence, datagrams + 1)
  assert.equal(
    heir
      .sflow()
      .flatMap(({ samples }) => samples)
      .find(({ kind }) => kind === 1)!.sequence,
    sampled + 1,
  )
  const other = await lab({ ...options, ipfix: { ...options.ipfix, observationDomain: 9 } })
  other.module.handlers.takeOver!(old.module.handlers.handOver!())
  other.module.handlers.takeOver!(undefined)
  other.host.advance(3000)
  assert.equal(other.ipfix()[0]!.sequence, 0, 'another domain has numbers of its own')
})
