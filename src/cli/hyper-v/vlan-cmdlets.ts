// Cmdlets for VLANs, isolation and routing domains of adapters.
import type { PropertyStatus } from '../../manage/host.ts'
import { type VlanWish, vlanValue } from '../commands/vlan.ts'
import { CliError, ExitCode } from '../exit.ts'
import { mergeProperty, propertyOf, putProperty } from '../property-change.ts'
import { identity } from './adapter-output.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import type { Given } from './parameters.ts'
import { adapterParameters, adaptersOf, isLike, type Targets } from './targets.ts'
import { vlanOutput } from './vlan-output.ts'

const VLAN_MAX = 4094
const SUBNET_MAX = 0xffffff
const adapter = adapterParameters('VMNetworkAdapterName')
const id = (name: string, help: string, more: Partial<Parameter> = {}): Parameter => ({
  name,
  type: 'int',
  max: VLAN_MAX,
  help,
  ...more,
})
const mode = (name: string, help: string): Parameter => ({ name, type: 'switch', help, aliases: [name[0]!.toLowerCase()] })

/** Changes what is named, then shows it as `outputs` does. */
async function change(
  call: CmdletCall,
  operation: string,
  work: (targets: Targets, port: string) => Promise<void>,
  outputs: (targets: Targets) => Promise<Output[]>,
): Promise<Output[]> {
  const targets = await adaptersOf(call)
  for (const port of targets.ports) if (call.should(operation, port.friendlyName)) await work(targets, port.name)
  return outputs(targets)
}

async function vlans({ host, ports, switchName }: Targets): Promise<Output[]> {
  const properties = await host.properties({})
  return ports.map((port) => {
    const shown = vlanOutput(propertyOf(properties, port.name, 'vlan'))
    return { ...identity(port, switchName), Mode: shown.PrivateVlanMode || shown.OperationMode, ...shown }
  })
}

/** What the words of Set-VMNetworkAdapterVlan mean; null: untagged. */
function vlanWish(given: Given): VlanWish | null {
  const modes = ['Untagged', 'Access', 'Trunk', 'Isolated', 'Community', 'Promiscuous'].filter((name) => given.flag(name))
  const refuse = (message: string): never => {
    throw new CliError('usage', message, 'see vmswitch Set-VMNetworkAdapterVlan -?', ExitCode.usage)
  }
  const [only] = modes
  if (only === undefined || modes.length > 1)
    return refuse('one of -Untagged, -Access, -Trunk, -Isolated, -Community and -Promiscuous is needed')
  const uses: Readonly<Record<string, readonly string[]>> = {
    Untagged: [],
    Access: ['VlanId'],
    Trunk: ['AllowedVlanIdList', 'NativeVlanId'],
    Isolated: ['PrimaryVlanId', 'SecondaryVlanId'],
    Community: ['PrimaryVlanId', 'SecondaryVlanId'],
    Promiscuous: ['PrimaryVlanId', 'SecondaryVlanIdList'],
  }
  const used = uses[only]!
  const all = ['VlanId', 'AllowedVlanIdList', 'NativeVlanId', 'PrimaryVlanId', 'SecondaryVlanId', 'SecondaryVlanIdList']
  const stranger = all.find((name) => given.has(name) && !used.includes(name))
  if (stranger !== undefined) return refuse(`-${stranger} does not go with -${only}`)
  const missing = used.find((name) => !given.has(name))
  if (missing !== undefined) return refuse(`-${only} needs -${missing}`)
  if (only === 'Untagged') return null
  if (only === 'Access') return { access: given.number('VlanId') }
  if (only === 'Trunk') return { trunk: given.text('AllowedVlanIdList'), native: given.number('NativeVlanId') }
  return {
    [only.toLowerCase()]: true,
    primary: given.number('PrimaryVlanId'),
    secondary: given.text('SecondaryVlanIdList') ?? String(given.number('SecondaryVlanId')),
  }
}

const isolationModes = {
  None: 'none',
  NativeVirtualSubnet: 'native-virtual-subnet',
  ExternalVirtualSubnet: 'external-virtual-subnet',
  Vlan: 'vlan',
} as const

async function isolations({ host, ports, switchName }: Targets): Promise<Output[]> {
  const properties = await host.properties({})
  return ports.map((port) => {
    const value = propertyOf(properties, port.name, 'isolation')
    const found = Object.entries(isolationModes).find(([, written]) => written === value?.mode)
    return {
      ...identity(port, switchName),
      IsolationMode: found?.[0] ?? 'None',
      AllowUntaggedTraffic: value?.allowUntaggedTraffic ?? false,
      DefaultIsolationID: value?.defaultIsolationId ?? 0,
    }
  })
}

