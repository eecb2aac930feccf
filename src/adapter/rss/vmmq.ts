// The virtualization stack's side of RSS on VPorts of the PF: gives a VM a VPort with several queue pairs over several processors, changes
// their number, moves what is loaded, takes it away. It asks the adapter as any overlying driver does.
//
// The rule it must not break: what it asks is sound at every step: a table never names more processors than the VPort has queue pairs
// (VQ-198), so that queue pairs come before the table that uses them, and go after it (VQ-202, VQ-203).
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'
import { DEFAULT_SWITCH_ID, InterruptModeration, PF_FUNCTION_ID, VPortParams, VPortState } from '../identifiers.ts'
import { AdapterOid } from '../oids.ts'
import type { NicSwitchCapabilities, VPortParameters } from '../payloads.ts'
import { filterParameters } from '../receive-filters.ts'
import type { AdapterCompletion, AdapterRequest } from '../requests.ts'
import { HASH_FUNCTION_TOEPLITZ, PUBLISHED_HASH_KEY } from './hash-types.ts'
import { HASH_TYPES_COMPUTED, hasOwnHash, hasRestrictedTable, hasRss } from './rss-limits.ts'
import { type IndirectionEntries, type RssCapabilities, RssCaps, RssFlag, type RssParameters } from './rss-payloads.ts'
import { type EntryMove, restrictedEntries } from './vport-rss.ts'

/** What a VM's VPort is to be. */
export interface VmmqWish {
  readonly name: string
  readonly mac: string
  /** VLAN id, or 0 for untagged frames and those tagged with id 0. */
  readonly vlan: number
  /** Candidates, RSS processors of the adapter, best first; at least one (VQ-192). */
  readonly processors: readonly number[]
  /** Queue pairs, at least one. */
  readonly queues: number
  /** Default: Toeplitz over everything that the adapter computes. */
  readonly hashInformation?: number
  /** 40 bytes; default: the published key. */
  readonly hashSecretKey?: Uint8Array
}

/** A VM's VPort. */
export interface VmmqVPort {
  readonly id: number
  readonly filterId: number
  readonly wish: VmmqWish
  /** Queue pairs that it has: 1 where the adapter has no RSS on VPorts. */
  readonly queues: number
  /** As it was last set; entries that moved since are not in it. */
  readonly table: readonly number[]
}

export interface VmmqComponents {
  readonly request: (request: AdapterRequest) => Promise<AdapterCompletion>
  /** Carries a synchronous request out, issued on that processor. */
  readonly requestSynchronous: (request: AdapterRequest, processor: number) => AdapterCompletion
}

/** The adapter refused what a VM was to have. `status`: what it said. */
export class VmmqError extends Error {
  readonly code = 'vmmq-refused'
  readonly status: NdisStatus

  constructor(step: string, status: NdisStatus) {
    super(`${step} was answered with ${ndisStatusName(status)}: the VM is served as before`)
    this.status = status
  }
}

export class Vmmq {
  readonly #components: VmmqComponents
  readonly #caps: NicSwitchCapabilities
  readonly #rss: RssCapabilities | undefined

  private constructor(components: VmmqComponents, caps: NicSwitchCapabilities, rss: RssCapabilities | undefined) {
    this.#components = components
    this.#caps = caps
    this.#rss = rss
  }

  /** Asks what the adapter can do. Throws VmmqError where it has no NIC switch. */
  static async open(components: VmmqComponents): Promise<Vmmq> {
    const caps = await components.request({ oid: AdapterOid.nicSwitchCurrentCapabilities, type: 'query' })
    if (caps.status !== NdisStatus.success) throw new VmmqError('the query of the NIC switch', caps.status)
    const rss = await components.request({ oid: AdapterOid.genReceiveScaleCapabilities, type: 'query' })
    const found = rss.status === NdisStatus.success ? (rss.output as RssCapabilities) : undefined
    return new Vmmq(components, caps.output as NicSwitchCapabilities, found)
  }

