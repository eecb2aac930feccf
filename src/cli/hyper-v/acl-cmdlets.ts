// Cmdlets for ACLs, extended ACLs and what they metered.

import type { PortStatus } from '../../manage/host.ts'
import type { AclStatus } from '../../manage/policies/acl-calls.ts'
import { CliError, ExitCode } from '../exit.ts'
import { identity } from './adapter-output.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import type { Given } from './parameters.ts'
import { adapterParameters, adaptersOf, isLike } from './targets.ts'

const adapter = adapterParameters('VMNetworkAdapterName')
const action = (values: readonly string[], position?: number): Parameter => ({
  name: 'Action',
  type: 'string',
  values,
  mandatory: true,
  ...(position === undefined ? {} : { position }),
  help: 'What happens to packets; Meter counts them.',
})
const direction = (values: readonly string[], position?: number): Parameter => ({
  name: 'Direction',
  type: 'string',
  values,
  mandatory: true,
  ...(position === undefined ? {} : { position }),
  help: 'Inbound: to the adapter; Outbound: from it.',
})

/** Parameters that name addresses, and the members that they are. */
const sides = {
  LocalIPAddress: 'localIPAddress',
  RemoteIPAddress: 'remoteIPAddress',
  LocalMacAddress: 'localMacAddress',
  RemoteMacAddress: 'remoteMacAddress',
} as const
const addresses: readonly Parameter[] = Object.keys(sides).map((name) => ({
  name,
  type: 'string',
  list: true,
  help: `${name.startsWith('Local') ? "The adapter's" : 'The other'} side: ${name.includes('Mac') ? 'MAC addresses' : 'addresses or prefixes'}, or ANY.`,
}))

type Entry = Readonly<Record<string, unknown>>

// One entry for each address, as Hyper-V makes them.
function entriesOf(given: Given): Entry[] {
  const base = { action: given.text('Action')!.toLowerCase(), direction: given.text('Direction')!.toLowerCase() }
  const entries = Object.entries(sides).flatMap(([name, member]) =>
    (given.texts(name) ?? []).map((address) => ({ ...base, [member]: address })),
  )
  if (entries.length > 0) return entries
  throw new CliError(
    'usage',
    'no address is named',
    `one of ${Object.keys(sides)
      .map((name) => `-${name}`)
      .join(', ')} is needed; ANY means all`,
    ExitCode.usage,
  )
}

const capital = (text: unknown): string => String(text).replace(/^./, (letter) => letter.toUpperCase())

const aclOutput = (port: PortStatus, switchName: string, { entry, packets, bytes }: AclStatus): Output => ({
  ...identity(port, switchName),
  Direction: capital(entry.direction),
  LocalAddress: entry.localIPAddress ?? entry.localMacAddress ?? '',
  RemoteAddress: entry.remoteIPAddress ?? entry.remoteMacAddress ?? '',
  Action: capital(entry.action),
  MeteredMegabytes: entry.action === 'meter' ? Math.floor(bytes / 2 ** 20) : 0,
  Packets: packets,
  Bytes: bytes,
})

const ruleOutput = (port: PortStatus, switchName: string, { name, entry, packets, bytes, network }: AclStatus): Output => ({
  ...identity(port, switchName),
  Name: name,
  Direction: capital(entry.direction),
  Action: capital(entry.action),
  LocalIPAddress: entry.localIPAddress ?? 'ANY',
  RemoteIPAddress: entry.remoteIPAddress ?? 'ANY',
  LocalPort: String(entry.localPort ?? 'ANY'),
  RemotePort: String(entry.remotePort ?? 'ANY'),
  Protocol: String(entry.protocol ?? 'ANY'),
  Weight: entry.weight ?? 0,
  Stateful: entry.stateful ?? false,
  IdleSessionTimeout: entry.idleSessionTimeout ?? 0,
  IsolationID: entry.isolationId ?? 0,
  Packets: packets,
  Bytes: bytes,
  ...(network === undefined ? {} : { ImposedBy: network }),
})

/** Shows what `keeps` says of the adapters that a call names. */
async function shown(call: CmdletCall, extended: boolean, keeps: (one: AclStatus) => boolean = () => true): Promise<Output[]> {
  const { host, ports, switchName } = await adaptersOf(call, { all: true })
  const all = await host.acls({})
  const output = extended ? ruleOutput : aclOutput
  return ports.flatMap((port) =>
    all
      .filter((one) => one.port === port.name && one.extended === extended && keeps(one))
      .map((one) => output(port, switchName, one)),
  )
}