interface Domain {
  readonly routingDomainId: string
  readonly routingDomainName?: string
  readonly isolationIds?: readonly { readonly isolationId: number; readonly name?: string }[]
}

const bare = (guid: string): string => guid.replace(/[{}]/g, '').toLowerCase()

function fits(given: Given, { value }: PropertyStatus): boolean {
  const { routingDomainId, routingDomainName = '' } = value as Domain
  const [wanted, name] = [given.text('RoutingDomainID'), given.text('RoutingDomainName')]
  return (wanted === undefined || bare(routingDomainId) === wanted) && (name === undefined || isLike(routingDomainName, name))
}

const domainsOf = async ({ host }: Targets, port: string): Promise<PropertyStatus[]> =>
  (await host.properties({ port })).filter(({ type }) => type === 'routing-domain')

async function domains(targets: Targets, given: Given): Promise<Output[]> {
  const all = await Promise.all(targets.ports.map(async (port) => ({ port, of: await domainsOf(targets, port.name) })))
  return all.flatMap(({ port, of }) =>
    of
      .filter((one) => fits(given, one))
      .map(({ value }) => {
        const { routingDomainId, routingDomainName = '', isolationIds = [] } = value as Domain
        return {
          ...identity(port, targets.switchName),
          RoutingDomainID: routingDomainId,
          RoutingDomainName: routingDomainName,
          IsolationID: isolationIds.map((one) => one.isolationId),
          IsolationName: isolationIds.map((one) => one.name ?? ''),
        }
      }),
  )
}

const domain = {
  id: { name: 'RoutingDomainID', type: 'guid', help: 'GUID of the routing domain.' },
  name: { name: 'RoutingDomainName', type: 'string', help: 'Its name.' },
  isolation: { name: 'IsolationID', type: 'int', list: true, max: SUBNET_MAX, help: 'Virtual subnets or VLANs of the domain.' },
  names: { name: 'IsolationName', type: 'string', list: true, help: 'Their names, in the same order.' },
} as const satisfies Record<string, Parameter>

const isolationIds = (given: Given): NonNullable<Domain['isolationIds']> =>
  (given.numbers('IsolationID') ?? []).map((isolationId, i) => {
    const name = given.texts('IsolationName')?.[i]
    return { isolationId, ...(name === undefined ? {} : { name }) }
  })

