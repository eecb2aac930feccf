// What the extension flow-export says of the traffic between two Linux kernels, as collectors of others hear it: nfcapd takes the IPFIX,
// sfcapd the sFlow, tshark takes every message apart. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { udpFrame } from '../../src/packet/build.ts'
import { PcapngWriter } from '../../src/packet/pcapng-writer.ts'
import { decodeIpfix, decodeSflow, numberOf } from '../support/flow-messages.ts'
import { whyNoTap } from '../support/machine.ts'
import { inBox, type TapWorld, tapWorld } from '../support/tap-world.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { type Namespace, run } from '../support/veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('../support/flow-traffic.py', import.meta.url))
const MAC = '02:00:00:00:81:0'
const VLAN = 77
const SINK = 9000
/** Of 10 ms each. */
const TRIES = 2000

/** Networks of the sides, untagged and in the VLAN. */
const nets = { plain: ['10.81.0.', 'fd00:81::'], tagged: ['10.82.0.', 'fd00:82::'] } as const

const missing = (program: string, argument: string): string | undefined =>
  spawnSync(program, [argument]).error === undefined ? undefined : `${program} is not installed`

const skip =
  whyNoTap() ??
  missing(PYTHON, '--version') ??
  missing('nfcapd', '-V') ??
  missing('busybox', 'true') ??
  missing('tshark', '--version') ??
  false
const skipSflow = skip || missing('sfcapd', '-V') || false

// Two guests, which a VLAN may pass.
async function exporting(t: TestContext, options: object): Promise<TapWorld> {
  const world = await tapWorld(
    t,
    [inBox('flow-export', options)],
    { p1: `${MAC}1`, p2: `${MAC}2` },
    { config: { verify: true }, log: (line) => breaches.push(JSON.stringify(line)) },
  )
  const { vmswitch, guests } = world
  for (const [i, name] of ['p1', 'p2'].entries()) {
    const guest = guests[name]!
    await vmswitch.policies.add(vmswitch.portId(name), {
      type: 'vlan',
      value: { mode: 'trunk', nativeVlanId: 0, trunkVlanIds: `${VLAN}` },
    })
    guest.ip('address', 'add', `${nets.plain[0]}${i + 1}/24`, 'dev', guest.device)
    guest.ip('address', 'add', `${nets.plain[1]}${i + 1}/64`, 'dev', guest.device, 'nodad')
  }
  return world
}

let breaches: string[] = []

/** A collector of this program's own, which keeps what it hears. */
async function ownCollector(t: TestContext): Promise<{ port: number; heard: Buffer[] }> {
  const socket = createSocket('udp4')
  const heard: Buffer[] = []
  socket.on('message', (message) => heard.push(message))
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  t.after(() => socket.close())
  return { port: (socket.address() as AddressInfo).port, heard }
}

interface Collector {
  readonly port: number
  /** Ends it and reads what it took. */
  flows(): Promise<Record<string, number | string>[]>
}

// nfcapd or sfcapd on a free port.
async function collector(t: TestContext, program: string): Promise<Collector> {
  const directory = temporaryDirectory()
  const probe = createSocket('udp4')
  await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise<void>((resolve) => probe.close(resolve))
  const child: ChildProcess = spawn(program, ['-b', '127.0.0.1', '-p', `${port}`, '-w', directory, '-t', '3600'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()))
  t.after(() => void child.kill('SIGKILL'))
  for (let i = 0; i < 3000 && readdirSync(directory).length === 0; i++) await sleep(10)
  return {
    port,
    async flows() {
      for (let i = 0; i < TRIES && waiting(port); i++) await sleep(10) // it ends without looking at what waits
      child.kill('SIGTERM')
      await ended
      const text = run('nfdump', '-N', '-R', directory, '-o', 'json')
      return JSON.parse(text === '' ? '[]' : text) as Record<string, number | string>[]
    },
  }
}

/** Whether messages wait for a reader at a UDP port. */
function waiting(port: number): boolean {
  const socket = new RegExp(`^ *\\d+: [0-9A-F]{8}:${port.toString(16).toUpperCase().padStart(4, '0')} `)
  return readFileSync('/proc/net/udp', 'utf8')
    .split('\n')
    .some((line) => socket.test(line) && !line.includes(':00000000 00:'))
}

// Waits until nothing more comes to a collector of one's own: the last messages are on their way when an extension has ended.
async function quiet(heard: readonly unknown[]): Promise<void> {
  let before = -1
  for (let i = 0, still = 0; i < TRIES && still < 30; i++) {
    still = heard.length === before ? still + 1 : 0
    before = heard.length
    await sleep(10)
  }
}

