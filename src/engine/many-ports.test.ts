import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testFrame } from '../endpoints/compliance-frames.ts'
import { MemoryEndpoint } from '../endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../endpoints/memory/memory-peer.ts'
import type { EndpointConfig } from './endpoint-factory.ts'
import { createSwitch, type RunningSwitch } from './host.ts'

const PORTS = 1024
const port = { macSpoofing: 'on', learning: false, link: 'up', mac: null } as const

/** A frame for everybody from one of the memory ports reaches all others, and no port has taken the memory of another. */
async function assertAllReached(running: RunningSwitch): Promise<void> {
  const peers: MemoryPeer[] = []
  for (let i = 0; i < PORTS; i++) {
    const endpoint = running.endpoint(`p${i}`)
    if (endpoint instanceof MemoryEndpoint) peers.push(endpoint.peer())
  }
  const frame = testFrame(1514, 7)
  frame.fill(0xff, 0, 6)
  const sender = peers.at(-1)!
  for (const peer of peers.slice(0, -1)) {
    let got = peer.receive()
    for (let i = 0; i < 300 && got === null; i++) {
      sender.send(frame) // lost at ports that are still being connected
      await sleep(100)
      got = peer.receive()
    }
    assert.ok(got && frame.equals(got))
  }
  for (const peer of peers) peer.close()
}

async function withPorts(endpointOf: (i: number, directory: string) => EndpointConfig): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'vmm-'))
  const running = await createSwitch(
    {
      name: 'many',
      type: 'private',
      processors: 1,
      extensions: [],
      ports: Array.from({ length: PORTS }, (_, i) => ({ ...port, name: `p${i}`, endpoint: endpointOf(i, directory) })),
      macTable: { entries: 64, ageingSeconds: 0 },
      directory,
    },
    { log: () => {} },
  )
  try {
    await assertAllReached(running)
  } finally {
    await running.close()
    rmSync(directory, { recursive: true })
  }
}

test('a switch has 1024 memory ports, and a frame for everybody reaches all of them', () => withPorts(() => ({ kind: 'memory' })))

test('a switch has 1024 ports of mixed kinds', () =>
  withPorts((i, directory) => {
    const at = (suffix = ''): string => join(directory, `${i}${suffix}`)
    const kinds: readonly EndpointConfig[] = [
      { kind: 'memory' },
      { kind: 'stream', path: at(), mode: 'server' },
      { kind: 'unix-dgram', path: at() },
      { kind: 'dgram', local: at(), remote: at('r') },
      { kind: 'vhost-user', path: at(), mode: 'server', queuePairs: 16, mtu: 1500, requireSeals: true },
      { kind: 'vf', path: at(), mac: '02:00:00:00:00:01', mtu: 1500, trusted: false, requireSeals: true },
    ]
    return kinds[i % kinds.length]!
  }))
