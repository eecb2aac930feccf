import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, frame } from '../../test/support/data-path-harness.ts'
import { PortCounter } from './counters.ts'
import { PortFlag } from './port-table.ts'

const PORTS = 6
const BURSTS = 60

// A small generator with a seed: a failure names it.
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const addresses = [
  1,
  2,
  3,
  4,
  5,
  6,
  50,
  51,
  52,
  0xff,
  '01:00:5e:00:00:05',
  '01:80:c2:00:00:0e',
  '01:80:c2:00:00:1e',
  '03:00:00:00:00:01',
]
const policies = [
  PortFlag.checkSource,
  PortFlag.learn | PortFlag.unknownUnicast,
  PortFlag.learn | PortFlag.unknownUnicast | PortFlag.external,
  0,
  PortFlag.checkSource | PortFlag.linkDown,
]

// Random bursts through random ports, with a filter that drops, changes and excludes now and then. Returns all that came of it.
function history(seed: number, shortCut: boolean): unknown {
  const harness = new DataPathHarness({ shortCut })
  const next = random(seed)
  for (let port = 1; port <= PORTS; port++)
    harness.connectPort(port, policies[next(policies.length)]!, 1 + next(3), next(4) === 0 ? 1 + next(2) : 0)
  const order = next(3)
  if (order > 0)
    harness.install(() => ({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) {
          const choice = batch.u8(i, 20) % 16
          if (choice === 0) batch.drop(i, 'some')
          else if (choice === 1) batch.setU8(i, 5, 1 + (batch.u8(i, 21) % PORTS))
          else if (choice === 2 && order > 1) batch.hold(i)
        }
      },
      egress(batch) {
        for (let i = 0; i < batch.length; i++) if (batch.u8(i, 20) % 16 === 3) batch.exclude(i, 0, 'one')
      },
    }))
  for (let burst = 0; burst < BURSTS; burst++) {
    if (next(10) === 0) harness.connectPort(1 + next(PORTS), policies[next(policies.length)]!, 1)
    const port = 1 + next(PORTS)
    const frames = Array.from({ length: 1 + next(64) }, () => {
      if (next(40) === 0) return new Uint8Array(next(14))
      const source = next(3) === 0 ? addresses[next(addresses.length)]! : port
      const bytes = frame(addresses[next(addresses.length)]!, source, '', next(4) === 0 ? 0x8100 : 0x88b5)
      for (let at = 14; at < 24; at++) bytes[at] = next(256)
      if (bytes[12] === 0x81) bytes.writeUInt16BE(next(3), 14)
      return bytes
    })
    harness.send(port, ...frames)
  }
  const ports = Array.from({ length: PORTS }, (_, i) => i + 1)
  return {
    sent: harness.totals(),
    drops: [0, ...ports].map((port) => harness.drops(port)),
    counters: ports.map((port) =>
      Object.keys(PortCounter).map((name) => harness.portCounter(port, name as keyof typeof PortCounter)),
    ),
    addresses: harness.macs.entries(0),
    free: harness.pool.freeSlots,
  }
}

test('with and without the short cuts every packet has the same fate, with a filter and several queues in its way', () => {
  for (let seed = 1; seed <= 40; seed++) assert.deepEqual(history(seed, true), history(seed, false), `seed ${seed}`)
})

// All tests of the data path once more, as processors run it.
DataPathHarness.shortCut = true
for (const name of ['data-path', 'owned-packets', 'forwarding', 'delivery', 'stack']) await import(`./${name}.test.ts`)
