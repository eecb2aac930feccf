// Save and restore of extensions' run-time data of connections (spec 8.1, 8.2): the protocol edge's side of NIC_SAVE, NIC_SAVE_COMPLETE,
// NIC_RESTORE and NIC_RESTORE_COMPLETE.
//
// The rule it must not break: one save or restore at a time for a connection (ES-474, ES-490), each ended by its COMPLETE whatever
// became of it. Saves of different connections overlap (ES-475): a switch with a thousand ports asks all of them at once.

import { Oid, type OidCompletion, type OidRequest } from '../../ndis/oids.ts'
import { normalizeGuid } from '../../ndis/properties.ts'
import {
  type NicRestoreState,
  type NicSaveBlock,
  type NicSaveComplete,
  type NicSaveRequest,
  SAVE_DATA_MAX,
  SAVE_DATA_OFFSET,
} from '../../ndis/save-state.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { wrongBlock } from './save-block.ts'
import { BLOCK_BYTES_PER_PORT_MAX, BLOCKS_PER_PORT_MAX } from './saved-switch.ts'

/** Bytes that an extension is offered for a block at first. */
export const SAVE_ROOM_BYTES = 4096

/** A save or restore that failed. */
export class SaveError extends Error {
  override readonly name = 'SaveError'
  readonly code: 'SAVE_FAILED' | 'RESTORE_FAILED'
  readonly status: number

  constructor(code: SaveError['code'], message: string, status: number) {
    super(message)
    this.code = code
    this.status = status
  }
}

export interface SaveComponents {
  /** Sends requests down the stack, one after the other, in order. */
  issueAll(requests: readonly OidRequest[]): Promise<readonly OidCompletion[]>
  /** Name of a port for messages. */
  portName(portId: number): string
  /** A block that no extension owned was restored. ES-485 */
  orphan(portId: number, block: NicSaveBlock): void
}

interface Saving {
  readonly portId: number
  readonly blocks: NicSaveBlock[]
  room: number
  bytes: number
  failure: SaveError | undefined
}

const complete = (oid: number, portId: number): OidRequest => {
  const payload: NicSaveComplete = { portId, nicIndex: 0 }
  return { oid, type: 'set', payload }
}

function saveRequest({ portId, room }: Saving): OidRequest {
  // ES-460, ES-461, ES-476
  const payload: NicSaveRequest = {
    portId,
    nicIndex: 0,
    bufferSize: SAVE_DATA_OFFSET + room,
    saveDataOffset: SAVE_DATA_OFFSET,
    saveDataSize: room,
  }
  return { oid: Oid.nicSave, type: 'method', payload, room: SAVE_DATA_OFFSET + room }
}

/** Saves and restores run-time data. The caller keeps other operations on the switch away meanwhile. */
export class SaveControl {
  readonly #components: SaveComponents

  constructor(components: SaveComponents) {
    this.#components = components
  }

  /**
   * Asks all extensions for their data of connections, which are connected. Returns each port's blocks, in order. Throws SaveError
   * SAVE_FAILED if an extension failed for one of them; every connection's save is ended before. ES-459
   */
  async save(portIds: readonly number[]): Promise<Map<number, readonly NicSaveBlock[]>> {
    const { issueAll } = this.#components
    const savings = portIds.map((portId): Saving => ({ portId, blocks: [], room: SAVE_ROOM_BYTES, bytes: 0, failure: undefined }))
    for (let open = savings; open.length > 0; ) {
      const completions = await issueAll(open.map(saveRequest))
      open = open.filter((saving, i) => this.#goesOn(saving, completions[i]!))
    }
    await issueAll(savings.map(({ portId }) => complete(Oid.nicSaveComplete, portId))) // ES-471
    const failed = savings.find(({ failure }) => failure !== undefined)
    if (failed) throw failed.failure!
    return new Map(savings.map(({ portId, blocks }) => [portId, blocks]))
  }

  // Takes the answer to one NIC_SAVE. True if another one must follow for this connection.
  #goesOn(saving: Saving, { status, output, bytesNeeded = 0 }: OidCompletion): boolean {
    const { portName } = this.#components
    const fail = (what: string, code: number = status): false => {
      saving.failure = new SaveError('SAVE_FAILED', `saving port "${portName(saving.portId)}": ${what}`, code)
      return false
    }
    if (status === NdisStatus.bufferTooShort) {
      const data = bytesNeeded - SAVE_DATA_OFFSET
      if (data <= saving.room || data > SAVE_DATA_MAX)
        return fail(`an extension asks for a buffer of ${bytesNeeded} bytes after one of ${SAVE_DATA_OFFSET + saving.room}`)
      saving.room = data // ES-468
      return true
    }
    if (status !== NdisStatus.success) return fail(`an extension failed: ${ndisStatusName(status)}`)
    if (output === undefined) return false // ES-470: the miniport edge completed it
    const wrong = wrongBlock(output, saving.room)
    if (wrong) return fail(`an extension ${wrong.what} (${wrong.rule})`, NdisStatus.invalidData)
    const { extensionId, extensionFriendlyName, featureClassId, saveData } = output as NicSaveBlock
    saving.bytes += saveData.length
    if (saving.blocks.length === BLOCKS_PER_PORT_MAX || saving.bytes > BLOCK_BYTES_PER_PORT_MAX)
      return fail(
        `extensions save more than ${BLOCKS_PER_PORT_MAX} blocks or ${BLOCK_BYTES_PER_PORT_MAX} bytes`,
        NdisStatus.resources,
      )
    saving.blocks.push({
      extensionId: normalizeGuid(extensionId)!,
      extensionFriendlyName,
      featureClassId: normalizeGuid(featureClassId)!,
      saveData: Uint8Array.from(saveData), // it may be memory that the extension goes on writing
    })
    saving.room = SAVE_ROOM_BYTES
    return true // ES-469
  }

  /**
   * Gives extensions their saved data of a connection back, which is connected. Returns the blocks that nobody owned. Throws
   * SaveError RESTORE_FAILED at the first block that its owner refuses; the restore is ended before. ES-479, ES-484, ES-486
   */
  async restore(portId: number, blocks: readonly NicSaveBlock[]): Promise<readonly NicSaveBlock[]> {
    const { issueAll, orphan, portName } = this.#components
    const orphans: NicSaveBlock[] = []
    let failure: SaveError | undefined
    for (const block of blocks) {
      const payload: NicRestoreState = { ...block, portId, nicIndex: 0 } // ES-483
      const [completion] = await issueAll([{ oid: Oid.nicRestore, type: 'set', payload }])
      const { status, by } = completion!
      if (status !== NdisStatus.success) {
        const owner = by ?? block.extensionFriendlyName
        const what = `extension "${owner}" refused its data: ${ndisStatusName(status)}`
        failure = new SaveError('RESTORE_FAILED', `restoring port "${portName(portId)}": ${what}`, status)
        break
      }
      if (by !== undefined) continue
      orphans.push(block)
      orphan(portId, block)
    }
    await issueAll([complete(Oid.nicRestoreComplete, portId)]) // ES-488
    if (failure) throw failure
    return orphans
  }
}
