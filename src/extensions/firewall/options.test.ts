import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ipBytes } from '../../packet/build.ts'
import { namesMatch } from './names.ts'
import { parseFirewallOptions } from './options.ts'
import { isSpecial } from './special-addresses.ts'

const group = (egress: unknown, more: object = {}) => ({ groups: [{ name: 'web', ports: ['web*'], egress, ...more }] })

test('what is wrong is refused with its place and what would be right', () => {
  const wrong: readonly (readonly [raw: unknown, message: RegExp])[] = [
    [{ groups: [{ ports: ['a'] }] }, /groups\[0\]\.name: is missing/],
    [{ groups: [{ name: 'a' }] }, /ports: is missing/],
    [
      {
        groups: [
          { name: 'a', ports: 'x' },
          { name: 'a', ports: 'y' },
        ],
      },
      /two groups are named "a"/,
    ],
    [group([{ protocol: 'tcp' }]), /egress\[0\]: says nothing of the other side: write to, domains or groups/],
    [group([{ to: 'any', ports: 80 }]), /ports: are for protocol tcp, udp or sctp/],
    [group([{ to: '10.0.0.1/8' }]), /to: "10\.0\.0\.1\/8" is not a prefix/],
    [group([{ groups: 'db' }]), /there is no group "db"; there are web/],
    [group([{ domains: 'example.org' }]), /domains: needs resolvers/],
    [group([{ domains: '*.org', resolvers: '192.0.2.1' }]), /top-level domain/],
    [group([{ domains: 'a b', resolvers: '192.0.2.1' }]), /is not a name/],
    [group([{ to: 'any', minimumTtl: 5 }]), /minimumTtl: there is no such option/],
    [
      group([
        { name: 'x', to: 'any' },
        { name: 'x', to: 'any' },
      ]),
      /two rules are named "x"/,
    ],
    [group([{ to: 'any', protocol: 'tpc' }]), /protocol: "tpc" is not a protocol/],
    [group([{ to: 'any', protocol: 'tcp', ports: '9-8' }]), /ports: "9-8" is not a port or range/],
    [{ connections: 100 }, /connections: 100 is not a power of two/],
    [{ mode: 'audit', audit: false }, /in mode audit the log is all there is/],
  ]
  for (const [raw, message] of wrong) assert.throws(() => parseFirewallOptions(raw), message)
})

test('"any" is both families, and a group with names may ask its resolvers', () => {
  const { groups, ruleNames } = parseFirewallOptions(
    group([{ to: 'any' }, { domains: 'a.example.org', resolvers: ['192.0.2.1', '2001:db8::1'] }]),
  )
  assert.deepEqual(
    groups[0]!.egress[0]!.prefixes!.map(({ family, length }) => [family, length]),
    [
      [4, 0],
      [6, 0],
    ],
  )
  assert.deepEqual(ruleNames.slice(2), ['web: resolvers over udp', 'web: resolvers over tcp'])
})

test('a name fits itself, and names beneath a star, but no other that ends or begins like it', () => {
  const domains = ['www.example.org', '*.example.net']
  for (const name of ['www.example.org', 'a.example.net', 'a.b.example.net']) assert.ok(namesMatch(domains, name), name)
  for (const name of ['example.org', 'xwww.example.org', 'www.example.org.evil', 'example.net', 'badexample.net', '.example.net'])
    assert.ok(!namesMatch(domains, name), name)
})

test('special-use addresses are known in every dress, and public ones are not among them', () => {
  for (const address of ['10.1.2.3', '172.31.0.1', '192.168.0.1', '169.254.169.254', '::', 'fec0::1', '64:ff9b:1::1', '2001::1'])
    assert.ok(isSpecial(ipBytes(address)), address)
  for (const address of [
    '192.0.2.1',
    '172.32.0.1',
    '8.8.8.8',
    '2606:4700::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
    '2002:808:808::1',
  ])
    assert.ok(!isSpecial(ipBytes(address)), address)
})
