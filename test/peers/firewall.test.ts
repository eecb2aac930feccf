// The firewall between network namespaces: real TCP connections that it allows and refuses, by prefix, by the names that a resolver tells, by
// group, in IPv4 and IPv6. Needs root.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BUSYBOX, eventually, inBox, type TapWorld, tapWorld, whyNoWorld } from '../support/tap-world.ts'

const PYTHON = '/usr/bin/python3'
const skip = whyNoWorld() || (existsSync(PYTHON) ? false : `this machine has no ${PYTHON}, which connects and listens`)
const guests = { client: '02:00:00:00:82:01', server: '02:00:00:00:82:02', db: '02:00:00:00:82:03' }
const RESOLVER = '198.51.100.53'
/** Addresses of the server: of a rule, of a name, of a name that leads where it must not, of none. */
const there = {
  rule: ['198.51.100.10', '2606:4700:82::10'],
  name: ['198.51.100.80', '2606:4700:82::80'],
  inner: ['10.82.0.9', 'fd82::9'],
}
const other = ['198.51.100.99', '2606:4700:82::99']
const ofDb = ['198.51.100.3', '2606:4700:82::3']

const listener = `
import socket, selectors, sys
sel = selectors.DefaultSelector()
for port in (22, 80, 81, 5432):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('::', port)); s.listen(16)
    sel.register(s, selectors.EVENT_READ)
print('listening', flush=True)
while True:
    for key, _ in sel.select():
        c, _ = key.fileobj.accept()
        c.sendall(b'hello'); c.close()
`
const caller = `
import socket, sys
for target in sys.argv[2:]:
    host, port = target.rsplit('/', 1)
    try:
        s = socket.create_connection((host, int(port)), timeout=float(sys.argv[1]))
        s.settimeout(10)
        print('yes' if s.recv(5) == b'hello' else 'cut')
    except OSError:
        print('no')
`

const callsFor = (seconds: number, world: TapWorld, from: string, targets: readonly string[]): string[] =>
  world
    .in(from, PYTHON, '-c', caller, `${seconds}`, ...targets)
    .output.trim()
    .split('\n')
const calls = (world: TapWorld, from: string, ...targets: readonly string[]): string[] => callsFor(0.4, world, from, targets)
/** What goes through may take its time on a busy machine; what does not is not waited for so long. */
const reaches = (world: TapWorld, from: string, through: readonly string[], refused: readonly string[]): void => {
  assert.deepEqual(
    callsFor(15, world, from, through),
    through.map(() => 'yes'),
  )
  assert.deepEqual(
    calls(world, from, ...refused),
    refused.map(() => 'no'),
  )
}
const at = (addresses: readonly string[], port: number): string[] => addresses.map((address) => `${address}/${port}`)

async function setUp(world: TapWorld, children: ChildProcess[]): Promise<void> {
  const own = { client: ['198.51.100.2', '2606:4700:82::2'], server: [...Object.values(there).flat(), ...other], db: ofDb }
  for (const [name, addresses] of Object.entries(own)) {
    const guest = world.guests[name]!
    for (const address of addresses)
      guest.ip(
        'address',
        'add',
        address.includes(':') ? `${address}/64` : `${address}/24`,
        'dev',
        guest.device,
        ...(address.includes(':') ? ['nodad'] : []),
      )
    for (const prefix of ['10.82.0.0/24', 'fd82::/64'])
      if (name === 'client') guest.ip('route', 'add', prefix, 'dev', guest.device)
    const child = spawn('ip', ['netns', 'exec', guest.name, PYTHON, '-c', listener], { stdio: ['ignore', 'pipe', 'ignore'] })
    children.push(child)
    await new Promise((resolve) => child.stdout!.once('data', resolve))
  }
}

