// A VF's miniport driver in software, for GuestNdis: keeps the configuration blocks that it has read until they are said to have changed.
//
// The rule it must not break: what was read from a block that changed is never given out again (SR-296).
import type { NdisStatus } from '../../ndis/status.ts'
import { type HardwareAssist, vfAttributes } from '../capabilities.ts'
import { ABILITIES_BYTES, Block, IDENTITY_BYTES, type ReceiveMode, receiveModeBlock } from '../config-blocks.ts'
import { INVALIDATABLE_BLOCKS } from '../identifiers.ts'
import { vfOids } from '../requests.ts'
import type { VfDriver, VfServices } from './guest-ndis.ts'

/** A block could not be read: the VF can't start without. */
export class VfDriverError extends Error {
  readonly code = 'no-block'
}

export class SoftwareVfDriver implements VfDriver {
  readonly supportedOids = vfOids // SR-077
  readonly #blocks = new Map<number, Uint8Array>()
  #services: VfServices | undefined

  async initialize(services: VfServices): Promise<HardwareAssist> {
    this.#services = services
    await this.block(Block.identity, IDENTITY_BYTES)
    await this.block(Block.offloads, ABILITIES_BYTES) // SR-039
    return vfAttributes()
  }

  /** A block: as it was read, if it has not changed since. Throws VfDriverError if the PF has no such block. */
  async block(blockId: number, length: number): Promise<Uint8Array> {
    const known = this.#blocks.get(blockId)
    if (known?.length === length) return known
    const data = (await this.#services?.readConfigBlock(blockId, length))?.data
    if (!data) throw new VfDriverError(`configuration block ${blockId} can't be read`)
    this.#blocks.set(blockId, data)
    return data
  }

  /** Asks for what the guest wants to receive. The status is success or failure. */
  async receive(mode: ReceiveMode): Promise<NdisStatus | undefined> {
    return this.#services?.writeConfigBlock(Block.receiveMode, receiveModeBlock(mode))
  }

  /** Registers of configuration space. */
  async busData(offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#services?.getBusData(offset, length)
  }

  invalidated(blockMask: bigint): void {
    for (let block = 0; block < INVALIDATABLE_BLOCKS; block++)
      if ((blockMask & (1n << BigInt(block))) !== 0n) this.#blocks.delete(block)
  }

  async halt(): Promise<void> {
    this.#blocks.clear()
    this.#services = undefined
  }
}
