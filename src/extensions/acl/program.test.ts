import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import type { Batch } from '../../extension.ts'
import { arpRequestFrame, echoFrame, ipBytes, tcpFrame, udpFrame } from '../../packet/build.ts'
import { prefixHolds } from './address-classes.ts'
import { type AclRule, parseAclOptions } from './options.ts'
import { AclProgram } from './program.ts'

interface Packet {
  readonly frame: Uint8Array
  readonly etherType: number
  readonly protocol: number
  readonly source: string | undefined
  readonly destination: string | undefined
  readonly sourcePort: number | undefined
  readonly destinationPort: number | undefined
}

const address4 = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.1.1', '10.128.0.1', '192.168.0.1', '255.255.255.255', '0.0.0.0')
const address6 = fc.constantFrom(
  '::',
  '::1',
  'fd00::1',
  'fd00:0:0:1::1',
  'fe80::1',
  '8000::',
  'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
)
const prefix = fc.constantFrom(
  ...['0.0.0.0/0', '10.0.0.0/8', '10.0.0.0/31', '10.0.0.1', '128.0.0.0/1', '255.255.255.255', '10.128.0.0/9'],
  ...['::/0', '::1', 'fd00::/16', 'fd00:0:0:1::/64', '8000::/1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
)
const port = fc.constantFrom(0, 1, 22, 80, 443, 1024, 65534, 65535)

const packet: fc.Arbitrary<Packet> = fc
  .record({
    kind: fc.constantFrom('tcp', 'udp', 'icmp', 'arp'),
    four: fc.boolean(),
    s4: address4,
    d4: address4,
    s6: address6,
    d6: address6,
    sp: port,
    dp: port,
  })
  .map(({ kind, four, s4, d4, s6, d6, sp, dp }) => {
    const macs = { sourceMac: '02:00:00:00:00:01', destinationMac: '02:00:00:00:00:02' }
    if (kind === 'arp')
      return {
        frame: arpRequestFrame(macs.sourceMac, s4, d4),
        etherType: 0x0806,
        protocol: 0,
        source: undefined,
        destination: undefined,
        sourcePort: undefined,
        destinationPort: undefined,
      }
    const source = four ? s4 : s6
    const destination = four ? d4 : d6
    const addresses = { ...macs, source, destination }
    const hasPorts = kind !== 'icmp'
    return {
      frame:
        kind === 'tcp'
          ? tcpFrame(addresses, sp, dp)
          : kind === 'udp'
            ? udpFrame(addresses, sp, dp)
            : echoFrame(addresses, false, 1, 1),
      etherType: four ? 0x0800 : 0x86dd,
      protocol: kind === 'tcp' ? 6 : kind === 'udp' ? 17 : four ? 1 : 58,
      source,
      destination,
      sourcePort: hasPorts ? sp : undefined,
      destinationPort: hasPorts ? dp : undefined,
    }
  })

const range = fc.tuple(port, port).map(([a, b]) => (a <= b ? `${a}-${b}` : `${b}-${a}`))
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq: 1 })
const rawRule = fc.record({
  action: fc.constantFrom('allow', 'deny'),
  port: maybe(fc.constantFrom('a', 'b')),
  etherType: maybe(fc.constantFrom('arp', 'ipv4', 'ipv6')),
  protocol: maybe(fc.constantFrom('tcp', 'udp', 'icmp', 'icmp6')),
  sourcePrefix: maybe(prefix),
  destinationPrefix: maybe(prefix),
  sourcePorts: maybe(fc.array(range, { minLength: 1, maxLength: 3 })),
  destinationPorts: maybe(fc.array(range, { minLength: 1, maxLength: 3 })),
})

/** The rules that the options accept: senseless ones are left out. */
const rules = (most: number): fc.Arbitrary<AclRule[]> =>
  fc.array(rawRule, { maxLength: most }).map((raw) =>
    raw.flatMap((rule, i) => {
      try {
        return parseAclOptions({ rules: [{ ...rule, name: `r${i}` }] }).rules
      } catch {
        return []
      }
    }),
  )

const number = (text: string): bigint => ipBytes(text).reduce((value, octet) => value * 256n + BigInt(octet), 0n)

/** The rule that trying them one by one finds. */
function naive(list: readonly AclRule[], packet: Packet, portName: string): number {
  const inPrefix = (wanted: AclRule['source'], address: string | undefined): boolean =>
    wanted === undefined ||
    (address !== undefined && (address.includes(':') ? 6 : 4) === wanted.family && prefixHolds(wanted, number(address)))
  const inPorts = (wanted: AclRule['sourcePorts'], value: number | undefined): boolean =>
    wanted === undefined || (value !== undefined && wanted.some(([first, last]) => first <= value && value <= last))
  return list.findIndex(
    (rule) =>
      (rule.port === undefined || rule.port === portName) &&
      (rule.etherType === undefined || rule.etherType === packet.etherType) &&
      (rule.protocol === undefined || rule.protocol === packet.protocol) &&
      inPrefix(rule.source, packet.source) &&
      inPrefix(rule.destination, packet.destination) &&
      inPorts(rule.sourcePorts, packet.sourcePort) &&
      inPorts(rule.destinationPorts, packet.destinationPort),
  )
}

test('a compiled program finds the same rule as trying them one by one', async () => {
  let look: (batch: Batch) => void = () => {}
  const host = new ExtensionHost([
    {
      definition: {
        id: '00000000-0000-0000-0000-000000000004',
        name: 'looker',
        version: '1.0.0',
        class: 'capturing',
        attach: () => ({ ingress: (batch: Batch) => look(batch) }),
      },
    },
  ])
  await host.addPorts('a', 'b', 'c')
  const compare = (list: readonly AclRule[], packets: readonly Packet[]): void => {
    const program = new AclProgram(list)
    for (const name of ['a', 'b', 'c']) program.setPort(host.id(name), name)
    look = (batch) => {
      for (let i = 0; i < batch.length; i++)
        for (const name of ['a', 'b', 'c'])
          assert.equal(program.match(batch, i, host.id(name)), naive(list, packets[i]!, name), JSON.stringify(list))
    }
    host.send('a', ...packets.map(({ frame }) => frame))
    for (const name of ['a', 'b', 'c']) host.delivered(name)
    assert.deepEqual(host.reports, [])
  }
  const packets = fc.array(packet, { minLength: 1, maxLength: 20 })
  fc.assert(fc.property(rules(8), packets, compare), { numRuns: 150 })
  fc.assert(fc.property(rules(100), packets, compare), { numRuns: 40 })
})

test('a port that is gone matches no rule that names it', async () => {
  const { rules: list } = parseAclOptions({ rules: [{ action: 'deny', port: 'a' }] })
  const program = new AclProgram(list)
  program.setPort(5, 'a')
  program.setPort(5, undefined)
  let found = 0
  const host = new ExtensionHost([
    {
      definition: {
        id: '00000000-0000-0000-0000-000000000005',
        name: 'looker',
        version: '1.0.0',
        class: 'capturing',
        attach: () => ({
          ingress(batch: Batch) {
            found = program.match(batch, 0, 5)
          },
        }),
      },
    },
  ])
  await host.addPorts('a')
  host.send('a', arpRequestFrame('02:00:00:00:00:01', '10.0.0.1', '10.0.0.2'))
  assert.equal(found, -1)
})
