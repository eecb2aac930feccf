// The second vocabulary: what `ip link set DEV vf N …` says, over the same model. mac and vlan are receive filters of the VF's VPort, set
// and cleared by OIDs; the others are settings of the function.
//
// The rule it must not break: a change that is refused leaves everything as it was.
import { NdisStatus, ndisStatusName } from '../ndis/status.ts'
import type { Adapter } from './adapter.ts'
import { DEFAULT_VPORT_ID } from './identifiers.ts'
import { AdapterOid } from './oids.ts'
import { type Filter, filterParameters } from './receive-filters.ts'
import type { SoftwarePf } from './software-pf.ts'
import type { LinkMode, VfSettings } from './vf-settings.ts'

/** Words of `ip link set … vf N`, with its values. */
export interface VfWords {
  readonly vlan?: number
  readonly qos?: number
  readonly spoofchk?: boolean
  readonly trust?: boolean
  readonly max_tx_rate?: number
  readonly min_tx_rate?: number
  readonly state?: LinkMode
}

/** A change that was refused. */
export class VfWordsError extends Error {
  readonly code = 'bad-vf-setting'
}

const VLAN_ID_MAX = 4094

function settingsOf(words: VfWords): Partial<VfSettings> {
  return {
    ...(words.qos === undefined ? {} : { qos: words.qos }),
    ...(words.spoofchk === undefined ? {} : { spoofCheck: words.spoofchk }),
    ...(words.trust === undefined ? {} : { trust: words.trust }),
    ...(words.max_tx_rate === undefined ? {} : { maxRateMbps: words.max_tx_rate }),
    ...(words.min_tx_rate === undefined ? {} : { minRateMbps: words.min_tx_rate }),
    ...(words.state === undefined ? {} : { linkMode: words.state }),
  }
}

/** Applies words to VF `vfId`; `driver` owns its VPort and filters. Throws VfWordsError. */
export async function setVf(adapter: Adapter, pf: SoftwarePf, vfId: number, words: VfWords, driver: string): Promise<void> {
  const before = pf.settings(vfId)
  const problem = pf.configure(vfId, settingsOf(words))
  if (problem) throw new VfWordsError(`vf ${vfId}: ${problem}`)
  if (words.vlan === undefined) return
  try {
    await setVlan(adapter, vfId, words.vlan, driver)
  } catch (error) {
    pf.configure(vfId, before)
    throw error
  }
}

// Every filter of the VPort is set anew with the VLAN, then the old ones are cleared: no frame of the new VLAN is missed.
async function setVlan(adapter: Adapter, vfId: number, vlan: number, driver: string): Promise<void> {
  if (!(Number.isInteger(vlan) && vlan >= 0 && vlan <= VLAN_ID_MAX))
    throw new VfWordsError(`vf ${vfId}: vlan is 0 (none) to ${VLAN_ID_MAX}, not ${vlan}`)
  const vport = adapter.nicSwitch?.vports.ofFunction(vfId).find(({ id }) => id !== DEFAULT_VPORT_ID)
  if (!vport) throw new VfWordsError(`vf ${vfId} has no VPort: its VLAN is given when it is assigned to a VM`)
  const old = adapter.nicSwitch!.filters.list(vport.id).filter(({ key }) => key.vlan !== vlan)
  const added: number[] = []
  for (const { mac } of uniqueByMac(old)) {
    if (adapter.nicSwitch!.filters.find(mac, vlan)?.vport === vport.id) continue
    const request = {
      oid: AdapterOid.receiveFilterSetFilter,
      type: 'method',
      payload: filterParameters(mac, vlan, vport.id),
    } as const
    const { status, output } = await adapter.request(request, driver)
    if (status !== NdisStatus.success) {
      for (const filterId of added) await clear(adapter, filterId, driver)
      throw new VfWordsError(
        `vf ${vfId}: ${mac} can't have VLAN ${vlan} (${ndisStatusName(status)}): another VPort may hold the pair`,
      )
    }
    added.push((output as { filterId: number }).filterId)
  }
  for (const { id } of old) await clear(adapter, id, driver)
}

const uniqueByMac = (filters: readonly Filter[]): { mac: string }[] =>
  [...new Set(filters.map(({ key }) => key.mac))].map((mac) => ({ mac }))

const clear = (adapter: Adapter, filterId: number, driver: string) =>
  adapter.request({ oid: AdapterOid.receiveFilterClearFilter, type: 'set', payload: { queueId: 0, filterId } }, driver)

/** What `ip link show` says of a VF. */
export interface VfShown extends Required<Omit<VfWords, 'vlan'>> {
  readonly vf: number
  readonly mac: string
  /** 0 = untagged, or a trunk. */
  readonly vlan: number
  readonly allocated: boolean
  readonly link: boolean
}

/** VF `vfId` in Linux words. */
export function showVf(adapter: Adapter, pf: SoftwarePf, vfId: number): VfShown {
  const settings = pf.settings(vfId)
  const vf = pf.vf(vfId)
  const filters = vf && vf.vport >= 0 ? (adapter.nicSwitch?.filters.list(vf.vport) ?? []) : []
  const vlans = new Set(filters.map(({ key }) => key.vlan))
  const [only] = vlans
  return {
    vf: vfId,
    mac: vf?.mac ?? '00:00:00:00:00:00',
    vlan: vlans.size === 1 && only !== undefined && only > 0 ? only : 0,
    qos: settings.qos,
    spoofchk: settings.spoofCheck,
    trust: settings.trust,
    max_tx_rate: settings.maxRateMbps,
    min_tx_rate: settings.minRateMbps,
    state: settings.linkMode,
    allocated: vf !== undefined,
    link: vf !== undefined && pf.linkUp(vf),
  }
}
