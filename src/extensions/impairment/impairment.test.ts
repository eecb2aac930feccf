import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { OFFLOAD_CHECKSUM } from '../../kernels/layout.ts'
import { HELD_SLOTS } from '../../ndis/pool.ts'
import { udpFrame } from '../../packet/build.ts'
import { foldSum, pseudoSumIpv4 } from '../../packet/checksum.ts'
import impairment, { ImpairmentCounter } from './index.ts'
import { parseImpairmentProperty } from './options.ts'

const A = '02:00:00:00:00:01'
const B = '02:00:00:00:00:02'
const pair = { sourceMac: A, destinationMac: B, source: '10.0.0.1', destination: '10.0.0.2' }
const numbered = (n: number, bytes = 40): Uint8Array => {
  const data = new Uint8Array(bytes)
  new DataView(data.buffer).setUint32(0, n)
  return udpFrame(pair, 4000, 5000, data)
}
const numberOf = (frame: Uint8Array): number => new DataView(frame.buffer, frame.byteOffset).getUint32(42)

async function lab(rule: object | undefined, seed = 1) {
  const rules = rule === undefined ? [] : [{ ports: 'b', ...rule }]
  const host = new ExtensionHost([{ definition: impairment, options: { seed, rules } }])
  await host.addPorts({ name: 'a', mac: A }, { name: 'b', mac: B }, { name: 'c', mac: '02:00:00:00:00:03' })
  const { counters, module } = host.modules[0]!
  let sent = 0
  return {
    host,
    module,
    counters,
    send(count: number, bytes?: number): void {
      for (let left = count; left > 0; left -= 64)
        host.send('a', ...Array.from({ length: Math.min(64, left) }, () => numbered(sent++, bytes)))
    },
    got: (): number[] => host.delivered('b').map(numberOf),
  }
}
const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i)

test('without a rule nothing is done to frames', async () => {
  const { send, got, counters } = await lab(undefined)
  send(100)
  assert.deepEqual(got(), upTo(100))
  assert.equal(counters[ImpairmentCounter.matched], 0)
})

for (const direction of ['ingress', 'egress'])
  test(`a delay on ${direction} holds each frame for that time, not shorter, and keeps the order`, async () => {
    const { host, send, got } = await lab({ direction, delay: '10ms', ports: direction === 'ingress' ? 'a' : 'b' })
    send(70)
    host.advance(9.9)
    assert.deepEqual(got(), [])
    send(30)
    host.advance(0.2)
    assert.deepEqual(got(), upTo(70))
    host.advance(9.9)
    assert.deepEqual(got(), upTo(30, 70))
    assert.equal(host.pool.freeSlots, HELD_SLOTS)
  })

test('a frame to several ports is delayed for one of them and comes at once to the others', async () => {
  const { host, got } = await lab({ delay: 5 })
  host.send('a', udpFrame({ ...pair, destinationMac: 'ff:ff:ff:ff:ff:ff' }, 1, 2, new Uint8Array(40)))
  assert.equal(host.delivered('c').length, 1)
  assert.equal(got().length, 0)
  host.advance(6)
  assert.equal(got().length, 1)
  assert.equal(host.delivered('c').length, 0)
})

test('jitter mixes the order, and with keepOrder it does not', async () => {
  for (const keepOrder of [false, true]) {
    const { host, send, got } = await lab({ delay: 20, jitter: 10, keepOrder, distribution: 'normal' })
    for (let i = 0; i < 10; i++) {
      send(64)
      host.advance(1)
    }
    host.advance(200)
    const all = got()
    assert.equal(all.length, 640)
    const isSorted = all.every((n, i) => i === 0 || n > all[i - 1]!)
    assert.equal(isSorted, keepOrder)
  }
})

test('random loss takes the part that was asked for, the same frames with the same seed', async () => {
  const run = async (seed: number): Promise<number[]> => {
    const { send, got } = await lab({ loss: '10%', lossCorrelation: 25 }, seed)
    send(6400)
    return got()
  }
  const first = await run(11)
  assert.ok(Math.abs(1 - first.length / 6400 - 0.1) < 0.02, `${first.length}`)
  assert.deepEqual(await run(11), first)
  assert.notDeepEqual(await run(12), first)
})

