// Whether what a rule asks for is what frames meet, over many frames: seeds are fixed, bounds are four standard deviations.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { udpFrame } from '../../packet/build.ts'
import impairment, { ImpairmentCounter } from './index.ts'

const A = '02:00:00:00:00:01'
const B = '02:00:00:00:00:02'
const pair = { sourceMac: A, destinationMac: B, source: '10.0.0.1', destination: '10.0.0.2' }
const N = 12_800
const BURST = 64

async function lab(rule: object, seed = 7) {
  const host = new ExtensionHost([{ definition: impairment, options: { seed, rules: [{ ports: 'b', ...rule }] } }])
  await host.addPorts({ name: 'a', mac: A }, { name: 'b', mac: B })
  const { counters } = host.modules[0]!
  let sent = 0
  const frame = (bytes: number): Uint8Array => {
    const data = new Uint8Array(bytes)
    new DataView(data.buffer).setUint32(0, sent++)
    return udpFrame(pair, 4000, 5000, data)
  }
  return {
    host,
    counters,
    send(count: number, bytes = 40): void {
      for (let left = count; left > 0; left -= BURST)
        host.send('a', ...Array.from({ length: Math.min(BURST, left) }, () => frame(bytes)))
    },
    got: (): number[] => host.delivered('b').map((bytes) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(42)),
  }
}

// Of `count` trials, `happened` is what a probability of `expected` gives.
function assertPart(happened: number, count: number, expected: number, what: string): void {
  const bound = 4 * Math.sqrt((expected * (1 - expected)) / count)
  assert.ok(
    Math.abs(happened / count - expected) <= bound,
    `${what}: ${happened} of ${count}, expected ${expected} ± ${bound.toFixed(4)}`,
  )
}

test('random loss takes frames one by one, at any rate, and one loss says nothing of the next', async () => {
  for (const loss of [0.5, 10, 50, 99]) {
    const { send, got, counters } = await lab({ loss })
    send(N)
    const arrived = new Set(got())
    const lost = N - arrived.size
    assert.equal(counters[ImpairmentCounter.lost], lost)
    assertPart(lost, N, loss / 100, `loss of ${loss} %`)
    let twice = 0
    for (let n = 1; n < N; n++) if (!arrived.has(n) && !arrived.has(n - 1)) twice++
    assertPart(twice, lost, loss / 100, `a loss after a loss, of ${loss} %`)
  }
})

test('correlated loss has the same average, and a loss makes the next one likelier', async () => {
  const { send, got } = await lab({ loss: 20, lossCorrelation: 50 })
  send(N)
  const arrived = new Set(got())
  const lost = N - arrived.size
  // Losses come in runs: fewer of them are independent.
  assertPart(lost / 3, N / 3, 0.2, 'correlated loss of 20 %')
  let twice = 0
  for (let n = 1; n < N; n++) if (!arrived.has(n) && !arrived.has(n - 1)) twice++
  assertPart(twice, lost, 0.2 + 0.5 * 0.8, 'a loss after a loss')
})

test('bursts of loss are as long and as far apart as the Gilbert-Elliott model says', async () => {
  const [p, r] = [0.02, 0.25]
  const { send, got } = await lab({ gemodel: { p: p * 100, r: r * 100, '1-h': 100, '1-k': 0 } })
  send(N * 2)
  const arrived = got()
  const gaps = arrived
    .slice(1)
    .map((n, i) => n - arrived[i]! - 1)
    .filter((gap) => gap > 0)
  const lost = gaps.reduce((sum, gap) => sum + gap, 0)
  const mean = lost / gaps.length
  const deviation = Math.sqrt((1 - r) / r ** 2 / gaps.length)
  assert.ok(Math.abs(mean - 1 / r) < 4 * deviation, `bursts of ${mean}, expected ${1 / r} ± ${4 * deviation}`)
  assertPart(gaps.length, arrived.length, p, 'bursts that begin')
})

test('a good state that loses and a bad one that passes lose in the parts that were asked for', async () => {
  const { send, got } = await lab({ gemodel: { p: 50, r: 50, '1-h': 60, '1-k': 10 } })
  send(N)
  assertPart(N - got().length, N, 0.35, 'the mean of both states')
})