/** What tshark has to complain of in messages of a protocol. */
function complaints(messages: readonly Buffer[], protocol: string): string {
  const path = join(temporaryDirectory(), 'messages.pcapng')
  const writer = new PcapngWriter(65_562)
  const blocks: Buffer[] = []
  const keep = (length: number): void => void blocks.push(Buffer.from(writer.bytes.slice(0, length)))
  keep(writer.section('test'))
  keep(writer.interface('messages', 'messages', undefined))
  const pair = { sourceMac: `${MAC}1`, destinationMac: `${MAC}2`, source: '192.0.2.1', destination: '192.0.2.2' }
  for (const message of messages) {
    const frame = udpFrame(pair, 7777, 7778, Uint8Array.from(message))
    writer.bytes.set(frame, writer.dataOffset)
    keep(writer.packet(0, frame.length, frame.length, 0, 1, -1))
  }
  writeFileSync(path, Buffer.concat(blocks))
  const decoded = run(
    'tshark',
    '-n',
    '-r',
    path,
    '-d',
    `udp.port==7778,${protocol}`,
    '-Y',
    protocol,
    '-T',
    'fields',
    '-e',
    'frame.number',
  )
  assert.equal(decoded.trim().split('\n').length, messages.length, 'tshark takes each for what it is')
  return run('tshark', '-n', '-r', path, '-d', `udp.port==7778,${protocol}`, '-Y', '_ws.expert || _ws.malformed', '-V')
}

const inside = (side: Namespace, ...words: string[]): string => run('ip', 'netns', 'exec', side.name, PYTHON, script, ...words)