export const vlanCmdlets: readonly Cmdlet[] = [
  {
    name: 'Get-VMNetworkAdapterVlan',
    synopsis: 'Shows the VLANs of adapters.',
    native: 'vmswitch vlan list',
    columns: ['VMName', 'VMNetworkAdapterName', 'Mode', 'VlanList'],
    parameters: adapter,
    run: async (call) => vlans(await adaptersOf(call, { all: true })),
  },
  {
    name: 'Set-VMNetworkAdapterVlan',
    synopsis: 'Gives adapters their VLANs.',
    native: 'vmswitch vlan set',
    example: 'Set-VMNetworkAdapterVlan -VMName web -Trunk -AllowedVlanIdList 1-100 -NativeVlanId 10',
    changes: true,
    passthru: true,
    columns: ['VMName', 'VMNetworkAdapterName', 'Mode', 'VlanList'],
    parameters: [
      ...adapter,
      mode('Untagged', 'No VLAN.'),
      mode('Access', 'One VLAN, -VlanId, whose frames are untagged at the adapter.'),
      id('VlanId', 'VLAN of an adapter in access mode.', { aliases: ['AccessVlanId'] }),
      mode('Trunk', 'Several VLANs, tagged.'),
      id('NativeVlanId', 'Of a trunk: VLAN of untagged frames.'),
      { name: 'AllowedVlanIdList', type: 'string', help: 'Of a trunk: its VLANs, such as 1-100,200.' },
      mode('Isolated', 'Private VLAN: reaches promiscuous adapters only.'),
      mode('Community', 'Private VLAN: reaches its community, and promiscuous adapters.'),
      mode('Promiscuous', 'Private VLAN: reaches all of them.'),
      id('PrimaryVlanId', 'Primary VLAN of a private one.'),
      id('SecondaryVlanId', 'Its secondary VLAN.'),
      { name: 'SecondaryVlanIdList', type: 'string', help: 'Secondary VLANs of a promiscuous adapter.' },
    ],
    run(call) {
      const wish = vlanWish(call.given)
      const value = wish === null ? null : vlanValue(wish)
      return change(call, 'Set the VLANs', ({ host }, port) => putProperty(host, port, 'vlan', value), vlans)
    },
  },
  {
    name: 'Get-VMNetworkAdapterIsolation',
    synopsis: 'Shows how adapters are isolated.',
    native: 'vmswitch property list',
    parameters: adapter,
    run: async (call) => isolations(await adaptersOf(call, { all: true })),
  },
  {
    name: 'Set-VMNetworkAdapterIsolation',
    synopsis: 'Isolates adapters by VLAN or virtual subnet.',
    native: 'vmswitch property set isolation',
    example: 'Set-VMNetworkAdapterIsolation -VMName web -IsolationMode Vlan -DefaultIsolationID 10',
    changes: true,
    passthru: true,
    parameters: [
      ...adapter,
      { name: 'IsolationMode', type: 'string', values: Object.keys(isolationModes), help: 'By what.' },
      { name: 'AllowUntaggedTraffic', type: 'bool', help: 'Whether untagged frames pass.' },
      { name: 'DefaultIsolationID', type: 'int', max: SUBNET_MAX, help: 'VLAN or virtual subnet of untagged frames.' },
    ],
    refused: { MultiTenantStack: 'is not there: guests have no such stack' },
    run(call) {
      const { given } = call
      const wanted = given.text('IsolationMode') as keyof typeof isolationModes | undefined
      const members = {
        ...(wanted === undefined ? {} : { mode: isolationModes[wanted] }),
        ...(given.has('AllowUntaggedTraffic') ? { allowUntaggedTraffic: given.bool('AllowUntaggedTraffic') } : {}),
        ...(given.has('DefaultIsolationID') ? { defaultIsolationId: given.number('DefaultIsolationID') } : {}),
      }
      if (Object.keys(members).length === 0)
        throw new CliError('usage', 'nothing is named that could be changed', '', ExitCode.usage)
      return change(call, 'Set the isolation', ({ host }, port) => mergeProperty(host, port, 'isolation', members), isolations)
    },
  },
  {
    name: 'Get-VMNetworkAdapterRoutingDomainMapping',
    synopsis: 'Shows the routing domains of adapters.',
    native: 'vmswitch property list',
    parameters: [...adapter, domain.id, domain.name],
    run: async (call) => domains(await adaptersOf(call, { all: true }), call.given),
  },
  {
    name: 'Add-VMNetworkAdapterRoutingDomainMapping',
    synopsis: 'Gives adapters a routing domain.',
    native: 'vmswitch property add routing-domain',
    changes: true,
    passthru: true,
    parameters: [
      ...adapter,
      { ...domain.id, mandatory: true, position: 1 },
      { ...domain.name, mandatory: true, position: 2 },
      { ...domain.isolation, mandatory: true, position: 3 },
      { ...domain.names, position: 4 },
    ],
    run(call) {
      const { given } = call
      const value = {
        routingDomainId: given.text('RoutingDomainID'),
        routingDomainName: given.text('RoutingDomainName'),
        isolationIds: isolationIds(given),
      }
      return change(
        call,
        'Add the routing domain',
        async ({ host }, port) => void (await host.addProperty({ port, type: 'routing-domain', value })),
        (targets) => domains(targets, given),
      )
    },
  },
  {
    name: 'Set-VMNetworkAdapterRoutingDomainMapping',
    synopsis: 'Changes a routing domain of adapters.',
    native: 'vmswitch property set routing-domain',
    changes: true,
    passthru: true,
    parameters: [
      ...adapter,
      domain.id,
      domain.name,
      { name: 'NewRoutingDomainName', type: 'string', help: 'Its new name.' },
      domain.isolation,
      domain.names,
    ],
    run(call) {
      const { given } = call
      const renamed = given.text('NewRoutingDomainName')
      return change(
        call,
        'Set the routing domain',
        async (targets, port) => {
          for (const { value, instance } of (await domainsOf(targets, port)).filter((one) => fits(given, one)))
            await targets.host.setProperty({
              port,
              type: 'routing-domain',
              instance,
              value: {
                ...(value as Domain),
                ...(renamed === undefined ? {} : { routingDomainName: renamed }),
                ...(given.has('IsolationID') ? { isolationIds: isolationIds(given) } : {}),
              },
            })
        },
        (targets) => domains(targets, given),
      )
    },
  },
  {
    name: 'Remove-VMNetworkAdapterRoutingDomainMapping',
    synopsis: 'Takes routing domains of adapters away.',
    native: 'vmswitch property remove routing-domain',
    changes: true,
    passthru: true,
    parameters: [...adapter, domain.id, domain.name],
    run(call) {
      return change(
        call,
        'Remove the routing domain',
        async (targets, port) => {
          for (const { instance } of (await domainsOf(targets, port)).filter((one) => fits(call.given, one)))
            await targets.host.removeProperty({ port, type: 'routing-domain', instance })
        },
        (targets) => domains(targets, call.given),
      )
    },
  },
]
