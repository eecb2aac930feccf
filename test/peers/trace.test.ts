// `vmswitch trace` on a running switch: the same frame traced and then really sent has the same fate.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { type SwitchUnderLook, switchUnderLook } from '../support/running-switch.ts'
import { until } from '../support/until.ts'

const one = '52:54:00:00:00:01'
const two = '52:54:00:00:00:02'
const pair = { sourceMac: one, destinationMac: two, source: '10.0.0.1', destination: '10.0.0.2' }
const rules = '[{ name: no-udp, action: deny, protocol: udp }]'

let look: SwitchUnderLook
before(async () => {
  look = await switchUnderLook(
    `  processors: 2\n  extensions: [{ use: counters }, { use: acl, onFailure: open, options: { default: allow, rules: ${rules} } }]`,
    { one: `mac: "${one}"`, two: `mac: "${two}"`, three: '' },
  )
})
after(() => look?.close())

async function traced(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await look.vmswitch('trace', ...words).ended
  assert.equal(code, 0, stderr)
  return stdout.toString()
}

/** What must not change by a trace. */
const state = async (): Promise<unknown> => {
  const { ports, extensions } = await look.control.counters()
  return { ports, extensions, fdb: await look.control.fdb({}), drops: await look.control.drops() }
}

test('a frame is followed through extensions and tables to its port, without an effect', async () => {
  const before = await state()
  const text = await traced('one', '--synth', 'tcp,src=10.0.0.1,dst=10.0.0.2,dport=80,to=two')
  assert.equal(
    text,
    [
      `${one} > ${two} TCP 10.0.0.1.40000 > 10.0.0.2.80 [S], 54 bytes`,
      '  1  arrival     switch            comes in at port one',
      '  2  ingress     counters          only looks (capturing): not called',
      '  3  ingress     acl               lets it pass as it is',
      `${' '.repeat(35)}no ingress rule says anything of it: allow by default`,
      '  4  forwarding  switch            sends it to two',
      `${' '.repeat(35)}${two} is behind two, by the configuration`,
      '  5  egress      counters          only looks (capturing): not called',
      '  6  delivery    switch            would be delivered to two: 54 bytes',
      'It would be delivered to two.',
      '',
    ].join('\n'),
  )
  const udp = Buffer.from(udpFrame(pair, 1, 53)).toString('hex')
  assert.match(
    await traced('one', '--frame', udp),
    /ingress {5}acl {15}drops it: acl: no-udp\n {35}rule no-udp of weight 0, ingress: deny\nIt would not be delivered\.\n$/,
  )
  assert.match(await traced('three', '--synth', 'udp,ip6,smac=02:00:00:00:00:07'), /drops it: acl: no-udp/)
  const flood = await look.control.trace({
    port: 'three',
    frame: Buffer.from(tcpFrame({ ...pair, sourceMac: '02:00:00:00:00:07', destinationMac: '02:00:00:00:00:08' }, 1, 2)).toString(
      'hex',
    ),
  })
  assert.deepEqual(flood.delivered, [])
  assert.equal(flood.steps.at(-1)?.text, 'would learn that 02:00:00:00:00:07 is behind three')
  assert.deepEqual(await state(), before)
})

test('a frame of a capture is traced by its number, and what really comes of it is what was said', async () => {
  const file = join(look.directory, 'lab.pcapng')
  const started = look.vmswitch('capture', 'one', '--direction', 'inbound', '--no-dropped', '-c', '2', '-w', file)
  await until(async () => (await look.control.extensions()).some(({ name }) => name === 'capture-1'), 'the capture')
  const frames = [tcpFrame(pair, 1, 80), udpFrame(pair, 1, 53)]
  for (const frame of frames) look.peer('one').send(frame)
  assert.equal((await started.ended).code, 0)
  await until(() => look.peer('two').receive() !== null, 'the frame that passes')
  assert.equal(look.peer('two').receive(), null)
  for (const [i, delivered] of [['two'], []].entries()) {
    const answer = JSON.parse(await traced('one', '--json', '--pcap', `${file}:${i + 1}`)) as { delivered: string[] }
    assert.deepEqual(answer.delivered, delivered)
    assert.equal(await traced('--pcap', `${file}:${i + 1}`), await traced('one', '--pcap', `${file}:${i + 1}`))
  }
  const dropped = (await look.control.lastDrops({ last: 1 })).drops[0]!
  const steps = (await look.control.trace({ port: 'one', frame: dropped.header })).steps
  assert.deepEqual(
    steps.flatMap((step) => (step.dropped === undefined ? [] : [step.extension, step.dropped])),
    ['acl', dropped.reason],
  )
})

test('what is no frame is refused with the reason', async () => {
  const refusals: readonly (readonly [string[], number, RegExp])[] = [
    [['one'], 2, /one of --frame, --pcap and --synth/],
    [['--synth', 'tcp'], 2, /which port does the frame come from/],
    [['one', '--frame', '0102'], 1, /a frame is 14 to 65562 bytes/],
    [['one', '--frame', 'xyz'], 2, /not hexadecimal/],
    [['one', '--synth', 'tcp,to=nobody'], 2, /no port "nobody"/],
    [['one', '--synth', 'tcp,colour=red'], 2, /"colour=red" is none of/],
    [['four', '--synth', 'tcp'], 1, /no port "four"/],
  ]
  await Promise.all(
    refusals.map(async ([words, code, message]) => {
      const ended = await look.vmswitch('trace', ...words).ended
      assert.deepEqual([ended.code, message.test(ended.stderr)], [code, true], ended.stderr)
    }),
  )
})
