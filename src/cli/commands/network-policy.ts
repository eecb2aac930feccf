// `vmswitch network policy`: what a network imposes on ports of all its hosts.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import type { NetworkPolicy, NetworkPolicyInput } from '../../manage/cluster/cluster-calls.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { asked } from './network.ts'

export interface PolicyOptions {
  readonly subnet?: number
  readonly port?: string
  readonly maximumBandwidth?: string
  readonly maximumReceiveBandwidth?: string
  readonly dhcpGuard?: boolean
  readonly routerGuard?: boolean
  readonly stormLimit?: string
  readonly sourceGuard?: readonly string[]
  /** False: --no-mac-spoofing. */
  readonly macSpoofing?: boolean
  /** False: --no-teaming. */
  readonly teaming?: boolean
  readonly rules?: string
}

export async function policies(context: CommandContext): Promise<void> {
  const status = await asked(context, (cluster) => cluster.network())
  show(context, status.policies)
}

export async function setPolicy(context: CommandContext, name: string, options: PolicyOptions): Promise<void> {
  const { subnet, port } = options
  const properties = await propertiesOf(context, options)
  const input = {
    name,
    ...(subnet === undefined ? {} : { virtualSubnetId: subnet }),
    ...(port === undefined ? {} : { port }),
    properties,
  }
  const status = await asked(context, (cluster) => cluster.setPolicy(input))
  show(context, status.policies)
}

export async function removePolicy(context: CommandContext, name: string): Promise<void> {
  const status = await asked(context, (cluster) => cluster.removePolicy(name))
  show(context, status.policies)
}

type Members = Readonly<Record<string, unknown>>

async function propertiesOf({ cwd }: CommandContext, options: PolicyOptions): Promise<NetworkPolicyInput['properties']> {
  const { maximumBandwidth, maximumReceiveBandwidth, dhcpGuard, routerGuard, stormLimit, sourceGuard } = options
  const members = (all: Members): Members => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  const rules = options.rules === undefined ? undefined : await rulesOf(resolve(cwd, options.rules))
  const values = {
    security: members({
      allowMacSpoofing: options.macSpoofing === false ? false : undefined,
      allowTeaming: options.teaming === false ? false : undefined,
    }),
    protection: members({ dhcpGuard, routerGuard, stormLimit: stormOf(stormLimit), sourceGuard }),
    bandwidth: members({ maximumBandwidth, maximumReceiveBandwidth }),
    'extended-acl': members({ rules }),
  } as const
  const types = ['security', 'protection', 'bandwidth', 'extended-acl'] as const
  return types.filter((type) => Object.keys(values[type]).length > 0).map((type) => ({ type, value: values[type] }))
}

const stormOf = (text: string | undefined): number | string | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : text

async function rulesOf(file: string): Promise<unknown> {
  try {
    return parse(await readFile(file, 'utf8')) as unknown
  } catch (error) {
    throw new CliError(
      'rules-unusable',
      `${file} can't be read: ${(error as Error).message}`,
      'write a list of rules as extendedAcls of a port has them, in YAML or JSON',
      ExitCode.usage,
    )
  }
}

function show({ terminal }: CommandContext, all: readonly NetworkPolicy[]): void {
  if (terminal.json) {
    terminal.data(all)
    return
  }
  terminal.table(
    [{ title: 'POLICY' }, { title: 'FOR' }, { title: 'IMPOSES', flexible: true }, { title: 'PORTS HERE', flexible: true }],
    all.map(({ name, virtualSubnetId, port, properties, ports }) => [
      name,
      port === null ? `virtual subnet ${virtualSubnetId}` : `port ${port}`,
      properties.map(({ type, value }) => `${type} ${JSON.stringify(value)}`).join(', '),
      ports.join(', '),
    ]),
    'the network imposes nothing on ports',
  )
}