// What the other side takes its traffic with.
async function swallow(t: TestContext, side: Namespace): Promise<void> {
  const child = spawn('ip', ['netns', 'exec', side.name, PYTHON, script, 'sink', `${SINK}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => void child.kill())
  await new Promise<void>((resolve) => child.stdout!.once('data', () => resolve()))
}

/** Segments that the TCP of a side sent. */
function segments(side: Namespace): number {
  const [names, values] = run('ip', 'netns', 'exec', side.name, 'cat', '/proc/net/snmp')
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '))
  const of = (name: string): number => Number(values![names!.indexOf(name)])
  return of('OutSegs') + of('RetransSegs')
}

/** Whether a side has a TCP connection that is not over: neither listening nor only waiting for stray segments. */
const talks = (side: Namespace): boolean =>
  run('ip', 'netns', 'exec', side.name, 'cat', '/proc/net/tcp', '/proc/net/tcp6')
    .split('\n')
    .some((line) => /^ *\d+: \S+ \S+ (?!06|0A)/.test(line))

interface Datagrams {
  readonly net: string
  readonly vlan: number
  readonly source: number
  readonly count: number
  readonly size: number
}

const cases = [
  { net: nets.plain[0], vlan: 0, source: 5001, count: 40, size: 100 },
  { net: nets.plain[1], vlan: 0, source: 5002, count: 30, size: 1200 },
  { net: nets.tagged[0], vlan: VLAN, source: 5003, count: 20, size: 1 },
  { net: nets.tagged[1], vlan: VLAN, source: 5004, count: 10, size: 700 },
] as const

// Sends the datagrams of a case from the first side: by its kernel, or as crafted frames with a tag, since not every kernel has VLANs.
function datagrams({ guests: { p1 } }: TapWorld, { net, vlan, source, count, size }: Datagrams): void {
  if (vlan === 0) {
    inside(p1!, 'udp', `${net}2`, `${SINK}`, `${source}`, `${count}`, `${size}`)
    return
  }
  const tags = [{ protocol: 0x8100, priority: 3, dropEligible: false, id: vlan }]
  const pair = { sourceMac: `${MAC}1`, destinationMac: `${MAC}2`, source: `${net}1`, destination: `${net}2`, tags }
  const frame = Buffer.from(udpFrame(pair, source, SINK, new Uint8Array(size)))
  inside(p1!, 'raw', p1!.device, `${count}`, frame.toString('hex'))
}

test('nfcapd reads from IPFIX exactly what passed: UDP, TCP and pings, both families, tagged and untagged', {
  skip,
  timeout: 60_000,
}, async (t) => {
  breaches = []
  const own = await ownCollector(t)
  const nfcapd = await collector(t, 'nfcapd')
  const collectors = [`127.0.0.1:${nfcapd.port}`, `127.0.0.1:${own.port}`]
  const one = await exporting(t, { ipfix: { collectors, idleTimeout: 3600, activeTimeout: 3600, mtu: 576 } })
  const { vmswitch } = one
  const [p1, p2] = [one.guests.p1!, one.guests.p2!]
  await swallow(t, p2)
  for (const each of cases) {
    datagrams(one, each)
    const { net, vlan, source } = each
    if (vlan !== 0) continue
    run('ip', 'netns', 'exec', p1.name, 'busybox', 'ping', '-c', '2', '-s', '200', `${net}2`)
    inside(p1, 'tcp', `${net}2`, `${SINK}`, `${source + 1000}`, '300000')
  }
  for (let i = 0; i < TRIES && (talks(p1) || talks(p2)); i++) await sleep(10)
  const sent = segments(p1)
  await vmswitch.reloadExtension('flow-export')
  datagrams(one, { ...cases[0], source: 5009 })
  await vmswitch.setExtension('flow-export', false)
  await quiet(own.heard)
  const flows = await nfcapd.flows()
  for (const { net, vlan, source, count, size } of cases) {
    const isIpv6 = net.includes(':')
    const headers = (isIpv6 ? 40 : 20) + 8
    const address = isIpv6 ? 'src6_addr' : 'src4_addr'
    const found = flows.filter((flow) => flow.proto === 17 && flow.src_port === source)
    assert.deepEqual(
      found.map((flow) => [flow[address], flow.in_packets, flow.in_bytes, flow.src_vlan, flow.in_src_mac, flow.input_snmp]),
      [[`${net}1`, count, count * (size + headers), vlan, `${MAC}1`, vmswitch.portId('p1')]],
    )
    if (vlan !== 0) continue
    const pings = flows.filter(
      (flow) => flow.proto === (isIpv6 ? 58 : 1) && flow[address] === `${net}1` && Number(flow.in_bytes) > 400,
    )
    assert.deepEqual(
      pings.map((flow) => [flow.in_packets, flow.in_bytes]),
      [[2, 2 * (200 + headers)]],
    )
  }
  const tcp = flows.filter((flow) => flow.proto === 6 && flow.dst_port === SINK)
  assert.equal(tcp.length, cases.filter(({ vlan }) => vlan === 0).length)
  assert.equal(
    tcp.reduce((sum, flow) => sum + Number(flow.in_packets), 0),
    sent,
    'super-frames count as the segments that they stand for',
  )
  for (const flow of tcp) assert.ok(Number(flow.in_bytes) > 300_000 && Number(flow.in_bytes) < 330_000, `${flow.in_bytes}`)

  const domains = Map.groupBy(own.heard, (message) => message.readUInt32BE(12))
  let records = 0
  for (const [domain, messages] of domains) {
    assert.ok(domain === 1 || domain === 2)
    let next = 0
    for (const message of decodeIpfix(messages)) {
      assert.equal(message.sequence, next, 'nothing was lost, nor began anew when the extension was loaded anew')
      next += message.records.length
      assert.ok(message.length <= 548)
      for (const { template, values } of message.records) if (template < 258 && numberOf(values, 2) > 0) records++
    }
  }
  assert.equal(records, flows.length, 'two collectors hear the same')
  assert.equal(complaints(own.heard, 'cflow'), '')
  assert.deepEqual(
    breaches.filter((line) => line.includes('ES-')),
    [],
  )
})

test('sfcapd reads every packet from sFlow that samples all of them, and tshark finds no fault with samples and counters', {
  skip: skipSflow,
  timeout: 60_000,
}, async (t) => {
  breaches = []
  const own = await ownCollector(t)
  const sfcapd = await collector(t, 'sfcapd')
  const collectors = [`127.0.0.1:${sfcapd.port}`, `127.0.0.1:${own.port}`]
  const one = await exporting(t, { sflow: { collectors, agent: '127.0.0.1', sampling: 1, counterInterval: 1 } })
  const { vmswitch } = one
  const p2 = one.guests.p2!
  await swallow(t, p2)
  for (const each of cases) datagrams(one, each)
  const back = { sourceMac: `${MAC}2`, destinationMac: `${MAC}1`, source: `${nets.plain[0]}2`, destination: `${nets.plain[0]}1` }
  const frame = Buffer.from(udpFrame(back, 5005, SINK, new Uint8Array(50))).toString('hex')
  inside(p2, 'raw', p2.device, '25', frame)
  // Each port is served by a processor of its own: the counters are sums over both.
  const received = (port: string): number => {
    const samples = own.heard.map(decodeSflow).flatMap((datagram) => datagram.samples)
    const counters = samples.findLast(({ kind, source }) => kind === 2 && source === vmswitch.portId(port))?.records.get(1)
    return counters === undefined ? 0 : counters.readUInt32BE(32) + counters.readUInt32BE(36)
  }
  const isTold = (): boolean => received('p1') >= 100 && received('p2') >= 25
  for (let i = 0; i < 2000 && !isTold(); i++) await sleep(10)
  assert.ok(isTold(), `${received('p1')} and ${received('p2')} frames came from the ports`)
  await vmswitch.setExtension('flow-export', false)
  await quiet(own.heard)
  const flows = await sfcapd.flows()
  for (const { net, source, count, size } of cases) {
    const isIpv6 = net.includes(':')
    const found = flows.filter((flow) => flow.proto === 17 && flow.src_port === source)
    assert.equal(
      found.reduce((sum, flow) => sum + Number(flow.in_packets), 0),
      count,
    )
    assert.ok(found.every((flow) => flow[isIpv6 ? 'src6_addr' : 'src4_addr'] === `${net}1`))
    const bytes = found.reduce((sum, flow) => sum + Number(flow.in_bytes), 0) / count
    assert.ok(bytes >= size + (isIpv6 ? 48 : 28) && bytes <= size + (isIpv6 ? 48 : 28) + 22, `${bytes} for ${size}`)
  }
  const samples = own.heard.map(decodeSflow).flatMap((datagram) => datagram.samples)
  const [counters] = samples.filter(({ kind }) => kind === 2).slice(-1)
  assert.equal(counters!.records.get(1)!.readUInt32BE(20), 3, 'the port is up')
  assert.equal(complaints(own.heard, 'sflow'), '')
  assert.deepEqual(
    breaches.filter((line) => line.includes('ES-')),
    [],
  )
})
