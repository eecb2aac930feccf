// RSS on VPorts of the PF as NDIS does it: checks who may ask, answers queries from what it keeps, turns what was made for miniports without
// moves of single entries into moves (VQ-213), and splits batches of moves into groups (VQ-225).
//
// The rule it must not break: a request on a VPort is carried out whole or leaves no trace; nothing here waits for anybody.
import { NdisStatus } from '../../ndis/status.ts'
import { DEFAULT_SWITCH_ID, DEFAULT_VPORT_ID } from '../identifiers.ts'
import { AdapterOid, AdapterStatus } from '../oids.ts'
import { hardwareOffload, noOffload, type Offload, type OffloadParameters, OffloadSet } from '../queues/offload-state.ts'
import type { AdapterCompletion, AdapterRequest } from '../requests.ts'
import type { SwitchState } from '../switch-state.ts'
import type { VPort } from '../vports.ts'
import { planMoves } from './entry-moves.ts'
import { HASH_FUNCTION_MASK } from './hash-types.ts'
import type { RssMiniport } from './rss-miniport.ts'
import {
  type IndirectionEntries,
  type IndirectionEntry,
  type RssCapabilities,
  RssCaps,
  RssFlag,
  type RssParameters,
} from './rss-payloads.ts'
import { INDIRECTION_ENTRIES_BYTES, RSS_PARAMETERS_BYTES, RSS_PARAMETERS_V2_BYTES } from './rss-requests.ts'
import { type RssParametersV2, type RssState, RssV2Flag } from './vport-rss.ts'

/** Entries of one batch of moves at the most: every entry of every VPort there may be, and two processors each. */
const BATCH_MAX = 128 * 130

const done = (output?: unknown): AdapterCompletion => ({ status: NdisStatus.success, output })
const refused = (status: NdisStatus): AdapterCompletion => ({ status })
const invalid = refused(NdisStatus.invalidParameter)
const tooShort = (bytesNeeded: number): AdapterCompletion => ({ status: NdisStatus.invalidLength, bytesNeeded })

const isNumber = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

export interface AdapterRssComponents {
  readonly miniport: RssMiniport
  readonly capabilities: RssCapabilities
  readonly indicate: (code: number, buffer: unknown) => void
  /** A miniport broke a rule. */
  readonly report: (rule: string, message: string) => void
}

export class AdapterRss {
  readonly #components: AdapterRssComponents
  readonly #states = new Map<number, RssState>()
  #offload: Offload = noOffload

  constructor(components: AdapterRssComponents) {
    this.#components = components
  }

  get capabilities(): RssCapabilities {
    return this.#components.capabilities
  }

