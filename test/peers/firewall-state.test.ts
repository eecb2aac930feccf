// What the firewall of a running switch remembers: nothing of what is traced, its connections when it is loaded anew and when a port is saved
// and restored, and how many each rule allowed.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { tcpFrame } from '../../src/packet/build.ts'
import { type SwitchUnderLook, switchUnderLook } from '../support/running-switch.ts'
import { StreamPeer } from '../support/socket-peers.ts'
import { until } from '../support/until.ts'

const one = '52:54:00:00:00:01'
const two = '52:54:00:00:00:02'
const away = { sourceMac: one, destinationMac: two, source: '10.0.0.1', destination: '198.51.100.2' }
const back = { sourceMac: two, destinationMac: one, source: '198.51.100.2', destination: '10.0.0.1' }
const groups = '[{ name: vms, ports: [one], egress: [{ name: https, to: [198.51.100.0/24], protocol: tcp, ports: 443 }] }]'

let look: SwitchUnderLook
before(async () => {
  look = await switchUnderLook(
    `  processors: 2\n  extensions: [{ use: firewall, options: { audit: false, groups: ${groups} } }]`,
    {
      one: `mac: "${one}"`,
      two: `mac: "${two}"`,
    },
  )
})
after(() => look?.close())

const counter = async (name: string): Promise<number> => (await look.control.extensions())[0]!.counters[name] ?? 0

/** Whether a frame from `two` to `one` gets there, by what the firewall counts of it. */
async function answered(port: number): Promise<boolean> {
  const [passed, denied] = await Promise.all([counter('passed'), counter('denied')])
  look.peer('two').send(tcpFrame(back, 443, port))
  await until(async () => (await counter('passed')) !== passed || (await counter('denied')) !== denied, 'the verdict')
  return (await counter('passed')) !== passed
}

async function connect(port: number): Promise<void> {
  const opened = await counter('rule https')
  look.peer('one').send(tcpFrame(away, port, 443))
  await until(async () => (await counter('rule https')) === opened + 1, 'the connection')
}

test('a traced frame opens no connection and counts for no rule', async () => {
  const frame = Buffer.from(tcpFrame(away, 1001, 443)).toString('hex')
  assert.deepEqual((await look.control.trace({ port: 'one', frame })).delivered, ['two'])
  assert.equal(await counter('rule https'), 0)
  assert.equal(await answered(1001), false)
})

test('a rule counts the connections that it allowed, in metrics too', async () => {
  await connect(1002)
  assert.equal(await counter('rule https'), 1)
  assert.equal(await answered(1002), true)
})

test('connections go on when the firewall is loaded anew', async () => {
  await connect(1003)
  await look.control.replaceExtension('firewall')
  assert.equal(await answered(1003), true)
  assert.equal(await answered(1004), false)
})

test('connections go on at a port that was saved and restored', async (t) => {
  await connect(1005)
  const saved = await look.control.save({ port: 'one' })
  await look.control.removePort('one')
  await look.control.restore(saved)
  const peer = StreamPeer.connect(join(look.directory, 'run', 'one.sock'))
  t.after(() => peer.vanish())
  await until(async () => (await look.control.ports()).every(({ connected }) => connected), 'the connection')
  assert.equal(await answered(1005), true)
})
