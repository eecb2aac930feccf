import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataPathHarness } from '../../../test/support/data-path-harness.ts'
import { HEADER_START, HEADER_STRIDE, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_USO, VNET_STRIDE } from '../../kernels/layout.ts'
import { wireBytes } from './wire-bytes.ts'

const TCP = 6
const UDP = 17
const { pool } = new DataPathHarness()

function put({
  length,
  needs = OFFLOAD_TSO4,
  size = 1460,
  protocol = TCP,
  l4 = 34,
  tcpWords = 5,
}: Record<string, number>): number {
  const slot = 3
  pool.length[slot] = length!
  pool.needs[slot] = needs
  pool.protocol[slot] = protocol
  pool.l4[slot] = l4
  pool.headerOffset[slot] = HEADER_START
  pool.headerLength[slot] = 128
  pool.header8[slot * HEADER_STRIDE + HEADER_START + l4 + 12] = tcpWords << 4
  pool.vnet.fill(0xff, slot * VNET_STRIDE, (slot + 1) * VNET_STRIDE) // what a guest says of its header's length is not asked
  pool.vnet[slot * VNET_STRIDE + 4] = size & 255
  pool.vnet[slot * VNET_STRIDE + 5] = size >> 8
  return wireBytes(pool, slot)
}

test('a frame counts its bytes, and one that is left to segment those of all its segments', () => {
  assert.equal(put({ length: 1514, needs: 0 }), 1514)
  assert.equal(put({ length: 1514, needs: OFFLOAD_CHECKSUM }), 1514)
  assert.equal(put({ length: 54 + 1460 }), 1514)
  assert.equal(put({ length: 54 + 44 * 1460 }), 44 * 1514)
  assert.equal(put({ length: 54 + 44 * 1460 + 1 }), 44 * 1514 + 55)
  assert.equal(put({ length: 66 + 3 * 1448, size: 1448, tcpWords: 8 }), 3 * 1514)
  assert.equal(put({ length: 42 + 10 * 1200, needs: OFFLOAD_USO, protocol: UDP, size: 1200 }), 10 * 1242)
})

test('headers that are not there, too short or sizes of nothing count for no less than the frame', () => {
  assert.equal(put({ length: 54 + 2920, l4: 0 }), 2 * 1514)
  assert.equal(put({ length: 54 + 2920, tcpWords: 0 }), 2 * 1514)
  assert.equal(put({ length: 3000, size: 0 }), 3000)
  assert.ok(put({ length: 40 }) === 40)
})
