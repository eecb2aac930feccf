import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CONTROL_BYTES, type SharedMemory } from '../linux/shared-memory.ts'
import type { EndpointConfig } from './endpoint-factory.ts'
import { createSwitch, type RunningSwitch } from './host.ts'

const port = { macSpoofing: 'off', learning: true, link: 'up', mac: null, name: 'late' } as const

/** Takes all memory for ports, and all control memory but about `left` bytes; gives it back when called. */
function exhaust(memory: SharedMemory, left: number): () => void {
  const taken: [number, number][] = []
  for (let bytes = 64 * 1024 * 1024; bytes >= 4096; bytes /= 2)
    for (;;) {
      const at = memory.allocateForPort(bytes)
      if (at >= CONTROL_BYTES) taken.push([at, bytes])
      else {
        memory.free(at, bytes)
        break
      }
    }
  for (let bytes = 64 * 1024 * 1024; bytes >= 64; bytes /= 2)
    while (memory.controlBytesAvailable - bytes >= left) {
      try {
        taken.push([memory.allocate(bytes), bytes])
      } catch {
        break // in pieces that are too small
      }
    }
  return () => {
    for (const [at, bytes] of taken) memory.free(at, bytes)
  }
}

async function withSwitch(work: (running: RunningSwitch, directory: string, log: string[]) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'vmf-'))
  const log: string[] = []
  const running = await createSwitch(
    {
      name: 'full',
      type: 'private',
      processors: 2,
      extensions: [],
      ports: [],
      macTable: { entries: 64, ageingSeconds: 0 },
      directory,
    },
    { log: ({ code, message }) => log.push(`${code}: ${message}`) },
  )
  try {
    await work(running, directory, log)
  } finally {
    await running.close()
    rmSync(directory, { recursive: true })
  }
}

test('a port for which there is no control memory is refused with what to do, takes nothing, and works when there is some', async () => {
  await withSwitch(async (running, directory) => {
    const at = (name: string): string => join(directory, name)
    const endpoints: EndpointConfig[] = [
      { kind: 'stream', path: at('s'), mode: 'server' },
      { kind: 'stream', path: at('c'), mode: 'client' },
      { kind: 'unix-dgram', path: at('u') },
      { kind: 'dgram', local: at('l'), remote: at('r') },
      { kind: 'memory' },
      { kind: 'vhost-user', path: at('v'), mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true },
      { kind: 'vf', path: at('f'), mac: '02:00:00:00:00:01', mtu: 1500, trusted: false, requireSeals: true },
    ]
    const memory = running.sharedMemory
    for (const endpoint of endpoints) {
      for (const left of [0, 300_000]) {
        const giveBack = exhaust(memory, left)
        const before = memory.controlBytesAvailable + memory.guestBytesAvailable
        const refused = await running.addPort({ ...port, endpoint }).then(
          () => running.removePort('late').then(() => null),
          (error: Error & { code?: string }) => error,
        )
        if (refused) {
          assert.equal(refused.code, 'CONTROL_MEMORY_FULL')
          assert.match(refused.message, /use fewer ports/)
        } else assert.notEqual(left, 0, `${endpoint.kind} opened without memory`)
        assert.equal(memory.controlBytesAvailable + memory.guestBytesAvailable, before, endpoint.kind)
        giveBack()
      }
      await running.addPort({ ...port, endpoint })
      await running.removePort('late')
    }
  })
})

test('a peer that comes when the control memory is full is sent away with an event, and the switch goes on', async () => {
  await withSwitch(async (running, directory, log) => {
    const path = join(directory, 's')
    await running.addPort({ ...port, endpoint: { kind: 'stream', path, mode: 'server' } })
    const giveBack = exhaust(running.sharedMemory, 0)
    const peer = createConnection(path)
    const closed = new Promise((resolve) => peer.once('close', resolve).on('error', () => {}))
    peer.resume()
    await closed
    for (let i = 0; i < 4000 && !log.some((line) => line.startsWith('stream-failed')); i++) await sleep(5)
    assert.match(log.find((line) => line.startsWith('stream-failed'))!, /control memory/)
    giveBack()
    await running.removePort('late')
  })
})
