import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { closeFd } from '../../linux/files.ts'
import { openSocketPair, SocketType } from '../../linux/sockets.ts'
import { RelayClient } from './relay-client.ts'
import { RELAY_COUNTERS } from './relay-messages.ts'

async function withPair(
  autoPong: boolean,
  run: (served: WebSocket, client: WebSocket, join: () => RelayClient) => Promise<void>,
) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const connected = once(server, 'connection')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { autoPong })
  const served = (await connected)[0] as WebSocket
  if (client.readyState !== client.OPEN) await once(client, 'open')
  served.pause()
  const [own, relays] = openSocketPair(SocketType.stream)
  const counters = new BigInt64Array(new SharedArrayBuffer(RELAY_COUNTERS * BigInt64Array.BYTES_PER_ELEMENT))
  try {
    await run(served, client, () => new RelayClient(served, relays, 1000, counters))
  } finally {
    client.terminate()
    served.terminate()
    closeFd(own)
    server.close()
  }
}

test('a client that answers no ping is cut off at the next', () =>
  withPair(false, async (served, client, join) => {
    const relay = join()
    const pinged = once(client, 'ping')
    relay.ask()
    await pinged
    assert.equal(served.readyState, served.OPEN)
    const closed = once(served, 'close')
    relay.ask()
    await closed
  }))

test('a client that answers pings stays', () =>
  withPair(true, async (served, _, join) => {
    const relay = join()
    for (let round = 0; round < 3; round++) {
      const answered = once(served, 'pong')
      relay.ask()
      await answered
    }
    assert.equal(served.readyState, served.OPEN)
  }))

test('a client that went away before it was joined leaves no socket behind', () =>
  withPair(true, async (served, _, join) => {
    const closed = once(served, 'close')
    served.terminate()
    await closed
    const relay = join()
    relay.ask()
    assert.equal(served.readyState, served.CLOSED)
  }))
