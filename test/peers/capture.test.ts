// tshark reads what the capture extension writes: times, interfaces, directions, ids, comments, whole frames.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Batch } from '../../src/extension.ts'
import capture from '../../src/extensions/capture/index.ts'
import { arpRequestFrame, echoFrame, tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { ExtensionHost } from '../support/extension-host.ts'

function tsharkVersion(): string | undefined {
  try {
    return execFileSync('tshark', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n')[0]
  } catch {
    return undefined
  }
}

const skip = tsharkVersion() === undefined ? 'tshark is not installed (package tshark)' : false
const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const pair = { sourceMac: a, destinationMac: b, source: '10.0.0.1', destination: '10.0.0.2' }

/** What tshark says of the fields of each packet of a capture. */
function dissect(capture: Uint8Array, fields: readonly string[]): string[][] {
  const file = join(tmpdir(), `vmswitch-capture-${process.pid}.pcapng`)
  writeFileSync(file, capture)
  try {
    const names = fields.flatMap((field) => ['-e', field])
    const checks = ['-o', 'tcp.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE', '-o', 'ip.check_checksum:TRUE']
    const text = execFileSync('tshark', ['-n', '-r', file, ...checks, '-T', 'fields', '-E', 'separator=|', ...names], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('|'))
  } finally {
    rmSync(file)
  }
}

const noUdp = {
  id: '00000000-0000-0000-0000-000000000001',
  name: 'no-udp',
  version: '1.0.0',
  class: 'filtering',
  attach: () => ({
    ingress(batch: Batch) {
      for (let i = 0; i < batch.length; i++) if (batch.isUdp(i)) batch.drop(i, 'no-udp')
    },
  }),
}

async function captured(options: object, ...frames: readonly Uint8Array[]): Promise<Uint8Array> {
  const host = new ExtensionHost([{ definition: capture, options }, { definition: noUdp }])
  await host.addPorts({ name: 'alpha', mac: a }, { name: 'beta', mac: b }, 'gamma')
  host.send('alpha', ...frames)
  return host.modules[0]!.sinks.get('packets')!.contents()
}

test('tshark follows a frame through the switch by interface, direction and id', { skip }, async () => {
  const rows = dissect(await captured({}, arpRequestFrame(a, '10.0.0.1', '10.0.0.2')), [
    'frame.interface_name',
    'frame.packet_flags_direction',
    'frame.packet_id',
    'frame.time_epoch',
    'arp.dst.proto_ipv4',
  ])
  const seen = rows.map(([name, direction]) => `${name} ${Number(direction)}`)
  assert.deepEqual(seen, ['alpha 1', 'beta 2', 'gamma 2'])
  assert.equal(new Set(rows.map((row) => row[2])).size, 1)
  for (const row of rows) assert.deepEqual(row.slice(3), ['1700000000.123456789', '10.0.0.2'])
})

test('tshark finds whole frames intact, with right checksums, in both IP families', { skip }, async () => {
  const data = Uint8Array.from({ length: 1300 }, (_, i) => i * 7)
  const pair6 = { ...pair, source: 'fd00::1', destination: 'fd00::2' }
  const frames = [tcpFrame(pair, 1, 80, { data }), tcpFrame(pair6, 2, 80, { data }), echoFrame(pair6, false, 1, 2, data)]
  const rows = dissect(await captured({ snapBytes: 65562, direction: 'inbound' }, ...frames), [
    'frame.len',
    'frame.cap_len',
    'tcp.checksum.status',
    'icmpv6.checksum.status',
  ])
  assert.deepEqual(rows, [
    ['1354', '1354', '1', ''],
    ['1374', '1374', '1', ''],
    ['1362', '1362', '', '1'],
  ])
})

test('tshark reads the length of cut frames and the reason of dropped ones', { skip }, async () => {
  const data = new Uint8Array(500)
  const rows = dissect(await captured({ snapBytes: 60 }, udpFrame(pair, 1, 2, data), tcpFrame(pair, 1, 80)), [
    'frame.interface_name',
    'frame.len',
    'frame.cap_len',
    'frame.comment',
    'frame.verdict.ebpf_tc',
  ])
  assert.deepEqual(rows, [
    ['alpha', '542', '60', '', ''],
    ['alpha', '54', '54', '', ''],
    ['beta', '54', '54', '', ''],
    ['alpha dropped by no-udp', '542', '60', 'dropped: no-udp', '2'],
  ])
})