test('connections are let through by prefix, by name and by group, in both families, and no others', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const children: ChildProcess[] = []
  const egress = [
    { name: 'by-prefix', to: ['198.51.100.10', '2606:4700:82::10'], protocol: 'tcp', ports: 80 },
    { name: 'by-name', domains: ['*.example.test'], protocol: 'tcp', ports: 80, minimumTtl: 60 },
    { name: 'by-group', groups: ['db'], protocol: 'tcp', ports: 5432 },
  ]
  const options = {
    resolvers: [RESOLVER],
    audit: { allowed: true },
    groups: [
      { name: 'clients', ports: ['client'], egress, ingress: [{ name: 'ssh', from: 'any', protocol: 'tcp', ports: 22 }] },
      { name: 'db', ports: ['db'] },
    ],
  }
  const names = [
    { name: 'www', addresses: there.name },
    { name: 'inner', addresses: there.inner },
  ]
  const resolver = { domain: 'example.test', ports: ['client'], ipv4: { address: `${RESOLVER}/24` }, names }
  const world = await tapWorld(t, [inBox('firewall', options), inBox('dhcp-dns', resolver)], guests)
  t.after(() => {
    for (const child of children) child.kill()
  })
  await setUp(world, children)

  await eventually(() => calls(world, 'client', ...at(there.rule, 80)).every((one) => one === 'yes'), 'connections by prefix')
  assert.deepEqual(calls(world, 'client', ...at(there.rule, 81), ...at(other, 80)), ['no', 'no', 'no', 'no'])
  assert.deepEqual(calls(world, 'client', ...at(there.name, 80)), ['no', 'no'], 'nobody has asked for the name')
  const asks = (name: string): string => world.in('client', BUSYBOX, 'nslookup', `${name}.example.test`, RESOLVER).output
  assert.match(asks('www'), /198\.51\.100\.80/)
  reaches(world, 'client', at(there.name, 80), at(there.name, 81))
  assert.match(asks('inner'), /10\.82\.0\.9/)
  assert.deepEqual(calls(world, 'client', ...at(there.inner, 80)), ['no', 'no'], 'a name that leads into the network behind')
  reaches(world, 'client', at(ofDb, 5432), at(ofDb, 80))
  assert.deepEqual(calls(world, 'client', ...at(other, 5432)), ['no', 'no'], 'it is not in the group')
  const client = ['198.51.100.2', '2606:4700:82::2']
  reaches(world, 'server', at(client, 22), at(client, 80))
  assert.deepEqual(calls(world, 'db', ...at(client, 80), ...at(other, 80)), ['no', 'no', 'no', 'no'])

  const drops = world.vmswitch.drops().find(({ port }) => port === 'client')?.reasons ?? {}
  assert.ok((drops.firewall ?? 0) > 0, JSON.stringify(drops))
  await world.vmswitch.setExtension('firewall', false)
  const log = ['firewall.jsonl', 'firewall.jsonl.p1'].map((file) => readFileSync(join(world.directory, file), 'utf8')).join('')
  const lines = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const told = (action: string, what: object): boolean =>
    lines.some((line) => line.action === action && Object.entries(what).every(([key, value]) => line[key] === value))
  assert.ok(told('allow', { rule: 'by-name', destination: '2606:4700:82::80' }), log)
  assert.ok(told('deny', { reason: 'no rule', destination: '198.51.100.99', destinationPort: 80, port: 'client' }), log)
  assert.ok(told('pin', { name: 'www.example.test', address: '198.51.100.80' }), log)
  assert.ok(told('refuse-pin', { name: 'inner.example.test', address: 'fd82::9' }), log)
})

test('in mode audit all connections go through, and the log tells which would not', { skip, timeout: 60_000 }, async (t) => {
  const children: ChildProcess[] = []
  const groups = [{ name: 'clients', ports: ['client'], egress: [{ to: '198.51.100.10', protocol: 'tcp', ports: 80 }] }]
  const world = await tapWorld(t, [inBox('firewall', { mode: 'audit', groups })], guests)
  t.after(() => {
    for (const child of children) child.kill()
  })
  await setUp(world, children)
  const targets = [...at(there.rule, 80), ...at(other, 81)]
  await eventually(() => calls(world, 'client', ...targets).every((one) => one === 'yes'), 'all connections')
  await world.vmswitch.setExtension('firewall', false)
  const log =
    readFileSync(join(world.directory, 'firewall.jsonl'), 'utf8') +
    readFileSync(join(world.directory, 'firewall.jsonl.p1'), 'utf8')
  assert.match(log, /"action":"would-deny","direction":"egress".*"destination":"198\.51\.100\.99"/)
  assert.match(log, /"action":"would-deny".*"destination":"2606:4700:82::10"/)
  assert.doesNotMatch(log, /"destination":"198\.51\.100\.10","sourcePort":\d+,"destinationPort":80/)
})
