import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Oid, type OidCompletion, type OidRequest, oidName } from '../../ndis/oids.ts'
import { NO_GUID } from '../../ndis/properties.ts'
import { type NicRestoreState, type NicSaveBlock, type NicSaveRequest, SAVE_DATA_OFFSET } from '../../ndis/save-state.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { SAVE_ROOM_BYTES, SaveControl, SaveError } from './save-control.ts'

const GUIDS = ['11111111-1111-1111-1111-111111111111', '22222222-2222-2222-2222-222222222222'] as const

const block = (owner: number, text: string): NicSaveBlock => ({
  extensionId: GUIDS[owner]!,
  extensionFriendlyName: `E${owner + 1}`,
  featureClassId: NO_GUID,
  saveData: new TextEncoder().encode(text),
})

type Handler = (request: OidRequest) => OidCompletion | undefined

// A stack of handlers, each an extension: what none completes succeeds.
function stack(...extensions: Handler[]) {
  const log: string[] = []
  const orphans: string[] = []
  const control = new SaveControl({
    issueAll: async (requests) =>
      requests.map((request) => {
        log.push(`${oidName(request.oid).slice(11)} ${(request.payload as { portId: number }).portId}`)
        for (const [i, extension] of extensions.entries()) {
          const completion = extension(request)
          if (completion) return { ...completion, by: `E${i + 1}` }
        }
        return { status: NdisStatus.success }
      }),
    portName: (id) => `p${id}`,
    orphan: (port, { extensionId }) => orphans.push(`${port} ${extensionId}`),
  })
  return { control, log, orphans }
}

// An extension with blocks to save for each port.
function saver(blocks: readonly NicSaveBlock[]): Handler {
  const progress = new Map<number, number>()
  return ({ oid, payload }) => {
    const { portId, saveDataSize } = payload as NicSaveRequest
    if (oid === Oid.nicSaveComplete) progress.delete(portId)
    if (oid !== Oid.nicSave) return undefined
    const next = progress.get(portId) ?? 0
    const output = blocks[next]
    if (output === undefined) return undefined
    if (output.saveData.length > saveDataSize)
      return { status: NdisStatus.bufferTooShort, bytesNeeded: SAVE_DATA_OFFSET + output.saveData.length }
    progress.set(portId, next + 1)
    return { status: NdisStatus.success, output }
  }
}

test('CS-78 NIC_SAVE is issued until the miniport edge completes it, then NIC_SAVE_COMPLETE once (ES-459, ES-464, ES-469, ES-470, ES-471)', async () => {
  const { control, log } = stack(saver([block(0, 'a'), block(0, 'b')]), saver([block(1, 'c')]))
  const blocks = (await control.save([7])).get(7)!
  assert.deepEqual(log, ['NIC_SAVE 7', 'NIC_SAVE 7', 'NIC_SAVE 7', 'NIC_SAVE 7', 'NIC_SAVE_COMPLETE 7'])
  assert.deepEqual(
    blocks.map(({ extensionId, saveData }) => [extensionId, new TextDecoder().decode(saveData)]),
    [
      [GUIDS[0], 'a'],
      [GUIDS[0], 'b'],
      [GUIDS[1], 'c'],
    ],
  )
})

test('CS-79 a buffer that is too short is offered again with the room asked for (ES-460, ES-461, ES-467, ES-468, ES-476)', async () => {
  const large = block(0, 'x'.repeat(10_000))
  const seen: NicSaveRequest[] = []
  const { control } = stack(
    (request) => {
      if (request.oid === Oid.nicSave) seen.push(request.payload as NicSaveRequest)
      return undefined
    },
    saver([large]),
  )
  const blocks = (await control.save([1])).get(1)!
  assert.deepEqual(blocks[0]!.saveData, large.saveData)
  assert.deepEqual(
    seen.map(({ saveDataSize }) => saveDataSize),
    [SAVE_ROOM_BYTES, 10_000, SAVE_ROOM_BYTES],
  )
  for (const { bufferSize, saveDataOffset, saveDataSize, nicIndex } of seen) {
    assert.equal(bufferSize, saveDataOffset + saveDataSize)
    assert.equal(nicIndex, 0)
  }
})

