// The PF's side of the configuration blocks: what a VF reads, and what becomes of what it writes.
//
// The rule it must not break: a write is judged in full before anything of it is done (PD-16); promiscuous mode takes trust.
import { NdisStatus } from '../ndis/status.ts'
import {
  abilitiesBlock,
  Block,
  diagnosticsBlock,
  identityBlock,
  linkBlock,
  type ReceiveMode,
  readReceiveMode,
  statisticsBlock,
} from './config-blocks.ts'
import { type GroupTable, VF_GROUPS_MAX } from './group-table.ts'
import { noStatistics, type VPortStatistics } from './statistics.ts'
import type { VfFunction } from './vf-function.ts'

const RING_SIZE = 256
const QUEUE_PAIRS = 1
/** RSS in the VF, checksum and segmentation offloads: abilities of blocks 4 and 5. */
const RSS_ABILITIES = 0
const OFFLOAD_ABILITIES = 0x7

export interface PfBlocksOptions {
  readonly mtu: number
  readonly speedMbps: number
}

export interface PfBlocksComponents {
  readonly groups: GroupTable
  readonly linkUp: (vf: VfFunction) => boolean
  readonly statistics: (vport: number) => VPortStatistics
  /** What the VF receives changed. */
  readonly changed: (vf: VfFunction) => void
}

export class PfBlocks {
  readonly #options: PfBlocksOptions
  readonly #components: PfBlocksComponents

  constructor(options: PfBlocksOptions, components: PfBlocksComponents) {
    this.#options = options
    this.#components = components
  }

  /** The block's bytes, or undefined if the PF has no such block (SR-288). */
  read(vf: VfFunction, blockId: number): Uint8Array | undefined {
    const { mtu, speedMbps } = this.#options
    const linkUp = this.#components.linkUp(vf)
    switch (blockId) {
      case Block.identity:
        return identityBlock({ mac: vf.mac, mtu, linkUp, speedMbps, ringSize: RING_SIZE, queuePairs: QUEUE_PAIRS })
      case Block.linkState:
        return linkBlock(linkUp, speedMbps)
      case Block.statistics:
        return statisticsBlock(vf.vport < 0 ? noStatistics : this.#components.statistics(vf.vport))
      case Block.rss:
        return abilitiesBlock(RSS_ABILITIES)
      case Block.offloads:
        return abilitiesBlock(OFFLOAD_ABILITIES)
      case Block.diagnostics:
        return diagnosticsBlock(vf.id, vf.requestorId)
      default:
        return undefined
    }
  }

  /** A VF writes a block: only what it wants to receive can be written. */
  write(vf: VfFunction, blockId: number, data: Uint8Array): NdisStatus {
    if (blockId !== Block.receiveMode) return NdisStatus.invalidParameter // SR-288
    const mode = readReceiveMode(data)
    return mode ? this.receive(vf, mode) : NdisStatus.invalidParameter
  }

  /** Changes what a VF receives besides its own address. All of it, or nothing. */
  receive(vf: VfFunction, mode: ReceiveMode): NdisStatus {
    if (vf.vport < 0) return NdisStatus.invalidParameter
    if (mode.promiscuous && !vf.settings.trust) return NdisStatus.invalidParameter
    const wanted = new Set(mode.groups)
    if (wanted.size > VF_GROUPS_MAX) return NdisStatus.resources
    const { groups } = this.#components
    const added: string[] = []
    for (const group of wanted) {
      if (vf.groups.includes(group)) continue
      if (groups.add(group, vf.vport)) added.push(group)
      else {
        for (const undone of added) groups.remove(undone, vf.vport)
        return NdisStatus.resources
      }
    }
    for (const group of vf.groups) if (!wanted.has(group)) groups.remove(group, vf.vport)
    vf.groups = [...wanted]
    vf.allMulticast = mode.allMulticast
    vf.promiscuous = mode.promiscuous
    this.#components.changed(vf)
    return NdisStatus.success
  }

  /** The VF is reset or loses its VPort: what it asked for is forgotten. */
  forget(vf: VfFunction): void {
    if (vf.vport >= 0) for (const group of vf.groups) this.#components.groups.remove(group, vf.vport)
    vf.groups = []
    vf.allMulticast = false
    vf.promiscuous = false
  }
}
