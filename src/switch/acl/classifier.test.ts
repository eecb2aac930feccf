import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readKernels } from '../../../test/support/kernels.ts'
import {
  CL_CHOSEN,
  CL_KEYS,
  CL_RANKS,
  CLASSIFY_BYTES,
  CLASSIFY_MAX,
  CP_CUTS,
  CUT_WORDS,
  KEY_BYTES,
  NO_RULE,
} from '../../kernels/classify-layout.ts'
import { instantiateKernels } from '../../kernels/load.ts'
import { classifyAll, first } from '../../kernels/twin-classify.ts'
import { compileRules } from './classifier-compiler.ts'
import { FLOW_KEY_WORDS, K_PORTS, K_PROTOCOL, K_SWITCH_PORT } from './flow-key.ts'
import type { AddressMatch, RuleMatch } from './rule-fields.ts'

const holds = (match: AddressMatch | undefined, key: Uint32Array, at: number): boolean => {
  for (let bit = 0; bit < (match?.bits ?? 0); bit++) {
    const shift = 31 - (bit & 31)
    if (((match!.words[bit >> 5]! >>> shift) & 1) !== ((key[at + (bit >> 5)]! >>> shift) & 1)) return false
  }
  return true
}
const within = (range: readonly [number, number] | undefined, value: number): boolean =>
  range === undefined || (value >= range[0] && value <= range[1])

// The oracle: looks at one rule after the other.
function scan(rules: readonly RuleMatch[], key: Uint32Array): number {
  const isolation = (key[K_PROTOCOL]! >>> 16) | ((key[K_SWITCH_PORT]! >>> 16) << 16)
  const found = rules.find(
    (rule) =>
      holds(rule.local, key, 0) &&
      holds(rule.remote, key, 4) &&
      within(rule.localPorts, key[K_PORTS]! >>> 16) &&
      within(rule.remotePorts, key[K_PORTS]! & 0xffff) &&
      (rule.protocol === undefined || rule.protocol === (key[K_PROTOCOL]! & 0xff)) &&
      (rule.isolation === undefined || rule.isolation === isolation),
  )
  return found?.rank ?? NO_RULE
}

// Few values, so that rules overlap and packets hit them.
const u32 = fc.oneof(fc.constantFrom(0, 1, 0x0a000000, 0x0a000001, 0x0a00ff00, 0xc0a80101, 0xffffffff), fc.nat(0xffffffff))
const addressOf = (wide: boolean): fc.Arbitrary<number[]> =>
  fc.tuple(u32, u32, u32, u32).map((words) => (wide ? words : [0, 0, 0, words[3]]))
const match = (wide: boolean): fc.Arbitrary<AddressMatch> =>
  fc.record({ words: addressOf(wide), bits: wide ? fc.integer({ min: 0, max: 128 }) : fc.integer({ min: 96, max: 128 }) })
const port = fc.oneof(fc.constantFrom(0, 22, 80, 443, 1024, 65535), fc.nat(65535))
const range = fc.tuple(port, port).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)])
const protocol = fc.constantFrom(1, 6, 17, 58, 132)
const isolation = fc.constantFrom(0, 5, 4094, 0x10005, 0xffffff)
const rare = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined })
const ruleSet = (wide: boolean): fc.Arbitrary<RuleMatch[]> =>
  fc
    .array(
      fc.record({
        local: rare(match(wide)),
        remote: rare(match(wide)),
        localPorts: rare(range),
        remotePorts: rare(range),
        protocol: rare(protocol),
        isolation: fc.option(isolation, { nil: undefined, freq: 8 }),
      }),
      { maxLength: 120 },
    )
    .map((rules) => rules.map((rule, rank) => ({ rank, ...rule })))

function keyOf(
  local: readonly number[],
  remote: readonly number[],
  ports: readonly number[],
  proto: number,
  id: number,
  wide = false,
): Uint32Array {
  const key = new Uint32Array(FLOW_KEY_WORDS)
  key.set(local, 0)
  key.set(remote, 4)
  key[K_PORTS] = (ports[0]! << 16) | ports[1]!
  key[K_PROTOCOL] = proto | (wide ? 6 << 8 : 4 << 8) | (id << 16)
  key[K_SWITCH_PORT] = 3 | ((id >>> 16) << 16)
  return key
}

const KEY_STRIDE = KEY_BYTES >> 2
const BLOCK = 65536
const PROGRAM = 2 * 65536
const PAGES = 256
const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true })
const kernels = instantiateKernels(readKernels(), memory)

