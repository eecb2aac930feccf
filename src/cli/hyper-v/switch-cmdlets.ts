// Cmdlets for the switch and its team. A service has one switch.
import { hostname } from 'node:os'
import type { PortStatus, RemoteSwitchHost } from '../../manage/host.ts'
import { makeSwitch, serviceOf, VFS_DEFAULT } from '../commands/switch.ts'
import { CliError, ExitCode } from '../exit.ts'
import { mergeProperty, propertyOf } from '../property-change.ts'
import type { Cmdlet, Output, Parameter } from './cmdlet.ts'
import { checkSwitch, isExternal, isLike, isManagement } from './targets.ts'

const BIT_RATE_MAX = 400_000_000_000
const modes = { absolute: 'Absolute', weight: 'Weight', none: 'None' } as const
const types = { private: 'Private', internal: 'Internal', external: 'External' } as const
const byInterface = 'is not there: interfaces have their Linux names, -NetAdapterName'

const switchName = (mandatory: boolean): Parameter => ({
  name: 'Name',
  type: 'string',
  list: true,
  position: 0,
  mandatory,
  aliases: ['SwitchName'],
  help: 'Name of the switch.',
})

/** Interfaces and adapters that an external port leads to. */
const wires = (port: PortStatus | undefined): string[] =>
  port === undefined
    ? []
    : [port.endpoint, ...port.uplinks].map((one) =>
        'interface' in one ? one.interface : 'adapter' in one ? one.adapter : one.kind,
      )

/** The switch as Get-VMSwitch shows it. */
export async function switchOutput(host: RemoteSwitchHost): Promise<Output> {
  const [status, ports, properties, extensions, team, adapters] = await Promise.all([
    host.status(),
    host.ports(),
    host.properties({}),
    host.extensions(),
    host.team(),
    host.adapters(),
  ])
  const uplinks = wires(ports.find(isExternal))
  const bandwidth = propertyOf(properties, null, 'bandwidth')
  const mode = bandwidth?.minimumBandwidthMode as keyof typeof modes | undefined
  return {
    Name: status.name,
    SwitchType: types[status.type],
    AllowManagementOS: ports.some(isManagement),
    NetAdapterInterfaceDescription: uplinks[0] ?? '',
    NetAdapterInterfaceDescriptions: uplinks,
    EmbeddedTeamingEnabled: team !== null,
    IovEnabled: adapters.some((adapter) => (adapter.mode ?? 'sriov') === 'sriov' && adapter.vfs.total > 0),
    IovVirtualFunctionCount: adapters.reduce((sum, { vfs }) => sum + vfs.total, 0),
    IovVirtualFunctionsInUse: adapters.reduce((sum, { vfs }) => sum + vfs.allocated, 0),
    BandwidthReservationMode: mode === undefined ? 'Default' : modes[mode],
    DefaultFlowMinimumBandwidthAbsolute: bandwidth?.defaultFlowMinimumBandwidthAbsolute ?? 0,
    DefaultFlowMinimumBandwidthWeight: bandwidth?.defaultFlowMinimumBandwidthWeight ?? 0,
    Extensions: extensions.map(({ name }) => name),
    ComputerName: hostname(),
  }
}

/** The running switch, or nothing where a service has none. */
async function running(host: () => Promise<RemoteSwitchHost>): Promise<Output[]> {
  try {
    return [await switchOutput(await host())]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'no-switch') return []
    throw error
  }
}

const oneName = (names: readonly string[]): string => {
  const [name] = names
  if (names.length === 1 && name !== undefined) return name
  throw new CliError('usage', 'a service has one switch: give one name', '', ExitCode.usage)
}

