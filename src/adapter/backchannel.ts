// The backchannel between PF and VF (spec 3.13, 7.1): a VF reads and writes configuration blocks through the PF's OIDs; the PF can only
// say which blocks changed. Masks are ORed per VF until the guest asks (SR-291).
//
// The rule it must not break: a VF hears of its own blocks only (SR-006), and its calls end in success or failure, nothing else (SR-287).
import { NdisStatus } from '../ndis/status.ts'
import { CONFIG_BLOCK_BYTES_MAX, INVALIDATABLE_BLOCKS } from './identifiers.ts'
import { AdapterOid } from './oids.ts'
import type { ReadConfigBlock, ReadConfigSpace, WriteConfigBlock, WriteConfigSpace } from './payloads.ts'
import type { AdapterCompletion, AdapterRequest } from './requests.ts'

const MASK_ALL = (1n << BigInt(INVALIDATABLE_BLOCKS)) - 1n

/** Pending invalidations of all VFs. */
export class Invalidations {
  readonly #pending = new Map<number, bigint>()
  readonly #waiting = new Map<number, (mask: bigint) => void>()

  /** NdisMInvalidateConfigBlock: bit n stands for block n; more than 64 there are not (SR-290, SR-294). */
  invalidate(vfId: number, mask: bigint): void {
    const pending = ((this.#pending.get(vfId) ?? 0n) | mask) & MASK_ALL
    this.#pending.set(vfId, pending)
    this.#deliver(vfId)
  }

  #deliver(vfId: number): void {
    const mask = this.#pending.get(vfId) ?? 0n
    const waiting = this.#waiting.get(vfId)
    if (mask === 0n || !waiting) return
    this.#pending.delete(vfId)
    this.#waiting.delete(vfId)
    waiting(mask)
  }

  /** IOCTL_VPCI_INVALIDATE_BLOCK: settles with the mask once there is one. A VF has one call waiting: an earlier one ends with 0. */
  next(vfId: number): Promise<bigint> {
    this.#waiting.get(vfId)?.(0n)
    const next = new Promise<bigint>((resolve) => this.#waiting.set(vfId, resolve))
    this.#deliver(vfId)
    return next
  }

  /** Ends the call that waits, with 0; what comes later stays pending. */
  endWait(vfId: number): void {
    this.#waiting.get(vfId)?.(0n)
    this.#waiting.delete(vfId)
  }

  /** The VF is gone: what waits ends with 0. */
  forget(vfId: number): void {
    this.#pending.delete(vfId)
    this.endWait(vfId)
  }
}

/** The VF miniport's end, bound to its own VF. */
export class VfChannel {
  readonly #vfId: number
  readonly #request: (request: AdapterRequest) => Promise<AdapterCompletion>
  readonly #invalidations: Invalidations

  constructor(vfId: number, request: (request: AdapterRequest) => Promise<AdapterCompletion>, invalidations: Invalidations) {
    this.#vfId = vfId
    this.#request = request
    this.#invalidations = invalidations
  }

  /** NdisMReadConfigBlock: settles when the PF has completed the request (SR-284, SR-287, SR-289). */
  async read(blockId: number, length: number): Promise<{ status: NdisStatus; data?: Uint8Array }> {
    if (!(length >= 1 && length <= CONFIG_BLOCK_BYTES_MAX)) return { status: NdisStatus.failure }
    const payload: ReadConfigBlock = { vfId: this.#vfId, blockId, length, room: length }
    const { status, output } = await this.#request({ oid: AdapterOid.sriovReadVfConfigBlock, type: 'method', payload })
    if (status !== NdisStatus.success) return { status: NdisStatus.failure }
    return { status, data: output as Uint8Array }
  }

  /** NdisMWriteConfigBlock (SR-285, SR-287, SR-289). */
  async write(blockId: number, data: Uint8Array): Promise<NdisStatus> {
    if (data.length > CONFIG_BLOCK_BYTES_MAX) return NdisStatus.failure
    const payload: WriteConfigBlock = { vfId: this.#vfId, blockId, data }
    const { status } = await this.#request({ oid: AdapterOid.sriovWriteVfConfigBlock, type: 'set', payload })
    return status === NdisStatus.success ? status : NdisStatus.failure
  }

  /** NdisMGetBusData: configuration space of the VF through the PF; nothing on failure (SR-264, SR-265). */
  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    const payload: ReadConfigSpace = { vfId: this.#vfId, offset, length, room: length }
    const { status, output } = await this.#request({ oid: AdapterOid.sriovReadVfConfigSpace, type: 'method', payload })
    return status === NdisStatus.success ? (output as Uint8Array) : new Uint8Array(0)
  }

  /** NdisMSetBusData: the status is that of the PF's request (SR-264, SR-266). */
  async writeConfig(offset: number, data: Uint8Array): Promise<NdisStatus> {
    const payload: WriteConfigSpace = { vfId: this.#vfId, offset, data }
    return (await this.#request({ oid: AdapterOid.sriovWriteVfConfigSpace, type: 'set', payload })).status
  }

  /** Settles with the mask of blocks to read again (SR-292, SR-296); 0n when the VF is taken away. */
  invalidated(): Promise<bigint> {
    return this.#invalidations.next(this.#vfId)
  }

  /** Ends a wait for invalidations. */
  endWait(): void {
    this.#invalidations.endWait(this.#vfId)
  }
}