test('the Gilbert-Elliott model loses in bursts, and counts each loss under its reason', async () => {
  const { host, send, got } = await lab({ gemodel: { p: '2%', r: '20%', '1-h': 100 } })
  send(12_800)
  const all = got()
  const lost = 12_800 - all.length
  assert.ok(Math.abs(lost / 12_800 - 2 / 22) < 0.025, `${lost}`)
  const bursts = all.filter((n, i) => i > 0 && n !== all[i - 1]! + 1).length
  assert.ok(lost / bursts > 3.5 && lost / bursts < 7, `${lost} in ${bursts} bursts: 5 each is expected`)
  assert.equal(host.dropped('b', 'impairment-loss'), lost)
})

test('duplicates come twice, with or without a delay, on ingress and egress', async () => {
  for (const rule of [{ delay: 2 }, {}, { direction: 'ingress', ports: 'a' }]) {
    const { host, send, got, counters } = await lab({ duplicate: 20, ...rule })
    send(1280)
    host.advance(5)
    const all = got()
    const twice = all.length - 1280
    assert.equal(counters[ImpairmentCounter.duplicated], twice)
    assert.ok(Math.abs(twice / 1280 - 0.2) < 0.05, `${twice}`)
    assert.equal(new Set(all).size, 1280)
    assert.equal(host.pool.freeSlots, HELD_SLOTS)
  }
})

test('without a delay duplicates leave at once, and make no frame wait', async () => {
  for (const rule of [{}, { direction: 'ingress', ports: 'a' }]) {
    const { send, got, counters } = await lab({ duplicate: '100%', ...rule })
    for (let round = 0; round < 3; round++) {
      send(20)
      assert.deepEqual(got(), [...upTo(20, round * 20), ...upTo(20, round * 20)])
    }
    assert.equal(counters[ImpairmentCounter.delayed], 0)
  }
})

test('corruption turns one bit round, anywhere in the frame', async () => {
  const { host, counters } = await lab({ corrupt: '100%', direction: 'ingress', ports: 'a' })
  const frame = numbered(0, 1400)
  let behindHeader = 0
  for (let i = 0; i < 200; i++) {
    host.send('a', frame)
    for (const port of ['b', 'c'])
      for (const got of host.delivered(port)) {
        const wrong = [...got.keys()].filter((at) => got[at] !== frame[at])
        if (wrong.length === 0) continue
        assert.equal(wrong.length, 1)
        const bits = got[wrong[0]!]! ^ frame[wrong[0]!]!
        assert.equal(bits & (bits - 1), 0)
        if (wrong[0]! >= 128) behindHeader++
      }
  }
  assert.equal(counters[ImpairmentCounter.corrupted], 200)
  assert.ok(behindHeader > 120, `${behindHeader}`)
})

test('reordered frames overtake those that are delayed: every fifth one', async () => {
  const { host, send, got } = await lab({ delay: 10, reorder: 100, gap: 5 })
  send(20)
  assert.deepEqual(got(), [4, 9, 14, 19])
  host.advance(11)
  assert.deepEqual(got(), [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18])
})

test('a rate lets through what it says and drops what finds the queue full', async () => {
  const { host, send, got } = await lab({ rate: '8mbit', limit: 50 })
  send(100, 958) // 1000 bytes each: one per millisecond
  assert.equal(host.dropped('b', 'impairment-limit'), 50)
  host.advance(10)
  assert.deepEqual(got(), upTo(10))
  host.advance(30)
  assert.deepEqual(got(), upTo(30, 10))
  host.advance(100)
  assert.equal(got().length, 10)
  host.advance(1000)
  send(2, 958)
  host.advance(1)
  assert.equal(got().length, 1, 'a pause saves nothing up')
})

test('a burst goes at once after a pause, and not more', async () => {
  const { host, send, got } = await lab({ rate: '8mbit', burst: 5000 })
  send(10, 958)
  assert.equal(got().length, 5)
  host.advance(1)
  assert.equal(got().length, 1)
})

test('bytes that wait are limited too', async () => {
  const { host, send } = await lab({ delay: 10, limitBytes: 3500 })
  send(10, 958)
  assert.equal(host.dropped('b', 'impairment-limit'), 7)
})

