import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { VF_BLOCK_BYTES } from './block.ts'
import type { VfBlocks } from './owner.ts'
import * as r from './registers.ts'
import { VirtualFunction } from './virtual-function.ts'

const BLOCK = 64
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A function whose owner keeps blocks, and a guest's tool at its registers. */
class World {
  readonly signals: number[] = []
  readonly reads: [number, number][] = []
  readonly writes: [number, string][] = []
  readonly kept = new Map<number, Uint8Array>([[0, Uint8Array.from({ length: 128 }, (_, i) => i + 1)]])
  readonly vf: VirtualFunction
  waits = 0
  /** Ends the owner's wait with a mask. */
  invalidate: (mask: bigint) => void = () => {}
  /** While set, the owner's answers wait for it. */
  gate: Promise<void> = Promise.resolve()

  constructor(blocks = true) {
    const buffer = new ArrayBuffer(BLOCK + VF_BLOCK_BYTES)
    const owner: VfBlocks = {
      read: async (blockId, length) => {
        this.reads.push([blockId, length])
        await this.gate
        return this.kept.get(blockId)?.slice(0, length)
      },
      write: async (blockId, data) => {
        this.writes.push([blockId, Buffer.from(data).toString('hex')])
        await this.gate
        if (blockId === 7) throw new Error('the PF broke')
        return blockId === 2
      },
      invalidated: () => {
        this.waits++
        return new Promise<bigint>((resolve) => {
          this.invalidate = resolve
        })
      },
      endWait: () => this.invalidate(0n),
    }
    this.vf = new VirtualFunction(BLOCK, {
      u8: new Uint8Array(buffer),
      u32: new Uint32Array(buffer),
      i32: new Int32Array(buffer),
      f64: new Float64Array(buffer),
      signal: (fd) => this.signals.push(fd),
      wakeIn: () => {},
      nowMs: () => 1000,
      quiesce: (work) => work(),
      owner: {
        mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
        linkUp: true,
        maxFrameBytes: 1522,
        trusted: false,
        allowsMac: () => false,
        allowsVlan: () => false,
        wasReset() {},
        filtersChanged() {},
        activity() {},
        ...(blocks ? { blocks: owner } : {}),
      },
    })
    this.vf.setVectors([10, 11, 12])
    this.vf.write(r.IVAR_MISC, 0x82)
    this.vf.write(r.EIMS, 7)
  }

  ask(...words: readonly number[]): void {
    this.vf.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    for (const [i, word] of words.entries()) this.vf.write(r.VMBMEM + 4 * i, word)
    this.vf.write(r.V2PMAILBOX, r.MAILBOX_REQ)
  }

  /** What the PF said, acknowledged; undefined: nothing new. */
  answer(): number[] | undefined {
    if ((this.vf.read(r.V2PMAILBOX) & r.MAILBOX_PFSTS) === 0) return undefined
    this.vf.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    const words = Array.from({ length: r.VMBMEM_WORDS }, (_, i) => this.vf.read(r.VMBMEM + 4 * i) >>> 0)
    this.vf.write(r.V2PMAILBOX, r.MAILBOX_ACK)
    return words
  }

  async mail(...words: readonly number[]): Promise<number[]> {
    this.ask(...words)
    await turn()
    return this.answer() ?? []
  }

  hello(): Promise<number[]> {
    return this.mail(r.VF_RESET)
  }
}

const ok = (type: number): number => (type | r.MESSAGE_ACK | r.MESSAGE_CTS) >>> 0
const refused = (type: number): number => (type | r.MESSAGE_NACK | r.MESSAGE_CTS) >>> 0
const bytesOf = (words: readonly number[]): Buffer => Buffer.from(Uint32Array.from(words.slice(r.BLOCK_DATA_WORD)).buffer)
const at = (length: number, offset: number): number => length | (offset << 8)

