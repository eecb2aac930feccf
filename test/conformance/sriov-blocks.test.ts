// Configuration blocks in a running switch: a guest at the registers of its VF reads and writes them through the mailbox.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as r from '../../src/adapter/igbvf/registers.ts'
import { wireFrame } from '../support/adapter-harness.ts'
import { withLab } from '../support/adapter-lab.ts'

const A = '02:00:00:00:00:0a'
const GROUP = '01:00:5e:00:00:05'
const ok = (type: number): number => (type | r.MESSAGE_ACK | r.MESSAGE_CTS) >>> 0
const refused = (type: number): number => (type | r.MESSAGE_NACK | r.MESSAGE_CTS) >>> 0

test('a guest of a running switch has its blocks through the registers of its VF (SR-284, SR-285, SR-287, SR-288)', async () => {
  await withLab({ vms: [{ name: 'a', mac: A, iov: { form: 'vfio-user' } }] }, async (lab) => {
    await lab.running.adapters.assign('a')
    const a = await lab.igbvf('a')
    const identity = await a.guest.mail(r.VF_READ_BLOCK, 0, 24)
    assert.equal(identity[0]! >>> 0, ok(r.VF_READ_BLOCK))
    const bytes = Buffer.from(Uint32Array.from(identity.slice(r.BLOCK_DATA_WORD)).buffer)
    assert.equal(bytes.subarray(2, 8).toString('hex'), A.replaceAll(':', ''))
    assert.equal((await a.guest.mail(r.VF_READ_BLOCK, 77, 4))[0]! >>> 0, refused(r.VF_READ_BLOCK))
    const list = Buffer.from(`0001${GROUP.replaceAll(':', '')}`, 'hex')
    const words = [list.readUInt32LE(0), list.readUInt32LE(4)]
    assert.equal((await a.guest.mail(r.VF_WRITE_BLOCK, 2, list.length, ...words))[0]! >>> 0, ok(r.VF_WRITE_BLOCK))
    const wire = lab.wire()
    wire.send(wireFrame(A, '02:00:00:00:00:99', 'still here'))
    assert.deepEqual(await lab.texts(a, 1), ['still here'])
  })
})
