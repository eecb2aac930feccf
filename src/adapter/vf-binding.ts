// Joins a VF of the adapter with the PCI function that a guest drives: the function asks the PF for what its guest wants, and the PF's
// OIDs (configuration space, reset, power, link) act on the function's own registers.
//
// The rule it must not break: there is one state; what an OID reads is what the guest sees (SR-265, SR-266).
import { NdisStatus } from '../ndis/status.ts'
import { macText } from '../switch/mac-table.ts'
import type { VfChannel } from './backchannel.ts'
import { PowerState } from './identifiers.ts'
import type { VfBlocks, VfFilterState, VfOwner } from './igbvf/owner.ts'
import type { VirtualFunction } from './igbvf/virtual-function.ts'
import type { SoftwarePf } from './software-pf.ts'
import type { VfDevice } from './vf-device.ts'

/** What the PF needs of a function. */
export type BoundFunction = Pick<VirtualFunction, 'readConfig' | 'writeConfig' | 'reset' | 'setPowerState' | 'setLink'>

const powerNames = {
  [PowerState.unspecified]: 'D0',
  [PowerState.d0]: 'D0',
  [PowerState.d1]: 'D1',
  [PowerState.d2]: 'D2',
  [PowerState.d3]: 'D3',
} as const

/** The function as the PF's OIDs use it. */
export function deviceOf(fn: BoundFunction): VfDevice {
  return {
    readConfig(offset, length) {
      const data = new Uint8Array(length)
      fn.readConfig(offset, data)
      return data
    },
    writeConfig: (offset, data) => void fn.writeConfig(offset, data),
    reset: () => fn.reset('owner'),
    setPowerState: (state) => fn.setPowerState(powerNames[state]),
    setLink: (up) => fn.setLink(up),
  }
}

const FRAME_OVERHEAD = 18 // Ethernet header and frame check sequence
const TAG_BYTES = 4

const octetsOf = (mac: string): Uint8Array => Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16))
const textOf = (mac: Uint8Array): string =>
  macText(mac[2]! | (mac[3]! << 8) | (mac[4]! << 16) | (mac[5]! << 24), mac[0]! | (mac[1]! << 8))

/** The VF's end of the backchannel as the function's mailbox uses it. */
export const blocksOf = (channel: VfChannel): VfBlocks => ({
  read: async (blockId, length) => (await channel.read(blockId, length)).data,
  write: async (blockId, data) => (await channel.write(blockId, data)) === NdisStatus.success,
  invalidated: () => channel.invalidated(),
  endWait: () => channel.endWait(),
})

/**
 * The PF as the owner of the function of an allocated VF. `mtu`: bytes. `activity`: the guest's driver is up, or down. `channel`: the
 * VF's end of the backchannel, which the function's mailbox carries into the guest.
 */
export function ownerOf(
  pf: SoftwarePf,
  vfId: number,
  mtu: number,
  activity: (active: boolean) => void = () => {},
  channel?: VfChannel,
): VfOwner {
  const vf = () => pf.vf(vfId)
  // The function's own table of group hashes is finer than "all multicast", and is asked after the NIC switch.
  const follow = (filters: VfFilterState): NdisStatus =>
    pf.receive(vfId, {
      allMulticast: filters.multicastHashes > 0 || filters.promiscuous.multicast,
      promiscuous: filters.promiscuous.unicast && (vf()?.settings.trust ?? false),
      groups: [],
    })
  return {
    get mac() {
      const mac = vf()?.mac
      return mac === undefined ? null : octetsOf(mac)
    },
    get linkUp() {
      const found = vf()
      return found !== undefined && pf.linkUp(found)
    },
    get trusted() {
      return vf()?.settings.trust ?? false
    },
    maxFrameBytes: mtu + FRAME_OVERHEAD + TAG_BYTES,
    allowsMac: (mac) => pf.mayUse(vfId, textOf(mac)),
    allowsVlan: (vlan) => pf.admits(vfId, vlan),
    wasReset: () => void pf.receive(vfId, { allMulticast: false, promiscuous: false, groups: [] }),
    filtersChanged: (filters) => void follow(filters),
    activity,
    blocks: channel && blocksOf(channel),
  }
}
