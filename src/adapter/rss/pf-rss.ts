// RSS of the software adapter's PF: the state of each of its VPorts, kept in step with the table that processors read.
//
// The rule it must not break: what a VPort's state refuses leaves its table as it was; the table is written after the state was taken over.
import { NdisStatus } from '../../ndis/status.ts'
import { DEFAULT_VPORT_ID, InterruptModeration } from '../identifiers.ts'
import type { Answer } from '../miniport.ts'
import type { VPortParameters } from '../payloads.ts'
import { HASH_INFORMATION_ALL, PUBLISHED_HASH_KEY } from './hash-types.ts'
import type { RssLimits } from './rss-limits.ts'
import type { RssMiniport } from './rss-miniport.ts'
import type { RssTable } from './rss-table.ts'
import { type EntryMove, type RssParametersV2, type RssState, RssV2Flag, VPortRss } from './vport-rss.ts'

/** Microseconds that wake-ups are put off (SR-236). Adaptive is low: a wake-up waits for packets only while they come. */
const moderationUs: Readonly<Record<InterruptModeration, number>> = {
  [InterruptModeration.undefined]: 0,
  [InterruptModeration.adaptive]: 20,
  [InterruptModeration.off]: 0,
  [InterruptModeration.low]: 20,
  [InterruptModeration.medium]: 60,
  [InterruptModeration.high]: 200,
}

export interface PfRssOptions {
  readonly limits: RssLimits
  readonly queuePairsMax: number
  /** Every VPort has a hash of its own (VQ-184). */
  readonly ownHash: boolean
  readonly restricted: boolean
}

export interface PfRssComponents {
  readonly table: RssTable
  /** Settles when every processor has begun a new turn. */
  readonly quiesced?: () => Promise<void>
}

export class PfRss implements RssMiniport {
  readonly #options: PfRssOptions
  readonly #components: PfRssComponents
  readonly #processors: ReadonlySet<number>
  readonly #vports = new Map<number, VPortRss>()
  /** What each was made or last set with: another set of the same does not undo moves of the primary processor. */
  readonly #affinities = new Map<number, string>()

  constructor(options: PfRssOptions, components: PfRssComponents) {
    this.#options = options
    this.#components = components
    this.#processors = new Set(options.limits.processors)
    components.table.reset() // a miniport that was torn out left what it had
  }

  /** True if the candidates of a VPort are RSS processors, all of them (VQ-192). */
  accepts(affinity: readonly number[]): boolean {
    return affinity.every((processor) => this.#processors.has(processor))
  }

  /** A VPort of the PF was made. */
  add(vPortId: number, parameters: Pick<VPortParameters, 'processorAffinity' | 'numQueuePairs' | 'interruptModeration'>): void {
    const { processorAffinity, numQueuePairs, interruptModeration } = parameters
    const { limits, queuePairsMax, restricted } = this.#options
    const isDefault = vPortId === DEFAULT_VPORT_ID
    const affinity = processorAffinity.filter((processor) => this.#processors.has(processor))
    const vport = new VPortRss({
      affinity: affinity.length > 0 ? affinity : limits.processors, // the default VPort is made without asking anybody
      queues: numQueuePairs,
      queuesMax: isDefault ? limits.defaultQueuePairs : queuePairsMax,
      entriesMax: isDefault ? limits.defaultEntries : limits.entries,
      restricted,
      processors: this.#processors,
    })
    this.#vports.set(vPortId, vport)
    this.#affinities.set(vPortId, `${processorAffinity}`)
    this.#write(vPortId, vport)
    this.#components.table.setModerationUs(vPortId, moderationUs[interruptModeration])
  }

  /** A VPort is gone, whether RSS is on or off (VQ-230). */
  remove(vPortId: number): void {
    this.#affinities.delete(vPortId)
    if (this.#vports.delete(vPortId)) this.#components.table.clear(vPortId)
  }

  state(vPortId: number): RssState | undefined {
    return this.#vports.get(vPortId)?.state
  }

  /** VPORT_PARAMETERS of a VPort of the PF, as they become: its queue pairs, affinity and moderation. All of it, or nothing. */
  setVPortParameters({ vPortId, numQueuePairs, processorAffinity, interruptModeration }: VPortParameters): NdisStatus {
    const affinity = `${processorAffinity}`
    const moved = this.#affinities.get(vPortId) !== affinity
    if (moved && !this.accepts(processorAffinity)) return NdisStatus.invalidParameter
    const status = this.#change(vPortId, (vport) => {
      const queues = numQueuePairs === vport.state.queues ? NdisStatus.success : vport.setQueues(numQueuePairs)
      return queues === NdisStatus.success && moved ? vport.setAffinity(processorAffinity) : queues
    })
    if (status !== NdisStatus.success) return status
    this.#affinities.set(vPortId, affinity)
    this.#components.table.setModerationUs(vPortId, moderationUs[interruptModeration])
    return status
  }

  set(vPortId: number, parameters: RssParametersV2): NdisStatus {
    if ((parameters.flags & RssV2Flag.enableRss) !== 0 && !this.#mayEnable(vPortId)) return NdisStatus.noQueues
    return this.#change(vPortId, (vport) => vport.set(parameters))
  }

  move(vPortId: number, moves: readonly EntryMove[], actor: number): NdisStatus {
    return this.#change(vPortId, (vport) => vport.move(moves, actor))
  }

  replace(vPortId: number, parameters: RssParametersV2, table: readonly number[], defaultProcessor: number): NdisStatus {
    if ((parameters.flags & RssV2Flag.enableRss) !== 0 && !this.#mayEnable(vPortId)) return NdisStatus.noQueues
    return this.#change(vPortId, (vport) => {
      const replaced = vport.replace(table, defaultProcessor)
      return replaced === NdisStatus.success ? vport.set(parameters) : replaced
    })
  }

  /** Settles when no processor works with what was before: what it had of encapsulated packets is indicated then. */
  setEncapsulation(on: boolean): Answer {
    this.#components.table.setEncapsulation(on)
    const done = this.#components.quiesced?.()
    return done === undefined ? NdisStatus.success : done.then(() => NdisStatus.success)
  }

  // MaxNumRssCapableNonDefaultPFVPorts
  #mayEnable(vPortId: number): boolean {
    if (vPortId === DEFAULT_VPORT_ID || this.state(vPortId)?.enabled) return true
    const enabled = [...this.#vports].filter(([id, { state }]) => id !== DEFAULT_VPORT_ID && state.enabled)
    return enabled.length < this.#options.limits.capableVPorts
  }

  // Lets `act` change a VPort's state; what it fails to do whole it has not done at all.
  #change(vPortId: number, act: (vport: VPortRss) => NdisStatus): NdisStatus {
    const vport = this.#vports.get(vPortId)
    if (!vport) return NdisStatus.invalidParameter
    const before = vport.state
    const status = act(vport)
    if (status === NdisStatus.success) this.#write(vPortId, vport)
    else vport.restore(before)
    return status
  }

  // VQ-185: where VPorts have no hash of their own the adapter hashes all of them alike, and those above compute theirs again.
  #write(vPortId: number, { state }: VPortRss): void {
    const shared = { hashInformation: HASH_INFORMATION_ALL, hashSecretKey: PUBLISHED_HASH_KEY }
    this.#components.table.set(vPortId, this.#options.ownHash ? state : { ...state, ...shared })
  }
}
