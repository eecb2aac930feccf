// The commands that look into a switch, against a control server with a fake switch behind it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ControlServer, startControlServer } from '../manage/control/control-server.ts'
import { fakeHost } from '../manage/control/fake-host.ts'
import { PacketDirection } from '../packet/pcapng.ts'
import { readPcapng } from '../packet/pcapng-reader.ts'
import { PcapngWriter } from '../packet/pcapng-writer.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-diagnosis-'))
const socket = join(directory, 'control.sock')
const fake = fakeHost()
let server: ControlServer | undefined

before(async () => {
  server = await startControlServer({ path: socket }, { host: fake.host, log: () => {} })
})
after(async () => {
  await server?.close()
  rmSync(directory, { recursive: true })
})

function vmswitch(...words: readonly string[]): Promise<{ code: number; stdout: Buffer; stderr: string }> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', VMSWITCH_CONTROL: socket }
    execFile(bin, words, { cwd: directory, env, encoding: 'buffer' }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr: stderr.toString() }),
    )
  })
}

test('capture asks for what was said, stops at its count, and writes a capture', async () => {
  const words = ['-f', 'tcp port 80', '-s', '100', '-c', '2', '--direction', 'inbound', '--no-dropped', '-w', 'a.pcapng']
  const { code, stdout } = await vmswitch('capture', 'alpha', ...words, '--json')
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(stdout.toString()), { records: 2, lost: 0, files: [join(directory, 'a.pcapng')] })
  assert.deepEqual(fake.calls.splice(0), [
    'capture {"ports":["alpha"],"filter":"tcp port 80","snapBytes":100,"direction":"inbound","dropped":false}',
    'stop',
  ])
  assert.deepEqual(
    readPcapng(readFileSync(join(directory, 'a.pcapng'))).packets.map(({ id }) => id),
    [1, 2],
  )
})

test('capture refuses what it can not do before it starts anything', async () => {
  for (const words of [[], ['--all', 'alpha'], ['alpha', '-C', '1'], ['alpha', '--json'], ['alpha', '-s', '5']])
    assert.equal((await vmswitch('capture', ...words)).code, 2, words.join(' '))
  assert.deepEqual(fake.calls.splice(0), [])
})

test('why-dropped shows the drops that are kept, and counts the others', async () => {
  const { stdout } = await vmswitch('why-dropped', 'alpha', '--last', '5')
  assert.equal(
    stdout.toString(),
    [
      'TIME (UTC)       WHERE       REASON       BY    FRAMES  FRAME',
      '03:04:05.000000  from alpha  acl: no-udp  acl  1 (+17)  52:54:00:77:00:01 > 02:00:00:00:00:05 UDP 10.0.0.1.5 > 10.0.0.2.53, 60 bytes',
      'trace the last one: vmswitch trace alpha --frame 0200000000055254007700010800',
      'dropped since the start: 23 frames (mac-spoofing 3, acl: no-udp 20); 4 are kept',
      '',
    ].join('\n'),
  )
  assert.deepEqual(fake.calls.splice(0), ['lastDrops {"port":"alpha","last":5}'])
  assert.equal(JSON.parse((await vmswitch('why-dropped', '--json')).stdout.toString()).drops.length, 1)
})

test('why-dropped asks for what was said, shows the bytes, and follows what comes', async () => {
  fake.calls.splice(0)
  const words = ['--reason', 'acl: no-udp', '--extension', 'acl', '--direction', 'inbound', '--since', '2026-01-02T03:04:05Z']
  const { stdout } = await vmswitch('why-dropped', '--verbose', ...words)
  assert.deepEqual(fake.calls.splice(0), [
    'lastDrops {"reason":"acl: no-udp","extension":"acl","direction":"inbound","since":"2026-01-02T03:04:05.000Z","last":20}',
  ])
  assert.match(stdout.toString(), /\n {2}0000 {2}02 00 00 00 00 05 52 54 00 77 00 01 08 00\n {2}… 46 bytes more/)
  const followed = await vmswitch('why-dropped', '--follow', '--count', '1', '--json')
  assert.equal(JSON.parse(followed.stdout.toString()).number, 3)
  for (const wrong of [
    ['--count', '1'],
    ['--since', 'soon'],
    ['--direction', 'up'],
  ])
    assert.equal((await vmswitch('why-dropped', ...wrong)).code, 2, wrong.join(' '))
})