  /** VPorts can be spread over processors. */
  get spreads(): boolean {
    return hasRss(this.#caps) && this.#rss !== undefined
  }

  /** Entries move one by one, so that load can be levelled at run time; without that spreading is static (VQ-210, VQ-211). */
  get isDynamic(): boolean {
    return this.#rss !== undefined && (this.#rss.capabilitiesFlags & RssCaps.independentEntryMove) !== 0
  }

  /** Hashes of received packets are the adapter's and not the VPort's: who needs the latter computes them again (VQ-185). */
  get hashesInSoftware(): boolean {
    return !hasOwnHash(this.#caps.nicSwitchCapabilities)
  }

  /** Makes a VPort for a VM, and spreads it over its processors. Throws VmmqError, with nothing left behind. */
  async give(wish: VmmqWish): Promise<VmmqVPort> {
    const queues = this.spreads ? wish.queues : 1 // VQ-191
    const id = ((await this.#must('CREATE_VPORT', created(wish, queues))) as VPortParameters).vPortId
    let filterId = 0
    try {
      const filter = filterParameters(wish.mac, wish.vlan, id)
      const payload = { oid: AdapterOid.receiveFilterSetFilter, type: 'method', payload: filter } as const
      filterId = ((await this.#must('SET_FILTER', payload)) as { filterId: number }).filterId
      await this.#change({ id, wish }, VPortParams.stateChanged, queues)
      const table = this.spreads && queues > 1 ? this.#table(wish, queues) : []
      const vport = { id, filterId, wish, queues, table }
      if (table.length > 0) await this.#spread(vport, table)
      return vport
    } catch (error) {
      await this.#remove(id, filterId)
      throw error
    }
  }

  /** Changes the number of queue pairs while packets flow. Throws VmmqError, with the number as it was or as it was asked. */
  async setQueues(vport: VmmqVPort, queues: number): Promise<VmmqVPort> {
    if (queues === vport.queues) return vport
    if (queues < vport.queues) await this.#spread(vport, this.#table(vport.wish, queues, vport.table.length)) // VQ-202: the size stays
    await this.#change(vport, VPortParams.numQueuePairsChanged, queues)
    const table = this.#table(vport.wish, queues)
    const next = { ...vport, queues, table }
    await this.#spread(next, table) // VQ-203
    return next
  }

  /** Gives a VPort another hash, by making it anew (VQ-196): its packets go where unknown addresses go in between. */
  async changeHash(vport: VmmqVPort, hashInformation: number, hashSecretKey: Uint8Array): Promise<VmmqVPort> {
    await this.take(vport)
    return this.give({ ...vport.wish, queues: vport.queues, hashInformation, hashSecretKey })
  }

  /**
   * Moves entries, all of which point to `processor`, from there. Returns the status; NOT_SUPPORTED where spreading is static (VQ-211).
   */
  move({ id }: VmmqVPort, moves: readonly EntryMove[], processor: number): NdisStatus {
    if (!this.isDynamic) return NdisStatus.notSupported
    const entries = moves.map(({ index, target }) => ({
      switchId: DEFAULT_SWITCH_ID,
      vPortId: id,
      flags: 0,
      indirectionTableIndex: index,
      targetProcessorNumber: target,
    }))
    const request = { oid: AdapterOid.genRssSetIndirectionTableEntries, type: 'method', payload: { flags: 0, entries } } as const // VQ-220
    const { status, output } = this.#components.requestSynchronous(request, processor)
    if (status !== NdisStatus.success) return status
    return (output as IndirectionEntries).entries[0]?.entryStatus ?? NdisStatus.success
  }

  /** Takes the VPort away; RSS need not be off before (VQ-230). */
  async take({ id, filterId }: VmmqVPort): Promise<void> {
    await this.#remove(id, filterId)
  }

  // VQ-197, VQ-186: a power of two of entries over the first `queues` candidates.
  #table({ processors }: VmmqWish, queues: number, entries = this.#entriesFor(queues)): readonly number[] {
    const used = processors.slice(0, queues)
    return Array.from({ length: entries }, (_, i) => used[i % used.length]!)
  }

  #entriesFor(queues: number): number {
    if (hasRestrictedTable(this.#caps.nicSwitchCapabilities)) return restrictedEntries(queues)
    return this.#caps.numberOfIndirectionTableEntriesPerNonDefaultPfVPort
  }

  // VQ-195
  async #spread({ id, wish }: VmmqVPort, table: readonly number[]): Promise<void> {
    const payload: RssParameters = {
      flags: RssFlag.baseCpuUnchanged,
      baseCpuNumber: 0,
      hashInformation: wish.hashInformation ?? HASH_FUNCTION_TOEPLITZ | HASH_TYPES_COMPUTED,
      indirectionTable: table,
      hashSecretKey: wish.hashSecretKey ?? PUBLISHED_HASH_KEY,
      defaultProcessorNumber: wish.processors[0]!,
    }
    await this.#must('RECEIVE_SCALE_PARAMETERS', {
      oid: AdapterOid.genReceiveScaleParameters,
      type: 'set',
      payload,
      vPortId: id,
    })
  }

  async #change({ id, wish }: Pick<VmmqVPort, 'id' | 'wish'>, flags: number, queues: number): Promise<void> {
    const payload = { ...parametersOf(wish, queues), flags, vPortId: id }
    await this.#must('VPORT_PARAMETERS', { oid: AdapterOid.nicSwitchVPortParameters, type: 'set', payload })
  }

  async #remove(id: number, filterId: number): Promise<void> {
    const { request } = this.#components
    if (filterId !== 0)
      await request({ oid: AdapterOid.receiveFilterClearFilter, type: 'set', payload: { queueId: 0, filterId } })
    await request({ oid: AdapterOid.nicSwitchDeleteVPort, type: 'set', payload: { vPortId: id } })
  }

  async #must(step: string, request: AdapterRequest): Promise<unknown> {
    const { status, output } = await this.#components.request(request)
    if (status !== NdisStatus.success) throw new VmmqError(step, status)
    return output
  }
}

const parametersOf = (wish: VmmqWish, numQueuePairs: number): VPortParameters => ({
  flags: 0,
  switchId: DEFAULT_SWITCH_ID,
  vPortId: 0,
  vPortName: wish.name,
  attachedFunctionId: PF_FUNCTION_ID, // VQ-191
  numQueuePairs,
  interruptModeration: InterruptModeration.adaptive,
  vPortState: VPortState.activated,
  processorAffinity: wish.processors, // VQ-192
  lookaheadSize: 0,
})

const created = (wish: VmmqWish, queues: number): AdapterRequest => ({
  oid: AdapterOid.nicSwitchCreateVPort,
  type: 'method',
  payload: parametersOf(wish, queues),
})