export const switchCmdlets: readonly Cmdlet[] = [
  {
    name: 'New-VMSwitch',
    synopsis: 'Makes the switch of a service that has none.',
    native: 'vmswitch switch create',
    example: 'New-VMSwitch -Name lab -NetAdapterName eth0 -AllowManagementOS $true',
    changes: true,
    columns: ['Name', 'SwitchType', 'NetAdapterInterfaceDescription'],
    parameters: [
      { ...switchName(true), list: false },
      {
        name: 'SwitchType',
        type: 'string',
        values: ['Internal', 'Private', 'External'],
        help: 'Kind of switch; with -NetAdapterName it is external.',
      },
      {
        name: 'NetAdapterName',
        type: 'string',
        list: true,
        aliases: ['InterfaceAlias'],
        help: 'Interfaces of the host that lead to the network; several are a team.',
      },
      { name: 'AllowManagementOS', type: 'bool', help: 'Whether the host has an adapter on the switch. Default: false.' },
      {
        name: 'MinimumBandwidthMode',
        type: 'string',
        values: ['Default', 'Weight', 'Absolute', 'None'],
        help: 'Which kind of minimum bandwidth ports may have.',
      },
      { name: 'EnableIov', type: 'bool', help: 'Make the interface an SR-IOV adapter, whose virtual functions guests get.' },
      {
        name: 'NumVFs',
        type: 'int',
        own: true,
        min: 1,
        max: 63,
        help: `With -EnableIov: virtual functions. Default: ${VFS_DEFAULT}.`,
      },
      { name: 'EnableEmbeddedTeaming', type: 'bool', help: 'Several interfaces are a team; $false refuses them.' },
    ],
    refused: {
      NetAdapterInterfaceDescription: byInterface,
      InterfaceDescription: byInterface,
      Notes: 'is not there: notes have their place in the configuration file',
      EnablePacketDirect: 'is not there: frames always go past the stack of the host',
    },
    async run({ given, control, host, should }) {
      const name = given.text('Name')!
      const uplink = given.texts('NetAdapterName') ?? []
      if (given.bool('EnableEmbeddedTeaming') === false && uplink.length > 1)
        throw new CliError(
          'usage',
          'several interfaces are a team',
          'leave -EnableEmbeddedTeaming out, or name one',
          ExitCode.usage,
        )
      if (given.flag('EnableIov') && uplink.length === 0)
        throw new CliError('usage', '-EnableIov needs an interface', 'name it: -NetAdapterName eth0', ExitCode.usage)
      if (given.has('NumVFs') && !given.flag('EnableIov'))
        throw new CliError('usage', '-NumVFs is for SR-IOV', 'add -EnableIov $true', ExitCode.usage)
      const mode = given.text('MinimumBandwidthMode')
      if (!should('Create the virtual switch', name)) return []
      await makeSwitch(control, {
        name,
        type: given.text('SwitchType')?.toLowerCase() as 'private' | undefined,
        uplink,
        managementOs: given.flag('AllowManagementOS'),
        minimumBandwidthMode: mode === undefined || mode === 'Default' ? undefined : mode.toLowerCase(),
        vfs: given.flag('EnableIov') ? (given.number('NumVFs') ?? VFS_DEFAULT) : undefined,
      })
      return [await switchOutput(await host())]
    },
  },
  {
    name: 'Get-VMSwitch',
    synopsis: 'Shows the switch.',
    native: 'vmswitch switch show',
    columns: ['Name', 'SwitchType', 'NetAdapterInterfaceDescription'],
    parameters: [
      { ...switchName(false), list: false },
      {
        name: 'SwitchType',
        type: 'string',
        list: true,
        values: ['Internal', 'Private', 'External'],
        help: 'Of these types only.',
      },
    ],
    refused: { Id: 'is not there: a switch is named by its name' },
    async run({ given, host }) {
      const name = given.text('Name')
      const kinds = given.texts('SwitchType')
      const found = (await running(host)).filter(
        (one) => (name === undefined || isLike(String(one.Name), name)) && (kinds?.includes(String(one.SwitchType)) ?? true),
      )
      if (found.length === 0 && name !== undefined && !/[*?]/.test(name))
        throw new CliError('no-such-switch', `there is no switch "${name}"`, 'choose another with --socket PATH')
      return found
    },
  },
  {
    name: 'Set-VMSwitch',
    synopsis: 'Changes how the uplink of the switch is shared.',
    native: 'vmswitch property set bandwidth',
    example: 'Set-VMSwitch -Name lab -DefaultFlowMinimumBandwidthWeight 20',
    changes: true,
    passthru: true,
    parameters: [
      switchName(true),
      {
        name: 'DefaultFlowMinimumBandwidthAbsolute',
        type: 'int',
        max: BIT_RATE_MAX,
        help: 'What all ports without a minimum have together, in bits per second; 0: nothing.',
      },
      {
        name: 'DefaultFlowMinimumBandwidthWeight',
        type: 'int',
        max: 100,
        help: 'Their part of what minimums leave, 1 to 100; 0: the usual one.',
      },
    ],
    refused: Object.fromEntries(
      [
        'SwitchType',
        'AllowManagementOS',
        'NetAdapterName',
        'NetAdapterInterfaceDescription',
        'DefaultQueueVrssEnabled',
        'DefaultQueueVmmqEnabled',
        'DefaultQueueVmmqQueuePairs',
        'Notes',
      ].map((name) => [name, 'is a matter of the configuration: change its file, and vmswitch apply FILE --restart']),
    ),
    async run({ given, host: connect, should }) {
      const host = await connect()
      const { name } = await host.status()
      checkSwitch(given.texts('Name'), name)
      const change = {
        ...(given.has('DefaultFlowMinimumBandwidthAbsolute')
          ? { defaultFlowMinimumBandwidthAbsolute: given.number('DefaultFlowMinimumBandwidthAbsolute') || undefined }
          : {}),
        ...(given.has('DefaultFlowMinimumBandwidthWeight')
          ? { defaultFlowMinimumBandwidthWeight: given.number('DefaultFlowMinimumBandwidthWeight') || undefined }
          : {}),
      }
      if (Object.keys(change).length === 0)
        throw new CliError('usage', 'nothing is named that could be changed', '', ExitCode.usage)
      if (!should('Set the virtual switch', name)) return []
      await mergeProperty(host, undefined, 'bandwidth', change)
      return [await switchOutput(host)]
    },
  },
  {
    name: 'Remove-VMSwitch',
    synopsis: 'Stops the switch of a service, and forgets its configuration.',
    native: 'vmswitch switch remove',
    example: 'Remove-VMSwitch -Name lab -Force',
    changes: true,
    parameters: [switchName(true), { name: 'Force', type: 'switch', help: 'Do it: the command line asks nothing.' }],
    async run({ given, control, should }) {
      const service = await serviceOf(control)
      const { switch: name } = await service.service()
      const wanted = oneName(given.texts('Name')!)
      if (name === null || !isLike(name, wanted)) throw new CliError('no-such-switch', `the service has no switch "${wanted}"`)
      if (!should('Remove the virtual switch', name)) return []
      if (!given.flag('Force'))
        throw new CliError(
          'not-confirmed',
          `this takes all guests of "${name}" off the network, and forgets its ports`,
          'say -Force to do it',
          ExitCode.usage,
        )
      await service.removeSwitch()
      return []
    },
  },
  {
    name: 'Get-VMSwitchTeam',
    synopsis: 'Shows the team of interfaces behind the switch.',
    native: 'vmswitch team',
    parameters: [{ ...switchName(false), list: false }],
    async run({ given, host: connect }) {
      return teamOutput(await connect(), given.text('Name'))
    },
  },
  {
    name: 'Set-VMSwitchTeam',
    synopsis: 'Changes how a team spreads what leaves the switch.',
    native: 'vmswitch port set --load-balancing',
    example: 'Set-VMSwitchTeam -Name lab -LoadBalancingAlgorithm Dynamic',
    changes: true,
    passthru: true,
    parameters: [
      switchName(true),
      { name: 'LoadBalancingAlgorithm', type: 'string', values: ['HyperVPort', 'Dynamic'], help: 'By port, or by flow.' },
      { name: 'TeamingMode', type: 'string', values: ['SwitchIndependent'], help: 'The only one there is.' },
    ],
    refused: {
      NetAdapterName: 'is a matter of the configuration: name all members there, and vmswitch apply FILE',
      NetAdapterInterfaceDescription: byInterface,
    },
    async run({ given, host: connect, should }) {
      const host = await connect()
      const [team, ports] = await Promise.all([host.team(), host.ports()])
      const [{ Name: name }] = [await switchOutput(host)] as [{ Name: string }]
      checkSwitch(given.texts('Name'), name)
      if (team === null) throw new CliError('no-team', `switch "${name}" has no team`, 'give its external port several uplinks')
      const loadBalancing = given.text('LoadBalancingAlgorithm') as 'HyperVPort' | undefined
      if (!should('Set the team', name)) return []
      const standby = ports.find((port) => port.name === team.port)?.teaming?.standby
      if (loadBalancing !== undefined)
        await host.setPort(team.port, {
          teaming: { loadBalancing, ...(standby === undefined ? {} : { standby: [...standby] }) },
        })
      return teamOutput(host, name)
    },
  },
]

async function teamOutput(host: RemoteSwitchHost, named: string | undefined): Promise<Output[]> {
  const [{ name }, team] = await Promise.all([host.status(), host.team()])
  checkSwitch(named, name)
  if (team === null) return []
  return [
    {
      Name: name,
      NetAdapterInterfaceDescription: team.members.map((member) => member.name),
      TeamingMode: team.teamingMode,
      LoadBalancingAlgorithm: team.loadBalancing,
    },
  ]
}
