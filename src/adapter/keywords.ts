// The standardized keywords of the registry that select what an adapter enables (spec 3.2), and the selection itself.
//
// The rule it must not break: keywords of an interface that is not preferred are not read (SR-078 to SR-082). Reads are logged.

export const Keyword = {
  sriovPreferred: '*SriovPreferred',
  rssOrVmqPreference: '*RssOrVmqPreference',
  sriov: '*SRIOV',
  vmq: '*VMQ',
  vmqVlanFiltering: '*VMQVlanFiltering',
  rss: '*RSS',
  rssOnHostVPorts: '*RssOnHostVPorts',
  switchFlags: 'NicSwitches\\0\\*Flags',
  switchType: 'NicSwitches\\0\\*SwitchType',
  switchId: 'NicSwitches\\0\\*SwitchId',
  switchName: 'NicSwitches\\0\\*SwitchName',
  numVFs: 'NicSwitches\\0\\*NumVFs',
} as const
export type Keyword = (typeof Keyword)[keyof typeof Keyword]

const defaults: Readonly<Record<Keyword, number | string>> = {
  '*SriovPreferred': 0,
  '*RssOrVmqPreference': 0,
  '*SRIOV': 1,
  '*VMQ': 1,
  '*VMQVlanFiltering': 1,
  '*RSS': 1,
  '*RssOnHostVPorts': 1,
  'NicSwitches\\0\\*Flags': 0,
  'NicSwitches\\0\\*SwitchType': 1,
  'NicSwitches\\0\\*SwitchId': 0,
  'NicSwitches\\0\\*SwitchName': 'Default Switch',
  'NicSwitches\\0\\*NumVFs': 0,
}

/** The adapter's part of the registry. */
export class Registry {
  readonly #values = new Map<Keyword, number | string>()
  /** Keywords read so far, in order. */
  readonly reads: Keyword[] = []

  constructor(values: Partial<Record<Keyword, number | string>> = {}) {
    for (const [keyword, value] of Object.entries(values)) this.#values.set(keyword as Keyword, value)
  }

  /** A number keyword, or its default where it is absent. */
  number(keyword: Keyword): number {
    this.reads.push(keyword)
    return Number(this.#values.get(keyword) ?? defaults[keyword])
  }

  text(keyword: Keyword): string {
    this.reads.push(keyword)
    return String(this.#values.get(keyword) ?? defaults[keyword])
  }

  write(keyword: Keyword, value: number | string): void {
    this.#values.set(keyword, value)
  }
}

/** What is enabled on the adapter. */
export interface Selection {
  readonly sriov: boolean
  readonly vmq: boolean
  readonly rss: boolean
  /** VLAN ids may be tested by filters. */
  readonly vlanFiltering: boolean
  /** RSS on VPorts of the PF, where a NIC switch can be made (VQ-178, VQ-179). */
  readonly rssOnHostVPorts?: boolean
}

/** Reads the keywords in their order and applies the preference table (SR-083). */
export function selectInterfaces(registry: Registry): Selection {
  const prefersSriov = registry.number(Keyword.sriovPreferred) === 1 // SR-078
  const prefersVmq = registry.number(Keyword.rssOrVmqPreference) === 1
  if (!prefersSriov && !prefersVmq)
    return { sriov: false, vmq: false, rss: registry.number(Keyword.rss) === 1, vlanFiltering: false } // SR-082
  const sriov = prefersSriov && registry.number(Keyword.sriov) === 1 // SR-079, SR-081
  const wantsVmq = registry.number(Keyword.vmq) === 1
  const vmq = wantsVmq && (prefersVmq || sriov)
  const vlanFiltering = registry.number(Keyword.vmqVlanFiltering) === 1 // SR-080
  const rssOnHostVPorts = (sriov || vmq) && registry.number(Keyword.rssOnHostVPorts) === 1 // VQ-178, VQ-179
  return { sriov, vmq, rss: false, vlanFiltering, rssOnHostVPorts } // SR-085
}
