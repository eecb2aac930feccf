// Copies of packets by the compiled kernel and in TypeScript, on packets with any contents: they must agree on every byte of the pool.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { kernelsByPacket } from '../kernels/by-packet.ts'
import * as L from '../kernels/layout.ts'
import { instantiateKernels } from '../kernels/load.ts'
import { createTwin, linearWindows, windowOf } from '../kernels/twin.ts'
import { STORE_BLOCKS } from './block-store.ts'
import { copyAllDestinations, copyPackets, reserveCopies } from './packet-copies.ts'
import { RunFacts, takeRun } from './packet-runs.ts'
import { HELD_FIRST, PacketPool, POOL_TOTAL_BYTES } from './pool.ts'

const BASE = 4096
const PAYLOAD = 1 << 17
const PAYLOADS = BASE + POOL_TOTAL_BYTES
const LIST = PAYLOADS + 8 * PAYLOAD
const BYTES = LIST + L.BURST_MAX * 2
const wasm = readFileSync(new URL('../../.cache/kernels.wasm', import.meta.url))
const outside = windowOf(new SharedArrayBuffer(PAYLOAD), 0, PAYLOAD)
for (let i = 0; i < PAYLOAD; i++) outside.u8[i] = i * 31

function pool(compiled: boolean): { pool: PacketPool; u8: Uint8Array } {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(BYTES / 65536), maximum: 65536, shared: true })
  const { buffer } = memory
  const any = createTwin({
    linear: buffer,
    windows: [...linearWindows(buffer), outside],
    copyForeign: (target, to, source, from, n) => target.u8.set(source.u8.subarray(from, from + n), to),
  })
  const u8 = new Uint8Array(buffer)
  for (let i = PAYLOADS; i < BYTES; i++) u8[i] = i * 7
  return {
    pool: new PacketPool(buffer, BASE, kernelsByPacket(buffer, BASE, compiled ? instantiateKernels(wasm, memory) : any, any)),
    u8,
  }
}

interface Packet {
  readonly slot: number
  readonly header: number
  readonly offset: number
  readonly payload: number
  readonly segments: number
  readonly flags: number
  readonly seed: number
  readonly destinations: number
}

const packet: fc.Arbitrary<Packet> = fc.record({
  slot: fc.nat(L.BURST_MAX - 1),
  header: fc.integer({ min: 14, max: 128 }),
  offset: fc.constantFrom(128, 128, 128, 124, 78, 2),
  payload: fc.constantFrom(0, 0, 0, 1, 64, 1386, 4096, 4097, 9000, 60_000),
  segments: fc.integer({ min: 1, max: 3 }),
  flags: fc.nat(0xffff).map((flags) => flags & ~(L.PF_FOREIGN | L.PF_GROWN)),
  seed: fc.nat(0xffff),
  destinations: fc.constantFrom(0, 1, 1, 1, 2, 5),
})

