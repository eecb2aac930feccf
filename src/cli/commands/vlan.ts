// `vmswitch vlan list|set|clear`: the VLANs of ports, in words; the property itself is `vlan`.
import type { VlanProperty } from '../../ndis/standard-properties.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { propertyOf, putProperty } from '../property-change.ts'
import { oneOf } from '../two-names.ts'

/** What is wanted of a port. Lists are written 10,20-30. The last three are the names that Open vSwitch and Linux bridges have. */
export interface VlanWish {
  readonly access?: number | undefined
  readonly trunk?: string | undefined
  readonly native?: number | undefined
  readonly isolated?: boolean | undefined
  readonly community?: boolean | undefined
  readonly promiscuous?: boolean | undefined
  readonly primary?: number | undefined
  readonly secondary?: string | undefined
  readonly tag?: number | undefined
  readonly trunks?: string | undefined
  readonly pvid?: number | undefined
}

type Written = Readonly<Record<string, unknown>>

const list = (text: string): string[] => text.split(',').map((part) => part.trim())

const refuse = (message: string): never => {
  throw new CliError(
    'usage',
    message,
    'one of --access ID, --trunk LIST, --isolated, --community and --promiscuous is needed; see vmswitch help vlan set',
    ExitCode.usage,
  )
}

/** The value of the property. Throws CliError `usage` where the words do not fit together. */
export function vlanValue({ tag, trunks, pvid, ...wish }: VlanWish): Written {
  const { isolated, community, promiscuous, primary, secondary } = wish
  const other = oneOf('--tag', tag, '--pvid', pvid)
  const trunk = oneOf('--trunk', wish.trunk, '--trunks', trunks)
  const access = trunk !== undefined ? wish.access : oneOf('--access', wish.access, '--tag', other)
  const native = trunk === undefined ? wish.native : oneOf('--native', wish.native, '--tag', other)
  const modes = [access !== undefined, trunk !== undefined, isolated, community, promiscuous].filter(Boolean)
  if (modes.length !== 1) return refuse(modes.length === 0 ? 'no mode is named' : 'a port has one mode')
  if (native !== undefined && trunk === undefined) return refuse('a native VLAN is for trunks')
  if (access !== undefined) return { mode: 'access', accessVlanId: access }
  if (trunk !== undefined) return { mode: 'trunk', nativeVlanId: native ?? 0, trunkVlanIds: list(trunk) }
  if (primary === undefined || secondary === undefined) return refuse('a private VLAN has a primary and a secondary one')
  const pvlanMode = isolated ? 'isolated' : community ? 'community' : 'promiscuous'
  if (pvlanMode === 'promiscuous')
    return { mode: 'private', pvlanMode, primaryVlanId: primary, secondaryVlanIds: list(secondary) }
  return { mode: 'private', pvlanMode, primaryVlanId: primary, secondaryVlanId: Number(secondary) }
}

const ranges = (written: unknown): string =>
  (Array.isArray(written) ? written : [written]).map((part) => (Array.isArray(part) ? part.join('-') : String(part))).join(',')

/** Mode and VLANs in words, from the property as it was written. */
export function vlanWords(written: Written | undefined): { readonly mode: string; readonly vlans: string } {
  const value = written as Partial<Record<string, unknown>> & { readonly mode?: VlanProperty['mode'] }
  if (written === undefined) return { mode: 'untagged', vlans: '-' }
  if (value.mode === 'access') return { mode: 'access', vlans: String(value.accessVlanId) }
  if (value.mode === 'trunk') return { mode: 'trunk', vlans: `${String(value.nativeVlanId ?? 0)},${ranges(value.trunkVlanIds)}` }
  const secondary = value.pvlanMode === 'promiscuous' ? ranges(value.secondaryVlanIds) : String(value.secondaryVlanId)
  return { mode: String(value.pvlanMode), vlans: `${String(value.primaryVlanId)},${secondary}` }
}

export async function listVlans({ terminal, connect }: CommandContext, port: string | undefined): Promise<void> {
  const host = await connect()
  const [ports, properties] = await Promise.all([host.ports(), host.properties({ port })])
  const answer = ports
    .filter(({ name }) => port === undefined || name === port)
    .map(({ name, vm }) => ({ port: name, vm, ...vlanWords(propertyOf(properties, name, 'vlan')) }))
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [{ title: 'PORT', flexible: true }, { title: 'VM', flexible: true }, { title: 'MODE' }, { title: 'VLANS', flexible: true }],
    answer.map(({ port: name, vm, mode, vlans }) => [name, vm, mode, vlans]),
    'the switch has no ports',
  )
}

export async function setVlan(context: CommandContext, port: string, wish: VlanWish): Promise<void> {
  const value = vlanValue(wish)
  await putProperty(await context.connect(), port, 'vlan', value)
  return listVlans(context, port)
}

export async function clearVlan(context: CommandContext, port: string): Promise<void> {
  await putProperty(await context.connect(), port, 'vlan', null)
  return listVlans(context, port)
}
