import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { temporaryDirectory } from '../../test/support/temp-dir.ts'
import { MemoryEndpoint } from '../endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../endpoints/memory/memory-peer.ts'
import { createSwitch, type RunningSwitch } from './host.ts'

const WAIT_MS = 60_000
const FRAMES = 500 // more than a burst's, and than the ring holds if what was taken is not given back
const LENGTH = 1000
const POISON = 666

// Never returns from the packet of a frame of POISON bytes, or from a timer that such a packet sets.
const source = (direction: string, work: string): string => `export default {
  id: '9d1c5c1e-1111-4222-8333-444455556677', name: 'hangs', version: '1.0.0', class: 'filtering',
  attach(sw) {
    const hang = () => { try { for (;;); } finally { throw new Error('caught') } }
    const timer = sw.timer(hang)
    return {
      ${direction}(batch) {
        for (let i = 0; i < batch.length; i++) if (batch.pool.length[batch.slots[i]] === ${POISON}) ${work}
      },
    }
  },
}`

const frameOf = (bytes: number): Uint8Array => {
  const frame = new Uint8Array(bytes)
  frame.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x88, 0xb5])
  return frame
}

const peerOf = (running: RunningSwitch, name: string): MemoryPeer => {
  const endpoint = running.endpoint(name)
  assert.ok(endpoint instanceof MemoryEndpoint)
  return endpoint.peer()
}

async function next(peer: MemoryPeer): Promise<Uint8Array> {
  for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(2)) {
    const frame = peer.receive()
    if (frame) return frame
  }
  throw new Error('no frame came')
}

async function hang(direction: string, work: string, onFailure: 'open' | 'closed'): Promise<void> {
  const directory = temporaryDirectory()
  const file = join(directory, 'hangs.mjs')
  writeFileSync(file, source(direction, work))
  const log: string[] = []
  const port = { macSpoofing: 'on', learning: true, link: 'up', mac: null, endpoint: { kind: 'memory' } } as const
  const running = await createSwitch(
    {
      name: 'stuck',
      type: 'private',
      processors: 1,
      extensions: [{ name: 'hangs', file, enabled: true, onFailure, options: {} }],
      ports: ['a', 'b'].map((name) => ({ ...port, name })),
      macTable: { entries: 64, ageingSeconds: 0 },
      directory,
    },
    { log: ({ source: from, code, message }) => log.push(`${from} ${code}: ${message}`) },
  )
  try {
    const [a, b] = [peerOf(running, 'a'), peerOf(running, 'b')]
    for (const end = performance.now() + WAIT_MS; b.receive() === null && performance.now() < end; await sleep(20))
      a.send(frameOf(LENGTH)) // lost as long as "b" is being connected
    a.send(frameOf(POISON))
    for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(20))
      if (log.some((line) => line.includes('extension-stuck-ended'))) break
    assert.match(log.join('\n'), /extension hangs extension-stuck: .* does not return: processor 0 has not turned for /)
    assert.match(log.join('\n'), /extension hangs extension-stuck-ended: processor 0 goes on without it: it was interrupted/)
    const [status] = await running.extensions()
    assert.equal(status?.state, 'failed')
    assert.match(status?.lastFault ?? '', /did not return for [\d.]+ s, and was interrupted/)
    assert.equal(running.processors()[0]!.counters.interruptions, 1)
    if (onFailure === 'closed') {
      assert.equal(
        running.drops().find((drops) => drops.port === (direction === 'ingress' ? 'a' : 'b'))?.reasons['extension-failed'],
        1,
      )
      await running.setExtension('hangs', false)
    }
    for (let i = 0; i < FRAMES; i++) {
      assert.ok(a.send(frameOf(LENGTH)), `frame ${i} found room`)
      const frame = await next(b)
      assert.ok(frame.length === LENGTH || frame.length === POISON) // what set the timer went on
    }
    a.close()
    b.close()
  } finally {
    await running.close()
  }
}

for (const [direction, work, onFailure] of [
  ['ingress', 'hang()', 'open'],
  ['egress', 'hang()', 'closed'],
  ['ingress', 'timer.at(sw.now() + 5)', 'open'],
] as const)
  test(`what does not return on ${direction} (${work}) is told of, interrupted, and its extension set apart: the ports go on`, () =>
    hang(direction, work, onFailure))
