// Two TAPs in two network namespaces, joined by nothing but their endpoints: a TCP transfer of the kernel's own stacks crosses with
// its segments uncut and its checksums undone. Needs root.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EndpointQueue } from '../../src/endpoints/endpoint.ts'
import { openQueue } from '../../src/endpoints/open-queue.ts'
import { TapEndpoint } from '../../src/endpoints/tap/tap-endpoint.ts'
import { BURST_MAX, FRAME_MAX, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, P_LENGTH, P_NEEDS } from '../../src/kernels/layout.ts'
import { DataHalf } from '../support/data-half.ts'
import { whyNoTap } from '../support/machine.ts'

const TRANSFER_BYTES = 24 * 1024 * 1024
const TIMEOUT_MS = 60_000

/** Sends TRANSFER_BYTES of a known pattern to the first connection and ends it. */
const SERVER = `
  const block = Buffer.alloc(65536, 0).map((_, i) => (i * 7) & 255)
  require('net').createServer((socket) => {
    let left = ${TRANSFER_BYTES}
    const more = () => { while (left > 0) { left -= block.length; if (!socket.write(block)) return } socket.end() }
    socket.on('drain', more); more()
  }).listen(5000, () => console.log('ready'))`
const CLIENT = `
  const hash = require('crypto').createHash('sha256')
  require('net').connect(5000, '198.18.7.1').on('data', (d) => hash.update(d)).on('end', () => console.log(hash.digest('hex')))`

const reason = whyNoTap()
const namespaces = spawnSync('ip', ['netns', 'list'])
const skip = reason ?? (namespaces.error || namespaces.status !== 0 ? 'ip netns is not available (package iproute2)' : false)

const ip = (line: string): void => {
  const run = spawnSync('ip', line.split(' '), { encoding: 'utf8' })
  assert.equal(run.status, 0, `ip ${line}: ${run.stderr}`)
}

/** A TAP in a namespace of its own. */
async function tapIn(
  half: DataHalf,
  name: string,
  address: string,
): Promise<{ control: TapEndpoint; queue: () => EndpointQueue }> {
  let queue: EndpointQueue | null = null
  const control = new TapEndpoint(
    { port: 1, name },
    {
      memory: half.memory,
      events: {
        plans(plans) {
          queue = plans[0] ? openQueue(plans[0], half.context) : null
        },
        link() {},
        event: (code, message) => assert.fail(`${code}: ${message}`),
      },
    },
  )
  await control.open()
  control.begin()
  ip(`netns add ${name}`)
  ip(`link set ${name} netns ${name}`)
  ip(`-n ${name} addr add ${address}/24 dev ${name}`)
  ip(`-n ${name} link set ${name} up`)
  return { control, queue: () => queue! }
}

describe('TAP offloads', { skip }, () => {
  test('a TCP transfer between two namespaces crosses uncut and intact', { timeout: TIMEOUT_MS }, async () => {
    const half = new DataHalf()
    const id = process.pid % 100000
    const names = [`vmsa${id}`, `vmsb${id}`] as const
    const list = half.memory.allocate(BURST_MAX * 2)
    const slots = new Uint16Array(half.memory.buffer, list, BURST_MAX)
    for (let i = 0; i < BURST_MAX; i++) slots[i] = i
    const children: ReturnType<typeof spawn>[] = []
    const controls: TapEndpoint[] = []
    let largest = 0
    let needsSeen = 0
    const move = (from: EndpointQueue, to: EndpointQueue): number => {
      const count = from.receive(0, BURST_MAX)
      if (count === 0) return 0
      const { pool, memory } = { pool: half.context.pool, memory: half.memory }
      for (let slot = 0; slot < count; slot++) {
        largest = Math.max(largest, memory.u32[((pool + P_LENGTH) >> 2) + slot]!)
        needsSeen |= memory.u8[pool + P_NEEDS + slot]!
      }
      assert.equal(to.deliver(list, count), count)
      from.complete(0, count)
      return count
    }
    try {
      const a = await tapIn(half, names[0], '198.18.7.1')
      controls.push(a.control)
      const b = await tapIn(half, names[1], '198.18.7.2')
      controls.push(b.control)
      const run = (namespace: string, source: string): ReturnType<typeof spawn> => {
        const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', source], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        children.push(child)
        return child
      }
      const server = run(names[0], SERVER)
      await once(server.stdout!, 'data')
      let digest = ''
      const client = run(names[1], CLIENT)
      client.stdout!.on('data', (text) => {
        digest += text
      })
      let running = true
      client.once('exit', () => {
        running = false
      })
      while (running) {
        let moved = 0
        for (let turn = 0; turn < 50; turn++) moved += move(a.queue(), b.queue()) + move(b.queue(), a.queue())
        await sleep(moved > 0 ? 0 : 1)
      }
      const expected = createHash('sha256')
      const block = Buffer.alloc(65536).map((_, i) => (i * 7) & 255)
      for (let left = TRANSFER_BYTES; left > 0; left -= block.length) expected.update(block)
      assert.equal(digest.trim(), expected.digest('hex'))
      assert.equal(needsSeen & (OFFLOAD_CHECKSUM | OFFLOAD_TSO4), OFFLOAD_CHECKSUM | OFFLOAD_TSO4)
      assert.ok(largest > 9014 && largest <= FRAME_MAX, `the largest frame had ${largest} bytes`)
    } finally {
      for (const child of children) child.kill('SIGKILL')
      for (const control of controls) await control.close()
      for (const name of names) spawnSync('ip', ['netns', 'delete', name])
      half.memory.free(list, BURST_MAX * 2)
      half.close()
    }
  })
})
