import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Family, packet, type TcpParts, TrackingHarness, tcp } from '../../../test/support/tracked-frames.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { UNTRACKED } from './connection-table.ts'
import { CLOSED_MS, HANDSHAKE_MS } from './time-outs.ts'

const families: readonly Family[] = [4, 6]
const { connectionInvalid } = DropReason
const ISN = 0xfffffff0 // so that numbers go round
const PEER = 5000

/** A TCP connection from the port (or, `fromRemote`, to it) over a harness. */
class Talk extends TrackingHarness {
  readonly family: Family
  readonly fromRemote: boolean

  constructor(family: Family, fromRemote = false) {
    super()
    this.family = family
    this.fromRemote = fromRemote
  }

  #frame(byOpener: boolean, parts: TcpParts): [Buffer, boolean] {
    const incoming = byOpener === this.fromRemote
    const ports: [number, number] = byOpener ? [1000, 80] : [80, 1000]
    return [packet(this.family, !incoming, 6, tcp({ ports, ...parts })), incoming]
  }

  opener(parts: TcpParts): number {
    return this.open(...this.#frame(true, parts), 60)
  }

  opened(parts: TcpParts): number {
    return this.find(...this.#frame(true, parts))
  }

  answer(parts: TcpParts): number {
    return this.find(...this.#frame(false, parts))
  }

  established(): this {
    assert.equal(this.opener({ flags: 'S', seq: ISN, scale: 7 }), 0)
    assert.equal(this.answer({ flags: 'SA', seq: PEER, ack: ISN + 1, scale: 7 }), 0)
    assert.equal(this.opener({ flags: 'A', seq: ISN + 1, ack: PEER + 1, window: 512 }), 0)
    return this
  }

  /** True if the connection outlives the handshake's time-out, and so is established. */
  lasts(): boolean {
    this.nowMs += HANDSHAKE_MS + 1000
    return this.answer({ flags: 'A', seq: PEER + 1, ack: ISN + 1, window: 512 }) === 0
  }
}

for (const family of families)
  for (const fromRemote of [false, true]) {
    const name = `IPv${family}, opened ${fromRemote ? 'from outside' : 'by the port'}`

    test(`a handshake establishes a connection that both sides use (${name})`, () => {
      const talk = new Talk(family, fromRemote).established()
      assert.ok(talk.lasts())
      assert.equal(talk.opened({ flags: 'PA', seq: ISN + 1, ack: PEER + 1, bytes: 100 }), 0)
      assert.equal(talk.answer({ flags: 'PA', seq: PEER + 1, ack: ISN + 101, bytes: 100 }), 0)
    })

    test(`what nobody opened is left to the rules (${name})`, () => {
      const talk = new Talk(family, fromRemote)
      for (const flags of ['S', 'SA', 'A', 'R', 'RA', 'FA', 'PA'])
        assert.equal(talk.answer({ flags, seq: 1, ack: 1 }), UNTRACKED, flags)
    })

    test(`nothing but a SYN opens a connection (${name})`, () => {
      const talk = new Talk(family, fromRemote)
      for (const flags of ['SA', 'A', 'R', 'RA', 'FA', 'PA', 'SF', 'SR', ''])
        assert.equal(talk.opener({ flags, seq: 1, ack: 1 }), connectionInvalid, flags)
      assert.equal(talk.answer({ flags: 'A' }), UNTRACKED)
    })

    test(`an answer that does not know the SYN's number establishes nothing (${name})`, () => {
      const talk = new Talk(family, fromRemote)
      talk.opener({ flags: 'S', seq: ISN })
      for (const ack of [0, ISN, ISN + 2, 0x7fffffff])
        assert.equal(talk.answer({ flags: 'SA', seq: PEER, ack }), connectionInvalid)
      assert.equal(talk.answer({ flags: 'A', seq: 9, ack: 9 }), 0) // of a connection that stood there before: it passes
      assert.ok(!talk.lasts())
    })

    test(`a reset closes only where it knows the next number (${name})`, () => {
      for (const [seq, expected] of [
        [PEER + 0x40000000, connectionInvalid],
        [PEER - 100, connectionInvalid],
        [PEER + 2, 0], // within the window: the guest asks back
        [PEER + 60000, 0],
      ] as const) {
        const talk = new Talk(family, fromRemote).established()
        assert.equal(talk.answer({ flags: 'R', seq }), expected, String(seq))
        assert.equal(talk.answer({ flags: 'RA', seq, ack: ISN + 1 }), expected, String(seq))
        assert.ok(talk.lasts(), String(seq))
      }
      const talk = new Talk(family, fromRemote).established()
      assert.equal(talk.answer({ flags: 'R', seq: PEER + 1 }), 0)
      assert.equal(talk.answer({ flags: 'A', seq: PEER + 1, ack: ISN + 1 }), UNTRACKED)
    })

    test(`a refusal of a SYN closes only with the SYN's number (${name})`, () => {
      const talk = new Talk(family, fromRemote)
      talk.opener({ flags: 'S', seq: ISN })
      assert.equal(talk.answer({ flags: 'R', seq: 0 }), connectionInvalid)
      assert.equal(talk.answer({ flags: 'RA', seq: 0, ack: 7 }), connectionInvalid)
      assert.equal(talk.answer({ flags: 'SA', seq: PEER, ack: ISN + 1 }), 0)
      const refused = new Talk(family, fromRemote)
      refused.opener({ flags: 'S', seq: ISN })
      assert.equal(refused.answer({ flags: 'RA', seq: 0, ack: ISN + 1 }), 0)
      assert.equal(refused.answer({ flags: 'SA', seq: PEER, ack: ISN + 1 }), UNTRACKED)
    })

    test(`segments outside the window pass, and keep nothing alive (${name})`, () => {
      const talk = new Talk(family, fromRemote).established()
      talk.nowMs += 40_000
      assert.equal(talk.answer({ flags: 'A', seq: PEER + 0x30000000, ack: ISN + 1 }), 0)
      assert.equal(talk.answer({ flags: 'A', seq: PEER + 1, ack: ISN + 5000 }), 0)
      assert.equal(talk.answer({ flags: 'FA', seq: PEER + 0x30000000, ack: ISN + 1 }), 0)
      talk.nowMs += 21_000
      assert.equal(talk.answer({ flags: 'A', seq: PEER + 1, ack: ISN + 1 }), UNTRACKED)
    })

    test(`both sides' FIN ends a connection, and the same ports can be used again (${name})`, () => {
      const talk = new Talk(family, fromRemote).established()
      assert.equal(talk.opened({ flags: 'FA', seq: ISN + 1, ack: PEER + 1 }), 0)
      assert.equal(talk.answer({ flags: 'PA', seq: PEER + 1, ack: ISN + 2, bytes: 10 }), 0) // half closed: the other side goes on
      assert.equal(talk.answer({ flags: 'FA', seq: PEER + 11, ack: ISN + 2 }), 0)
      assert.equal(talk.opened({ flags: 'A', seq: ISN + 2, ack: PEER + 12 }), 0)
      assert.equal(talk.opened({ flags: 'S', seq: 77 }), UNTRACKED)
      assert.equal(talk.opener({ flags: 'S', seq: 77 }), 0)
      assert.equal(talk.answer({ flags: 'SA', seq: 99, ack: 78 }), 0)
    })

    test(`a SYN on a connection that lives changes nothing (${name})`, () => {
      const talk = new Talk(family, fromRemote).established()
      assert.equal(talk.opened({ flags: 'S', seq: 1 }), 0)
      assert.equal(talk.answer({ flags: 'SA', seq: 1, ack: 2 }), 0)
      assert.ok(talk.lasts())
    })

    test(`both sides may open at once (${name})`, () => {
      const talk = new Talk(family, fromRemote)
      talk.opener({ flags: 'S', seq: ISN })
      assert.equal(talk.answer({ flags: 'S', seq: PEER }), 0)
      assert.equal(talk.opened({ flags: 'SA', seq: ISN, ack: PEER + 1 }), 0)
      assert.equal(talk.answer({ flags: 'SA', seq: PEER, ack: ISN + 1 }), 0)
      assert.ok(talk.lasts())
    })
  }

test('segments that are none are refused on a connection: no flags, too short a header, one longer than the packet', () => {
  const talk = new Talk(4).established()
  assert.equal(talk.answer({ flags: '', seq: PEER + 1 }), connectionInvalid)
  for (const header of [0x40, 0xf0]) {
    const segment = tcp({ flags: 'A', seq: PEER + 1, ack: ISN + 1, ports: [80, 1000] })
    segment[12] = header
    assert.equal(talk.find(packet(4, false, 6, segment), true), connectionInvalid)
  }
})

test('a connection in progress is picked up for a while after its port came, and lives once it is answered', () => {
  const talk = new Talk(4)
  talk.table.store.pickUp(1, talk.nowMs)
  assert.equal(talk.opener({ flags: 'R', seq: 1000, ack: 1 }), connectionInvalid)
  assert.equal(talk.opener({ flags: 'PA', seq: 1000, ack: 7000, bytes: 50 }), 0)
  assert.equal(talk.answer({ flags: 'A', seq: 0x50000000, ack: 1050 }), connectionInvalid) // knows nothing of it
  assert.equal(talk.answer({ flags: 'A', seq: 7000, ack: 1050 }), 0)
  talk.nowMs += HANDSHAKE_MS + 1000
  assert.equal(talk.answer({ flags: 'A', seq: 7000, ack: 1050 }), 0)
  talk.nowMs += 120_000
  assert.equal(talk.opener({ flags: 'PA', seq: 1000, ack: 7000, bytes: 50 }), connectionInvalid) // idle for too long, and too late to be picked up
})

test('a reset connection is gone after its time', () => {
  const talk = new Talk(4).established()
  talk.answer({ flags: 'R', seq: PEER + 1 })
  talk.nowMs += CLOSED_MS + 1
  assert.equal(talk.opener({ flags: 'S', seq: 3 }), 0)
})

test('the last probe of a closed window counts', () => {
  const talk = new Talk(4)
  talk.opener({ flags: 'S', seq: 0, window: 100 })
  talk.answer({ flags: 'SA', seq: 500, ack: 1, window: 100 })
  talk.opener({ flags: 'A', seq: 1, ack: 501, window: 0 })
  talk.nowMs += 50_000
  talk.answer({ flags: 'A', seq: 501, ack: 1, bytes: 1 })
  talk.nowMs += 50_000
  assert.equal(talk.answer({ flags: 'A', seq: 501, ack: 1, bytes: 1 }), 0)
})
