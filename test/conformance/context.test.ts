import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Batch, NdisStatus, type PacketHandle, type SwitchContextType, type SwitchHandle } from 'vmswitch/extension'
import { frame } from '../support/data-path-harness.ts'
import { capturing, filtering, stackOf } from './handlers.ts'

test('CS-62 a context set on ingress is found on egress, is set once, and is not on a clone (ES-431, ES-432, ES-433, ES-434, ES-437)', () => {
  let type: SwitchContextType | undefined
  const found: number[] = []
  const { harness, broken } = stackOf(2, [
    filtering({
      attach: (sw) => {
        type = sw.declareContextType('flow')
      },
      ingress(batch) {
        assert.equal(batch.context(0, type!), 0)
        assert.equal(batch.setContext(0, type!, 42), NdisStatus.success)
        assert.notEqual(batch.setContext(0, type!, 43), NdisStatus.success)
      },
      egress: (batch) => void found.push(batch.context(0, type!)),
    }),
    filtering({
      ingress: (batch, sw) => {
        const clone = batch.clone(0)
        if (batch.isOriginated(0)) sw.release(clone)
        else sw.send(clone)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  harness.send(1, frame(2, 1, 'y'))
  assert.deepEqual(found, [42, 0, 42, 0])
  assert.deepEqual(broken(), ['ES-437'])
})

test('extensions have any number of context types, each with its own value, capturing ones too (ES-431, ES-436, ES-439)', () => {
  const types: SwitchContextType[] = []
  const values: number[][] = []
  const { harness, broken } = stackOf(2, [
    capturing({
      attach: (sw) => types.push(sw.declareContextType('a'), sw.declareContextType('b')),
      ingress: (batch) => batch.setContext(0, types[0]!, -1),
      egress: (batch) => void values.push(types.map((type) => batch.context(0, type))),
    }),
    filtering({
      attach: (sw) => void types.push(sw.declareContextType('a')),
      ingress: (batch) => batch.setContext(0, types[2]!, 7),
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(values, [[-1, 0, 7]])
  assert.deepEqual(
    types.map(({ name, extensionId }) => `${name} ${extensionId.length}`),
    ['a 36', 'b 36', 'a 36'],
  )
  assert.deepEqual(broken(), [])
})

test('a held packet goes on as the same packet, with its contexts; its slot is another packet meanwhile (ES-351, ES-431)', () => {
  let type: SwitchContextType | undefined
  let held: PacketHandle = 0
  const seen: number[] = []
  const { harness, handles } = stackOf(2, [
    filtering({
      attach: (sw) => {
        type = sw.declareContextType('flow')
      },
      ingress(batch) {
        if (batch.u8(0, 14) === 0x68) batch.setContext(0, type!, batch.packetId(0))
      },
      egress: (batch: Batch) => void seen.push(batch.packetId(0), batch.context(0, type!)),
    }),
    filtering({
      ingress(batch) {
        if (batch.u8(0, 14) === 0x68) held = batch.hold(0)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'held'))
  harness.send(1, frame(2, 1, 'between'))
  assert.equal(seen[1], 0)
  ;(handles[1] as SwitchHandle).forward(held)
  harness.dataPath.flushInjections()
  assert.equal(seen[2], seen[3])
  assert.notEqual(seen[2], 0)
  assert.equal(harness.got(2).length, 2)
})

test('values that are no 32-bit integers, or 0, are refused, and what is no context type too (ES-435)', () => {
  const { harness } = stackOf(2, [
    filtering({
      ingress(batch, sw) {
        const type = sw.declareContextType('flow')
        for (const value of [0, 1.5, 2 ** 31, Number.NaN]) assert.notEqual(batch.setContext(0, type, value), NdisStatus.success)
        assert.notEqual(batch.setContext(0, { name: 'forged' } as unknown as SwitchContextType, 1), NdisStatus.success)
        assert.notEqual(batch.setContext(5, type, 1), NdisStatus.success)
        assert.equal(batch.context(0, type), 0)
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(harness.got(2), ['x'])
})
