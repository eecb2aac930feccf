// The adapters of VMs as Get-VMNetworkAdapter shows them.
import type { PortStatus, PropertyStatus } from '../../manage/host.ts'
import { propertyOf, securityBefore } from '../property-change.ts'
import type { Output } from './cmdlet.ts'
import { isManagement, macText, type Targets } from './targets.ts'
import { vlanOutput } from './vlan-output.ts'

const onOff = (value: unknown): string => (value === true ? 'On' : 'Off')
const mirroring = { none: 'None', source: 'Source', destination: 'Destination', all: 'All' } as const

/** Name, VM and switch of an adapter, with which the others begin. */
export const identity = (port: PortStatus, switchName: string): Output => ({
  VMName: isManagement(port) ? '' : port.vm,
  VMNetworkAdapterName: port.friendlyName,
  PortName: port.name,
  SwitchName: switchName,
})

export async function adapterOutputs({ host, switchName, ports }: Targets): Promise<Output[]> {
  if (ports.length === 0) return []
  const [properties, queues, rss, vfs] = await Promise.all([host.properties({}), host.queues(), host.rss(), host.vfs()])
  return ports.map((port) => {
    const queue = queues.find((one) => one.port === port.name)
    const spread = rss.find((one) => one.port === port.name)
    return {
      Name: port.friendlyName,
      ...identity(port, switchName),
      IsManagementOs: isManagement(port),
      MacAddress: macText(port.mac),
      DynamicMacAddressEnabled: port.mac === null,
      Connected: port.link === 'up',
      Status: [port.connected ? 'Ok' : 'NoContact'],
      ...policies(port, properties),
      IovWeight: port.iov?.weight ?? 0,
      IovUsage: vfs.some((one) => one.port === port.name) ? 1 : 0,
      IovQueuePairsRequested: port.iov?.queuePairs ?? 0,
      VmqWeight: queue?.weight ?? 0,
      VmqUsage: queue === undefined ? 0 : 1,
      VmmqEnabled: spread?.vmmqEnabled ?? false,
      VmmqQueuePairs: spread?.vmmqQueuePairs ?? port.queues,
      VlanSetting: vlanOutput(propertyOf(properties, port.name, 'vlan')),
    }
  })
}

function policies(port: PortStatus, properties: readonly PropertyStatus[]): Output {
  const security = propertyOf(properties, port.name, 'security') ?? securityBefore(port)
  const protection = propertyOf(properties, port.name, 'protection')
  const { maximum, minimum, weight } = port.bandwidth
  return {
    MacAddressSpoofing: onOff(security.allowMacSpoofing),
    DhcpGuard: onOff(protection?.dhcpGuard),
    RouterGuard: onOff(protection?.routerGuard),
    PortMirroringMode: mirroring[port.portMirroring],
    IeeePriorityTag: onOff(security.allowIeeePriorityTag),
    AllowTeaming: onOff(security.allowTeaming),
    VirtualSubnetId: security.virtualSubnetId ?? 0,
    DynamicIPAddressLimit: security.dynamicIpAddressLimit ?? 0,
    StormLimit: protection?.stormLimit ?? 0,
    BandwidthSetting: {
      MaximumBandwidth: maximum ?? 0,
      MinimumBandwidthAbsolute: minimum ?? 0,
      MinimumBandwidthWeight: weight ?? 0,
    },
  }
}
