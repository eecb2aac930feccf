// Cmdlets of Hyper-V Network Virtualization (module NetWNV): look-up records, and the provider address of the switch.
//
// A record of Hyper-V is one customer address; the switch's is one guest with its addresses. A guest without an address is a record of
// type L2Only.
import type { RemoteSwitchHost } from '../../manage/host.ts'
import type { OverlayRecord, OverlayStatus } from '../../manage/overlay/overlay-calls.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import type { Given } from './parameters.ts'

const VSID_MAX = 0xffffff
const none = 'there is no overlay: overlay in the configuration makes one'

const keys: readonly Parameter[] = [
  { name: 'CustomerAddress', type: 'string', list: true, help: 'IP address of the guest.' },
  { name: 'VirtualSubnetID', type: 'int', list: true, min: 1, max: VSID_MAX, help: 'Its virtual subnet.' },
  { name: 'MACAddress', type: 'mac', list: true, help: 'Its MAC address.' },
  { name: 'ProviderAddress', type: 'string', list: true, help: 'Address of the host that it is on.' },
]
const one = (parameter: Parameter, more: Partial<Parameter> = {}): Parameter => ({ ...parameter, list: false, ...more })
const named = (name: string): Parameter => keys.find((parameter) => parameter.name === name)!
const rule: Parameter = {
  name: 'Rule',
  type: 'string',
  values: ['TranslationMethodEncap'],
  help: 'How frames get to it: they are encapsulated.',
}
const type: Parameter = { name: 'Type', type: 'string', values: ['Static', 'Dynamic', 'L2Only'], help: 'Kind of the record.' }
const refused = {
  CustomerID: 'is not there: routing domains have names, and belong to the virtual subnet',
  Context: 'is not there',
  UseVmMACAddress: 'is not there: give the MAC address',
  VMName: 'is not there: records are known by -MACAddress and -CustomerAddress',
  Unicast: 'is not there: all records are of guests',
}

/** The overlay of the switch. Throws CliError no-overlay. */
export async function overlayOf(call: CmdletCall): Promise<{ host: RemoteSwitchHost; overlay: OverlayStatus }> {
  const host = await call.host()
  const overlay = await host.overlay()
  if (overlay === null) throw new CliError('no-overlay', none, 'docs/overlays.md tells how', ExitCode.failed)
  return { host, overlay }
}

const bareMac = (mac: string): string => mac.replaceAll(':', '').toUpperCase()

function outputs(record: OverlayRecord, domains: ReadonlyMap<number, string>): Output[] {
  const { vsid, mac, provider, kind, addresses } = record
  const row = (address: string): Output => ({
    CustomerAddress: address,
    VirtualSubnetID: vsid,
    MACAddress: bareMac(mac),
    ProviderAddress: provider,
    RoutingDomain: domains.get(vsid) ?? '',
    Rule: 'TranslationMethodEncap',
    Type: kind === 'learned' ? 'Dynamic' : address === '' ? 'L2Only' : 'Static',
  })
  return addresses.length === 0 ? [row('')] : addresses.map(row)
}

interface Row {
  readonly record: OverlayRecord
  /** Empty: the guest has none. */
  readonly address: string
}

/** Records with one of their addresses each, that `given` fits. */
async function rowsOf({ given }: { given: Given }, host: RemoteSwitchHost): Promise<readonly Row[]> {
  const kind = given.text('Type')
  const fits = ({ record, address }: Row): boolean =>
    (given.texts('CustomerAddress')?.includes(address) ?? true) &&
    (given.numbers('VirtualSubnetID')?.includes(record.vsid) ?? true) &&
    (given.texts('MACAddress')?.includes(record.mac) ?? true) &&
    (given.texts('ProviderAddress')?.includes(record.provider) ?? true) &&
    (kind === undefined || outputs({ ...record, addresses: address === '' ? [] : [address] }, new Map())[0]?.Type === kind)
  const all = (await host.overlayRecords({})).flatMap((record): Row[] =>
    record.addresses.length === 0 ? [{ record, address: '' }] : record.addresses.map((address) => ({ record, address })),
  )
  return all.filter(fits)
}

const domainsOf = ({ subnets }: OverlayStatus): ReadonlyMap<number, string> =>
  new Map(subnets.map(({ vsid, routingDomain }) => [vsid, routingDomain ?? '']))

async function add(call: CmdletCall): Promise<readonly Output[]> {
  const { given } = call
  const { host, overlay } = await overlayOf(call)
  const vsid = given.number('VirtualSubnetID')!
  const mac = given.text('MACAddress')!
  const provider = given.text('ProviderAddress')!
  const address = given.text('CustomerAddress')
  if (!call.should('Add a lookup record', `${address ?? mac} of ${vsid}`)) return []
  const [before] = await host.overlayRecords({ vsid, mac })
  if (address !== undefined && before?.addresses.includes(address) === true)
    throw new CliError('record-exists', `${address} of virtual subnet ${vsid} has a record already`, '', ExitCode.failed)
  const addresses = [...(before?.kind === 'static' ? before.addresses : []), ...(address === undefined ? [] : [address])]
  const record = await host.setOverlayRecord({ vsid, mac, provider, addresses })
  return outputs({ ...record, addresses: address === undefined ? [] : [address] }, domainsOf(overlay))
}

async function remove(call: CmdletCall): Promise<readonly Output[]> {
  const { host, overlay } = await overlayOf(call)
  const rows = await rowsOf(call, host)
  const gone: Output[] = []
  const left = new Map<OverlayRecord, readonly string[]>()
  for (const { record, address } of rows) {
    if (!call.should('Remove the lookup record', `${address || record.mac} of ${record.vsid}`)) continue
    left.set(
      record,
      (left.get(record) ?? record.addresses).filter((one) => one !== address),
    )
    gone.push(...outputs({ ...record, addresses: address === '' ? [] : [address] }, domainsOf(overlay)))
  }
  for (const [{ vsid, mac, provider }, addresses] of left)
    if (addresses.length === 0) await host.removeOverlayRecord({ vsid, mac })
    else await host.setOverlayRecord({ vsid, mac, provider, addresses: [...addresses] })
  return gone
}

