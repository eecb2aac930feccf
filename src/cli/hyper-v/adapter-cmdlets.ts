// Cmdlets for the network adapters of VMs: each is a port of the switch.
import { addPort } from './adapter-add.ts'
import { adapterOutputs } from './adapter-output.ts'
import { setAdapter, setAdapterParameters, setAdapterRefused } from './adapter-set.ts'
import type { Cmdlet, Parameter } from './cmdlet.ts'
import { adapterParameters, adaptersOf, checkSwitch } from './targets.ts'

const columns = ['Name', 'IsManagementOs', 'VMName', 'SwitchName', 'MacAddress', 'Status']
const ofSwitch: Parameter = { name: 'SwitchName', type: 'string', help: 'Name of the switch, as a check.' }
const legacy = 'is not there: adapters are virtio cards'

export const adapterCmdlets: readonly Cmdlet[] = [
  {
    name: 'Add-VMNetworkAdapter',
    synopsis: 'Adds a port to the switch, for an adapter of a VM.',
    native: 'vmswitch port add',
    example: 'Add-VMNetworkAdapter -VMName web -Name front -StaticMacAddress 00155D010203',
    changes: true,
    passthru: true,
    columns,
    parameters: [
      { name: 'VMName', type: 'string', list: true, position: 0, mandatory: true, help: 'VMs that get the adapter.' },
      {
        name: 'Name',
        type: 'string',
        aliases: ['VMNetworkAdapterName'],
        help: 'Name of the adapter. Default: that of the VM. The port is called VM-NAME where the VM has another name.',
      },
      ofSwitch,
      { name: 'StaticMacAddress', type: 'mac', help: 'MAC address of the adapter.' },
      { name: 'DynamicMacAddress', type: 'switch', help: 'The port learns the address; so it is without -StaticMacAddress.' },
      {
        name: 'EndpointKind',
        type: 'string',
        own: true,
        values: ['vhost-user', 'tap', 'stream', 'unix-dgram', 'memory'],
        help: 'What the port is connected to. Default: vhost-user.',
      },
      { name: 'EndpointPath', type: 'string', own: true, help: 'Its socket; default: the name of the port and .sock.' },
      { name: 'EndpointInterface', type: 'string', own: true, help: 'Of a tap: its interface.' },
    ],
    refused: {
      IsLegacy: legacy,
      DeviceNaming: 'is not there: guests name their cards themselves',
      ManagementOS: 'is not there: New-VMSwitch -AllowManagementOS $true gives the host an adapter',
    },
    run: addPort,
  },
  {
    name: 'Get-VMNetworkAdapter',
    synopsis: 'Shows the adapters of VMs.',
    native: 'vmswitch port list',
    example: 'Get-VMNetworkAdapter -VMName web',
    columns,
    parameters: [
      ...adapterParameters('Name', { position: 1 }),
      { name: 'All', type: 'switch', help: "Of all VMs, and the host's own." },
      ofSwitch,
    ],
    refused: { IsLegacy: legacy },
    async run(call) {
      const targets = await adaptersOf(call, { all: true })
      checkSwitch(call.given.text('SwitchName'), targets.switchName)
      return adapterOutputs(targets)
    },
  },
  {
    name: 'Set-VMNetworkAdapter',
    synopsis: 'Changes policies of an adapter.',
    native: 'vmswitch port set, property set, vf assign, queue vmmq',
    example: 'Set-VMNetworkAdapter -VMName web -DhcpGuard On -MaximumBandwidth 100000000',
    changes: true,
    passthru: true,
    columns,
    parameters: [...adapterParameters('Name'), ...setAdapterParameters],
    refused: setAdapterRefused,
    async run(call) {
      const targets = await adaptersOf(call)
      for (const port of targets.ports)
        if (call.should('Set the network adapter', port.friendlyName)) await setAdapter(call.given, targets.host, port)
      return call.given.flag('Passthru') ? adapterOutputs(await adaptersOf(call)) : []
    },
  },
  {
    name: 'Remove-VMNetworkAdapter',
    synopsis: 'Removes the port of an adapter: its guest loses the connection.',
    native: 'vmswitch port remove',
    example: 'Remove-VMNetworkAdapter -VMName web -Name front',
    changes: true,
    passthru: true,
    columns,
    parameters: [...adapterParameters('Name'), ofSwitch],
    async run(call) {
      const targets = await adaptersOf(call)
      checkSwitch(call.given.text('SwitchName'), targets.switchName)
      const outputs = call.given.flag('Passthru') ? await adapterOutputs(targets) : []
      for (const { name, friendlyName } of targets.ports)
        if (call.should('Remove the network adapter', friendlyName)) await targets.host.removePort(name)
      return outputs
    },
  },
  {
    name: 'Rename-VMNetworkAdapter',
    synopsis: 'Changes the name of an adapter for people; its port keeps its own.',
    native: 'vmswitch port rename',
    example: 'Rename-VMNetworkAdapter -VMName web -Name front -NewName Reception',
    changes: true,
    passthru: true,
    columns,
    parameters: [
      ...adapterParameters('Name', { position: 1 }),
      { name: 'NewName', type: 'string', position: 2, mandatory: true, help: 'The new name.' },
    ],
    async run(call) {
      const { host, ports, switchName } = await adaptersOf(call)
      const friendlyName = call.given.text('NewName')!
      const changed = []
      for (const port of ports)
        if (call.should(`Rename the network adapter to ${friendlyName}`, port.friendlyName))
          changed.push(await host.setPort(port.name, { friendlyName }))
      return adapterOutputs({ host, switchName, ports: changed })
    },
  },
  ...(
    [
      ['Connect-VMNetworkAdapter', true, 'Connects an adapter to the switch: its link goes up.', 'vmswitch port connect'],
      ['Disconnect-VMNetworkAdapter', false, 'Disconnects an adapter: its link goes down.', 'vmswitch port disconnect'],
    ] as const
  ).map(
    ([name, up, synopsis, native]): Cmdlet => ({
      name,
      synopsis,
      native,
      changes: true,
      passthru: true,
      columns,
      parameters: [
        ...adapterParameters('Name', { position: 1 }).filter((one) => one.name !== 'ManagementOS'),
        ...(up ? [{ ...ofSwitch, position: 2 }] : []),
      ],
      ...(up ? { refused: { UseAutomaticConnection: 'is not there: vmswitch has no resource pools' } } : {}),
      async run(call) {
        const { host, ports, switchName } = await adaptersOf(call)
        if (up) checkSwitch(call.given.text('SwitchName'), switchName)
        const changed = []
        for (const port of ports)
          if (call.should(up ? 'Connect the network adapter' : 'Disconnect the network adapter', port.friendlyName))
            changed.push(await host.setLink(port.name, up))
        return adapterOutputs({ host, switchName, ports: changed })
      },
    }),
  ),
]
