// Real clients against dhcp-dns: busybox's udhcpc and nslookup, the kernel's own autoconfiguration and ping, scapy's DHCPv6; and what tshark
// makes of the answers. Needs root.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { spawnIn } from '../support/spawn-in.ts'
import { BUSYBOX, eventually, inBox, type TapWorld, tapWorld, whyNoWorld } from '../support/tap-world.ts'

const skip = whyNoWorld()
// A resolver that knows one address for every name.
const resolver = `
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (query, { port, address }) => {
  const end = query.indexOf(0, 12) + 5
  const answer = Buffer.concat([query.subarray(0, 2), Buffer.from('8180000100010000', 'hex'), Buffer.from([0, 0]), query.subarray(12, end)])
  const record = Buffer.from('c00c000100010000003c0004c0000201', 'hex')
  socket.send(Buffer.concat([answer, query.readUInt16BE(end - 4) === 1 ? record : Buffer.alloc(0)]), port, address)
})
socket.bind(53, '10.81.0.53', () => console.log('ready'))
`
const guests = { alpha: '02:00:00:00:81:01', beta: '02:00:00:00:81:02' }
const SERVER = '02:76:6d:73:00:01'
const ipv4 = { address: '10.81.0.1/24', pool: '10.81.0.100-10.81.0.199', router: '10.81.0.1' }
const has = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args).status === 0
const PYTHON = '/usr/bin/python3'

const script = `#!/bin/busybox sh
if [ "$1" = bound ]; then
  ip address add "$ip/$mask" dev "$interface"
  ip route add default via "$router"
  echo "bound $ip domain $domain dns $dns lease $lease mtu $mtu"
fi
`

// The address that udhcpc brings home.
function leased({ in: run, guests: all, directory }: TapWorld, guest: string, ...more: readonly string[]): string {
  const file = join(directory, 'udhcpc.sh')
  writeFileSync(file, script)
  chmodSync(file, 0o755)
  const { output } = run(
    guest,
    BUSYBOX,
    'udhcpc',
    '-i',
    all[guest]!.device,
    '-n',
    '-q',
    '-f',
    '-t',
    '5',
    '-T',
    '1',
    '-s',
    file,
    ...more,
  )
  const bound = /bound (\S+) domain lab.test dns 10.81.0.1 lease 3600 mtu 1400/.exec(output)
  assert.ok(bound, output)
  return bound[1]!
}

const looksUp = ({ in: run }: TapWorld, guest: string, ...words: readonly string[]): string =>
  run(guest, BUSYBOX, 'nslookup', ...words, '10.81.0.1').output

// The address of a network that the kernel has made itself.
const selfMade = ({ guests: all }: TapWorld, guest: string): string | undefined =>
  /inet6 (fd81::\S+)\/64 scope global (?!.*tentative)/.exec(
    all[guest]!.ip('-6', 'address', 'show', 'dev', all[guest]!.device),
  )?.[1]