async function change(call: CmdletCall): Promise<readonly Output[]> {
  const { given } = call
  const { host, overlay } = await overlayOf(call)
  const address = given.text('CustomerAddress')!
  const vsid = given.number('VirtualSubnetID')!
  const [before] = await host.overlayRecords({ vsid, address })
  if (before === undefined)
    throw new CliError(
      'no-such-record',
      `${address} of virtual subnet ${vsid} has no record`,
      'New-NetVirtualizationLookupRecord makes one',
      ExitCode.failed,
    )
  const provider = given.text('ProviderAddress') ?? before.provider
  const mac = given.text('MACAddress') ?? before.mac
  if (!call.should('Change the lookup record', `${address} of ${vsid}`)) return []
  if (mac !== before.mac) await host.removeOverlayRecord({ vsid, mac: before.mac })
  const record = await host.setOverlayRecord({ vsid, mac, provider, addresses: [...before.addresses] })
  return outputs({ ...record, addresses: [address] }, domainsOf(overlay))
}

const columns = ['CustomerAddress', 'VirtualSubnetID', 'MACAddress', 'ProviderAddress', 'RoutingDomain', 'Type']

export const overlayCmdlets: readonly Cmdlet[] = [
  {
    name: 'New-NetVirtualizationLookupRecord',
    synopsis: 'Says on which host a guest of a virtual subnet is.',
    native: 'vmswitch overlay record add',
    example:
      'New-NetVirtualizationLookupRecord -VirtualSubnetID 5001 -CustomerAddress 10.0.0.2 -MACAddress 020000000002 -ProviderAddress 192.0.2.2 -Rule TranslationMethodEncap',
    changes: true,
    columns,
    parameters: [
      one(named('VirtualSubnetID'), { mandatory: true }),
      one(named('CustomerAddress')),
      one(named('MACAddress'), { mandatory: true }),
      one(named('ProviderAddress'), { mandatory: true }),
      rule,
    ],
    refused,
    run: add,
  },
  {
    name: 'Get-NetVirtualizationLookupRecord',
    synopsis: 'Shows the look-up records: on which host each guest is.',
    native: 'vmswitch overlay records',
    columns,
    parameters: [...keys, type],
    refused,
    async run(call) {
      const { host, overlay } = await overlayOf(call)
      const domains = domainsOf(overlay)
      const rows = await rowsOf(call, host)
      return rows.flatMap(({ record, address }) => outputs({ ...record, addresses: address === '' ? [] : [address] }, domains))
    },
  },
  {
    name: 'Set-NetVirtualizationLookupRecord',
    synopsis: 'Changes the host, or the MAC address, of the guest with a customer address.',
    native: 'vmswitch overlay record add',
    example: 'Set-NetVirtualizationLookupRecord -CustomerAddress 10.0.0.2 -VirtualSubnetID 5001 -ProviderAddress 192.0.2.3',
    changes: true,
    passthru: true,
    columns,
    parameters: [
      one(named('CustomerAddress'), { mandatory: true }),
      one(named('VirtualSubnetID'), { mandatory: true }),
      one(named('MACAddress')),
      one(named('ProviderAddress')),
      rule,
    ],
    refused,
    run: change,
  },
  {
    name: 'Remove-NetVirtualizationLookupRecord',
    synopsis: 'Removes look-up records.',
    native: 'vmswitch overlay record remove',
    changes: true,
    passthru: true,
    columns,
    parameters: [...keys, type],
    refused,
    run: remove,
  },
  {
    name: 'Get-NetVirtualizationProviderAddress',
    synopsis: "Shows the addresses of this host's ends of the tunnels.",
    native: 'vmswitch overlay',
    columns: ['ProviderAddress', 'PrefixLength', 'MACAddress', 'AddressState'],
    parameters: [{ name: 'ProviderAddress', type: 'string', list: true, help: 'These only.' }],
    async run(call) {
      const { overlay } = await overlayOf(call)
      const wanted = call.given.texts('ProviderAddress')
      return overlay.providerAddresses
        .map((text) => text.split('/') as [string, string])
        .filter(([address]) => wanted?.includes(address) ?? true)
        .map(([address, length]) => ({
          ProviderAddress: address,
          PrefixLength: Number(length),
          MACAddress: bareMac(overlay.providerMac),
          AddressState: 'Preferred',
        }))
    },
  },
]

const configured = 'providerAddresses of overlay: change the configuration file, and vmswitch apply FILE --restart'
/** Cmdlets of NetWNV that have no operation here. */
export const absentOverlayCmdlets: Readonly<Record<string, string>> = {
  'New-NetVirtualizationProviderAddress': configured,
  'Set-NetVirtualizationProviderAddress': configured,
  'Remove-NetVirtualizationProviderAddress': configured,
  'New-NetVirtualizationProviderRoute': 'gateway of a provider address is the route to other hosts',
  'Get-NetVirtualizationProviderRoute': 'gateway of a provider address is the route to other hosts',
  'Remove-NetVirtualizationProviderRoute': 'gateway of a provider address is the route to other hosts',
  'Get-NetVirtualizationGlobal': 'vmswitch overlay shows it',
  'Set-NetVirtualizationGlobal': 'overlay in the configuration',
  'Select-NetVirtualizationNextHop': 'vmswitch trace follows a frame into the tunnel',
}