// A packet whose fields are all different, in a slot of the burst. Its payload begins anywhere in what memory there is for it.
function fill({ pool, u8 }: { pool: PacketPool; u8: Uint8Array }, one: Packet, foreign: boolean): void {
  const { slot, header, offset, payload, seed } = one
  const count = payload === 0 ? 0 : one.segments
  const value = (n: number): number => Math.imul(seed + n * 977, 0x9e3779b1) >>> 7
  for (let i = 0; i < L.HEADER_STRIDE; i++) u8[BASE + slot * L.HEADER_STRIDE + i] = value(i)
  for (let i = 0; i < L.VNET_STRIDE; i++) u8[BASE + L.P_VNET + slot * L.VNET_STRIDE + i] = value(300 + i)
  const words = [pool.packetId, pool.vsid, pool.parent, pool.sharedMemory, pool.destination]
  const halves = [pool.etherType, pool.vlan, pool.sourceL4, pool.destinationL4, pool.sourcePort, pool.receiveQueue, pool.hashInfo]
  const bytes = [pool.l3, pool.l4, pool.protocol, pool.sourceNic, pool.needs, pool.reason, pool.leftAt]
  for (const [n, array] of [...words, ...halves, ...bytes].entries()) array[slot] = value(400 + n)
  pool.flags[slot] = one.flags | (foreign ? L.PF_FOREIGN : 0)
  pool.headerOffset[slot] = offset
  pool.headerLength[slot] = header
  pool.length[slot] = header + payload
  pool.segments[slot] = count
  const start = (foreign ? 0 : PAYLOADS) + (seed & 0xff)
  pool.address[slot] = start
  new Uint16Array(u8.buffer, BASE + L.P_WINDOW, L.POOL_SLOTS)[slot] = 4
  for (let i = 0, at = 0; i < count; i++) {
    const length = i === count - 1 ? payload - at : Math.floor(payload / count)
    pool.segment[(slot * L.SEGMENTS_MAX + i) * 2] = start + at + i
    pool.segment[(slot * L.SEGMENTS_MAX + i) * 2 + 1] = length
    new Uint16Array(u8.buffer, BASE + L.P_SEGMENT_WINDOW, L.POOL_SLOTS * L.SEGMENTS_MAX)[slot * L.SEGMENTS_MAX + i] = 4
    at += length
  }
  pool.destinationCount[slot] = 0
  pool.destinationRoom[slot] = 0
  if (one.destinations > 1) pool.growDestinations(slot, one.destinations)
  for (let k = 0; k < one.destinations && one.destinations > 1; k++)
    pool.arena[pool.destinationOffset[slot]! + k] = value(500 + k)
  pool.destinationCount[slot] = one.destinations
}