describe('configuration blocks over the mailbox', () => {
  let world: World
  beforeEach(async () => {
    world = new World()
    await world.hello()
  })

  test('a block of 128 bytes is read from the PF once and comes in three pieces (SR-284)', async () => {
    const pieces: Buffer[] = []
    for (const offset of [0, 52, 104]) {
      const words = await world.mail(r.VF_READ_BLOCK, 0, at(128, offset))
      assert.equal(words[0], ok(r.VF_READ_BLOCK))
      pieces.push(bytesOf(words).subarray(0, Math.min(52, 128 - offset)))
    }
    assert.deepEqual(Buffer.concat(pieces), Buffer.from(world.kept.get(0)!))
    assert.deepEqual(world.reads, [[0, 128]])
  })

  test('a block is written when its last piece has come, in one request (SR-285)', async () => {
    const data = Array.from({ length: 15 }, (_, i) => 0x01010101 * (i + 1))
    assert.equal((await world.mail(r.VF_WRITE_BLOCK, 2, at(60, 0), ...data.slice(0, 13)))[0], ok(r.VF_WRITE_BLOCK))
    assert.deepEqual(world.writes, [])
    assert.equal((await world.mail(r.VF_WRITE_BLOCK, 2, at(60, 52), ...data.slice(13)))[0], ok(r.VF_WRITE_BLOCK))
    assert.deepEqual(world.writes, [[2, Buffer.from(Uint32Array.from(data).buffer).toString('hex')]])
  })

  test('the guest sees that the message was taken, and the answer when the PF has completed (SR-284, SR-287)', async () => {
    let open = (): void => {}
    world.gate = new Promise((resolve) => {
      open = resolve
    })
    world.ask(r.VF_READ_BLOCK, 0, at(4, 0))
    const control = world.vf.read(r.V2PMAILBOX)
    assert.equal(control & (r.MAILBOX_PFACK | r.MAILBOX_PFSTS | r.MAILBOX_PFU), r.MAILBOX_PFACK | r.MAILBOX_PFU)
    world.vf.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    assert.equal(world.vf.read(r.V2PMAILBOX) & r.MAILBOX_VFU, 0, 'the PF owns the memory')
    world.ask(r.VF_WRITE_BLOCK, 2, at(1, 0), 1)
    open()
    await turn()
    const words = world.answer()!
    assert.deepEqual([words[0], words[3]], [ok(r.VF_READ_BLOCK), 0x04030201])
    assert.deepEqual(world.writes, [], 'what came meanwhile was not looked at')
  })

  test('refusals and failures of the PF are all the same to the guest (SR-287, SR-288, SR-289)', async () => {
    const bad = [
      [r.VF_READ_BLOCK, 77, at(4, 0)],
      [r.VF_READ_BLOCK, 0, at(0, 0)],
      [r.VF_READ_BLOCK, 0, at(129, 0)],
      [r.VF_READ_BLOCK, 0, at(128, 52)],
      [r.VF_READ_BLOCK, 0, at(60, 51)],
      [r.VF_READ_BLOCK, 0, at(4, 52)],
      [r.VF_READ_BLOCK, 0, at(4, 0) | 0x10000],
      [r.VF_WRITE_BLOCK, 9, at(4, 0)],
      [r.VF_WRITE_BLOCK, 7, at(4, 0)],
      [r.VF_WRITE_BLOCK, 2, at(60, 52)],
    ] as const
    for (const words of bad) assert.equal((await world.mail(...words))[0], refused(words[0]), words.join())
    assert.deepEqual(
      world.writes.map(([id]) => id),
      [9, 7],
    )
  })

  test('a piece of another block, length or kind ends what was begun', async () => {
    for (const [type, id, length] of [
      [r.VF_WRITE_BLOCK, 3, 60],
      [r.VF_WRITE_BLOCK, 2, 59],
      [r.VF_READ_BLOCK, 2, 60],
    ] as const) {
      await world.mail(r.VF_WRITE_BLOCK, 2, at(60, 0), 1)
      assert.equal((await world.mail(type, id, at(length, 52), 1))[0], refused(type))
      assert.equal((await world.mail(r.VF_WRITE_BLOCK, 2, at(60, 52), 1))[0], refused(r.VF_WRITE_BLOCK))
    }
    assert.deepEqual(world.writes, [])
  })

  test('who has not said hello is refused, and a function without owner of blocks refuses all', async () => {
    const fresh = new World()
    assert.equal((await fresh.mail(r.VF_READ_BLOCK, 0, at(4, 0)))[0], (r.VF_READ_BLOCK | r.MESSAGE_NACK) >>> 0)
    const without = new World(false)
    await without.hello()
    assert.equal((await without.mail(r.VF_READ_BLOCK, 0, at(4, 0)))[0], refused(r.VF_READ_BLOCK))
  })

  test('a guest that waits is told once which blocks changed, with an interrupt (SR-291, SR-292)', async () => {
    assert.equal((await world.mail(r.VF_AWAIT_BLOCKS))[0], ok(r.VF_AWAIT_BLOCKS))
    assert.equal((await world.mail(r.VF_AWAIT_BLOCKS))[0], ok(r.VF_AWAIT_BLOCKS))
    assert.equal(world.waits, 1)
    world.invalidate((1n << 63n) | 5n)
    await turn()
    assert.deepEqual(world.signals, [12])
    assert.deepEqual(world.answer()!.slice(0, 3), [(r.PF_BLOCKS_CHANGED | r.MESSAGE_CTS) >>> 0, 5, 0x8000_0000])
    assert.equal(world.answer(), undefined)
    assert.equal(world.waits, 1, 'it asks again when the guest does')
  })

  test('a guest that does not wait is never told, and a mask waits for the mailbox to be free', async () => {
    await turn()
    assert.deepEqual([world.waits, world.signals], [0, []])
    await world.mail(r.VF_AWAIT_BLOCKS)
    world.ask(r.VF_READ_BLOCK, 0, at(4, 0))
    world.invalidate(1n)
    await turn()
    assert.equal(world.answer()![0], ok(r.VF_READ_BLOCK), 'the answer is not overwritten')
    assert.equal(world.answer()![0], (r.PF_BLOCKS_CHANGED | r.MESSAGE_CTS) >>> 0)
  })

  test('a link that changes leaves the answer about a block in its place', async () => {
    world.ask(r.VF_READ_BLOCK, 0, at(4, 0))
    world.vf.setLink(false)
    await turn()
    world.vf.setLink(true)
    const words = world.answer()!
    assert.deepEqual([words[0], words[3]], [ok(r.VF_READ_BLOCK), 0x04030201])
  })

  test('a reset ends transfers and waits, and drops what the PF answers to the life before', async () => {
    let open = (): void => {}
    await world.mail(r.VF_AWAIT_BLOCKS)
    await world.mail(r.VF_WRITE_BLOCK, 2, at(60, 0), 1)
    world.gate = new Promise((resolve) => {
      open = resolve
    })
    world.ask(r.VF_READ_BLOCK, 0, at(4, 0))
    world.vf.write(r.CTRL, r.CTRL_RST)
    open()
    await turn()
    assert.equal(world.vf.read(r.V2PMAILBOX) & (r.MAILBOX_PFSTS | r.MAILBOX_PFU), 0)
    await world.hello()
    assert.equal((await world.mail(r.VF_WRITE_BLOCK, 2, at(60, 52), 1))[0], refused(r.VF_WRITE_BLOCK))
    await world.mail(r.VF_AWAIT_BLOCKS)
    assert.equal(world.waits, 2)
  })

  test('whatever a guest writes, transfers stay within 128 bytes and the mailbox answers on', async () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 2, 3, at(128, 0), at(128, 52), at(128, 104), at(60, 52)), fc.nat(0xffffff))
    const message = fc.tuple(fc.constantFrom(0x40, 0x41, 0x42, 0x43, 1, 3, 6), word, word, word)
    const step = fc.oneof(
      fc.record({ message }),
      fc.record({ control: fc.nat(255) }),
      fc.record({ memory: fc.tuple(fc.nat(15), fc.nat(0xffffff)) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const hostile = new World()
        await hostile.hello()
        for (const given of steps) {
          if ('message' in given) hostile.ask(...given.message)
          else if ('control' in given) hostile.vf.write(r.V2PMAILBOX, given.control)
          else hostile.vf.write(r.VMBMEM + 4 * given.memory[0], given.memory[1])
          if ('message' in given && given.message[1] % 2 === 0) await turn()
        }
        await turn()
        hostile.answer()
        hostile.answer()
        for (const [, length] of hostile.reads) assert.ok(length >= 1 && length <= 128)
        for (const [, hex] of hostile.writes) assert.ok(hex.length >= 2 && hex.length <= 256)
        await hostile.hello()
        const words = await hostile.mail(r.VF_READ_BLOCK, 0, at(4, 0))
        assert.deepEqual([words[0], words[3]], [ok(r.VF_READ_BLOCK), 0x04030201])
      }),
      { numRuns: 60 },
    )
  })
})
