import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import { DatagramSink, wrongTargets } from './datagram-sink.ts'

async function collector(type: 'udp4' | 'udp6', address: string): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket(type)
  socket.bind(0, address)
  await once(socket, 'listening')
  return { socket, port: socket.address().port }
}

test('each record is one datagram to every collector, over IPv4 and IPv6', async (t) => {
  const four = await collector('udp4', '127.0.0.1')
  const six = await collector('udp6', '::1')
  t.after(() => {
    four.socket.close()
    six.socket.close()
  })
  const sink = new DatagramSink([
    { address: '127.0.0.1', port: four.port },
    { address: '::1', port: six.port },
  ])
  const arrived = Promise.all([once(four.socket, 'message'), once(six.socket, 'message')])
  sink.write(Uint8Array.of(1, 2, 3))
  for (const [message] of await arrived) assert.deepEqual([...(message as Buffer)], [1, 2, 3])
  assert.equal(sink.lost, 0)
  await sink.close()
  sink.write(Uint8Array.of(4))
  assert.equal(sink.lost, 2)
})

test('what is too long for a datagram is lost and counted, and so is what comes faster than the socket takes it', async () => {
  const sink = new DatagramSink([{ address: '127.0.0.1', port: 9 }])
  sink.write(new Uint8Array(65_508))
  assert.equal(sink.lost, 1)
  for (let i = 0; i < 1100; i++) sink.write(Uint8Array.of(1))
  assert.equal(sink.lost, 1 + 1100 - 1024)
  await sink.close()
})

test('collectors are checked: how many, an address, a port', () => {
  assert.equal(wrongTargets([{ address: '10.0.0.1', port: 4739 }]), undefined)
  assert.match(wrongTargets([])!, /0 collectors/)
  assert.match(wrongTargets(Array.from({ length: 9 }, () => ({ address: '::1', port: 1 })))!, /9 collectors/)
  assert.match(wrongTargets([{ address: 'collector.example', port: 4739 }])!, /no IP address/)
  assert.match(wrongTargets([{ address: '10.0.0.1', port: 0 }])!, /port 0/)
})
