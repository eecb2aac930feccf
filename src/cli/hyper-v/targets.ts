// Which adapters a cmdlet is about: -VMName, -Name and -ManagementOS, with wildcards.
//
// The rule it must not break: a change without a name touches nothing; only who says `*` means all.
import { nearest } from '../../manage/config/suggest.ts'
import type { PortStatus, RemoteSwitchHost } from '../../manage/host.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { CmdletCall, Parameter } from './cmdlet.ts'

/** Name of the port that is the host's own. */
const MANAGEMENT_PORT = 'management-os'

export const isExternal = ({ endpoint }: PortStatus): boolean => endpoint.kind === 'uplink' || endpoint.kind === 'adapter'
export const isManagement = ({ name }: PortStatus): boolean => name === MANAGEMENT_PORT

/** The parameters that name adapters; the adapter's own is called -Name or -VMNetworkAdapterName. */
export function adapterParameters(own: 'Name' | 'VMNetworkAdapterName', more: Partial<Parameter> = {}): readonly Parameter[] {
  return [
    {
      name: 'VMName',
      type: 'string',
      list: true,
      position: 0,
      help: 'VMs whose adapters are meant; * stands for any characters.',
    },
    {
      name: own,
      type: 'string',
      help: 'Name of the adapter: its name for people, or that of its port.',
      aliases: [own === 'Name' ? 'VMNetworkAdapterName' : 'Name'],
      ...more,
    },
    { name: 'ManagementOS', type: 'switch', help: "The host's own adapter." },
  ]
}

/** Whether `text` fits a pattern with * and ?, in any case. */
export function isLike(text: string, pattern: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 'is').test(text)
}

export const hasWildcard = (text: string): boolean => /[*?]/.test(text)

export interface Targets {
  readonly host: RemoteSwitchHost
  readonly switchName: string
  readonly ports: readonly PortStatus[]
}

/** The adapters that a call names. Throws CliError `no-such-adapter`; `usage`, where it names none and `all` is not meant then. */
export async function adaptersOf({ given, host: connect }: CmdletCall, { all = false } = {}): Promise<Targets> {
  const vms = given.texts('VMName')
  const name = given.text('Name') ?? given.text('VMNetworkAdapterName')
  const management = given.flag('ManagementOS')
  if (!(all || vms !== undefined || management))
    throw new CliError('usage', 'whose adapter? -VMName or -ManagementOS must be given', '-VMName * means all', ExitCode.usage)
  const host = await connect()
  const [status, every] = await Promise.all([host.status(), host.ports()])
  const isNamed = (port: PortStatus): boolean => name === undefined || isLike(port.friendlyName, name) || isLike(port.name, name)
  const ofVms = (port: PortStatus): boolean => vms === undefined || vms.some((vm) => isLike(port.vm, vm))
  const ports = every
    .filter((port) => !isExternal(port))
    .filter((port) => (management ? isManagement(port) : given.flag('All') || (!isManagement(port) && ofVms(port))))
    .filter(isNamed)
  if (ports.length === 0 && isMissing(vms, name, management)) throw noAdapter(every, vms, name, management)
  return { host, switchName: status.name, ports }
}

const isMissing = (vms: readonly string[] | undefined, name: string | undefined, management: boolean): boolean =>
  management || (name !== undefined && !hasWildcard(name)) || (vms?.some((vm) => !hasWildcard(vm)) ?? false)

function noAdapter(
  every: readonly PortStatus[],
  vms: readonly string[] | undefined,
  name: string | undefined,
  management: boolean,
): CliError {
  if (management)
    return new CliError(
      'no-such-adapter',
      'the host has no adapter on the switch',
      'New-VMSwitch -AllowManagementOS $true gives it one',
    )
  const [vm = ''] = vms ?? []
  const near = nearest(vm, [...new Set(every.filter((port) => !isExternal(port)).map((port) => port.vm))])
  const what = `${vm === '' ? 'no VM' : `VM "${vm}"`} has ${vm === '' ? 'an' : 'no'} adapter${name === undefined ? '' : ` "${name}"`}`
  return new CliError(
    'no-such-adapter',
    what,
    near === null || near === vm ? 'Get-VMNetworkAdapter shows all' : `did you mean "${near}"?`,
  )
}

/** Throws where `-SwitchName` names another switch than the one that runs. */
export function checkSwitch(named: string | readonly string[] | undefined, running: string): void {
  const names = named === undefined ? [] : typeof named === 'string' ? [named] : named
  const other = names.find((name) => !isLike(running, name))
  if (other !== undefined)
    throw new CliError(
      'no-such-switch',
      `there is no switch "${other}": the one that runs is "${running}"`,
      'choose another with --socket PATH',
    )
}

/** 00155D010203, as Hyper-V writes addresses; '' without one. */
export const macText = (mac: string | null): string => (mac ?? '').replaceAll(':', '').toUpperCase()
