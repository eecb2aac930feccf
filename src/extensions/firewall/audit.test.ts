import assert from 'node:assert/strict'
import { test } from 'node:test'
import { back, lab, toOut, v4 } from '../../../test/support/firewall-lab.ts'
import { tcpFrame } from '../../packet/build.ts'
import { FirewallCounter } from './index.ts'

test('in mode audit everything passes, and what would not is told once a flow', async () => {
  const { passes, lines, counters } = await lab({ mode: 'audit' })
  const far = toOut({ source: v4.source, destination: '203.0.113.1' })
  assert.equal(passes('web1', 'out', tcpFrame(far, 4000, 25), tcpFrame(far, 4000, 25)), 2)
  assert.equal(passes('out', 'web1', tcpFrame(back(far), 25, 4000, { flags: 18 })), 1)
  assert.equal(counters[FirewallCounter.wouldDeny], 1)
  const { time, ...line } = lines()[0]!
  assert.match(String(time), /^2023-11-14T22:13:20\.123Z$/)
  assert.deepEqual(line, {
    action: 'would-deny',
    direction: 'egress',
    port: 'web1',
    group: 'web',
    reason: 'no rule',
    protocol: 'tcp',
    source: '10.0.0.5',
    destination: '203.0.113.1',
    sourcePort: 4000,
    destinationPort: 25,
    packets: 1,
  })
})

test('the log has a line for each kind of decision, not for each packet, and never more than it may', async () => {
  const { host, passes, lines } = await lab({ audit: { perSecond: 5, repeatSeconds: 10 } })
  const to = (port: number): Uint8Array => tcpFrame(toOut({ source: v4.source, destination: '203.0.113.1' }), 4000, port)
  for (let n = 0; n < 50; n++) passes('web1', 'out', to(25))
  assert.equal(lines().length, 1)
  host.advance(10_000)
  passes('web1', 'out', to(25))
  assert.equal(lines()[1]!.packets, 49)
  for (let port = 100; port < 200; port++) passes('web1', 'out', to(port))
  assert.equal(lines().length, 6)
  host.advance(60_000)
  const more = lines().slice(6)
  assert.deepEqual(
    more.map(({ suppressed, packets }) => suppressed ?? packets),
    [96, 1],
  )
  passes('web1', 'out', to(300))
  assert.equal(lines().at(-1)!.packets, 1)
})

test('each refusal is counted in one line, whether its kind is refused again or not, at the latest when the log ends', async () => {
  const { host, passes, lines, module } = await lab({ audit: { perSecond: 10, repeatSeconds: 10 } })
  const to = (port: number): Uint8Array => tcpFrame(toOut({ source: v4.source, destination: '203.0.113.1' }), 4000, port)
  const told = (): number =>
    lines().reduce((sum, { packets, suppressed }) => sum + Number(packets ?? 0) + Number(suppressed ?? 0), 0)
  for (let n = 0; n < 50; n++) passes('web1', 'out', to(25))
  assert.equal(told(), 1)
  host.advance(11_000)
  assert.deepEqual([lines().length, lines()[1]!.packets, lines()[1]!.destinationPort], [2, 49, 25])
  for (let n = 0; n < 5000; n++) passes('web1', 'out', to(1000 + (n % 2500)))
  await module.pause()
  assert.equal(told(), 5050)
})

test('lines that find no room are counted in the next one', async () => {
  const { host, passes, lines, sinks } = await lab()
  const to = (port: number): Uint8Array => tcpFrame(toOut({ source: v4.source, destination: '203.0.113.1' }), 4000, port)
  sinks.get('audit')!.room = 0
  for (let port = 1; port < 8; port++) passes('web1', 'out', to(port))
  sinks.get('audit')!.room = 100
  host.advance(1000)
  assert.deepEqual(
    lines().map(({ suppressed }) => suppressed),
    [7],
  )
})

test('how many connections each rule allowed is told', async () => {
  const { host, passes, lines } = await lab()
  passes('web1', 'out', tcpFrame(toOut(v4), 1, 443), tcpFrame(toOut(v4), 2, 443), tcpFrame(toOut(v4), 2, 443))
  host.advance(60_000)
  const told = lines().find(({ action }) => action === 'rules') as { connections: Record<string, number> }
  assert.equal(told.connections.mirror, 2)
  assert.equal(told.connections.pings, 0)
})
