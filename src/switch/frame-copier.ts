// Copies bytes of a packet out of the data path, for extensions: header and payload alike, wherever they lie; reads the headers anew of one
// that an extension changed.
//
// The rule it must not break: nothing is allocated per call; the range was checked by the caller.
import type { PacketKernels } from '../kernels/by-packet.ts'
import { PF_TAGGED, PF_VLAN_OOB } from '../kernels/layout.ts'
import type { PacketPool } from '../ndis/pool.ts'

/** Bytes of scratch memory of a copier. */
export const COPIER_BYTES = 2048

/** Fields are ordinary ones: captures copy per packet. */
export class FrameCopier {
  private readonly pool: PacketPool
  private readonly kernels: PacketKernels
  private readonly scratch: Uint8Array
  private readonly scratchAt: number

  /** `at`: linear address of COPIER_BYTES. */
  constructor(buffer: ArrayBufferLike, at: number, pool: PacketPool, kernels: PacketKernels) {
    this.pool = pool
    this.kernels = kernels
    this.scratchAt = at
    this.scratch = new Uint8Array(buffer, at, COPIER_BYTES)
  }

  /** Reads the headers of the frame in a slot anew; a tag that is kept beside it stays, unless the frame has one now. */
  parse(slot: number): void {
    const { pool } = this
    const tci = pool.vlan[slot]!
    this.kernels.parse(pool.base, slot, 1)
    if ((pool.flags[slot]! & PF_VLAN_OOB) === 0) return
    if ((pool.flags[slot]! & PF_TAGGED) === 0) pool.vlan[slot] = tci
    else pool.flags[slot] = pool.flags[slot]! & ~PF_VLAN_OOB
  }

  /** Copies bytes of the frame in a slot to the start of `target`. Returns how many. */
  bytes(slot: number, from: number, length: number, target: Uint8Array): number {
    const { pool } = this
    const copied = from < pool.headerLength[slot]! ? pool.copyHeader(slot, from, length, target, 0) : 0
    return copied + this.payload(slot, from + copied, length - copied, target, copied)
  }

  /** Copies through scratch memory, for bytes that may be a guest's. Returns how many. */
  payload(slot: number, from: number, length: number, target: Uint8Array, at: number): number {
    const { kernels, scratch, scratchAt } = this
    let copied = 0
    while (copied < length) {
      const part = kernels.copyFrame(this.pool.base, slot, from + copied, Math.min(length - copied, scratch.length), scratchAt)
      if (part === 0) break
      for (let i = 0; i < part; i++) target[at + copied + i] = scratch[i]!
      copied += part
    }
    return copied
  }
}
