// Rings filled with anything: whatever a guest writes, the switch goes on, and no byte outside the guest's own memory changes.
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataHalf } from '../../../test/support/data-half.ts'
import { GUEST_BYTES, IgbvfDriver } from '../../../test/support/igbvf-driver.ts'
import * as r from '../../adapter/igbvf/registers.ts'
import { testFrame } from '../compliance-frames.ts'
import { VfEndpoint } from './control.ts'

const path = join(mkdtempSync(join(tmpdir(), 'vfh-')), 's')
const RING = 64
const TX_RING = 0x1_0000
const RX_RING = 0x2_0000
const CANARY_BYTES = 4096

const address = fc.oneof(
  fc.integer({ min: 0, max: GUEST_BYTES + 4096 }),
  fc.constantFrom(
    0,
    1,
    GUEST_BYTES - CANARY_BYTES,
    GUEST_BYTES - 2048,
    GUEST_BYTES - 1,
    GUEST_BYTES,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_f000,
    0xffff_ffff,
  ),
)
const word = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(0, 1, 0xffff_ffff, 0x8000_0000, r.TX_TYPE_DATA | r.TX_EXTENDED | r.TX_EOP | r.TX_RS | 100),
)
const command = fc
  .tuple(
    fc.integer({ min: 0, max: 0xffff }),
    fc.subarray([r.TX_EOP, r.TX_RS, r.TX_EXTENDED, r.TX_VLAN, r.TX_TSO, r.TX_LEGACY_CHECKSUM]),
    fc.constantFrom(r.TX_TYPE_DATA, r.TX_TYPE_CONTEXT, 0),
  )
  .map(([length, bits, type]) => bits.reduce((all, bit) => all | bit, length | type) >>> 0)
const descriptor = fc.tuple(
  address,
  fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: word }),
  fc.oneof(command, word),
  word,
)
const registers = fc.array(
  fc.tuple(
    fc.constantFrom(
      r.TDBAL,
      r.TDBAH,
      r.TDLEN,
      r.TDH,
      r.TDT,
      r.RDBAL,
      r.RDBAH,
      r.RDLEN,
      r.RDH,
      r.RDT,
      r.SRRCTL,
      r.IVAR0,
      r.EIMS,
      r.EITR0,
    ),
    fc.oneof(word, fc.integer({ min: 0, max: 127 })),
  ),
  { maxLength: 3 },
)

test('random descriptors and registers stop a ring at the most', async (context) => {
  const half = new DataHalf()
  const { memory } = half
  // Some of the switch's own memory.
  const before = memory.allocate(CANARY_BYTES)
  memory.u8.fill(0xa5, before, before + CANARY_BYTES)
  const control = new VfEndpoint({ port: 1, path, mac: '02:00:00:00:00:01', mtu: 9000, trusted: true, requireSeals: true }, half)
  await control.open()
  const driver = IgbvfDriver.connect(path)
  context.after(async () => {
    driver.close()
    await control.close()
    memory.free(before, CANARY_BYTES)
    half.close()
  })
  await driver.setUp({ ringSize: RING, maxFrame: 9022 })
  // Memory for reading only, which descriptors name too.
  const guard = new Uint8Array(driver.view.buffer, GUEST_BYTES - CANARY_BYTES, CANARY_BYTES)
  await driver.tell(3, unmapAll())
  await driver.tell(2, IgbvfDriver.dmaMap(0, GUEST_BYTES - CANARY_BYTES), [driver.memory])
  const tail = GUEST_BYTES - CANARY_BYTES
  await driver.tell(2, IgbvfDriver.dmaMap(tail, CANARY_BYTES, 1, tail), [driver.memory])
  guard.fill(0x5a)

  await fc.assert(
    fc.asyncProperty(
      fc.array(descriptor, { minLength: RING, maxLength: RING }),
      registers,
      fc.integer({ min: 0, max: RING - 1 }),
      fc.constantFrom(0, 2, 0x0200_0002, 0x0a00_0202, 0x0a00_0f7f, 0xffff_ffff),
      async (descriptors, writes, end, srrctl) => {
        await driver.startRings({ ringSize: RING, maxFrame: 9022, srrctl })
        await driver.mail(r.VF_SET_PROMISCUOUS | (6 << 16))
        for (const [i, words] of descriptors.entries())
          for (const [k, value] of words.entries()) {
            driver.view.setUint32(TX_RING + 16 * i + 4 * k, value >>> 0, true)
            if (k < 2) driver.view.setUint32(RX_RING + 16 * i + 4 * k, value >>> 0, true)
          }
        for (const [register, value] of writes) driver.write(register, value)
        driver.write(r.TDT, end)
        await driver.read(r.STATUS)
        for (let turn = 0; turn < 4; turn++) {
          half.take()
          half.deliver([testFrame(64, turn), testFrame(1500, turn), testFrame(9000, turn)])
        }
        half.inbox.length = 0
        assert.ok(
          guard.every((octet) => octet === 0x5a),
          'memory given for reading was written',
        )
        assert.ok(
          memory.u8.subarray(before, before + CANARY_BYTES).every((octet) => octet === 0xa5),
          'memory of the switch was written',
        )
      },
    ),
    { numRuns: 200 },
  )
  await driver.startRings({ ringSize: RING })
  driver.send(testFrame(100, 1))
  await half.until(() => half.inbox.length > 0, 'a frame after all that')
  assert.deepEqual(half.inbox[0]!.bytes, testFrame(100, 1))
})

function unmapAll(): Buffer {
  const payload = Buffer.alloc(24)
  payload.writeUInt32LE(24, 0)
  payload.writeUInt32LE(2, 4)
  return payload
}