test('a link that is down drops everything; a schedule takes it up and down again', async () => {
  const { host, send, got } = await lab({
    schedule: [{ duration: '1s' }, { duration: '500ms', state: 'down' }, { duration: '500ms', delay: 100 }],
  })
  const at: number[] = []
  for (let ms = 0; ms < 4000; ms += 100) {
    send(1)
    host.advance(0)
    at.push(got().length)
    host.advance(100)
    got()
  }
  assert.deepEqual(at.slice(0, 20), at.slice(20))
  assert.deepEqual(at.slice(0, 20), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  assert.equal(host.dropped('b', 'impairment-link-down'), 10)
})

test('a schedule that does not repeat stays with its last step', async () => {
  const { host, send, got } = await lab({ repeat: false, schedule: [{ duration: 100 }, { duration: 100, state: 'down' }] })
  host.advance(100_000)
  send(1)
  assert.deepEqual(got(), [])
})

test('a match picks frames in the words of tcpdump, the others are left alone', async () => {
  const { host, send, got } = await lab({ match: 'udp port 53', loss: 100 })
  send(5)
  assert.equal(got().length, 5)
  host.send('a', udpFrame(pair, 4000, 53, new Uint8Array(40)))
  assert.deepEqual(got(), [])
  assert.equal(host.dropped('b', 'impairment-loss'), 1)
})

test('a module that pauses gives everything back, in order, and copies of its own up (ES-055, ES-056)', async () => {
  const { host, module, send, got } = await lab({ delay: 1000, duplicate: 50 })
  send(100)
  await module.pause()
  host.dataPath.flushInjections()
  assert.deepEqual(got(), upTo(100))
  assert.equal(host.pool.freeSlots, HELD_SLOTS)
})

test('a port that goes takes nothing with it that others wait for, and its own frames hold nothing up (ES-208)', async () => {
  const { host, send, got } = await lab({ delay: 1000 })
  send(10)
  await host.control.disconnect(host.id('a'), 0)
  host.dataPath.flushInjections()
  assert.deepEqual(got(), upTo(10))
  host.advance(2000)
  assert.deepEqual(got(), [])
  assert.deepEqual(host.reports, [])
})

test('frames that were let go early leave room for as many others, long before their time', async () => {
  const { host, send, got } = await lab({ delay: '600s' })
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 3000; n++) {
      send(1)
      host.advance(0.1)
    }
    assert.deepEqual(got(), [])
    await host.control.disconnect(host.id('a'), 0)
    host.advance(0)
    assert.deepEqual(got(), upTo(3000, round * 3000))
    await host.control.connect(host.id('a'), 0)
  }
  assert.equal(host.pool.freeSlots, HELD_SLOTS)
})

test('a delay that changes keeps what is held and its place before what comes later', async () => {
  const { host, send, got } = await lab({ schedule: [{ duration: 10, delay: 50 }, { duration: 10_000 }], repeat: false })
  send(3)
  host.advance(20)
  send(3)
  assert.deepEqual(got(), [])
  host.advance(31)
  assert.deepEqual(got(), upTo(6))
  send(1)
  assert.deepEqual(got(), [6])
})

test('options that cannot be are refused with what would be right', () => {
  const parse = (options: unknown) => () => impairment.parseOptions!(options)
  assert.throws(parse({ rules: [{ delay: '5 parsecs' }] }), /rules\[0\]\.delay: "5 parsecs" is not a time .*20ms/)
  assert.throws(parse({ rules: { loss: 130 } }), /rules\.loss: 130 is not a percentage/)
  assert.throws(parse({ rules: [{ loss: 1, gemodel: { p: 1 } }] }), /gemodel: is given together with loss/)
  assert.throws(parse({ rules: [{ gemodel: {} }] }), /gemodel\.p: is missing/)
  assert.throws(parse({ rules: [{ corrupt: 1 }] }), /corrupt: .*ingress only/)
  assert.throws(parse({ rules: [{ reorder: 10 }] }), /needs a delay/)
  assert.throws(parse({ rules: [{ rate: '9' }] }), /rate: .*10mbit/)
  assert.throws(parse({ rules: [{ match: 'udp prot 5' }] }), /match: /)
  assert.throws(parse({ rules: [{ schedule: [{ loss: 1 }] }] }), /schedule\[0\]\.duration: is missing/)
  assert.throws(parse({ rules: [{ latency: 5 }] }), /no such option/)
  assert.throws(() => parseImpairmentProperty({ ports: ['a'] }), /no such option/)
  assert.equal(parseImpairmentProperty([{ delay: 1, direction: 'both' }]).length, 2)
})

