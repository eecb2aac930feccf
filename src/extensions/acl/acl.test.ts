import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { arpRequestFrame, echoFrame, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { put16 } from '../../packet/bytes.ts'
import { readHits } from './hits.ts'
import acl, { AclCounter } from './index.ts'
import { parseAclOptions } from './options.ts'

const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const pair = { sourceMac: a, destinationMac: b, source: '10.0.0.1', destination: '10.0.0.2' }
const pair6 = { ...pair, source: 'fd00::1', destination: 'fd00::2' }

async function hostOf(options: object): Promise<ExtensionHost> {
  const host = new ExtensionHost([{ definition: acl, options }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b }, 'c')
  return host
}

const telnet = tcpFrame(pair, 4000, 23)
const web = tcpFrame(pair, 4000, 80)

test('the first rule that matches decides, and its hits are counted', async () => {
  const options = {
    rules: [
      { name: 'web', action: 'allow', protocol: 'tcp', destinationPorts: [80, 443] },
      { name: 'tcp', action: 'deny', protocol: 'tcp' },
    ],
  }
  const host = await hostOf(options)
  host.send('a', telnet, web, udpFrame(pair, 1, 23))
  assert.equal(host.delivered('b').length, 2)
  assert.equal(host.dropped('a', 'acl: tcp'), 1)
  const hits = readHits(parseAclOptions(options), host.modules[0]!.shared.get('hits')!)
  assert.deepEqual(
    hits.map(({ rule, hits }) => [rule?.name, hits]),
    [
      ['web', 1],
      ['tcp', 1],
      [undefined, 1],
    ],
  )
  const { counters } = host.modules[0]!
  assert.deepEqual([counters[AclCounter.allowed], counters[AclCounter.denied]], [2, 1])
})

test('a traced packet is decided as any, and counts nowhere', async () => {
  const options = {
    rules: [
      { name: 'tcp', action: 'deny', protocol: 'tcp' },
      { name: 'no-arp-to-b', action: 'deny', direction: 'egress', port: 'b', etherType: 'arp' },
    ],
  }
  const host = await hostOf(options)
  const { counters, shared } = host.modules[0]!
  const seen = (): unknown => [[...counters], readHits(parseAclOptions(options), shared.get('hits')!).map(({ hits }) => hits)]
  const before = seen()
  const { batch } = host.dataPath
  const told: string[] = []
  batch.isTraced = true
  batch.explained = (_, text) => void told.push(text)
  host.send('a', telnet, udpFrame(pair, 1, 23), arpRequestFrame(a, '10.0.0.1', '10.0.0.2'))
  assert.deepEqual(told, [
    'rule tcp of weight 0, ingress: deny',
    'no ingress rule says anything of it: allow by default',
    'no ingress rule says anything of it: allow by default',
    'no egress rule says anything of it: allow by default',
    'rule no-arp-to-b of weight 0, egress: deny',
    'no egress rule says anything of it: allow by default',
  ])
  batch.explained = undefined
  assert.deepEqual([host.delivered('b').length, host.delivered('c').length], [1, 1])
  assert.deepEqual(seen(), before)
  batch.isTraced = false
  host.send('a', telnet)
  assert.notDeepEqual(seen(), before)
})

test('heavier rules are tried first', async () => {
  const host = await hostOf({
    default: 'deny',
    rules: [
      { action: 'deny', protocol: 'tcp' },
      { action: 'allow', destinationPorts: '80-89', weight: 5 },
    ],
  })
  host.send('a', telnet, web, udpFrame(pair, 1, 85), arpRequestFrame(a, '10.0.0.1', '10.0.0.2'))
  assert.equal(host.delivered('b').length, 2)
  assert.equal(host.dropped('a', 'acl: denied by rule'), 1)
  assert.equal(host.dropped('a', 'acl: denied by default'), 1)
})

test('a rule for a source port concerns that port only, also one that is created later', async () => {
  const host = await hostOf({ rules: [{ action: 'deny', port: 'd', etherType: 'ipv4' }] })
  host.send('c', web)
  assert.equal(host.delivered('b').length, 1)
  await host.addPorts('d')
  host.send('d', web, udpFrame(pair6, 1, 2))
  assert.equal(host.delivered('b').length, 1)
})

test('on egress a denied destination is excluded, and others still get the packet', async () => {
  const host = await hostOf({
    rules: [{ name: 'no-arp-to-b', action: 'deny', direction: 'egress', port: 'b', etherType: 'arp' }],
  })
  host.send('a', arpRequestFrame(a, '10.0.0.1', '10.0.0.2'))
  assert.equal(host.delivered('b').length, 0)
  assert.equal(host.delivered('c').length, 1)
  assert.equal(host.dropped('b', 'acl: no-arp-to-b'), 1)
  host.send('c', web)
  assert.equal(host.delivered('b').length, 1)
})

test('an egress rule for all ports excludes them all', async () => {
  const host = await hostOf({ rules: [{ action: 'deny', direction: 'egress', etherType: 'arp' }] })
  host.send('a', arpRequestFrame(a, '10.0.0.1', '10.0.0.2'), web)
  assert.deepEqual([host.delivered('b').length, host.delivered('c').length], [1, 0])
  assert.deepEqual([host.dropped('b', 'acl: denied by rule'), host.dropped('c', 'acl: denied by rule')], [1, 1])
})

test('prefixes match IPv4 and IPv6 and nothing else', async () => {
  const host = await hostOf({
    rules: [
      { action: 'deny', sourcePrefix: '10.0.0.0/31' },
      { action: 'deny', destinationPrefix: 'fd00::/16', protocol: 'udp' },
    ],
  })
  host.send('a', web, tcpFrame({ ...pair, source: '10.0.0.2' }, 1, 80), udpFrame(pair6, 1, 2), tcpFrame(pair6, 1, 2))
  host.send('a', arpRequestFrame(a, '10.0.0.1', '10.0.0.2'))
  assert.equal(host.delivered('b').length, 3)
})

/** A fragment of a TCP packet to port 23. */
function fragment(offset: number, data: Uint8Array, more = true): Uint8Array {
  const frame = ipFrame(pair, 6, data)
  put16(frame, 20, (more ? 0x2000 : 0) | (offset >> 3))
  return frame
}

test('a first fragment is matched by its ports; later ones follow the option', async () => {
  const rules = [{ action: 'deny', protocol: 'tcp', destinationPorts: 23 }]
  const first = fragment(0, telnet.subarray(34))
  const later = fragment(24, new Uint8Array(64), false)
  const passing = await hostOf({ rules })
  passing.send('a', first, later)
  assert.equal(passing.delivered('b').length, 1)
  const dropping = await hostOf({ rules, fragments: 'drop' })
  dropping.send('a', first, later, web)
  assert.equal(dropping.delivered('b').length, 1)
  assert.equal(dropping.dropped('a', 'acl: fragment'), 1)
  const byAddress = await hostOf({ rules: [{ action: 'deny', sourcePrefix: '10.0.0.1' }] })
  byAddress.send('a', later)
  assert.equal(byAddress.delivered('b').length, 0)
})

/** An IPv6 TCP packet behind extension headers. */
function behindExtensions(extensions: readonly number[][]): Uint8Array {
  const tcp = telnet.subarray(34)
  const bytes = extensions.flatMap((extension, i) => [extensions[i + 1]?.[0] ?? 6, ...extension.slice(1)])
  return ipFrame(pair6, extensions[0]![0]!, Uint8Array.from([...bytes, ...tcp]))
}

test('IPv6 extension headers do not hide a port, unless they reach beyond what is copied: then the packet is dropped', async () => {
  const rules = [{ action: 'deny', destinationPorts: 23 }]
  const options = (words: number): number[] => [60, words, ...new Array<number>(6 + words * 8).fill(0)]
  const host = await hostOf({ rules })
  host.send('a', behindExtensions([options(0)]), behindExtensions([options(1), options(0)]))
  assert.equal(host.delivered('b').length, 0)
  assert.equal(host.dropped('a', 'acl: denied by rule'), 2)
  host.send('a', behindExtensions([options(9)]))
  assert.equal(host.dropped('a', 'acl: unreadable headers'), 1)
  const lax = await hostOf({ rules, unreadable: 'pass' })
  lax.send('a', behindExtensions([options(9)]))
  assert.equal(lax.delivered('b').length, 1)
})

test('later IPv6 fragments are told from unreadable packets', async () => {
  const rules = [{ action: 'deny', destinationPorts: 23 }]
  const fragmentOf = (offset: number): number[] => [44, 0, offset >> 8, offset & 0xff, 0, 0, 0, 1]
  const host = await hostOf({ rules })
  host.send('a', behindExtensions([fragmentOf(64 | 1)]), behindExtensions([[60, 0, 0, 0, 0, 0, 0, 0], fragmentOf(8)]))
  assert.equal(host.delivered('b').length, 2)
  host.send('a', behindExtensions([fragmentOf(1)]))
  assert.equal(host.dropped('a', 'acl: denied by rule'), 1)
  // A first fragment too short for its ports hides them.
  host.send('a', ipFrame(pair6, 44, Uint8Array.of(6, 0, 0, 1, 0, 0, 0, 1, 15)))
  assert.equal(host.dropped('a', 'acl: unreadable headers'), 1)
})

test('malformed and cut packets are dropped where rules look that far, and only there', async () => {
  const malformed = web.slice()
  malformed[14] = 0x41
  const cut = fragment(0, Uint8Array.of(1, 2))
  const byPort = await hostOf({ rules: [{ action: 'deny', destinationPorts: 23 }] })
  byPort.send('a', malformed, cut, echoFrame(pair, false, 1, 1))
  assert.equal(byPort.delivered('b').length, 1)
  assert.equal(byPort.modules[0]!.counters[AclCounter.unreadable], 2)
  const byAddress = await hostOf({ rules: [{ action: 'deny', sourcePrefix: '192.0.2.0/24' }] })
  byAddress.send('a', malformed, cut)
  assert.equal(byAddress.delivered('b').length, 1)
  const byType = await hostOf({ rules: [{ action: 'deny', etherType: 'ipv6' }] })
  byType.send('a', malformed, cut)
  assert.equal(byType.delivered('b').length, 2)
})

test('packets that an extension originates without a source pass', async () => {
  const host = new ExtensionHost([
    {
      definition: {
        id: '00000000-0000-0000-0000-000000000003',
        name: 'sender',
        version: '1.0.0',
        class: 'filtering',
        attach: (sw: import('../../extension.ts').SwitchHandle) => {
          sw.every(10, () => void sw.send(sw.originate(web)))
          return {}
        },
      },
    },
    { definition: acl, options: { default: 'deny' } },
  ])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b })
  host.advance(10)
  assert.equal(host.delivered('b').length, 1)
  host.send('a', web)
  assert.equal(host.delivered('b').length, 0)
})
