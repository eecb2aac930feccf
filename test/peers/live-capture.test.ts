// `vmswitch capture` on a running switch that was not prepared for it: what tshark reads of its file, its pipe and its ring, and that
// nothing of it stays behind.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { arpRequestFrame, tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { readPcapng } from '../../src/packet/pcapng-reader.ts'
import { type SwitchUnderLook, switchUnderLook } from '../support/running-switch.ts'
import { until } from '../support/until.ts'

const skip = spawnSync('tshark', ['--version']).status === 0 ? false : 'tshark is not installed (package tshark)'
const one = '52:54:00:00:00:01'
const two = '52:54:00:00:00:02'
const pair = { sourceMac: one, destinationMac: two, source: '10.0.0.1', destination: '10.0.0.2' }
const rules = '[{ name: no-udp, action: deny, protocol: udp }]'

let look: SwitchUnderLook
before(async () => {
  look = await switchUnderLook(
    `  processors: 2\n  extensions: [{ use: acl, onFailure: open, options: { default: allow, rules: ${rules} } }]`,
    { one: `mac: "${one}"`, two: `mac: "${two}"`, three: '' },
  )
})
after(() => look?.close())

const captures = async (): Promise<string[]> =>
  (await look.control.extensions()).map(({ name }) => name).filter((name) => name.startsWith('capture'))

/** What tshark says of a capture, through a pipe of the shell's if it is to read one. */
function tshark({ file, piped = false }: { file: string; piped?: boolean }, ...fields: string[]): string[] {
  const words = `-n -r ${piped ? '-' : file} -T fields -E separator='|' ${fields.map((field) => `-e ${field}`).join(' ')}`
  const { stdout, status, stderr } = spawnSync('sh', ['-c', `${piped ? `cat ${file} | ` : ''}tshark ${words}`], {
    encoding: 'utf8',
  })
  assert.equal(status, 0, stderr)
  return stdout.split('\n').filter((line) => line !== '')
}

test('a capture of two ports by a filter counts to its end, and tshark reads port, direction, drop point and verdict', {
  skip,
}, async () => {
  const file = join(look.directory, 'two.pcapng')
  const started = look.vmswitch('capture', 'one', 'two', '-f', 'host 10.0.0.2', '-c', '4', '-w', file)
  await until(async () => (await captures()).length === 1, 'the capture')
  look
    .peer('three')
    .send(tcpFrame({ ...pair, sourceMac: '02:00:00:00:00:03', source: '10.0.0.3', destination: '10.0.0.9' }, 1, 2))
  look.peer('one').send(tcpFrame(pair, 1, 80))
  look.peer('one').send(udpFrame(pair, 1, 53))
  const { code, stderr } = await started.ended
  assert.equal(code, 0, stderr)
  assert.equal(stderr, `4 records in ${file}, 0 lost\n`)
  assert.deepEqual(
    tshark(
      { file },
      'frame.interface_name',
      'frame.packet_flags_direction',
      '_ws.col.Protocol',
      'frame.verdict.ebpf_tc',
      'frame.comment',
    ).sort(),
    [
      'one dropped by acl|0x00000001|UDP|2|dropped: acl: no-udp',
      'one|0x00000001|TCP||',
      'one|0x00000001|UDP||',
      'two|0x00000002|TCP||',
    ],
  )
  await until(async () => (await captures()).length === 0, 'the end of the capture')
})

test('a capture to standard output is read by tshark from a pipe, of all ports and both processors, until it is interrupted', {
  skip,
}, async () => {
  const started = look.vmswitch('capture', '--all', '-s', '40')
  await until(async () => (await captures()).length === 1, 'the capture')
  look.peer('three').send(arpRequestFrame('02:00:00:00:00:03', '10.0.0.3', '10.0.0.1'))
  look.peer('two').send(arpRequestFrame(two, '10.0.0.2', '10.0.0.1'))
  await until(async () => {
    const counters = (await look.control.extensions()).find(({ name }) => name.startsWith('capture'))?.counters
    return counters?.['captured-records'] === 6
  }, 'six records')
  started.child.kill('SIGINT')
  const { code, stdout, stderr } = await started.ended
  assert.deepEqual([code, stderr], [0, '6 records, 0 lost\n'])
  const { sections, packets } = readPcapng(stdout)
  assert.equal(sections, 1)
  assert.ok(packets.every(({ data }) => data.length === 40))
  const file = join(look.directory, 'all.pcapng')
  writeFileSync(file, stdout)
  assert.deepEqual(tshark({ file, piped: true }, 'frame.interface_name', 'frame.packet_flags_direction').sort(), [
    'one|0x00000002',
    'one|0x00000002',
    'three|0x00000001',
    'three|0x00000002',
    'two|0x00000001',
    'two|0x00000002',
  ])
})

test('a ring of files keeps the newest, each a capture of its own', { skip }, async () => {
  const started = look.vmswitch(
    'capture',
    'one',
    '--direction',
    'inbound',
    '--no-dropped',
    '-c',
    '3',
    '-G',
    '1',
    '-W',
    '2',
    '-w',
    join(look.directory, 'ring.pcapng'),
  )
  await until(async () => (await captures()).length === 1, 'the capture')
  const seen = async (records: number): Promise<boolean> =>
    ((await look.control.extensions()).find(({ name }) => name.startsWith('capture'))?.counters['captured-records'] ?? records) >=
    records
  for (const port of [1, 2, 3]) {
    look.peer('one').send(tcpFrame(pair, port, 80))
    await until(() => seen(port), 'the record')
    await new Promise((resolve) => setTimeout(resolve, 1200))
  }
  await started.ended
  const files = readdirSync(look.directory).filter((name) => name.startsWith('ring-'))
  assert.deepEqual(files.sort(), ['ring-00002.pcapng', 'ring-00003.pcapng'])
  const ports = files.map((name) => tshark({ file: join(look.directory, name) }, 'tcp.srcport'))
  assert.deepEqual(ports, [['2'], ['3']])
  assert.equal(readPcapng(readFileSync(join(look.directory, files[0]!))).interfaces[0]?.name, 'one')
})