test('trace sends the frame and shows the steps that come back', async () => {
  fake.calls.splice(0)
  const { stdout } = await vmswitch('trace', 'alpha', '--frame', '02:00:00:00:00:05 525400770001 0800')
  assert.match(
    stdout.toString(),
    /\n {2}1 {2}arrival {5}switch +comes in at port alpha\n {2}2 {2}ingress {5}acl +drops it: no-udp\nIt would not be delivered\.\n$/,
  )
  assert.deepEqual(fake.calls.splice(0), ['trace {"port":"alpha","frame":"0200000000055254007700010800"}'])
})

test('trace takes frame and port from a capture of vmswitch, also from the record of where the frame went out', async () => {
  const writer = new PcapngWriter(60)
  const parts: Uint8Array[] = []
  const keep = (length: number): void => void parts.push(writer.bytes.slice(0, length))
  keep(writer.section('vmswitch'))
  for (const name of ['alpha', 'beta', 'alpha dropped by acl']) keep(writer.interface(name, ''))
  writer.setTime(1_700_000_000, 0)
  const { inbound, outbound } = PacketDirection
  for (const [at, id, direction, cut] of [
    [0, 7, inbound, 0],
    [1, 7, outbound, 0],
    [2, 8, inbound, 0],
    [1, 9, outbound, 0],
    [0, 10, inbound, 1],
  ] as const) {
    writer.bytes.fill(id, writer.dataOffset, writer.dataOffset + 60)
    keep(writer.packet(at, 60, 60 + cut, direction, id, -1))
  }
  writeFileSync(join(directory, 'lab.pcapng'), Buffer.concat(parts))
  fake.calls.splice(0)
  for (const number of [1, 2, 3]) assert.equal((await vmswitch('trace', '--pcap', `lab.pcapng:${number}`)).code, 0)
  const asked = (byte: string): string => `trace {"port":"alpha","frame":"${byte.repeat(60)}"}`
  assert.deepEqual(fake.calls.splice(0), [asked('07'), asked('07'), asked('08')])
  assert.match((await vmswitch('trace', '--pcap', 'lab.pcapng:4')).stderr, /went out at beta, and its way in was not captured/)
  assert.match((await vmswitch('trace', '--pcap', 'lab.pcapng:5')).stderr, /frame 5 of lab\.pcapng was cut/)
  assert.match((await vmswitch('trace', 'alpha', '--pcap', 'lab.pcapng:6')).stderr, /has 5 frames, and none with number 6/)
})

test('acl connections shows what stateful rules follow, and where the next page starts', async () => {
  fake.calls.splice(0)
  const { stdout } = await vmswitch('acl', 'connections', 'alpha', '--limit', '1')
  assert.equal(
    stdout.toString(),
    [
      'PROTOCOL  LOCAL              REMOTE         ISOLATION  STATE        IDLE  ENDS IN          SENT       RECEIVED',
      'tcp       10.0.0.1:40000  >  192.0.2.7:443             established   3 s    252 s  12 (1.2 KiB)  10 (62.5 KiB)',
      'more: vmswitch acl connections alpha --after 9',
      '',
    ].join('\n'),
  )
  assert.deepEqual(fake.calls.splice(0), ['connections {"port":"alpha","limit":1}'])
  assert.equal((await vmswitch('acl', 'connections', 'alpha', '--limit', '0')).code, 2)
  assert.equal(JSON.parse((await vmswitch('acl', 'connections', 'alpha', '--json')).stdout.toString()).next, '9')
})
