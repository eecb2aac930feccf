import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import { ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import { datagram } from '../../../test/support/tracked-frames.ts'
import type { ExtendedAclRule } from '../../ndis/standard-properties.ts'
import { COUNTERS_OF_ROW, compileAcls } from './acl-plan.ts'

const GUEST = 1
const OTHER = 2
const BURST = 64

// Rules of which later ones are shadowed: of ports 0 and on, with addresses of either family or none.
function rulesOf(count: number, direction: 'inbound' | 'outbound'): ExtendedAclRule[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `rule ${i}`,
    action: i % 3 === 0 ? 'deny' : 'allow',
    direction,
    weight: (i * 7) % 50,
    stateful: false,
    idleSessionTimeoutSeconds: 255,
    protocol: 17,
    remotePorts: [i % 40, (i % 40) + (i % 5)],
    ...(i % 4 === 0 ? { remoteAddress: { address: [10, 0, 0, i % 8], bits: 32 } } : {}),
    ...(i % 4 === 1 ? { remoteAddress: { address: [0xfd, ...Array<number>(14).fill(0), i % 8], bits: 128 } } : {}),
  }))
}

interface Sent {
  readonly isIpv6: boolean
  readonly host: number
  readonly port: number
}

const decides = (rules: readonly ExtendedAclRule[], { isIpv6, host, port }: Sent): ExtendedAclRule | undefined =>
  rules
    .toSorted((a, b) => b.weight - a.weight)
    .find(
      ({ remoteAddress, remotePorts }) =>
        port >= remotePorts![0] &&
        port <= remotePorts![1] &&
        (remoteAddress === undefined ||
          (remoteAddress.address.length === (isIpv6 ? 16 : 4) && remoteAddress.address.at(-1) === host)),
    )

for (const direction of ['outbound', 'inbound'] as const)
  for (const count of [20, 400])
    for (const shortCut of [false, true])
      test(`packets of a burst are each judged and counted by their own rule: ${count} rules, ${direction}, ${shortCut ? 'with' : 'without'} short cut`, () => {
        const rules = rulesOf(count, direction)
        const harness = new DataPathHarness({ shortCut }).connect(2)
        const plan = compileAcls(GUEST, { extendedAcl: { rules } }, 1, undefined, harness.place)!
        harness.acls.set(GUEST, plan)
        const [from, to] = direction === 'outbound' ? [GUEST, OTHER] : [OTHER, GUEST]
        const expected = { passed: 0, counts: new Map<string, number>() }
        let n = 0
        for (let burst = 0; burst < 12; burst++) {
          const frames = Array.from({ length: BURST }, () => {
            const sent: Sent = { isIpv6: n % 3 === 0, host: 1 + (n % 7), port: (n * 5 + burst) % 48 }
            n++
            const rule = decides(rules, sent)
            if (rule?.action !== 'deny') expected.passed++
            if (rule !== undefined) expected.counts.set(rule.name, (expected.counts.get(rule.name) ?? 0) + 1)
            const near = sent.isIpv6 ? 'fd00::99' : '10.0.0.99'
            const far = sent.isIpv6 ? `fd00::${sent.host}` : `10.0.0.${sent.host}`
            const [source, destination] = direction === 'outbound' ? [near, far] : [far, near]
            const parts = { from, to: mac(to), source, destination }
            const payload = direction === 'outbound' ? datagram(9, sent.port) : datagram(sent.port, 9)
            return sent.isIpv6 ? ipv6(parts, 17, payload) : ipv4({ ...parts, protocol: 17 }, payload)
          })
          harness.send(from, ...frames)
        }
        assert.equal(harness.sink(to).frames.length, expected.passed)
        assert.deepEqual(harness.drops(GUEST), { 'extended-acl': n - expected.passed })
        const counters = new Float64Array(plan.counters)
        const counted = rules.flatMap(({ name }, row): [string, number][] => {
          const packets = counters[row * COUNTERS_OF_ROW]!
          return packets === 0 ? [] : [[name, packets]]
        })
        assert.deepEqual(new Map(counted.sort()), new Map([...expected.counts].sort()))
      })