async function add(call: CmdletCall, extended: boolean, entries: readonly Entry[]): Promise<void> {
  const { host, ports } = await adaptersOf(call)
  for (const { name, friendlyName } of ports) {
    if (!call.should('Add to the ACL', friendlyName)) continue
    for (const entry of entries) await host.addAcl({ port: name, extended, entry })
  }
}

/** Removes what `fits` of the ports' own. Throws CliError `no-such-acl` where nothing does. */
async function remove(call: CmdletCall, extended: boolean, fits: (entry: Entry) => boolean): Promise<Output[]> {
  const leaves = ({ entry, network }: AclStatus): boolean => network === undefined && fits(entry)
  const gone = await shown(call, extended, leaves)
  const { host, ports } = await adaptersOf(call)
  if (gone.length === 0)
    throw new CliError('no-such-acl', 'no such entry is there', `Get-VMNetworkAdapter${extended ? 'Extended' : ''}Acl shows them`)
  for (const { name, friendlyName } of ports) {
    const leaving = (await host.acls({ port: name })).filter((one) => one.extended === extended && leaves(one))
    if (leaving.length === 0 || !call.should('Remove from the ACL', friendlyName)) continue
    for (const { entry } of leaving) await host.removeAcl({ port: name, extended, entry })
  }
  return gone
}

const inOut = ['Inbound', 'Outbound']
const adapterColumns = ['VMName', 'VMNetworkAdapterName']