  get #movesEntries(): boolean {
    return (this.capabilities.capabilitiesFlags & RssCaps.independentEntryMove) !== 0
  }

  /** What steers a VPort, as NDIS keeps it; undefined for VPorts of VFs. */
  state(vPortId: number): RssState | undefined {
    return this.#states.get(vPortId)
  }

  /** A VPort was made, or its parameters changed: keeps what it is now. */
  refresh(vport: VPort): void {
    const state = this.#components.miniport.state(vport.id)
    if (state) this.#states.set(vport.id, state)
  }

  /** A VPort is gone: nothing had to be disabled before (VQ-230). */
  forget(vPortId: number): void {
    this.#states.delete(vPortId)
  }

  /** Carries a request out that rssRequestRules let pass. */
  answer(request: AdapterRequest, driver: string, nicSwitch: SwitchState): AdapterCompletion | Promise<AdapterCompletion> {
    const { oid, type, vPortId } = request
    if (oid === AdapterOid.genReceiveScaleCapabilities) return done(this.capabilities) // VQ-190
    if (oid === AdapterOid.tcpOffloadHardwareCapabilities) return done(hardwareOffload)
    if (oid === AdapterOid.tcpOffloadCurrentConfig) return done(this.#offload) // VQ-172
    if (oid === AdapterOid.tcpOffloadParameters) return this.#setOffload(request.payload as OffloadParameters)
    if (vPortId === undefined) return refused(NdisStatus.notSupported) // RSS of the whole adapter is off while it has a switch
    const vport = nicSwitch.vports.get(vPortId)
    const state = this.#states.get(vPortId)
    if (!vport || !state) return invalid
    const isV2 = oid === AdapterOid.genReceiveScaleParametersV2
    if (isV2 && !this.#movesEntries) return refused(NdisStatus.notSupported) // VQ-212
    if (type === 'query') return done(isV2 ? describeV2(state) : describe(state))
    if (vPortId !== DEFAULT_VPORT_ID && vport.owner !== driver) return invalid
    const status = isV2 ? this.#setV2(vport, request.payload, nicSwitch) : this.#setV1(vport, request.payload)
    this.refresh(vport)
    return typeof status === 'number' ? refused(status) : status
  }

  // ---- RSSv2 ----------------------------------------------------------------------------------------------------------------

  #setV2(vport: VPort, payload: unknown, nicSwitch: SwitchState): NdisStatus | AdapterCompletion {
    if (!isObject(payload)) return tooShort(RSS_PARAMETERS_V2_BYTES)
    const wanted = payload as RssParametersV2
    const { flags, hashInformation, hashSecretKey, numberOfQueues, numberOfIndirectionTableEntries } = wanted
    const numbers = [flags, hashInformation, numberOfQueues, numberOfIndirectionTableEntries]
    if (!numbers.every(isNumber) || !(hashSecretKey instanceof Uint8Array)) return NdisStatus.invalidParameter
    if ((flags & RssV2Flag.numberOfQueuesChanged) === 0) return this.#components.miniport.set(vport.id, wanted)
    // NumberOfQueues is another name of the VPort's queue pairs.
    const next = nicSwitch.vports.withQueuePairs(vport, numberOfQueues)
    if (typeof next === 'number') return next
    const status = this.#components.miniport.set(vport.id, wanted)
    if (status === NdisStatus.success) vport.parameters = next
    return status
  }

  /** OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES, issued on `processor`. Returns at once; never PENDING (VQ-219). */
  moveEntries(request: AdapterRequest, driver: string, processor: number, nicSwitch: SwitchState): AdapterCompletion {
    if (!this.#movesEntries) return refused(NdisStatus.notSupported)
    if (request.vPortId !== undefined) return invalid // VQ-220: every entry names its own
    const { payload } = request
    if (!isObject(payload)) return tooShort(INDIRECTION_ENTRIES_BYTES)
    const { entries, flags } = payload as IndirectionEntries
    if (!Array.isArray(entries) || flags !== 0 || entries.length > BATCH_MAX || !entries.every(isEntry)) return invalid
    const answered: IndirectionEntry[] = []
    for (let first = 0; first < entries.length; ) {
      let end = first + 1
      while (end < entries.length && sameVPort(entries[first]!, entries[end]!)) end++
      const group = entries.slice(first, end)
      const entryStatus = this.#moveGroup(group, driver, processor, nicSwitch)
      answered.push(...group.map((entry) => ({ ...entry, entryStatus }))) // VQ-225, VQ-226
      first = end
    }
    return done({ flags, entries: answered } satisfies IndirectionEntries)
  }

  #moveGroup(group: readonly IndirectionEntry[], driver: string, processor: number, nicSwitch: SwitchState): NdisStatus {
    const { switchId, vPortId } = group[0]!
    const vport = nicSwitch.vports.get(vPortId)
    if (switchId !== DEFAULT_SWITCH_ID || !vport || !this.#states.has(vPortId)) return NdisStatus.invalidParameter
    if (vPortId !== DEFAULT_VPORT_ID && vport.owner !== driver) return NdisStatus.invalidParameter
    const moves = group.map((entry) => ({ index: entry.indirectionTableIndex, target: entry.targetProcessorNumber }))
    const status = this.#components.miniport.move(vPortId, moves, processor)
    this.refresh(vport)
    if (status !== NdisStatus.pending) return status
    this.#components.report('VQ-219', 'a move of indirection table entries was answered with PENDING')
    return NdisStatus.failure
  }

  // ---- RSSv1 ----------------------------------------------------------------------------------------------------------------

  #setV1(vport: VPort, payload: unknown): NdisStatus | AdapterCompletion {
    if (!isObject(payload)) return tooShort(RSS_PARAMETERS_BYTES)
    const wanted = payload as RssParameters
    const { flags, baseCpuNumber, hashInformation, indirectionTable, hashSecretKey, defaultProcessorNumber } = wanted
    if (![flags, baseCpuNumber, hashInformation, defaultProcessorNumber].every(isNumber)) return NdisStatus.invalidParameter
    if (baseCpuNumber !== 0 || !Array.isArray(indirectionTable) || !(hashSecretKey instanceof Uint8Array))
      return NdisStatus.invalidParameter // VQ-195
    const { miniport } = this.#components
    const now = miniport.state(vport.id)!
    const off = (flags & RssFlag.disableRss) !== 0 || (hashInformation & HASH_FUNCTION_MASK) === 0
    const hashStays = (flags & RssFlag.hashInfoUnchanged) !== 0
    if ((flags & RssFlag.disableRss) !== 0 || (off && !hashStays)) return miniport.set(vport.id, v2(now, 0, wanted))
    let enable: number = RssV2Flag.enableRss
    if (!hashStays) enable |= RssV2Flag.hashInfoChanged
    if ((flags & RssFlag.hashKeyUnchanged) === 0) enable |= RssV2Flag.hashKeyChanged
    const table: readonly number[] = (flags & RssFlag.itableUnchanged) !== 0 ? now.table : indirectionTable
    const fallback = (flags & RssFlag.defaultProcessorUnchanged) !== 0 ? now.default : defaultProcessorNumber
    if (table.length === 0 || (table.length & (table.length - 1)) !== 0 || !table.every(isNumber))
      return NdisStatus.invalidParameter // VQ-197
    const parameters = v2(now, enable, wanted)
    if (!this.#movesEntries) return miniport.replace(vport.id, parameters, table, fallback)
    if (new Set(table).size > now.queues) return NdisStatus.noQueues // VQ-198
    const status = this.#convert(vport.id, parameters, { table, default: fallback })
    if (status !== NdisStatus.success) this.#goBack(vport.id, now)
    return status
  }

  // VQ-213: the table grows first, then its entries move, then it shrinks and RSS goes on.
  #convert(id: number, parameters: RssParametersV2, to: { table: readonly number[]; default: number }): NdisStatus {
    const { miniport } = this.#components
    const now = miniport.state(id)!
    const entries = to.table.length
    const kept = now.enabled ? RssV2Flag.enableRss : 0
    if (entries > now.table.length) {
      const grown = miniport.set(id, v2(now, kept | RssV2Flag.numberOfEntriesChanged, parameters, entries))
      if (grown !== NdisStatus.success) return grown
    }
    const { table, default: fallback, queues } = miniport.state(id)!
    const target = { table: table.map((_, i) => to.table[i % entries]!), default: to.default }
    for (const { actor, moves } of planMoves({ table, default: fallback }, target, queues)) {
      const moved = miniport.move(id, moves, actor)
      if (moved !== NdisStatus.success) return moved
    }
    const shrunk = entries < table.length ? RssV2Flag.numberOfEntriesChanged : 0
    return miniport.set(id, { ...parameters, flags: parameters.flags | shrunk, numberOfIndirectionTableEntries: entries })
  }

  // Undoes what a conversion did before it failed.
  #goBack(id: number, before: RssState): void {
    const { miniport } = this.#components
    const { table, default: fallback, queues } = miniport.state(id)!
    const target = { table: table.map((_, i) => before.table[i % before.table.length]!), default: before.default }
    for (const { actor, moves } of planMoves({ table, default: fallback }, target, queues)) miniport.move(id, moves, actor)
    if (table.length === before.table.length) return
    const kept = before.enabled ? RssV2Flag.enableRss : 0
    miniport.set(id, v2(before, kept | RssV2Flag.numberOfEntriesChanged, before, before.table.length))
  }

  // ---- encapsulated packets ---------------------------------------------------------------------------------------------------

  async #setOffload({ encapsulatedPacketTaskOffload: wanted }: OffloadParameters): Promise<AdapterCompletion> {
    if (!(wanted === OffloadSet.noChange || wanted === OffloadSet.on || wanted === OffloadSet.off)) return invalid
    if (wanted !== OffloadSet.noChange) {
      const status = await this.#components.miniport.setEncapsulation(wanted === OffloadSet.on)
      if (status !== NdisStatus.success) return refused(status)
      this.#offload = wanted === OffloadSet.on ? hardwareOffload : noOffload
    }
    this.#components.indicate(AdapterStatus.taskOffloadCurrentConfig, this.#offload) // VQ-171
    return done()
  }
}

