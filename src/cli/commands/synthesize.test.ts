import assert from 'node:assert/strict'
import { test } from 'node:test'
import { summarizeFrame } from '../../packet/summary.ts'
import { CliError } from '../exit.ts'
import { synthesize } from './synthesize.ts'

const macs = (port: string): string | undefined => (port === 'beta' ? '52:54:00:00:00:02' : undefined)

test('a frame is made of a few words, with defaults for the others', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['tcp', '02:00:00:00:00:01 > 02:00:00:00:00:02 TCP 10.0.0.1.40000 > 10.0.0.2.80 [S], 54 bytes'],
    ['tcp,flags=SA,sport=80,dport=5', '02:00:00:00:00:01 > 02:00:00:00:00:02 TCP 10.0.0.1.80 > 10.0.0.2.5 [SA], 54 bytes'],
    ['ip, udp, dport=53, bytes=10', '02:00:00:00:00:01 > 02:00:00:00:00:02 UDP 10.0.0.1.40000 > 10.0.0.2.53, 52 bytes'],
    ['icmp,to=beta', '02:00:00:00:00:01 > 52:54:00:00:00:02 ICMP 10.0.0.1 > 10.0.0.2 type 8, 42 bytes'],
    ['icmp,ip6', '02:00:00:00:00:01 > 02:00:00:00:00:02 ICMPv6 fd00::1 > fd00::2 type 128, 62 bytes'],
    ['udp,dst=fe80::1', '02:00:00:00:00:01 > 02:00:00:00:00:02 UDP fd00::1.40000 > fe80::1.80, 62 bytes'],
    ['arp,src=10.0.0.7,dst=10.0.0.8', '02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff ARP who has 10.0.0.8 tell 10.0.0.7, 42 bytes'],
    ['tcp,vlan=5,prio=3', '02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 5 TCP 10.0.0.1.40000 > 10.0.0.2.80 [S], 58 bytes'],
    [
      'tcp,nw_src=10.0.0.9,tp_dst=22,dl_vlan=7',
      '02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 7 TCP 10.0.0.9.40000 > 10.0.0.2.22 [S], 58 bytes',
    ],
    ['udp6', '02:00:00:00:00:01 > 02:00:00:00:00:02 UDP fd00::1.40000 > fd00::2.80, 62 bytes'],
    ['ether,type=0x88cc,dmac=01:80:c2:00:00:0e', '02:00:00:00:00:01 > 01:80:c2:00:00:0e ether type 0x88cc, 60 bytes'],
  ]
  for (const [words, expected] of cases) assert.equal(summarizeFrame(synthesize(words, undefined, macs)), expected, words)
  assert.match(summarizeFrame(synthesize('tcp', '52:54:00:00:00:01')), /^52:54:00:00:00:01 > /)
})

test('words that say nothing, or too much, are refused', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['', /"" is none of ip, ip6, tcp/],
    ['tcp, dprt=80', /"dprt" is not known; did you mean dport\?\n {2}tcp, dprt=80\n {7}\^\^\^\^$/],
    ['tpc', /did you mean tcp\?\n {2}tpc\n {2}\^\^\^$/],
    ['in_port=1,tcp', /the port stands before --synth/],
    ['tcp,__proto__=1', /is none of smac=/],
    ['src=10.0.0.1', /say what it is/],
    ['tcp,dport=70000', /dport is a number up to 65535/],
    ['tcp,flags=XY', /letters SAFRPU/],
    ['tcp,to=gamma', /no port "gamma"/],
    ['tcp,src=10.0.0.256', /"10\.0\.0\.256" is not an IPv4 address/],
    ['tcp,smac=1', /"1" is not a MAC address/],
    ['tcp,vlan=5000', /vlan is a number up to 4095/],
  ]
  for (const [words, message] of wrong)
    assert.throws(
      () => synthesize(words, undefined, macs),
      (error) => error instanceof CliError && message.test(error.message),
      words,
    )
})
