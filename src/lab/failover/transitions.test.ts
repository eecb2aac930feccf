import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { totalsOf, transitionRows } from './failover-report.ts'
import type { StreamRecord } from './numbered-frames.ts'
import { plotStrips, plotSvg } from './plot.ts'
import { accountFor, type DoneAction } from './transitions.ts'

const [S, V] = [0, 1]

/** A stream that sent a frame every 100 µs from 0 on; `arrivals`: [number, time, path]. */
function stream(sent: number, arrivals: readonly (readonly [number, number, number])[]): StreamRecord {
  return {
    name: 'b → a',
    sentUs: Float64Array.from({ length: sent }, (_, i) => i * 100),
    sentPath: new Uint8Array(sent),
    receivedNumber: Uint32Array.from(arrivals, ([number]) => number),
    receivedUs: Float64Array.from(arrivals, ([, atUs]) => atUs),
    receivedPath: Uint8Array.from(arrivals, ([, , path]) => path),
  }
}

const action = (beganUs: number, more: Partial<DoneAction> = {}): DoneAction => ({
  action: 'remove',
  target: 'a',
  beganUs,
  endedUs: beganUs + 10,
  note: '',
  failed: false,
  inRings: 0,
  ...more,
})

test('a blackout is the time from the last frame on the old path to the first on the new one', () => {
  const { transitions } = accountFor(
    [action(250)],
    [
      stream(6, [
        [0, 10, V],
        [1, 110, V],
        [2, 210, V],
        [3, 310, V],
        [4, 900, S],
        [5, 910, S],
      ]),
    ],
  )
  const [one] = transitions[0]!.streams
  assert.deepEqual(
    [one!.to, one!.lastOldUs, one!.firstNewUs, one!.blackoutUs, one!.silenceUs, one!.lost],
    ['synthetic', 60, 650, 590, 590, 0],
  )
})

test('paths that overlap make no blackout, and frames that were overtaken are counted', () => {
  const { transitions } = accountFor(
    [action(150)],
    [
      stream(5, [
        [0, 10, S],
        [1, 110, S],
        [3, 310, V],
        [2, 320, S],
        [4, 410, V],
      ]),
    ],
  )
  const [one] = transitions[0]!.streams
  assert.deepEqual([one!.to, one!.blackoutUs, one!.reordered, one!.lost, one!.duplicated], ['vf', 0, 1, 0, 0])
})

test('a lost frame belongs to the action that the next frame of its stream came after: it was on its way until then', () => {
  const { start, transitions } = accountFor(
    [action(300), action(600)],
    [
      stream(8, [
        [0, 10, V],
        [1, 110, V],
        [4, 450, S],
        [6, 650, S],
        [6, 660, S],
      ]),
    ],
  )
  assert.equal(start[0]!.lost, 0)
  assert.deepEqual(
    transitions.map(({ lost, duplicated }) => [lost, duplicated]),
    [
      [2, 0], // 2 and 3, sent before and after the action
      [2, 1], // 5, and 7 after which nothing came
    ],
  )
})

test('every frame is accounted for once, whatever arrives (fast-check)', () => {
  const arrivals = fc.array(fc.tuple(fc.nat(40), fc.nat(5000), fc.nat(1)), { maxLength: 60 })
  fc.assert(
    fc.property(arrivals, fc.array(fc.nat(5000), { maxLength: 5 }), (got, begins) => {
      const record = stream(
        30,
        got.sort((a, b) => a[1] - b[1]),
      )
      const actions = begins.sort((a, b) => a - b).map((beganUs) => action(beganUs))
      const { sent, lost, duplicated } = totalsOf(accountFor(actions, [record]))
      const known = got.map(([number]) => number).filter((number) => number < 30)
      assert.equal(sent, 30)
      assert.equal(lost, 30 - new Set(known).size)
      assert.equal(duplicated, known.length - new Set(known).size)
    }),
  )
})

test('the table has a row for each stream, and the plots show paths, losses and actions', () => {
  const records = [
    stream(
      1000,
      Array.from({ length: 900 }, (_, i) => [i, i * 100 + 10, i < 500 ? V : S] as const),
    ),
  ]
  const account = accountFor([action(50_000, { inRings: 3 })], records)
  const [row] = transitionRows({ account, beganUs: 0 })
  assert.deepEqual(row!.slice(0, 4), ['50', 'remove a', 'b → a', 'synthetic'])
  assert.deepEqual(row!.slice(8), ['100', '0', '0', '3'])
  const load = { seconds: 0.1, udpPps: 10_000, tcp: false, tcpMbps: 1 }
  const plotted = { records, account, beganUs: 0, load, port: 'a<b' }
  const [strip, marks] = plotStrips(plotted, 46)
  assert.equal(strip, `b → a ${'█'.repeat(20)}${'░'.repeat(16)}!!!!`)
  assert.equal(marks!.indexOf('^'), 6 + 20)
  const svg = plotSvg(plotted)
  assert.match(svg, /^<svg [^>]+>/)
  assert.match(svg, /Failover of a&#60;b/)
  assert.match(svg, />remove</)
})
