// Set-VMNetworkAdapter: the policies of one adapter, each by the property or call that it stands for.
import type { PortStatus, RemoteSwitchHost } from '../../manage/host.ts'
import { CliError, ExitCode } from '../exit.ts'
import { mergeProperty, securityBefore } from '../property-change.ts'
import type { Parameter } from './cmdlet.ts'
import type { Given } from './parameters.ts'

const BIT_RATE_MAX = 400_000_000_000
const onOff = ['On', 'Off']
const configured = 'is a matter of the configuration: change its file, and vmswitch apply FILE'

export const setAdapterParameters: readonly Parameter[] = [
  { name: 'MacAddressSpoofing', type: 'string', values: onOff, help: 'Whether the guest may send from other addresses.' },
  { name: 'DhcpGuard', type: 'string', values: onOff, help: 'Drop DHCP server messages from the guest.' },
  { name: 'RouterGuard', type: 'string', values: onOff, help: 'Drop router advertisements and redirects from the guest.' },
  { name: 'StormLimit', type: 'int', max: 1_000_000, help: 'Broadcast, multicast and unknown frames a second; 0: no limit.' },
  { name: 'PortMirroring', type: 'string', values: ['None', 'Source', 'Destination'], help: 'Mirror it, or send copies to it.' },
  { name: 'IeeePriorityTag', type: 'string', values: onOff, help: 'Let priority tags of the guest pass.' },
  { name: 'AllowTeaming', type: 'string', values: onOff, help: 'Let the guest make a team of its adapters.' },
  { name: 'VirtualSubnetId', type: 'int', max: 0xffffff, help: 'Virtual subnet; 0: none.' },
  { name: 'DynamicIPAddressLimit', type: 'int', max: 0xffffffff, help: 'IP addresses that are learned of it; 0: no limit.' },
  { name: 'MaximumBandwidth', type: 'int', max: BIT_RATE_MAX, help: 'What it may send, in bits per second; 0: no limit.' },
  { name: 'MinimumBandwidthAbsolute', type: 'int', max: BIT_RATE_MAX, help: 'What it has of the uplink; 0: nothing.' },
  { name: 'MinimumBandwidthWeight', type: 'int', max: 100, help: 'Its part of what minimums leave; 0: none of its own.' },
  { name: 'IovWeight', type: 'int', max: 100, help: '0 takes its virtual function back, else it gets one.' },
  { name: 'VmmqEnabled', type: 'bool', help: 'Spread its frames over queue pairs.' },
  { name: 'VmmqQueuePairs', type: 'int', min: 1, max: 16, help: 'Over so many at the most.' },
]

export const setAdapterRefused: Readonly<Record<string, string>> = {
  StaticMacAddress: configured,
  DynamicMacAddress: configured,
  VmqWeight: configured,
  IovQueuePairsRequested: configured,
  VrssEnabled: 'is not there: -VmmqEnabled spreads frames over queue pairs',
  IovInterruptModeration: 'is not there: guests moderate their interrupts themselves',
  IPsecOffloadMaximumSecurityAssociation: 'is not there: IPsec is not offloaded',
  MandatoryFeatureId: 'is not there: an extension of the configuration is required unless it says required: false',
  DeviceNaming: 'is not there: guests name their cards themselves',
  FixSpeed10G: 'is not there: a virtio card has no speed',
  NotMonitoredInCluster: 'is not there: vmswitch has no clusters',
  PacketDirectNumProcs: 'is not there: frames always go past the stack of the host',
  PacketDirectModerationCount: 'is not there: frames always go past the stack of the host',
  PacketDirectModerationInterval: 'is not there: frames always go past the stack of the host',
  TestReplicaPoolName: 'is not there: vmswitch has no replicas',
  TestReplicaSwitchName: 'is not there: vmswitch has no replicas',
}

/** Members that were named, by the names that the property has for them. */
function named(given: Given, members: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(members)
      .filter(([parameter]) => given.has(parameter))
      .map(([parameter, member]) => {
        const value = given.value(parameter)
        return [member, value === 'On' || value === 'Off' ? value === 'On' : value]
      }),
  )
}

/** Zero takes a limit away. */
const withoutZeros = (members: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(members).map(([name, value]) => [name, value === 0 ? undefined : value]))

/** Changes what is named. Throws CliError `usage` where nothing is. */
export async function setAdapter(given: Given, host: RemoteSwitchHost, port: PortStatus): Promise<void> {
  if (!setAdapterParameters.some(({ name }) => given.has(name)))
    throw new CliError('usage', 'nothing is named that could be changed', 'see vmswitch Set-VMNetworkAdapter -?', ExitCode.usage)
  const { name } = port
  const security = named(given, {
    MacAddressSpoofing: 'allowMacSpoofing',
    IeeePriorityTag: 'allowIeeePriorityTag',
    AllowTeaming: 'allowTeaming',
    VirtualSubnetId: 'virtualSubnetId',
    DynamicIPAddressLimit: 'dynamicIpAddressLimit',
  })
  if (Object.keys(security).length > 0) await mergeProperty(host, name, 'security', security, securityBefore(port))
  const guards = named(given, { DhcpGuard: 'dhcpGuard', RouterGuard: 'routerGuard', StormLimit: 'stormLimit' })
  if (Object.keys(guards).length > 0) await mergeProperty(host, name, 'protection', guards)
  const bandwidth = named(given, {
    MaximumBandwidth: 'maximumBandwidth',
    MinimumBandwidthAbsolute: 'minimumBandwidthAbsolute',
    MinimumBandwidthWeight: 'minimumBandwidthWeight',
  })
  if (Object.keys(bandwidth).length > 0) await mergeProperty(host, name, 'bandwidth', withoutZeros(bandwidth))
  const mirror = given.text('PortMirroring')?.toLowerCase() as PortStatus['portMirroring'] | undefined
  if (mirror !== undefined) await host.setPort(name, { portMirroring: mirror })
  await setQueues(given, host, name)
  await setIov(given, host, name)
}

async function setQueues(given: Given, host: RemoteSwitchHost, port: string): Promise<void> {
  const vmmqEnabled = given.bool('VmmqEnabled')
  const vmmqQueuePairs = given.number('VmmqQueuePairs')
  if (vmmqEnabled === undefined && vmmqQueuePairs === undefined) return
  await host.setVmmq({
    port,
    ...(vmmqEnabled === undefined ? {} : { vmmqEnabled }),
    ...(vmmqQueuePairs === undefined ? {} : { vmmqQueuePairs }),
  })
}

async function setIov(given: Given, host: RemoteSwitchHost, port: string): Promise<void> {
  const weight = given.number('IovWeight')
  if (weight === undefined) return
  const has = (await host.vfs()).some((one) => one.port === port)
  if (weight > 0 && !has) await host.assignVf(port)
  if (weight === 0 && has) await host.removeVf({ port, surprise: false })
}