test('guests come up: addresses by DHCP and by themselves, names forwards and backwards, in VLANs too, and the names of others', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const world = await tapWorld(
    t,
    [
      inBox('capture', { file: join('seen.pcapng'), snapBytes: 2000 }),
      inBox('dhcp-dns', {
        domain: 'lab.test',
        mtu: 1400,
        ipv4,
        ipv6: { address: 'fd81::1/64', intervalSeconds: 4 },
        upstream: ['10.81.0.53'],
        networks: [
          {
            vlan: 10,
            ipv4: { address: '10.82.0.1/24', pool: '10.82.0.100-10.82.0.199', router: '10.82.0.1', dns: ['10.81.0.1'] },
          },
        ],
      }),
    ],
    { ...guests, gamma: '02:00:00:00:81:03' },
    { ports: { gamma: { properties: [{ type: 'vlan', value: { mode: 'access', accessVlanId: 10 } }] } } },
  )
  const alpha = leased(world, 'alpha', '-x', 'hostname:web')
  const beta = leased(world, 'beta')
  assert.notEqual(alpha, beta)
  assert.match(alpha, /^10\.81\.0\.1\d\d$/)
  const ping = (from: string, to: string): boolean => world.in(from, BUSYBOX, 'ping', '-c', '1', '-W', '2', to).status === 0
  assert.ok(ping('alpha', '10.81.0.1'))
  assert.ok(ping('alpha', beta))

  const made = await eventually(() => selfMade(world, 'alpha'), 'an IPv6 address that alpha makes itself')
  assert.ok(ping('alpha', 'fd81::1'))
  assert.match(world.guests.alpha!.ip('-6', 'route'), /fd81::\/64 dev \S+ proto kernel/)
  assert.doesNotMatch(world.guests.alpha!.ip('-6', 'route'), /default/)

  assert.match(looksUp(world, 'beta', '-type=a', 'alpha.lab.test'), new RegExp(`Address: ${alpha}`))
  assert.match(looksUp(world, 'beta', '-type=a', 'web.lab.test'), new RegExp(`Address: ${alpha}`))
  assert.match(looksUp(world, 'beta', '-type=aaaa', 'alpha.lab.test'), new RegExp(`Address: ${made}`))
  assert.match(looksUp(world, 'alpha', beta), /name = beta\.lab\.test/)
  assert.match(looksUp(world, 'alpha', '-type=a', 'nobody.lab.test'), /NXDOMAIN/)
  assert.match(leased(world, 'gamma'), /^10\.82\.0\.1\d\d$/)

  // beta has a second address, set by hand, where a resolver listens.
  world.guests.beta!.ip('address', 'add', '10.81.0.53/32', 'dev', world.guests.beta!.device)
  const serving = spawnIn(world.guests.beta!.name, [process.execPath, '-e', resolver], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => serving.kill())
  await once(serving.stdout!, 'data')
  const answered = await eventually(() => {
    const said = looksUp(world, 'alpha', '-type=a', 'example.org')
    return /Address: 192\.0\.2\.1/.test(said) && said
  }, 'an answer of the resolver')
  assert.match(answered, /example\.org/)

  await world.vmswitch.setExtension('capture', false)
  if (!has('tshark', '--version')) {
    t.diagnostic('checksums were not checked: tshark is not installed (package tshark)')
    return
  }
  const checks = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE']
  const read = (filter: string, ...fields: readonly string[]): string =>
    execFileSync(
      'tshark',
      ['-n', '-r', join(world.directory, 'seen.pcapng'), ...checks, '-Y', `eth.src == ${SERVER} && (${filter})`, ...fields],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
  const wrong = 'ip.checksum.status == 0 || udp.checksum.status == 0 || icmpv6.checksum.status == 0 || icmp.checksum.status == 0'
  assert.equal(read(`${wrong} || _ws.malformed || _ws.expert.severity == 8388608`), '')
  const kinds = read('dhcp || dns || icmpv6.type == 134', '-T', 'fields', '-e', '_ws.col.Protocol')
  for (const kind of ['DHCP', 'DNS', 'ICMPv6']) assert.match(kinds, new RegExp(`^${kind}$`, 'm'))
})

const client = `
import sys
from scapy.all import *
conf.checkIPaddr = False
dev, mac = sys.argv[1], sys.argv[2]
ll = 'fe80::' + in6_mactoifaceid(mac).lower()
duid = DUID_LL(lladdr=mac)
base = Ether(src=mac, dst='33:33:00:01:00:02') / IPv6(src=ll, dst='ff02::1:2') / UDP(sport=546, dport=547)
def ask(message):
    answer = srp1(base / message, iface=dev, timeout=3, verbose=0, filter='udp dst port 546')
    return answer
first = ask(DHCP6_Solicit(trid=0x1234) / DHCP6OptClientId(duid=duid) / DHCP6OptIA_NA(iaid=7))
assert DHCP6_Advertise in first, first.summary()
address = first[DHCP6OptIAAddress].addr
again = ask(DHCP6_Request(trid=0x1235) / DHCP6OptClientId(duid=duid) / DHCP6OptServerId(duid=first[DHCP6OptServerId].duid) / DHCP6OptIA_NA(iaid=7, ianaopts=[DHCP6OptIAAddress(addr=address)]))
assert DHCP6_Reply in again, again.summary()
raw = bytes(again[UDP])
again2 = IPv6(bytes(again[IPv6])); given = again2[UDP].chksum; del again2[UDP].chksum
assert IPv6(bytes(again2))[UDP].chksum == given
print('address', again[DHCP6OptIAAddress].addr, 'dns', again[DHCP6OptDNSServers].dnsservers[0], 'domain', again[DHCP6OptDNSDomains].dnsdomains[0])
`

test('a DHCPv6 client gets the address that it was offered', {
  skip: skip || (has(PYTHON, '-c', 'import scapy.all') ? false : 'this machine has no scapy (package python3-scapy)'),
  timeout: 60_000,
}, async (t) => {
  const ipv6 = { address: 'fd81::1/64', mode: 'stateful' }
  const statics = [{ port: 'beta', address6: 'fd81::beef' }]
  const world = await tapWorld(t, [inBox('dhcp-dns', { domain: 'lab.test', ipv6, statics })], guests)
  const ask = (guest: keyof typeof guests): string =>
    world.in(guest, PYTHON, '-c', client, world.guests[guest]!.device, guests[guest]).output
  assert.match(ask('alpha'), /address fd81::1[0-9a-f]{3} dns fd81::1 domain lab\.test/)
  assert.match(ask('beta'), /address fd81::beef/)
})