/** Asks the kernel and its twin for bursts of all keys, in a mixed order, and compares both with the oracle. */
function compare(
  rules: readonly RuleMatch[],
  wide: boolean,
  keys: readonly Uint32Array[],
  program = compileRules({ rules, wide }),
): void {
  new Int32Array(memory.buffer, PROGRAM, program.length).set(program)
  const block = new Uint8Array(memory.buffer, BLOCK, CLASSIFY_BYTES)
  for (let from = 0; from < keys.length; from += CLASSIFY_MAX) {
    const burst = keys.slice(from, from + CLASSIFY_MAX)
    const all = new Uint32Array(memory.buffer, BLOCK + CL_KEYS, CLASSIFY_MAX * KEY_STRIDE)
    const chosen = new Uint8Array(memory.buffer, BLOCK + CL_CHOSEN, CLASSIFY_MAX)
    const ranks = new Int32Array(memory.buffer, BLOCK + CL_RANKS, CLASSIFY_MAX)
    block.fill(0xa5) // what an earlier burst left
    // Positions that are not asked for stand between the others.
    const positions = burst.map((_, n) => (n * 37) % CLASSIFY_MAX).filter((_, n) => n % 5 !== 4)
    for (const [n, key] of burst.entries()) all.set(key, ((n * 37) % CLASSIFY_MAX) * KEY_STRIDE)
    chosen.set(positions)
    kernels.classify(PROGRAM, BLOCK, positions.length)
    const found = ranks.slice()
    ranks.fill(0x5a5a5a5a)
    classifyAll(program, all, chosen, positions.length, ranks)
    for (const [n, key] of burst.entries()) {
      const position = (n * 37) % CLASSIFY_MAX
      const expected = positions.includes(position) ? scan(rules, key) : undefined
      assert.equal(ranks[position], expected ?? 0x5a5a5a5a)
      assert.equal(found[position], expected ?? 0xa5a5a5a5 | 0)
    }
  }
}

describe('the classifier of rules', () => {
  for (const wide of [false, true])
    test(`finds what a scan finds, with addresses of ${wide ? 'IPv6' : 'IPv4'}`, () => {
      const packet = fc.tuple(addressOf(wide), addressOf(wide), fc.tuple(port, port), protocol, isolation)
      fc.assert(
        fc.property(
          ruleSet(wide),
          fc.array(packet, { maxLength: 20 }),
          fc.array(fc.nat(), { maxLength: 20 }),
          (rules, packets, picks) => {
            const keys = packets.map((fields) => keyOf(...fields, wide))
            // Packets that lie in a rule, at the edges of its ranges.
            for (const pick of picks) {
              const rule = rules[pick % Math.max(1, rules.length)]
              if (rule === undefined) continue
              const side = pick % 2
              keys.push(
                keyOf(
                  rule.local?.words ?? [0, 0, 0, 1],
                  rule.remote?.words ?? [0, 0, 0, 2],
                  [rule.localPorts?.[side] ?? 9, rule.remotePorts?.[side] ?? 9],
                  rule.protocol ?? 6,
                  rule.isolation ?? 0,
                  wide,
                ),
              )
            }
            compare(rules, wide, keys)
          },
        ),
        { numRuns: 150 },
      )
    })

  test('finds what a scan finds in thousands of rules, within the places it may take', () => {
    let seed = 7
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    const rules = Array.from({ length: 3000 }, (_, rank): RuleMatch => {
      const bits = 96 + [0, 8, 16, 24, 32][random(5)]!
      const ports = random(65000)
      return {
        rank,
        remote: bits === 96 ? undefined : { words: [0, 0, 0, (10 << 24) | random(1 << 24)], bits },
        localPorts: random(3) === 0 ? [ports, ports + random(500)] : undefined,
        remotePorts: random(3) === 0 ? [1024, 65535] : undefined,
        protocol: [undefined, 6, 17][random(3)],
      }
    })
    const program = compileRules({ rules, wide: false })
    assert.ok(program.length < rules.length * 80, `${program.length} words`)
    const keys = Array.from({ length: 3000 }, () =>
      keyOf([0, 0, 0, random(2 ** 32)], [0, 0, 0, (10 << 24) | random(1 << 24)], [random(65536), random(65536)], 6, 0),
    )
    compare(rules, false, keys)
  })

  test('rules that ask for more ways to cut nodes than a program may have are found all the same', () => {
    const rules = Array.from({ length: 600 }, (_, rank): RuleMatch => {
      const seed = Math.imul(rank + 1, 0x9e3779b1) >>> 0
      return {
        rank,
        remote: { words: [0, 0, 0, (10 << 24) | (seed >>> 8)], bits: 104 + (seed % 25) },
        remotePorts: [seed % 60_000, (seed % 60_000) + (seed % 500)],
        protocol: 6,
      }
    })
    const keys = rules.map(({ remote, remotePorts }) => keyOf([0, 0, 0, 1], remote!.words, [1, remotePorts![0]], 6, 0))
    for (const cuts of [0, 1, 3]) {
      const program = compileRules({ rules, wide: false }, cuts)
      assert.equal((program.length - program[CP_CUTS]!) / CUT_WORDS, cuts)
      compare(rules, false, keys, program)
    }
  })

  test('an empty program matches nothing', () => {
    const key = keyOf([0, 0, 0, 1], [0, 0, 0, 2], [1, 2], 6, 0)
    compare([], false, [key])
    assert.equal(first(compileRules({ rules: [], wide: false }), key), NO_RULE)
  })

  test('rules with the same answers share their nodes: as many networks again take less than half as much again', () => {
    const rules = (networks: number): RuleMatch[] =>
      Array.from({ length: networks * 40 }, (_, rank) => ({
        rank,
        remote: { words: [0, 0, 0, (10 << 24) | (Math.floor(rank / 40) << 8)], bits: 120 },
        remotePorts: [(rank % 40) * 100, (rank % 40) * 100 + 50],
        protocol: 6,
      }))
    assert.ok(compileRules({ rules: rules(8), wide: false }).length < 320 * 40)
  })
})
