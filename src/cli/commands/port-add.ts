// `vmswitch port add NAME`: a port on a running switch.
import { resolve } from 'node:path'
import type { PortInput } from '../../manage/config/types.ts'
import type { CommandContext } from '../command-context.ts'
import type { SimpleKind } from '../endpoint-kinds.ts'
import { CliError, ExitCode } from '../exit.ts'
import { endpointPlace } from './ports.ts'

export interface PortWish {
  readonly kind?: SimpleKind | undefined
  /** Socket; relative to the runtime directory. Default: NAME.sock. */
  readonly path?: string | undefined
  readonly interface?: string | undefined
  readonly queues?: number | undefined
  readonly vm?: string | undefined
  readonly mac?: string | undefined
  readonly vlan?: number | undefined
  readonly friendlyName?: string | undefined
  readonly vmqWeight?: number | undefined
  readonly link?: 'up' | 'down' | undefined
}

function endpointOf(name: string, { kind = 'vhost-user', path, interface: interface_, queues }: PortWish): PortInput['endpoint'] {
  const refuse = (message: string): never => {
    throw new CliError('usage', message, 'see vmswitch help port add, and docs/configuration.md', ExitCode.usage)
  }
  const hasInterface = kind === 'tap' || kind === 'uplink'
  if (hasInterface !== (interface_ !== undefined))
    return refuse(
      hasInterface ? `an endpoint of kind ${kind} needs an interface` : `an endpoint of kind ${kind} has no interface`,
    )
  if (path !== undefined && (hasInterface || kind === 'memory')) return refuse(`an endpoint of kind ${kind} has no path`)
  if (queues !== undefined && !hasInterface && kind !== 'vhost-user') return refuse(`an endpoint of kind ${kind} has one queue`)
  if (kind === 'memory') return { kind }
  if (hasInterface) return { kind, interface: interface_!, ...(queues === undefined ? {} : { queues }) }
  const at = path ?? `${name}.sock`
  return kind === 'vhost-user' ? { kind, path: at, ...(queues === undefined ? {} : { queuePairs: queues }) } : { kind, path: at }
}

/** The port as a configuration would have it. Throws CliError `usage`. */
export function portOf(name: string, wish: PortWish): PortInput {
  const { vm, mac, vlan, friendlyName, vmqWeight, link } = wish
  const members = { vm, mac, vlan, friendlyName, vmqWeight, link }
  const named = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
  return { name, ...named, endpoint: endpointOf(name, wish) }
}

export async function addPort({ terminal, connect, cwd }: CommandContext, name: string, wish: PortWish): Promise<void> {
  // A path with a directory is meant from here; a plain name stands in the runtime directory.
  const path = wish.path?.includes('/') ? resolve(cwd, wish.path) : wish.path
  const port = await (await connect()).addPort(portOf(name, { ...wish, path }))
  if (terminal.json) return terminal.data(port)
  terminal.line(`${port.name} is added: ${`${port.endpoint.kind} ${endpointPlace(port.endpoint)}`.trim()}`)
  if (port.endpoint.kind === 'vhost-user') terminal.note(`# attach a guest: vmswitch qemu-args ${port.name}`)
}
