// `vmswitch why-dropped` on a running switch: what was dropped, where, by whom; and that its count is that of the ports.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { arpRequestFrame, tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { type SwitchUnderLook, switchUnderLook } from '../support/running-switch.ts'
import { until } from '../support/until.ts'

const one = '52:54:00:00:00:01'
const two = '52:54:00:00:00:02'
const pair = { sourceMac: one, destinationMac: two, source: '10.0.0.1', destination: '10.0.0.2' }
const rules = '[{ name: no-udp, action: deny, protocol: udp }]'
const FLOOD = 500

let look: SwitchUnderLook
before(async () => {
  look = await switchUnderLook(
    `  processors: 2\n  extensions: [{ use: acl, onFailure: open, options: { default: allow, rules: ${rules} } }]`,
    { one: `mac: "${one}"`, two: `mac: "${two}"`, three: '' },
  )
})
after(() => look?.close())

const dropped = async (): Promise<number> => (await look.control.status()).droppedFrames

test('the last drops say reason, place and frame, and are counted as the ports count them', async () => {
  assert.equal((await look.vmswitch('why-dropped').ended).stdout.toString(), 'nothing was dropped\n')
  look.peer('one').send(udpFrame(pair, 40000, 53))
  look.peer('two').send(tcpFrame({ ...pair, sourceMac: '02:00:00:00:00:99', destinationMac: one }, 1, 2))
  await until(async () => (await dropped()) === 2, 'two drops')
  const { stdout, code } = await look.vmswitch('why-dropped', '--json').ended
  assert.equal(code, 0)
  const { counted, drops } = JSON.parse(stdout.toString()) as Awaited<ReturnType<typeof look.control.lastDrops>>
  assert.deepEqual(counted, { 'acl: no-udp': 1, 'mac-spoofing': 1 })
  const told = drops.map((drop) => [drop.port, drop.direction, drop.reason, drop.extension, drop.summary])
  assert.deepEqual(told.sort(), [
    ['one', 'inbound', 'acl: no-udp', 'acl', `${one} > ${two} UDP 10.0.0.1.40000 > 10.0.0.2.53, 42 bytes`],
    ['two', 'inbound', 'mac-spoofing', null, `02:00:00:00:00:99 > ${one} TCP 10.0.0.1.1 > 10.0.0.2.2 [S], 54 bytes`],
  ])
  const text = (await look.vmswitch('why-dropped', 'two').ended).stdout.toString()
  assert.match(
    text,
    /^TIME \(UTC\) +WHERE +REASON +BY +FRAMES +FRAME\n[\d:.]+ +from two +mac-spoofing +the switch +1 +02:00:00:00:00:99 > /,
  )
  assert.doesNotMatch(text, /no-udp +acl/)
  assert.match(text, /\nmac-spoofing: its source address is not that of its port/)
  const ready = /\ntrace the last one: vmswitch (trace two --frame [0-9a-f]+)\n/.exec(text)?.[1] ?? ''
  assert.match((await look.vmswitch(...ready.split(' ')).ended).stdout.toString(), /drops it: mac-spoofing\n/)
  assert.match(text, /\ndropped since the start: 2 frames \(.*\); 2 are kept\n$/)
  const filtered = async (...words: string[]): Promise<string[]> => {
    const ended = await look.vmswitch('why-dropped', '--json', ...words).ended
    return (JSON.parse(ended.stdout.toString()) as { drops: { reason: string }[] }).drops.map(({ reason }) => reason)
  }
  assert.deepEqual(await filtered('--reason', 'mac-spoofing'), ['mac-spoofing'])
  assert.deepEqual(await filtered('--extension', 'acl', '--direction', 'inbound', '--since', '1h'), ['acl: no-udp'])
  assert.deepEqual(await filtered('--direction', 'outbound'), [])
  assert.match(
    (await look.vmswitch('why-dropped', 'three').ended).stdout.toString(),
    /none of the 2 drops .*\nwhere else a frame of three/,
  )
})

test('of a flood of drops few are kept and all are counted, and the two counters agree', async () => {
  const before = await dropped()
  const flooder = look.peer('one')
  // What the socket has no room for comes when the switch has read.
  for (let i = 0; i < FLOOD; i++) await until(() => flooder.send(udpFrame(pair, i, 53)), 'room in the socket')
  await until(() => flooder.sendBytes(Buffer.alloc(0)), 'the end of the last frame')
  look.peer('three').send(arpRequestFrame('01:00:00:00:00:03', '10.0.0.3', '10.0.0.1'))
  await until(async () => (await dropped()) >= before + FLOOD, 'the flood of drops')
  const [last, byPort] = await Promise.all([look.control.lastDrops({ last: 1000 }), look.control.drops()])
  const summed: Record<string, number> = {}
  for (const { reason, frames } of byPort) summed[reason] = (summed[reason] ?? 0) + frames
  assert.deepEqual(last.counted, summed)
  assert.ok(last.drops.length < FLOOD, `${last.drops.length} were kept`)
  assert.equal((await look.vmswitch('why-dropped', 'four').ended).code, 1)
})
