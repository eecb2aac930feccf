import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness, frame, mac } from '../../../test/support/data-path-harness.ts'
import { ether, extension, fragment, ipv4, ipv6 } from '../../../test/support/guard-frames.ts'
import { datagram, tcp } from '../../../test/support/tracked-frames.ts'
import { OptionReader } from '../../ndis/module-options.ts'
import { parseAcl } from './acl-options.ts'
import { type AclPlan, compileAcls } from './acl-plan.ts'
import { parseExtendedAcl } from './extended-acl-options.ts'

const PORTS = 3
const entries = [
  { action: 'allow', direction: 'both', remoteMacAddress: mac(2) },
  { action: 'meter', direction: 'both', localMacAddress: 'any' },
  { action: 'deny', direction: 'outbound', remoteMacAddress: mac(3) },
  { action: 'meter', direction: 'both', remoteIPAddress: '10.0.0.0/8' },
  { action: 'deny', direction: 'both', remoteIPAddress: '10.0.0.7' },
  { action: 'deny', direction: 'inbound', localIPAddress: 'fd00::/64' },
  { action: 'allow', direction: 'inbound', localIPAddress: 'fd00::5' },
]
const rules = [
  { name: 'dns', action: 'allow', direction: 'outbound', protocol: 'udp', remotePort: 53, weight: 9 },
  { name: 'no udp', action: 'deny', direction: 'outbound', protocol: 'udp', weight: 5 },
  { name: 'low', action: 'deny', direction: 'inbound', protocol: 'tcp', localPort: '0-1023', weight: 5 },
  { name: 'in', action: 'allow', direction: 'inbound', remoteIPAddress: '10.0.0.0/8', weight: 1 },
]
const hosts4 = ['10.0.0.5', '10.0.0.7', '192.0.2.9']
const hosts6 = ['fd00::5', 'fd00::6', '2001:db8::1']

// Frames of every kind that ACLs tell apart, from port 1 or 2.
const frames = fc
  .record({
    from: fc.constantFrom(1, 2),
    to: fc.integer({ min: 1, max: PORTS }),
    source: fc.nat(2),
    destination: fc.nat(2),
    kind: fc.nat(10),
    port: fc.constantFrom(53, 80, 4000),
  })
  .map(({ from, to, source, destination, kind, port }): { from: number; bytes: Uint8Array } => {
    const ends = { from, to: mac(to) }
    const four = { ...ends, source: hosts4[source]!, destination: hosts4[destination]! }
    const six = { ...ends, source: hosts6[source]!, destination: hosts6[destination]! }
    const segment = tcp({ flags: 'A', ports: [port, port] })
    const bytes = [
      () => ipv4({ ...four, protocol: 17 }, datagram(port, port)),
      () => ipv4({ ...four, protocol: 6 }, segment),
      () => ipv4({ ...four, protocol: 17, fragmentOffset: 64 }, datagram(port, port)),
      () => ipv4({ ...four, protocol: 6 }, segment.slice(0, 3)),
      () => ipv6(six, 17, datagram(port, port)),
      () => ipv6(six, 0, [...extension(6), ...segment]),
      () => ipv6(six, 44, [...fragment(17, 64), ...datagram(port, port)]),
      () => ipv4({ ...four, protocol: 17, moreFragments: true }, datagram(port, port)),
      () => ipv6(six, 44, [...fragment(17, 0, true), ...datagram(port, port)]),
      () => frame(to, from, 'no ip'),
      () => ether(ends, 0x0800, [0x60, 1, 2, 3]),
    ][kind]!()
    return { from, bytes }
  })

class Judged {
  readonly harness: DataPathHarness
  readonly #plans: readonly AclPlan[]

  readonly #alone: boolean

  /** `alone`: each packet comes in a burst of its own. */
  constructor(shortCut: boolean, alone: boolean) {
    this.#alone = alone
    this.harness = new DataPathHarness({ shortCut }).connect(PORTS)
    const acl = parseAcl(new OptionReader({ entries }))
    const extendedAcl = parseExtendedAcl(new OptionReader({ rules }))
    this.#plans = [1, 3].map((port) => {
      const plan = compileAcls(port, { acl, extendedAcl }, 1, undefined, this.harness.place)!
      this.harness.acls.set(port, plan)
      return plan
    })
  }

  /** Sends all that comes from a port as one burst; tells all that can be seen afterwards. */
  send(burst: readonly { from: number; bytes: Uint8Array }[]): unknown {
    for (const port of [1, 2]) {
      const own = burst.filter(({ from }) => from === port).map(({ bytes }) => bytes)
      if (this.#alone) for (const bytes of own) this.harness.send(port, bytes)
      else this.harness.send(port, ...own)
    }
    return {
      totals: this.harness.totals(),
      drops: [1, 2, 3].map((port) => this.harness.drops(port)),
      counters: this.#plans.map(({ counters }) => [...new Float64Array(counters)]),
    }
  }
}

describe('ACLs of a burst', () => {
  for (const shortCut of [false, true])
    test(`drop and count what they would of each packet by itself, ${shortCut ? 'with' : 'without'} kernels`, () => {
      const together = new Judged(shortCut, false)
      const alone = new Judged(shortCut, true)
      fc.assert(
        fc.property(fc.array(frames, { minLength: 8, maxLength: 60 }), (burst) => {
          assert.deepEqual(together.send(burst), alone.send(burst))
        }),
        { numRuns: 40 },
      )
      const drops = together.harness.drops(1)
      for (const reason of ['port-acl', 'extended-acl', 'acl-unreadable']) assert.ok(drops[reason]! > 0, reason)
    })
})