test('compiled and TypeScript copies of packets are the same, wherever their bytes lie and their slots stand', () => {
  const both = [pool(true), pool(false)] as const
  const kept: number[] = []
  let round = 0
  fc.assert(
    fc.property(
      fc.uniqueArray(packet, { minLength: 1, maxLength: L.BURST_MAX, selector: ({ slot }) => slot }),
      fc.boolean(),
      fc.array(fc.nat(), { maxLength: 40 }),
      fc.boolean(),
      (packets, inRow, freed, foreign) => {
        round++
        const copies = both.map((side) => {
          side.pool.arenaUsed = 0
          const ordered = inRow ? packets.map((one, slot) => ({ ...one, slot })) : packets
          for (const one of ordered) fill(side, one, foreign && one.seed % 3 === 0)
          for (const [i, { slot }] of ordered.entries()) side.pool.originals[i] = slot
          const found = reserveCopies(side.pool, ordered.length)
          if (found < ordered.length) {
            for (const slot of side.pool.copies.subarray(0, ordered.length)) if (slot !== 0) side.pool.give(slot)
            return []
          }
          copyPackets(side.pool, found)
          if (round % 2 === 0) copyAllDestinations(side.pool, found)
          return [...side.pool.copies.subarray(0, found)]
        })
        assert.deepEqual(copies[0], copies[1])
        kept.push(...copies[0]!.filter((slot) => slot !== 0))
        for (const choice of freed) {
          const [slot] = kept.splice(choice % Math.max(1, kept.length), 1)
          if (slot !== undefined) for (const side of both) side.pool.give(slot)
        }
        if (kept.length > 400) for (const slot of kept.splice(0)) for (const side of both) side.pool.give(slot)
        const image = ({ u8 }: { u8: Uint8Array }): Uint8Array => u8.subarray(BASE, BASE + L.POOL_BYTES)
        assert.equal(Buffer.compare(image(both[0]), image(both[1])), 0)
        for (const slot of copies[0]!) {
          if (slot === 0) continue
          assert.ok(slot >= HELD_FIRST)
          const frames = both.map(({ pool: { kernels, length }, u8 }) => {
            const bytes = kernels.copyFrame(BASE, slot, 0, length[slot]!, PAYLOADS + 4 * PAYLOAD)
            return u8.slice(PAYLOADS + 4 * PAYLOAD, PAYLOADS + 4 * PAYLOAD + bytes)
          })
          assert.equal(Buffer.compare(frames[0]!, frames[1]!), 0)
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('compiled and TypeScript runs of packets are the same, and are none where one differs or is dropped', () => {
  const both = [pool(true), pool(false)] as const
  const facts = [new RunFacts(), new RunFacts()] as const
  const differences = ['none', 'none', 'none', 'source', 'destination', 'destinations', 'dropped'] as const
  const seen = new Set<string>()
  fc.assert(
    fc.property(
      fc.uniqueArray(packet, { minLength: 2, maxLength: L.BURST_MAX, selector: ({ slot }) => slot }),
      fc.constantFrom(...differences),
      fc.nat(),
      fc.boolean(),
      fc.boolean(),
      (packets, difference, choice, ingress, foreign) => {
        const first = choice % 2
        const odd = packets[first + (choice % (packets.length - first))]!.slot
        const results = both.map((side, n) => {
          side.pool.arenaUsed = 0
          for (const [i, one] of packets.entries()) {
            const { slot } = one
            fill(side, { ...one, destinations: 1, flags: one.flags & ~L.PF_DROPPED }, foreign && one.seed % 3 === 0)
            side.pool.sourcePort[slot] = difference === 'source' && slot === odd ? 8 : 7
            side.pool.destination[slot] = difference === 'destination' && slot === odd ? 6 : 5
            if (difference === 'destinations' && slot === odd) side.pool.destinationCount[slot] = 2
            if (difference === 'dropped' && slot === odd) side.pool.flags[slot] = side.pool.flags[slot]! | L.PF_DROPPED
            side.pool.originals[i] = slot
          }
          const count = packets.length - first
          const slots = side.pool.originals.slice(0, packets.length)
          const list = new Uint16Array(side.u8.buffer, LIST, L.BURST_MAX)
          list.set(slots)
          const isRun = facts[n]!.describe(side.pool, list, first, count, ingress)
          const isTaken = isRun && takeRun(side.pool, list, first, count, facts[n]!, ingress)
          return { isRun, isTaken, facts: { ...facts[n]! }, copies: [...side.pool.copies.subarray(0, isTaken ? count : 0)] }
        })
        assert.deepEqual(results[0], results[1])
        const [{ isRun, isTaken, copies }] = results as [(typeof results)[0]]
        if (packets.length - first > 1 && difference === 'none') assert.equal(isRun, true)
        if (difference === 'dropped') assert.equal(isRun, false)
        seen.add(`${difference} ${ingress} ${isTaken}`)
        const image = ({ u8 }: { u8: Uint8Array }): Uint8Array => u8.subarray(BASE, BASE + L.P_ORIGINALS)
        assert.equal(Buffer.compare(image(both[0]), image(both[1])), 0)
        for (const slot of copies) {
          const frames = both.map(({ pool: { kernels, length }, u8 }) => {
            const bytes = kernels.copyFrame(BASE, slot, 0, length[slot]!, PAYLOADS + 4 * PAYLOAD)
            return u8.slice(PAYLOADS + 4 * PAYLOAD, PAYLOADS + 4 * PAYLOAD + bytes)
          })
          assert.equal(Buffer.compare(frames[0]!, frames[1]!), 0)
        }
        const ofFirst = copies.map((slot) => both[0].pool.generation[slot]!)[0]
        for (const { pool } of both) {
          if (choice % 3 === 0 && copies.length > 0) pool.growDestinations(copies[copies.length - 1]!, 9)
          pool.giveSpan(copies[0] ?? HELD_FIRST, copies.length) // no slot was in use: the lowest ones follow each other
          assert.deepEqual([pool.freeSlots, pool.freeBlocks], [L.POOL_SLOTS - HELD_FIRST, STORE_BLOCKS])
          assert.ok(
            copies.every((slot) => pool.flags[slot] === 0 && pool.segments[slot] === 0 && pool.destinationRoom[slot] === 0),
          )
          if (copies.length > 0) assert.notEqual(pool.generation[copies[0]!], ofFirst)
        }
      },
    ),
    { numRuns: 200 },
  )
  assert.ok(seen.has('none true true') && seen.has('none false true') && seen.has('destination true true'), [...seen].join())
})
