// Cmdlets for what physical adapters do: VMQ, SR-IOV, teams. Cards of the host are shown too.
import { CliError, ExitCode } from '../exit.ts'
import { identity } from './adapter-output.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import { adapterParameters, adaptersOf, checkSwitch, isLike, macText } from './targets.ts'

const name: Parameter = {
  name: 'Name',
  type: 'string',
  list: true,
  position: 0,
  aliases: ['ifAlias', 'InterfaceAlias'],
  help: 'Names of adapters; * stands for any characters.',
}
const refused = {
  InterfaceDescription: 'is not there: adapters have their names, -Name',
  IncludeHidden: 'is not there: no adapter is hidden',
}
const ids = (parameter: string, help: string): Parameter => ({ name: parameter, type: 'int', list: true, help })

const cards = () => import('../../linux/sriov/host-adapters.ts')

const named = ({ given }: CmdletCall, text: string): boolean => given.texts('Name')?.some((one) => isLike(text, one)) ?? true
const within = ({ given }: CmdletCall, parameter: string, number: number): boolean =>
  given.numbers(parameter)?.includes(number) ?? true

/** The switch's adapters; none where no switch runs, since the host has cards all the same. */
async function adapters(call: CmdletCall) {
  try {
    return await (await call.host()).adapters()
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['not-running', 'no-switch'].includes(String(error.code))) return []
    throw error
  }
}

