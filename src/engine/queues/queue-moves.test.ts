import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { type AdapterLab, textOf, withLab } from '../../../test/support/adapter-lab.ts'

const PEER = '02:00:00:00:00:99'
const macs = { a: '02:00:00:00:00:0a', b: '02:00:00:00:00:0b', c: '02:00:00:00:00:0c' } as const
/** Frames under way to each guest at the most: memory rings and queues' memory hold them all. */
const UNDER_WAY = 60

/** Keeps its processor at work with each packet, so that it is busy however slow the machine is. */
const burning = {
  name: 'burning',
  file: fileURLToPath(new URL('../../../test/support/burning-extension.ts', import.meta.url)),
  options: {},
  enabled: true,
  onFailure: 'open',
} as const

const processorOf = (lab: AdapterLab, name: string): number =>
  lab.running.adapters.queues.list().find(({ port }) => port === name)!.processor

test('a busy processor gives a queue to one that has little to do by itself, no frame is lost, and each guest has its own in order', async () => {
  const options = {
    vms: Object.entries(macs).map(([name, mac]) => ({ name, mac })),
    processors: 2,
    extensions: [burning],
    adapter: { mode: 'vmq', vfs: 0, queues: 4, rebalanceSeconds: 1 },
  } as const
  await withLab(options, async (lab) => {
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    const shared = processorOf(lab, 'a')
    const other = (['b', 'c'] as const).find((name) => processorOf(lab, name) === shared)
    assert.ok(other, 'three queues on two processors: two share one')
    assert.equal(shared, 0, 'the processor that polls the ring')
    const wire = lab.wire()
    const pair = (['a', other] as const).map((name) => ({ mac: macs[name], guest: lab.synthetic(name), got: [] as string[] }))
    let sent = 0
    const isMoved = (): boolean => processorOf(lab, 'a') !== processorOf(lab, other)
    const take = (): void => {
      for (const { got, guest } of pair) got.push(...guest.receive().map(textOf))
    }
    await lab.until(() => {
      take()
      for (; sent - Math.min(...pair.map(({ got }) => got.length)) < UNDER_WAY; sent++)
        for (const { mac } of pair) assert.ok(wire.send(wireFrame(mac, PEER, `${sent}`)), 'room on the wire')
      return isMoved()
    }, 'a queue to move')
    await lab.until(() => {
      take()
      return pair.every(({ got }) => got.length >= sent)
    }, `${sent} frames for each`)
    const all = Array.from({ length: sent }, (_, i) => `${i}`)
    for (const { got } of pair) assert.deepEqual(got, all)
    await lab.until(() => lab.events.some((event) => event.includes('queue-moved')), 'the log to say so')
    for (const { port, pinned, counters } of lab.running.adapters.queues.list())
      if (port !== null) assert.deepEqual([pinned, counters.dropped], [false, 0], port)
  })
})
