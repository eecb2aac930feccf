import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parsePing, pingCommand } from './ping.ts'

test("busybox's summary is understood", () => {
  const output = `PING 10.77.0.2 (10.77.0.2): 56 data bytes
64 bytes from 10.77.0.2: seq=0 ttl=64 time=24.305 ms

--- 10.77.0.2 ping statistics ---
3 packets transmitted, 2 packets received, 33% packet loss
round-trip min/avg/max = 1.981/9.510/24.305 ms
`
  assert.deepEqual(parsePing(output), { sent: 3, received: 2, minMs: 1.981, averageMs: 9.51, maxMs: 24.305 })
})

test('no answer has no times', () => {
  const result = parsePing('3 packets transmitted, 0 packets received, 100% packet loss\n')
  assert.deepEqual(result, { sent: 3, received: 0, minMs: Number.NaN, averageMs: Number.NaN, maxMs: Number.NaN })
})

test('words that are no summary are nothing sent', () => {
  assert.equal(parsePing('ping: sendto: Network unreachable').sent, 0)
})

test('the command waits whole seconds, and its limit covers them', () => {
  const { command, timeoutMs } = pingCommand('10.77.0.2', { count: 2, bytes: 1400, timeoutMs: 100 })
  assert.equal(command, 'ping -c 2 -s 1400 -W 1 10.77.0.2')
  assert.ok(timeoutMs > 2 * 2_000)
})
