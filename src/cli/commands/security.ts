// `vmswitch security list|set`: what the guests behind ports may send, in words. The properties themselves are `security` and `protection`.
//
// The rule it must not break: what is not named stays as it is, also where a port had neither property before.
import type { PortStatus, PropertyStatus } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { mergeProperty, propertyOf, securityBefore } from '../property-change.ts'
import { oneOf } from '../two-names.ts'

type Switched = 'on' | 'off'

/** What is wanted of a port, in the words of Set-VMNetworkAdapter; the second half in those of Linux. */
export interface SecurityWish {
  readonly macSpoofing?: Switched | undefined
  readonly teaming?: Switched | undefined
  readonly priorityTag?: Switched | undefined
  readonly addressLimit?: number | undefined
  readonly dhcpGuard?: Switched | undefined
  readonly routerGuard?: Switched | undefined
  readonly sourceGuard?: string | undefined
  readonly stormLimit?: string | undefined
  readonly spoofchk?: Switched | undefined
  readonly raGuard?: Switched | undefined
  readonly stormControl?: string | undefined
}

type Members = Readonly<Record<string, unknown>>

const refuse = (message: string, hint: string): never => {
  throw new CliError('usage', message, hint, ExitCode.usage)
}

const isOn = (value: Switched | undefined): boolean | undefined => (value === undefined ? undefined : value === 'on')
const named = (members: Members): Members =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
const list = (text: string): string[] => text.split(',').map((part) => part.trim())
const rate = (text: string): number | string => (/^\d+$/.test(text) ? Number(text) : text)

/** A rate for all kinds of frames together, or one for each: broadcast=100,multicast=50mbit. 0 and off: no limit. */
function stormOf(text: string | undefined): unknown {
  if (text === undefined) return undefined
  if (text === 'off') return 0
  if (!text.includes('=')) return rate(text)
  return Object.fromEntries(
    list(text).map((part) => {
      const [kind = '', value = ''] = part.split('=')
      return [kind, rate(value)]
    }),
  )
}

/** The members of both properties that the words are about; null: a member is taken away. Throws CliError `usage`. */
export function securityChange(wish: SecurityWish): { readonly security: Members; readonly protection: Members } {
  const { macSpoofing, spoofchk, sourceGuard } = wish
  const checked: Switched | undefined = spoofchk === undefined ? undefined : spoofchk === 'on' ? 'off' : 'on'
  const change = {
    security: named({
      allowMacSpoofing: isOn(oneOf('--mac-spoofing', macSpoofing, '--spoofchk', checked)),
      allowTeaming: isOn(wish.teaming),
      allowIeeePriorityTag: isOn(wish.priorityTag),
      dynamicIpAddressLimit: wish.addressLimit,
    }),
    protection: named({
      dhcpGuard: isOn(wish.dhcpGuard),
      routerGuard: isOn(oneOf('--router-guard', wish.routerGuard, '--ra-guard', wish.raGuard)),
      stormLimit: stormOf(oneOf('--storm-limit', wish.stormLimit, '--storm-control', wish.stormControl)),
      sourceGuard: sourceGuard === 'off' ? null : sourceGuard === undefined ? undefined : list(sourceGuard),
    }),
  }
  if (Object.keys(change.security).length + Object.keys(change.protection).length === 0)
    refuse('nothing is named that could be changed', 'see vmswitch help security set')
  return change
}

interface PortSecurity {
  readonly port: string
  readonly vm: string
  readonly security: Members
  readonly protection: Members
}

function securityOf(port: PortStatus, properties: readonly PropertyStatus[]): PortSecurity {
  const security = propertyOf(properties, port.name, 'security') ?? securityBefore(port)
  return { port: port.name, vm: port.vm, security, protection: propertyOf(properties, port.name, 'protection') ?? {} }
}

function stormWords(limit: unknown): string[] {
  if (limit === undefined || limit === 0) return []
  if (typeof limit !== 'object') return [`storm ${String(limit)}`]
  return Object.entries(limit as Members).map(([kind, value]) => `${kind} ${String(value)}`)
}

const allowedWords = ({ allowMacSpoofing, allowTeaming, allowIeeePriorityTag }: Members): string =>
  [allowMacSpoofing ? 'mac-spoofing' : '', allowTeaming ? 'teaming' : '', allowIeeePriorityTag ? 'priority-tag' : '']
    .filter((word) => word !== '')
    .join(', ')

const guardWords = (
  { dynamicIpAddressLimit = 0 }: Members,
  { dhcpGuard, routerGuard, sourceGuard, stormLimit }: Members,
): string =>
  [
    ...(dhcpGuard ? ['dhcp'] : []),
    ...(routerGuard ? ['router'] : []),
    ...(Array.isArray(sourceGuard) ? [`sources ${sourceGuard.join(' ')}`.trimEnd()] : []),
    ...(dynamicIpAddressLimit === 0 ? [] : [`at most ${String(dynamicIpAddressLimit)} learned`]),
    ...stormWords(stormLimit),
  ].join(', ')

export async function listSecurity({ terminal, connect }: CommandContext, port: string | undefined): Promise<void> {
  const host = await connect()
  const [ports, properties] = await Promise.all([host.ports(), host.properties({ port })])
  const answer = ports.filter(({ name }) => port === undefined || name === port).map((one) => securityOf(one, properties))
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [{ title: 'PORT', flexible: true }, { title: 'VM', flexible: true }, { title: 'MAY' }, { title: 'GUARDS', flexible: true }],
    answer.map(({ port: name, vm, security, protection }) => [
      name,
      vm,
      allowedWords(security) || '-',
      guardWords(security, protection) || '-',
    ]),
    'the switch has no ports',
  )
}

export async function setSecurity(context: CommandContext, name: string, wish: SecurityWish): Promise<void> {
  const { security, protection } = securityChange(wish)
  const host = await context.connect()
  const port = (await host.ports()).find((one) => one.name === name)
  if (port === undefined) throw new CliError('no-such-port', `there is no port "${name}"`, 'see vmswitch ports')
  if (Object.keys(security).length > 0) await mergeProperty(host, name, 'security', security, securityBefore(port))
  const guards = Object.fromEntries(Object.entries(protection).map(([member, value]) => [member, value ?? undefined]))
  if (Object.keys(guards).length > 0) await mergeProperty(host, name, 'protection', guards)
  return listSecurity(context, name)
}