test('duplicates, reordered and corrupted frames are as many as was asked for', async () => {
  const twice = await lab({ duplicate: 5 })
  for (let n = 0; n < N; n += BURST) {
    twice.send(BURST)
    twice.host.advance(1) // a copy leaves with the next look at the clock, and what came behind it
  }
  assertPart(twice.got().length - N, N, 0.05, 'duplicates')
  const ahead = await lab({ delay: 10, reorder: 25 })
  ahead.send(N / 2)
  assertPart(ahead.got().length, N / 2, 0.25, 'frames that overtake')
  const wrong = await lab({ corrupt: 3, direction: 'ingress', ports: 'a' })
  wrong.send(N)
  assertPart(wrong.counters[ImpairmentCounter.corrupted]!, N, 0.03, 'corrupted')
})

test('every bit of a frame is as likely to be turned round as any other', async () => {
  const { host } = await lab({ corrupt: 100, direction: 'ingress', ports: 'a' })
  const frame = udpFrame(pair, 4000, 5000, new Uint8Array(358)) // 400 bytes
  const parts = new Uint32Array(8)
  const bits = new Uint32Array(8)
  let seen = 0
  for (let n = 0; n < 4000; n++) {
    host.send('a', frame)
    for (const got of host.delivered('b')) {
      const at = got.findIndex((byte, i) => byte !== frame[i])
      seen++
      parts[Math.floor(at / 50)]!++
      bits[31 - Math.clz32(got[at]! ^ frame[at]!)]!++
    }
  }
  for (const bit of bits) assertPart(bit, seen, 1 / 8, 'a bit of its byte')
  for (const part of parts.subarray(1)) assertPart(part, seen, 50 / 394, 'a part of the frame behind the address') // others go elsewhere
})

test('delays have the mean, the spread and the bounds of their distribution', async () => {
  for (const distribution of ['uniform', 'normal'] as const) {
    const { host, send, got } = await lab({ delay: 20, jitter: 4, distribution })
    const delays: number[] = []
    for (let round = 0; round < 10; round++) {
      send(4 * BURST)
      for (let ms = 0; ms < 60; ms += 0.25) {
        host.advance(0.25)
        for (const _ of got()) delays.push(ms + 0.125)
      }
    }
    assert.equal(delays.length, 40 * BURST)
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length
    const deviation = Math.sqrt(delays.reduce((sum, delay) => sum + (delay - mean) ** 2, 0) / delays.length)
    const expected = distribution === 'uniform' ? 4 / Math.sqrt(3) : 4
    assert.ok(Math.abs(mean - 20) < (4 * expected) / Math.sqrt(delays.length) + 0.1, `${distribution}: mean ${mean}`)
    assert.ok(
      Math.abs(deviation / expected - 1) < 4 / Math.sqrt(2 * delays.length) + 0.02,
      `${distribution}: deviation ${deviation}`,
    )
    if (distribution === 'uniform') assert.ok(delays.every((delay) => delay > 15.8 && delay < 24.4))
  }
})

test('a rate holds over frames of any size, to a frame', async () => {
  const { host, send, counters } = await lab({ rate: '20mbit', limit: 7000 })
  let bytes = 0
  for (let ms = 0; ms < 1000; ms += 4) {
    for (const size of [18, 400, 1400]) send(6, size) // 3000 bytes or so each time for 2500 that pass
    host.advance(4)
    bytes += host.delivered('b').reduce((sum, frame) => sum + frame.length, 0)
  }
  assert.ok(counters[ImpairmentCounter.limited]! === 0)
  const expected = 20e6 / 8
  assert.ok(bytes <= expected && bytes > expected - 1500, `${bytes} of ${expected} bytes in a second`)
})

test('each step of a schedule does what it says for as long as it says, round after round', async () => {
  const { host, send, got } = await lab({
    schedule: [{ duration: 100 }, { duration: 50, loss: 40 }, { duration: 50, state: 'down' }],
  })
  const arrived = [0, 0, 0]
  const sent = [0, 0, 0]
  for (let ms = 0; ms < 2000; ms += 5) {
    const step = ms % 200 < 100 ? 0 : ms % 200 < 150 ? 1 : 2
    send(16)
    sent[step]! += 16
    arrived[step]! += got().length
    host.advance(5)
  }
  assert.equal(arrived[0], sent[0])
  assertPart(sent[1]! - arrived[1]!, sent[1]!, 0.4, 'loss in its step')
  assert.equal(arrived[2], 0)
})