const v2 = (
  now: RssState,
  flags: number,
  hash: { readonly hashInformation: number; readonly hashSecretKey: Uint8Array },
  entries = now.table.length,
): RssParametersV2 => ({
  flags,
  hashInformation: hash.hashInformation,
  hashSecretKey: hash.hashSecretKey,
  numberOfQueues: now.queues,
  numberOfIndirectionTableEntries: entries,
})

const describeV2 = (state: RssState): RssParametersV2 => v2(state, state.enabled ? RssV2Flag.enableRss : 0, state)

const describe = (state: RssState): RssParameters => ({
  flags: state.enabled ? 0 : RssFlag.disableRss,
  baseCpuNumber: 0,
  hashInformation: state.hashInformation,
  indirectionTable: state.table,
  hashSecretKey: Uint8Array.from(state.hashSecretKey),
  defaultProcessorNumber: state.default,
})

const isEntry = (entry: unknown): entry is IndirectionEntry =>
  isObject(entry) &&
  (['switchId', 'vPortId', 'flags', 'indirectionTableIndex', 'targetProcessorNumber'] as const).every((name) =>
    isNumber((entry as IndirectionEntry)[name]),
  )

const sameVPort = (a: IndirectionEntry, b: IndirectionEntry): boolean => a.switchId === b.switchId && a.vPortId === b.vPortId
