// libpcap says of random frames what our capture filters say: the same words, compiled by both.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import koffi from 'koffi'
import { arpRequestFrame, echoFrame, tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { compileFilter } from '../../src/packet/filter/filter.ts'
import { Random } from '../fuzz/random.ts'

const LINKTYPE_ETHERNET = 1
const FRAMES = 2500
const SEED = 20_250

interface Pcap {
  /** Compiles a filter; returns what asks it. Throws where libpcap refuses it. */
  compile(text: string, optimized?: boolean): (frame: Uint8Array, length: number) => boolean
}

function openPcap(): Pcap | undefined {
  try {
    const library = koffi.load('libpcap.so.0.8')
    const openDead = library.func('void *pcap_open_dead(int, int)')
    const compile = library.func('int pcap_compile(void *, void *, const char *, int, uint32_t)')
    const error = library.func('const char *pcap_geterr(void *)')
    const filter = library.func('int pcap_offline_filter(void *, void *, void *)')
    const handle = openDead(LINKTYPE_ETHERNET, 262_144)
    return {
      compile(text, optimized = true) {
        const program = Buffer.alloc(16)
        if (compile(handle, program, text, Number(optimized), 0xffffffff) !== 0) throw new Error(`${text}: ${error(handle)}`)
        return (frame, length) => {
          const header = Buffer.alloc(24)
          header.writeUInt32LE(frame.length, 16)
          header.writeUInt32LE(length, 20)
          return filter(program, header, Buffer.from(frame)) !== 0
        }
      },
    }
  } catch {
    return undefined
  }
}

const pcap = openPcap()
const skip = pcap === undefined ? 'libpcap is not installed (package libpcap0.8, which tshark brings along)' : false

/** One filter between semicolons. */
const filters = String.raw`
ip; ip6; arp; rarp; tcp; udp; sctp; icmp; icmp6; igmp; esp; ah; pim; vrrp
host 10.0.0.1; src host 10.0.0.2; dst 10.0.0.2; src and dst 10.0.0.1; ip host 10.0.0.1; arp src 10.0.0.1
net 10; net 10.0; src net 10.0.0.0/30; net 192.168.0.0 mask 255.255.0.0; net 0.0.0.0/0
host fd00::1; ip6 dst host fd00::2; net fd00::/16; src net fd00::/127; net ::/0
port 80; tcp port 80; udp dst port 53; src port 53; tcp port 80 or 443; portrange 50-90; tcp src portrange 443-80
src and dst port 53; sctp port 80; port 53 or 80
ip proto 6; ip6 proto 17; proto 1; ip proto \udp; ether proto 0x806; ether proto \ip6; ether proto 0x88cc
ether host 02:00:00:00:00:01; ether src 02:00:00:00:00:01; ether dst 2:0:0:0:0:2; ether broadcast; ether multicast
multicast; ip multicast; ip6 multicast; broadcast
vlan; vlan 5; vlan and ip; vlan 5 and tcp port 80; vlan and vlan and ip; ip or vlan; vlan or ip; not vlan and ip
vlan 5 or udp or vlan 7; vlan and host 10.0.0.1 and ether host 02:00:00:00:00:01
pppoed; pppoes; pppoes 7; pppoes and ip; pppoes 7 and tcp port 80; pppoes and host 10.0.0.1; pppoes and ip6; ip or pppoes
mpls; mpls 5; mpls and ip; mpls 5 and host 10.0.0.1; mpls and mpls; mpls and mpls 6 and ip; mpls and tcp port 80; mpls and ip6
vlan and mpls and ip; vlan and pppoes and ip; llc; stp; vlan and stp; not llc
less 60; greater 100; len > 70; len - 14 = ip[2:2]; ip[0] & 0xf > 5; ip[8] < 64; ip[6:2] & 0x1fff != 0
tcp[13] & 2 != 0; tcp[tcpflags] & (tcp-syn|tcp-fin) != 0; tcp[0:2] = 80; udp[4:2] > 20; icmp[icmptype] = icmp-echo
icmp6[0] = 128; icmp6[icmp6type] != icmp6-echo; ether[0] & 1 = 0; ether[12:2] = 0x800; ip6[6] = 6; arp[6:2] = 1
ip[2:2] * 2 > 100; ip[12:4] = 0x0a000001; ip[16:4] >> 24 = 10; ip[1] << 2 = 0; (ip[0] - 64) * 4 = 20; len / 2 = 30
tcp[(tcp[12] >> 4) * 4:4] = 0x47455420; ip[8] % 2 = 0; ip[8] ^ 1 = 65; (ip[0] | ip[1]) = 69; ip[9] = 6 and ip[8] >= 64
not tcp; ! udp and ! arp; not (tcp or udp); tcp and (port 80 or port 443); ip and not host 10.0.0.1
host 10.0.0.1 and tcp or udp and host fd00::1; src 10.0.0.1 or 10.0.0.2; not port 80 and not 443; tcp or udp port 53
ip && tcp || arp; ((tcp)); tcp and not src port 80 and dst net 10.0.0.0/8
`
  .split(/[;\n]/)
  .map((text) => text.trim())
  .filter((text) => text !== '')

/** A frame that filters have something to say about: one of the usual kinds, with some bytes changed, tagged, cut. */
function frameOf(random: Random): { frame: Uint8Array; kept: number } {
  const six = random.oneIn(3)
  const address = (): string =>
    six
      ? random.pick(['fd00::1', 'fd00::2', 'fe80::9', 'ff02::1'])
      : random.pick(['10.0.0.1', '10.0.0.2', '192.168.7.1', '224.0.0.5'])
  const mac = (): string => random.pick(['02:00:00:00:00:01', '02:00:00:00:00:02', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01'])
  const pair = { sourceMac: '02:00:00:00:00:01', destinationMac: mac(), source: address(), destination: address() }
  const port = (): number => random.pick([53, 80, 443, 60, 40000])
  const data = new Uint8Array(random.below(90))
  let frame = random
    .pick([
      () => tcpFrame(pair, port(), port(), { data }),
      () => udpFrame(pair, port(), port(), data),
      () => echoFrame(pair, random.oneIn(2), 1, 2, data),
      () => arpRequestFrame('02:00:00:00:00:01', '10.0.0.1', random.pick(['10.0.0.2', '192.168.7.1', '224.0.0.5'])),
    ])()
    .slice()
  const protocols = [1, 2, 6, 9, 17, 44, 50, 51, 58, 103, 112, 132]
  if (random.oneIn(4)) frame[six ? 20 : 23] = random.pick(protocols)
  if (six && random.oneIn(5)) frame[54] = random.pick(protocols)
  if (!six && random.oneIn(4)) frame.set([0x20, random.below(3)], 20) // a fragment, the first one or not
  if (!six && random.oneIn(4)) frame[14] = 0x46
  if (!six && random.oneIn(8)) frame[22] = 5
  for (let changes = random.below(3); changes > 0; changes--) frame[random.below(frame.length)] = random.below(256)
  const head = (bytes: readonly number[]): Uint8Array<ArrayBuffer> =>
    Uint8Array.of(...frame.subarray(0, 12), ...bytes, ...frame.subarray(14))
  const kind = random.below(12)
  const label = (last: number): number[] => [0, 0, (random.pick([5, 6]) << 4) | last, 64]
  const version = six ? 0x57 : 0x21
  if (kind === 0) frame = head([0x88, 0x63])
  else if (kind === 1) frame = head([0x88, 0x64, 0x11, 0, 0, random.pick([6, 7]), 0, frame.length - 12, 0, version])
  else if (kind === 2) frame = head([0x88, 0x47, ...label(1)])
  else if (kind === 3) frame = head([0x88, 0x47, ...label(0), ...label(random.below(2))])
  else if (kind === 4) frame = head([0, frame.length - 14, random.pick([0x42, 0xaa, 0xff]), random.pick([0x42, 0xff]), 3])
  for (let tags = random.oneIn(3) ? 1 + random.below(2) : 0; tags > 0; tags--) {
    const type = random.pick([0x8100, 0x88a8, 0x9100])
    frame = Uint8Array.of(
      ...frame.subarray(0, 12),
      type >> 8,
      type & 255,
      random.below(256) & 0xf0,
      random.pick([5, 6, 7]),
      ...frame.subarray(12),
    )
  }
  return { frame, kept: random.oneIn(4) ? 14 + random.below(frame.length - 14) : frame.length }
}

test('libpcap matches the random frames that our filters match, and no others', { skip }, () => {
  const random = new Random(SEED)
  const frames = Array.from({ length: FRAMES }, () => frameOf(random))
  for (const text of filters) {
    const theirs = pcap!.compile(text)
    // The optimizer leaves out loads and moves them, which changes what frames cut within a header match: either answer is libpcap's.
    const asWritten = pcap!.compile(text, false)
    const { matches } = compileFilter(text)
    let found = 0
    for (const { frame, kept } of frames) {
      const expected = theirs(frame.subarray(0, kept), frame.length)
      const says = `"${text}" of ${Buffer.from(frame.subarray(0, kept)).toString('hex')} (${kept} of ${frame.length} bytes)`
      const ours = matches(frame, 0, kept, frame.length)
      if (kept === frame.length) assert.equal(ours, expected, says)
      else assert.ok(ours === expected || ours === asWritten(frame.subarray(0, kept), frame.length), says)
      if (expected) found++
    }
    const rare =
      /vlan and (vlan|mpls|pppoes|stp)|pppoes 7 and tcp|mpls and mpls 6|88cc|9001|\^|rarp|47455420|vlan 5 and tcp/.test(text)
    assert.ok(found > 0 || rare, `"${text}" matches none of the frames: the test says nothing of it`)
  }
})

test('what libpcap refuses we refuse too', { skip }, () => {
  for (const text of [
    'tcp port',
    'port 70000',
    'net 10.0.0.1/8',
    '(tcp',
    'tcp)',
    'tcp[0:3] = 1',
    'ip[0] / 0 = 1',
    'tcp host 10.0.0.1',
    'icmp port 5',
    'and tcp',
    'host',
    'ip6 host 10.0.0.1',
    'mpls and arp',
    'mpls and vlan',
    'mpls 1048576',
    'pppoes 65536',
  ]) {
    assert.throws(() => pcap!.compile(text), `libpcap takes "${text}"`)
    assert.throws(() => compileFilter(text), { code: 'bad-filter' }, text)
  }
})
