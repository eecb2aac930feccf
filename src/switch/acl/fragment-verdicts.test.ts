import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, mac } from '../../../test/support/data-path-harness.ts'
import { fragment, IPV6, ipv4, ipv6, udp } from '../../../test/support/guard-frames.ts'
import { OptionReader } from '../../ndis/module-options.ts'
import { compileAcls } from './acl-plan.ts'
import { parseExtendedAcl } from './extended-acl-options.ts'

const GUEST = 1
const OTHER = 2
const allowDns = { name: 'dns', action: 'allow', protocol: 'udp', remotePort: 53, weight: 10 }
const denyRest = { name: 'rest', action: 'deny', weight: 1 }
const denyDns = { ...allowDns, action: 'deny' }

interface Piece {
  readonly id?: number
  readonly port?: number
  /** Bytes from the start of the datagram; 0: the first fragment. */
  readonly at?: number
  readonly host?: number
  readonly inbound?: boolean
}

class World {
  readonly harness: DataPathHarness
  readonly #wide: boolean

  constructor(wide: boolean, shortCut: boolean, rules: readonly object[]) {
    this.harness = new DataPathHarness({ shortCut }).connect(2)
    this.#wide = wide
    for (const port of [GUEST, OTHER]) this.set(port, rules)
  }

  /** Gives a port the rules, for both directions. */
  set(port: number, rules: readonly object[]): void {
    const both = rules.flatMap((rule) => [
      { ...rule, direction: 'outbound' },
      { ...rule, name: `${(rule as { name: string }).name} in`, direction: 'inbound' },
    ])
    const extendedAcl = parseExtendedAcl(new OptionReader({ rules: port === GUEST ? both : [] }))
    this.harness.acls.set(port, compileAcls(port, { extendedAcl }, 1, undefined, this.harness.place))
  }

  frame({ id = 1, port = 53, at = 0, host = 1, inbound = false }: Piece): Buffer {
    const [from, to] = inbound ? [OTHER, GUEST] : [GUEST, OTHER]
    const ends = { from, to: mac(to) }
    const payload = at === 0 ? (inbound ? udp(port, 1000, 1, 24) : udp(1000, port, 1, 24)) : Array<number>(32).fill(7)
    const hosts = (prefix: string): [string, string] => [`${prefix}${from === GUEST ? 1 : 9}`, `${prefix}${to === GUEST ? 1 : 9}`]
    if (this.#wide) {
      const [source, destination] = hosts(`fd00:0:0:${host}::`)
      const header = fragment(17, at, true)
      header.splice(4, 4, 0, 0, id >> 8, id & 255)
      return ipv6({ ...ends, source, destination }, IPV6.fragment, [...header, ...payload])
    }
    const [source, destination] = hosts(`10.0.${host}.`)
    const bytes = ipv4({ ...ends, source, destination, fragmentOffset: at, moreFragments: true }, payload)
    bytes.writeUInt16BE(id, 18)
    return bytes
  }

  /** How many of a burst, all of one direction, arrive. */
  passes(...pieces: Piece[]): number {
    const inbound = pieces[0]?.inbound === true
    const sink = this.harness.sink(inbound ? GUEST : OTHER)
    const before = sink.frames.length
    this.harness.send(inbound ? OTHER : GUEST, ...pieces.map((piece) => this.frame(piece)))
    return sink.frames.length - before
  }
}

for (const wide of [false, true])
  for (const shortCut of [false, true])
    describe(`later fragments, IPv${wide ? 6 : 4}, ${shortCut ? 'with' : 'without'} kernels`, () => {
      const world = (...rules: object[]): World => new World(wide, shortCut, rules)

      test('pass if a rule for ports let the first one pass, both ways, in the same burst or a later one', () => {
        for (const inbound of [false, true]) {
          const one = world(allowDns, denyRest)
          assert.equal(one.passes({ at: 32, inbound }), 0, 'the first has not come')
          assert.equal(one.passes({ inbound }, { at: 32, inbound }, { at: 64, inbound }), 3)
          assert.equal(one.passes({ at: 96, inbound }), 1)
          assert.equal(one.passes({ at: 96, inbound: !inbound }), 0, 'of the other direction')
          assert.equal(one.passes({ at: 32, id: 2, inbound }), 0, 'of another datagram')
          assert.equal(one.passes({ at: 32, host: 2, inbound }), 0, 'of another host')
        }
      })

      test('are refused with the first one, and pass where a rule denies other ports only', () => {
        const one = world(denyDns)
        assert.equal(one.passes({ port: 80, id: 1 }, { at: 32, id: 1 }), 2)
        assert.equal(one.passes({ port: 53, id: 2 }, { at: 32, id: 2 }), 0)
        assert.equal(one.passes({ at: 32, id: 3 }), 0, 'nobody knows of what port')
        assert.equal(one.passes({ port: 53, id: 1 }, { at: 32, id: 1 }), 0, 'the last word counts')
      })

      test('count under the rule that judged the first one', () => {
        const one = world(allowDns, denyRest)
        one.passes({}, { at: 32 }, { at: 64 })
        const [rule] = one.harness.acls.counters[GUEST]!
        assert.equal(rule, 3)
      })

      test('meet the rules again after 30 s, and when those change', () => {
        const one = world(allowDns, denyRest)
        assert.equal(one.passes({}), 1)
        one.harness.nowMs += 29_000
        assert.equal(one.passes({ at: 32 }), 1)
        one.harness.nowMs += 2000
        assert.equal(one.passes({ at: 32 }), 0)
        assert.equal(one.passes({}), 1)
        one.set(GUEST, [{ ...allowDns, remotePort: 54 }, denyRest])
        assert.equal(one.passes({ at: 32 }), 0)
      })

      test('are known of so many datagrams and no more; what a port gets pushes out nothing of what it sends', () => {
        const one = world(allowDns, denyRest)
        assert.equal(one.passes({ id: 7 }), 1)
        for (let id = 100; id < 600; id++) assert.equal(one.passes({ id, inbound: true }), 1)
        assert.equal(one.passes({ at: 32, id: 7 }), 1)
        let known = 0
        for (let id = 100; id < 600; id++) known += one.passes({ at: 32, id, inbound: true })
        assert.ok(known > 16 && known <= 64, `${known}`)
        assert.equal(one.passes({ at: 32, id: 599, inbound: true }), 1, 'the last one')
      })
    })