export const aclCmdlets: readonly Cmdlet[] = [
  {
    name: 'Add-VMNetworkAdapterAcl',
    synopsis: 'Adds entries to the ACL of adapters; the longest prefix decides.',
    native: 'vmswitch acl add',
    example: 'Add-VMNetworkAdapterAcl -VMName web -RemoteIPAddress 10.0.0.0/8 -Direction Outbound -Action Deny',
    changes: true,
    passthru: true,
    parameters: [...adapter, action(['Allow', 'Deny', 'Meter']), direction([...inOut, 'Both']), ...addresses],
    async run(call) {
      const entries = entriesOf(call.given)
      await add(call, false, entries)
      return shown(call, false)
    },
  },
  {
    name: 'Get-VMNetworkAdapterAcl',
    synopsis: 'Shows the ACLs of adapters with what they counted.',
    native: 'vmswitch acl list',
    columns: [...adapterColumns, 'Direction', 'LocalAddress', 'RemoteAddress', 'Action', 'Packets', 'Bytes'],
    parameters: adapter,
    run: (call) => shown(call, false),
  },
  {
    name: 'Remove-VMNetworkAdapterAcl',
    synopsis: 'Removes entries from the ACL of adapters.',
    native: 'vmswitch acl remove',
    example: 'Remove-VMNetworkAdapterAcl -VMName web -RemoteIPAddress 10.0.0.0/8 -Direction Outbound -Action Deny',
    changes: true,
    passthru: true,
    parameters: [...adapter, action(['Allow', 'Deny', 'Meter']), direction([...inOut, 'Both']), ...addresses],
    run(call) {
      const wanted = entriesOf(call.given)
      const same = (a: Entry, b: Entry): boolean =>
        Object.keys({ ...a, ...b }).every((key) => String(a[key]).toLowerCase() === String(b[key]).toLowerCase())
      return remove(call, false, (entry) => wanted.some((one) => same(one, entry)))
    },
  },
  {
    name: 'Add-VMNetworkAdapterExtendedAcl',
    synopsis: 'Adds a rule to the extended ACL of adapters; the heaviest is tried first.',
    native: 'vmswitch acl add --extended',
    example:
      'Add-VMNetworkAdapterExtendedAcl -VMName web -Action Allow -Direction Inbound -LocalPort 443 -Protocol TCP -Weight 10 -Stateful $true',
    changes: true,
    passthru: true,
    parameters: [
      ...adapter,
      action(['Allow', 'Deny'], 1),
      direction(inOut, 2),
      { name: 'LocalIPAddress', type: 'string', position: 3, help: "Prefix of the adapter's side, or ANY." },
      { name: 'RemoteIPAddress', type: 'string', position: 4, help: 'Prefix of the other side, or ANY.' },
      { name: 'LocalPort', type: 'string', position: 5, help: 'Port or range of its side, such as 8000-8099, or ANY.' },
      { name: 'RemotePort', type: 'string', position: 6, help: 'Port or range of the other side, or ANY.' },
      { name: 'Protocol', type: 'string', position: 7, help: 'Name or number, or ANY.' },
      { name: 'Weight', type: 'int', position: 8, mandatory: true, help: 'The heaviest rule is tried first.' },
      { name: 'Stateful', type: 'bool', help: 'What it allows opens a connection, which passes both ways.' },
      { name: 'IdleSessionTimeout', type: 'int', min: 1, help: 'Seconds without a packet that end a connection.' },
      { name: 'IsolationID', type: 'int', help: 'VLAN or virtual subnet.' },
    ],
    async run(call) {
      const { given } = call
      const text = (name: string): string | undefined => {
        const value = given.text(name)
        return value === undefined || value.toUpperCase() === 'ANY' ? undefined : value
      }
      const members = {
        localIPAddress: text('LocalIPAddress'),
        remoteIPAddress: text('RemoteIPAddress'),
        localPort: text('LocalPort'),
        remotePort: text('RemotePort'),
        protocol: text('Protocol')?.toLowerCase(),
        weight: given.number('Weight'),
        stateful: given.bool('Stateful'),
        idleSessionTimeout: given.number('IdleSessionTimeout'),
        isolationId: given.number('IsolationID'),
      }
      const rule = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
      const base = { action: given.text('Action')!.toLowerCase(), direction: given.text('Direction')!.toLowerCase() }
      await add(call, true, [{ ...base, ...rule }])
      return shown(call, true, ({ entry }) => entry.weight === members.weight && entry.direction === base.direction)
    },
  },
  {
    name: 'Get-VMNetworkAdapterExtendedAcl',
    synopsis: 'Shows the extended ACLs of adapters with what they counted.',
    native: 'vmswitch acl list',
    columns: [
      ...adapterColumns,
      'Direction',
      'Action',
      'LocalIPAddress',
      'RemoteIPAddress',
      'LocalPort',
      'RemotePort',
      'Protocol',
      'Weight',
      'Packets',
    ],
    parameters: adapter,
    run: (call) => shown(call, true),
  },
  {
    name: 'Remove-VMNetworkAdapterExtendedAcl',
    synopsis: 'Removes rules from the extended ACL of adapters.',
    native: 'vmswitch acl remove --extended',
    changes: true,
    passthru: true,
    parameters: [...adapter, { name: 'Weight', type: 'int', mandatory: true, help: 'Weight of the rule.' }, direction(inOut)],
    run(call) {
      const weight = call.given.number('Weight')
      const way = call.given.text('Direction')!.toLowerCase()
      return remove(call, true, (entry) => (entry.weight ?? 0) === weight && entry.direction === way)
    },
  },
  ...(['Measure-VM', 'Measure-VMNetworkAdapter'] as const).map(
    (name): Cmdlet => ({
      name,
      synopsis: `Shows what was metered of ${name === 'Measure-VM' ? 'VMs' : 'adapters (not of Hyper-V)'}, by address and direction.`,
      native: 'vmswitch acl meter',
      parameters: [
        {
          name: name === 'Measure-VM' ? 'Name' : 'VMName',
          type: 'string',
          list: true,
          position: 0,
          help: 'Names of VMs.',
          aliases: [name === 'Measure-VM' ? 'VMName' : 'Name'],
        },
      ],
      async run({ given, host: connect }) {
        const host = await connect()
        const names = given.texts('Name') ?? given.texts('VMName')
        const acls = (await host.acls({})).filter(({ entry }) => entry.action === 'meter')
        const ports = await host.ports()
        const vms = [...new Set(acls.map(({ vm }) => vm))].filter((vm) => names?.some((one) => isLike(vm, one)) ?? true)
        const ofVm = (vm: string): Output[] =>
          acls
            .filter((one) => one.vm === vm)
            .map((one) => ({
              ...(name === 'Measure-VM'
                ? {}
                : { VMName: vm, VMNetworkAdapterName: ports.find(({ name: of }) => of === one.port)?.friendlyName }),
              LocalAddress: one.entry.localIPAddress ?? one.entry.localMacAddress ?? '',
              RemoteAddress: one.entry.remoteIPAddress ?? one.entry.remoteMacAddress ?? '',
              Direction: capital(one.entry.direction),
              TotalTraffic: Math.floor(one.bytes / 2 ** 20),
              Packets: one.packets,
              Bytes: one.bytes,
            }))
        if (name === 'Measure-VMNetworkAdapter') return vms.flatMap(ofVm)
        return vms.map((vm) => ({ VMName: vm, NetworkMeteredTrafficReport: ofVm(vm) }))
      },
    }),
  ),
]