test('when its reader goes, the capture goes', async () => {
  const started = look.vmswitch('capture', '--all')
  await until(async () => (await captures()).length === 1, 'the capture')
  started.child.kill('SIGKILL')
  await until(async () => (await captures()).length === 0, 'the end of the capture')
})

test('a file that can not be opened ends the command and its capture', async () => {
  const file = join(look.directory, 'nowhere', 'one.pcapng')
  const { code, stderr } = await look.vmswitch('capture', 'one', '-w', file).ended
  assert.equal(code, 1)
  assert.match(stderr, /^vmswitch: ENOENT: .*one\.pcapng/)
  assert.deepEqual(await captures(), [])
})

test('what can not be captured is refused with the reason', async () => {
  const wrong = await look.vmswitch('capture', 'four').ended
  assert.deepEqual([wrong.code, wrong.stderr], [1, 'vmswitch: switch "look" has no port "four"\n'])
  const filter = await look.vmswitch('capture', 'one', '-f', 'tcp prot 80').ended
  assert.equal(filter.code, 2)
  assert.match(filter.stderr, /^vmswitch: filter "tcp prot 80": .*\(at character 5\)\n {2}tcp prot 80\n {6}\^\n$/)
  assert.equal((await look.vmswitch('capture').ended).code, 2)
  assert.equal((await look.vmswitch('capture', 'one', '-w', join(look.directory, 'kept'), '-W', '3').ended).code, 2)
  assert.deepEqual(await captures(), [])
})

test('Wireshark finds every port as an interface and captures through its pipe', { skip }, async () => {
  const listed = await look.vmswitch('extcap', '--extcap-interfaces', '--extcap-version=4.0').ended
  assert.match(listed.stdout.toString(), /^interface \{value=vmswitch-one\}\{display=vmswitch: port one \(stream\)\}$/m)
  assert.match(
    (await look.vmswitch('extcap', '--extcap-interface', 'vmswitch-one', '--extcap-dlts').ended).stdout.toString(),
    /EN10MB/,
  )
  assert.match(
    (await look.vmswitch('extcap', '--extcap-interface', 'vmswitch-one', '--extcap-config').ended).stdout.toString(),
    /call=--direction/,
  )
  const asked = async (filter: string): Promise<string> =>
    (
      await look.vmswitch('extcap', '--extcap-interface', 'vmswitch-one', '--extcap-capture-filter', filter).ended
    ).stdout.toString()
  assert.equal(await asked('tcp port 80'), '', 'nothing is wrong with it')
  assert.match(await asked('tcp prot 80'), /at character 5/)
  const fifo = join(look.directory, 'pipe')
  const words = ['--capture', '--extcap-interface', 'vmswitch-one', '--fifo', fifo, '--extcap-capture-filter', 'tcp']
  const started = look.vmswitch('extcap', ...words)
  await until(async () => (await captures()).length === 1, 'the capture')
  look.peer('one').send(tcpFrame(pair, 7, 80))
  await until(
    async () => (await look.control.extensions()).some(({ counters }) => counters['captured-records'] === 1),
    'the record',
  )
  started.child.kill('SIGTERM')
  assert.equal((await started.ended).code, 0)
  assert.deepEqual(tshark({ file: fifo }, 'tcp.srcport'), ['7'])
})

test("Wireshark's own programs capture at a port once the switch is installed with them, whichever of its folders they read", {
  skip,
}, async () => {
  const home = { ...process.env, HOME: look.directory, XDG_CONFIG_HOME: undefined, NODE_OPTIONS: undefined }
  const vmswitch = (word: string): string => {
    const environment = { ...home, VMSWITCH_CONTROL: join(look.directory, 'run', 'control.sock') }
    const { status, stdout, stderr } = spawnSync('bin/vmswitch', ['extcap', word], { encoding: 'utf8', env: environment })
    assert.equal(status, 0, stderr)
    return stdout
  }
  assert.equal(vmswitch('install').match(/^wrote .*extcap\/vmswitch$/gm)?.length, 2)
  const started = spawn(
    'tshark',
    ['-n', '-i', 'vmswitch-one', '-f', 'tcp port 81', '-c', '1', '-T', 'fields', '-e', 'tcp.srcport'],
    {
      env: home, // as a desktop starts it: nothing says where the switch is
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  const ended = new Promise((resolve) => started.once('exit', resolve))
  let read = ''
  started.stdout.setEncoding('utf8').on('data', (text) => (read += text))
  await until(async () => (await captures()).length === 1, 'the capture')
  look.peer('one').send(tcpFrame(pair, 6, 80))
  look.peer('one').send(tcpFrame(pair, 8, 81))
  await ended
  assert.equal(read, '8\n')
  assert.equal(vmswitch('uninstall').match(/^removed /gm)?.length, 2)
  await until(async () => (await captures()).length === 0, 'the end of the capture')
})