test('saves of several connections overlap, and each has its own progress (ES-475)', async () => {
  const { control, log } = stack(saver([block(0, 'a')]))
  const saved = await control.save([1, 2])
  assert.deepEqual(log, ['NIC_SAVE 1', 'NIC_SAVE 2', 'NIC_SAVE 1', 'NIC_SAVE 2', 'NIC_SAVE_COMPLETE 1', 'NIC_SAVE_COMPLETE 2'])
  assert.equal(saved.get(1)!.length, 1)
  assert.equal(saved.get(2)!.length, 1)
})

test('a save that fails is ended with NIC_SAVE_COMPLETE all the same', async () => {
  const failing: [string, OidCompletion, RegExp][] = [
    ['an error', { status: NdisStatus.failure }, /NDIS_STATUS_FAILURE/],
    ['no block', { status: NdisStatus.success, output: 5 }, /ES-464/],
    ['no owner', { status: NdisStatus.success, output: { ...block(0, 'a'), extensionId: '' } }, /ES-465/],
    ['no class', { status: NdisStatus.success, output: { ...block(0, 'a'), featureClassId: 1 } }, /ES-466/],
    ['more than room', { status: NdisStatus.success, output: block(0, 'x'.repeat(5000)) }, /ES-467/],
    ['too much', { status: NdisStatus.success, output: { ...block(0, ''), saveData: new Uint8Array(70_000) } }, /ES-477/],
    ['a need that was met', { status: NdisStatus.bufferTooShort, bytesNeeded: 10 }, /asks for a buffer of 10 bytes/],
    ['a need without end', { status: NdisStatus.bufferTooShort, bytesNeeded: 1e9 }, /asks for a buffer/],
  ]
  for (const [what, completion, message] of failing) {
    const { control, log } = stack(({ oid }) => (oid === Oid.nicSave ? completion : undefined))
    await assert.rejects(control.save([3]), (error) => error instanceof SaveError && message.test(error.message), what)
    assert.equal(log.at(-1), 'NIC_SAVE_COMPLETE 3', what)
  }
})

test('an extension that saves without end is stopped', async () => {
  const { control } = stack(({ oid }) =>
    oid === Oid.nicSave ? { status: NdisStatus.success, output: block(0, 'a') } : undefined,
  )
  await assert.rejects(control.save([3]), /more than 1024 blocks/)
})

test('CS-80 each block goes to its owner with the new port id, and NIC_RESTORE_COMPLETE ends it (ES-479, ES-481, ES-482, ES-483, ES-484, ES-488)', async () => {
  const got: string[] = []
  const owner =
    (i: number): Handler =>
    ({ oid, payload }) => {
      const { extensionId, portId, saveData } = payload as NicRestoreState
      if (oid !== Oid.nicRestore || extensionId !== GUIDS[i]) return undefined
      got.push(`E${i + 1} ${portId} ${new TextDecoder().decode(saveData)}`)
      return { status: NdisStatus.success }
    }
  const { control, log, orphans } = stack(owner(0), owner(1))
  assert.deepEqual(await control.restore(9, [block(0, 'a'), block(1, 'b'), block(0, 'c')]), [])
  assert.deepEqual(got, ['E1 9 a', 'E2 9 b', 'E1 9 c'])
  assert.deepEqual(log, ['NIC_RESTORE 9', 'NIC_RESTORE 9', 'NIC_RESTORE 9', 'NIC_RESTORE_COMPLETE 9'])
  assert.deepEqual(orphans, [])
})

test('CS-81 an orphaned block succeeds with a report; a failing owner fails the whole restore (ES-485, ES-486)', async () => {
  const { control, log, orphans } = stack(({ oid, payload }) =>
    oid === Oid.nicRestore && (payload as NicRestoreState).extensionId === GUIDS[1] ? { status: NdisStatus.failure } : undefined,
  )
  assert.deepEqual(await control.restore(4, [block(0, 'orphan')]), [block(0, 'orphan')])
  assert.deepEqual(orphans, [`4 ${GUIDS[0]}`])
  log.length = 0
  await assert.rejects(control.restore(4, [block(1, 'a'), block(0, 'b')]), (error) => {
    assert.ok(error instanceof SaveError && error.code === 'RESTORE_FAILED')
    return /restoring port "p4": extension "E1" refused its data: NDIS_STATUS_FAILURE/.test(error.message)
  })
  assert.deepEqual(log, ['NIC_RESTORE 4', 'NIC_RESTORE_COMPLETE 4'])
})
