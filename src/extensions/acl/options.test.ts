import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAclOptions, RULES_MAX } from './options.ts'

const refuses = (rule: object, message: RegExp): void =>
  assert.throws(() => parseAclOptions({ rules: [{ action: 'deny', name: 'r', ...rule }] }), { code: 'bad-option', message })

test('a rule reads names, numbers, prefixes and ranges', () => {
  const { rules, defaultAction, fragments, unreadable } = parseAclOptions({
    rules: [
      { action: 'allow', etherType: '0x0800', protocol: 'udp', sourcePrefix: '10.0.0.0/8', destinationPorts: [53, '100-200'] },
    ],
  })
  assert.equal(rules[0]!.name, 'rule 1')
  assert.equal(rules[0]!.etherType, 0x0800)
  assert.equal(rules[0]!.protocol, 17)
  assert.equal(rules[0]!.source?.length, 8)
  assert.deepEqual(rules[0]!.destinationPorts, [
    [53, 53],
    [100, 200],
  ])
  assert.deepEqual([defaultAction, fragments, unreadable], ['allow', 'pass', 'drop'])
})

test('messages name the rule and say what would be right', () => {
  refuses({ protocol: 'tpc' }, /^rules\[0\] "r"\.protocol: "tpc" is not an IP protocol: write one of icmp, .*from 1 to 255$/)
  refuses({ protocol: 0 }, /is not an IP protocol/)
  refuses({ sourcePrefix: '10.0.0.1/8' }, /^rules\[0\] "r"\.sourcePrefix: .*bits beyond the first 8 are set/)
  refuses({ destinationPorts: ['90-80'] }, /^rules\[0\] "r"\.destinationPorts\[0\]: .* ends before it begins: write "80-90"$/)
  refuses({ destinationPorts: 65536 }, /is not a port or range/)
  refuses({ prot: 'tcp' }, /^rules\[0\] "r"\.prot: there is no such option; known are action, /)
  assert.throws(() => parseAclOptions({ rules: [{ name: 'r' }] }), {
    message: 'rules[0] "r".action: is missing: write allow or deny',
  })
  assert.throws(() => parseAclOptions({ rules: [{ action: 'drop' }] }), { message: /"drop" is not one of allow, deny/ })
})

test('rules that can never match are refused', () => {
  refuses({ protocol: 'icmp', destinationPorts: 1 }, /^rules\[0\] "r": never matches: protocol 1 has no ports/)
  refuses({ sourcePrefix: '10.0.0.0/8', destinationPrefix: '::/0' }, /never matches: sourcePrefix is IPv4/)
  refuses({ etherType: 'arp', destinationPorts: 1 }, /never matches/)
  refuses({ etherType: 'ipv6', sourcePrefix: '10.0.0.0/8' }, /never matches/)
})

test('names are unique and rules are bounded', () => {
  const rule = { action: 'deny', name: 'r' }
  assert.throws(() => parseAclOptions({ rules: [rule, rule] }), {
    message: 'rules: two rules are named "r": give each its own name',
  })
  const many = Array.from({ length: RULES_MAX + 1 }, () => ({ action: 'deny' }))
  assert.throws(() => parseAclOptions({ rules: many }), { message: /are too many/ })
})