test('a checksum that the guest left open is completed before corruption, so that the receiver finds it wrong', async () => {
  const { host } = await lab({ corrupt: '100%', direction: 'ingress', ports: 'a' })
  let seen = 0
  for (const length of [40, 1400])
    for (let n = 0; n < 50; n++) {
      const whole = numbered(n, length)
      const open = whole.slice()
      const pseudo = ~foldSum(pseudoSumIpv4(open, 14, 17, length + 8)) & 0xffff
      open.set([pseudo >> 8, pseudo & 0xff], 40)
      const source = host.source('a', [open])
      const { pool } = host
      const receive = (): number => {
        const taken = source.receive(0, 1)
        pool.vnet.set([1, 0, 0, 0, 0, 0, 34, 0, 6, 0], 0) // VIRTIO_NET_HDR_F_NEEDS_CSUM, from 34, at 6 behind
        pool.needs[0] = OFFLOAD_CHECKSUM
        return taken
      }
      host.dataPath.turn({ receive, complete() {} }, host.id('a'))
      const [got] = [...host.delivered('b'), ...host.delivered('c')]
      if (got === undefined) continue // the bit was one of the address
      seen++
      const wrong = [...whole.keys()].filter((at) => got[at] !== whole[at])
      assert.equal(wrong.length, 1, 'all but the one bit is as it would be with a checksum from the start')
      assert.deepEqual([pool.vnet[0], pool.needs[0]], [0, 0], 'nothing is left for an offload to make right')
    }
  assert.ok(seen > 80, `${seen}`)
})

test('a trace tells what a line would do, and does none of it', async () => {
  const told = async (rule: object): Promise<string[]> => {
    const { host, counters, send, got } = await lab(rule)
    const { batch } = host.dataPath
    const said: string[] = []
    batch.explained = (_, text) => void said.push(text)
    batch.isTraced = true
    send(1)
    batch.isTraced = false
    batch.explained = undefined
    assert.equal(got().length, 'state' in rule ? 0 : 1)
    assert.deepEqual([...counters].slice(0, 8), [0, 0, 0, 0, 0, 0, 0, 0])
    return said
  }
  assert.deepEqual(await told({ delay: '20ms', jitter: '5ms', loss: '1.5%', duplicate: '2%' }), [
    'would wait 20 ms, 5 ms more or less; would be lost by chance: 1.5 % of frames are; would come twice by chance: 2 %',
  ])
  assert.deepEqual(await told({ direction: 'ingress', ports: 'a', delay: '250us', rate: '10mbit', corrupt: '0.1%' }), [
    'would wait 250 µs; would leave at 10 Mbit/s; would be corrupted by chance: 0.1 %',
  ])
  assert.deepEqual(await told({ gemodel: { p: '1%', r: '10%' } }), [
    'would be lost by chance in bursts: 100 % of frames then, 0 % otherwise; 1 % begin one, 10 % end it',
  ])
  assert.deepEqual(await told({ state: 'down' }), ['its link is down'])
})

test('a profile is a line in both directions, and what stands beside it comes first', () => {
  const lines = (raw: object) =>
    parseImpairmentProperty(raw).map(({ direction, phases }) => [direction, phases[0]!.settings.delay, phases[0]!.settings.rate])
  assert.deepEqual(lines({ profile: 'dsl' }), [
    ['ingress', 25, 384_000],
    ['egress', 25, 1_500_000],
  ])
  assert.deepEqual(lines({ profile: 'dsl', direction: 'egress', delay: '1ms' }), [['egress', 1, 1_500_000]])
  assert.deepEqual(lines({ profile: 'lte', rate: '1mbit' }), [
    ['ingress', 35, 1_000_000],
    ['egress', 35, 1_000_000],
  ])
  assert.deepEqual(lines({ schedule: [{ duration: '1s', profile: '2g' }, { duration: '1s' }] }), [['egress', 400, 280_000]])
  assert.throws(() => parseImpairmentProperty({ profile: '5g' }), /profile.*2g, 3g-slow/)
})