export const hardwareCmdlets: readonly Cmdlet[] = [
  {
    name: 'Get-NetAdapterVmq',
    synopsis: 'Shows adapters in VMQ mode.',
    native: 'vmswitch queue list',
    columns: ['Name', 'Enabled', 'BaseVmqProcessor', 'NumberOfReceiveQueues'],
    parameters: [name],
    refused,
    async run(call) {
      const queues = await (await call.host()).queues()
      return queues
        .filter(({ queue, adapter }) => queue === 0 && named(call, adapter))
        .map(({ adapter, processor }) => {
          const own = queues.filter((one) => one.adapter === adapter)
          return {
            Name: adapter,
            Enabled: true,
            BaseVmqProcessor: processor,
            NumberOfReceiveQueues: own.length,
          }
        })
    },
  },
  {
    name: 'Get-NetAdapterVmqQueue',
    synopsis: 'Shows the receive queues of VMs.',
    native: 'vmswitch queue list',
    columns: ['Name', 'QueueID', 'MacAddress', 'VlanID', 'Processor', 'VmFriendlyName'],
    parameters: [name, ids('Id', 'Numbers of queues.')],
    refused,
    async run(call) {
      const queues = await (await call.host()).queues()
      return queues
        .filter(({ adapter, queue }) => named(call, adapter) && within(call, 'Id', queue))
        .map(({ adapter, queue, filter, processor, vm, port, state, counters }) => ({
          Name: adapter,
          QueueID: queue,
          MacAddress: macText(filter?.mac ?? null),
          VlanID: filter?.vlan ?? '',
          Processor: processor,
          VmFriendlyName: vm ?? '',
          PortName: port ?? '',
          State: state,
          ReceivedFrames: counters.receivedFrames,
        }))
    },
  },
  {
    name: 'Get-NetAdapterSriov',
    synopsis: "Shows adapters with SR-IOV: the switch's, and cards of the host.",
    native: 'vmswitch adapter list',
    columns: ['Name', 'Enabled', 'NumVFs', 'NumVFsInUse'],
    parameters: [name],
    refused,
    async run(call) {
      const ofSwitch = (await adapters(call))
        .filter((one) => (one.mode ?? 'sriov') === 'sriov')
        .map(({ name: of, mac, state, vfs }) => ({
          Name: of,
          Owner: 'switch',
          Enabled: state === 'running',
          MacAddress: macText(mac),
          NumVFs: vfs.total,
          NumVFsInUse: vfs.allocated,
        }))
      const host = (await cards()).listHostAdapters().map((card) => ({
        Name: card.interface,
        Owner: 'host',
        Enabled: card.vfs.enabled > 0,
        MacAddress: macText(card.mac),
        NumVFs: card.vfs.total,
        NumVFsInUse: card.vfs.enabled,
      }))
      return [...ofSwitch, ...host].filter((one) => named(call, one.Name))
    },
  },
  {
    name: 'Set-NetAdapterSriov',
    synopsis: 'Makes the virtual functions of a card of the host.',
    native: 'vmswitch adapter provision',
    example: 'Set-NetAdapterSriov -Name eth0 -NumVFs 8',
    changes: true,
    parameters: [
      { ...name, mandatory: true },
      { name: 'NumVFs', type: 'int', mandatory: true, max: 65_535, help: 'How many; 0 takes them away.' },
    ],
    refused: {
      ...refused,
      Enabled: 'is not there: -NumVFs 0 takes all virtual functions away',
      NoRestart: 'is not there: an adapter is not restarted',
    },
    async run(call) {
      const { provisionHostVfs } = await cards()
      return call.given.texts('Name')!.flatMap((of) => {
        if (!call.should('Make virtual functions', of)) return []
        const card = provisionHostVfs(of, call.given.number('NumVFs')!)
        return [{ Name: card.interface, Enabled: card.vfs.enabled > 0, NumVFs: card.vfs.enabled }]
      })
    },
  },
  {
    name: 'Get-NetAdapterSriovVf',
    synopsis: 'Shows virtual functions, and whose they are.',
    native: 'vmswitch vf list',
    columns: ['Name', 'FunctionID', 'VPortID', 'MacAddress', 'VmFriendlyName', 'State'],
    parameters: [name, ids('FunctionID', 'Numbers of virtual functions.')],
    refused: { ...refused, SwitchID: 'is not there: an adapter has one NIC switch' },
    async run(call) {
      const [all, ports] = await Promise.all([adapters(call), (await call.host()).ports()])
      return all
        .filter((one) => named(call, one.name))
        .flatMap((one) =>
          one.assigned
            .filter(({ vf }) => within(call, 'FunctionID', vf))
            .map(({ vf, vport, port, state, form }) => {
              const mac = one.vports.find(({ id }) => id === vport)?.filters[0]?.mac ?? null
              return {
                Name: one.name,
                FunctionID: vf,
                VPortID: [vport],
                MacAddress: macText(mac),
                VmFriendlyName: ports.find((of) => of.name === port)?.vm ?? port,
                PortName: port,
                State: state,
                Form: form,
              }
            }),
        )
    },
  },
  {
    name: 'Get-NetAdapterVPort',
    synopsis: 'Shows the VPorts of adapters.',
    native: 'vmswitch vport list',
    columns: ['Name', 'ID', 'FunctionID', 'MacAddress', 'VPortState'],
    parameters: [
      name,
      ids('VPortID', 'Numbers of VPorts.'),
      ids('FunctionID', 'Of these virtual functions.'),
      { name: 'PhysicalFunction', type: 'switch', help: 'Of the physical function.' },
    ],
    refused: { ...refused, SwitchID: 'is not there: an adapter has one NIC switch' },
    async run(call) {
      const isFunction = (of: 'pf' | number): boolean =>
        of === 'pf' ? !call.given.has('FunctionID') : !call.given.flag('PhysicalFunction') && within(call, 'FunctionID', of)
      return (await adapters(call))
        .filter((one) => named(call, one.name))
        .flatMap((one) =>
          one.vports
            .filter(({ id, function: of }) => within(call, 'VPortID', id) && isFunction(of))
            .map((vport) => ({
              Name: one.name,
              ID: vport.id,
              FunctionID: vport.function === 'pf' ? 'PF' : String(vport.function),
              MacAddress: macText(vport.filters[0]?.mac ?? null),
              VPortState: vport.state === 'activated' ? 'Activated' : 'Deactivated',
              QueuePairs: vport.queuePairs,
            })),
        )
    },
  },
  {
    name: 'Get-VMNetworkAdapterTeamMapping',
    synopsis: 'Shows which member of the team each adapter sends by.',
    native: 'vmswitch team',
    parameters: [...adapterParameters('Name'), { name: 'SwitchName', type: 'string', help: 'Name of the switch, as a check.' }],
    async run(call): Promise<Output[]> {
      const { host, ports, switchName } = await adaptersOf(call, { all: true })
      checkSwitch(call.given.text('SwitchName'), switchName)
      const team = await host.team()
      if (team === null) throw new CliError('no-team', `switch "${switchName}" has no team`, '', ExitCode.failed)
      return ports.flatMap((port) => {
        const member = team.members.find((one) => one.ports.includes(port.name))
        return member === undefined ? [] : [{ ...identity(port, switchName), NetAdapterName: member.name }]
      })
    },
  },
]
