// What a VF can reach: the memory that its own VM shared, and nothing else.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import * as r from '../../src/adapter/igbvf/registers.ts'
import { testFrame } from '../../src/endpoints/compliance-frames.ts'
import { VfEndpoint } from '../../src/endpoints/vf/control.ts'
import { DataHalf } from '../support/data-half.ts'
import { GUEST_BYTES, IgbvfDriver } from '../support/igbvf-driver.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const CANARY = 0xa5
const RX_RING = 0x2_0000
const OUTSIDE = [GUEST_BYTES, GUEST_BYTES - 8, 0x7fff_f000, 0xffff_f000]

test('PD-17: a descriptor that names memory outside what the VM shared is refused and counted, and no byte of others changes', async (context) => {
  const half = new DataHalf()
  const { memory } = half
  const canary = memory.allocate(4096)
  memory.u8.fill(CANARY, canary, canary + 4096)
  const path = join(temporaryDirectory(), 's')
  const control = new VfEndpoint({ port: 1, path, mac: '02:00:00:00:00:01', mtu: 1500, trusted: false, requireSeals: true }, half)
  await control.open()
  const driver = IgbvfDriver.connect(path)
  context.after(async () => {
    driver.close()
    await control.close()
    memory.free(canary, 4096)
    half.close()
  })
  await driver.setUp({ ringSize: 64 })
  const faults = (): number => (control.describe().counters as { dmaFaults: number }).dmaFaults
  for (const [i, address] of OUTSIDE.entries()) {
    const before = faults()
    const command = r.TX_TYPE_DATA | r.TX_EXTENDED | r.TX_EOP | r.TX_RS | 64
    driver.post([address, 0, command, 64 << 14])
    await driver.read(r.STATUS)
    half.take()
    assert.equal(faults(), before + 1, `address 0x${address.toString(16)}`)
    assert.notEqual(half.inbox[i]!.reason, 0, 'dropped with a reason')
  }
  // A receive buffer outside stops the ring; the frame goes nowhere.
  await driver.startRings({ ringSize: 64 })
  driver.view.setUint32(RX_RING, GUEST_BYTES, true)
  const before = faults()
  assert.equal(half.deliver([testFrame(100, 1)]), 0)
  assert.equal(faults(), before + 1)
  assert.match((control.describe().faults as { receive: string }).receive, /outside the memory/)
  assert.ok(memory.u8.subarray(canary, canary + 4096).every((byte) => byte === CANARY))
})
