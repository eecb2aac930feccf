// The hosts that `vmswitch trace --follow` asks: those of the network, by the file of hosts or where their leases say, and those that are named.
//
// The rule it must not break: a token goes to hosts of the network and named ones only.
import type { NetworkStatus } from '../../manage/cluster/cluster-calls.ts'
import { connectCluster } from '../../manage/cluster/cluster-client.ts'
import { connectControl } from '../../manage/control/control-client.ts'
import type { ControlPlace } from '../../manage/control/control-place.ts'
import type { TraceTunnel } from '../../manage/diagnosis/diagnosis-calls.ts'
import type { Reach, ReachedHost } from '../../manage/diagnosis/follow.ts'
import type { RemoteSwitchHost } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import { findPlace } from '../find-place.ts'

export interface FollowWords {
  readonly follow?: boolean
  readonly toHost?: readonly string[]
  readonly toTokenFile?: string
  readonly toCa?: string
}

const PREFIX_LENGTH = /\/\d+$/

/** Finds hosts behind tunnels for followTrace. Throws what asking this host for its network does. */
export async function reachHosts(context: CommandContext, words: FollowWords): Promise<Reach> {
  const { env, cwd, control } = context
  const { toHost = [], toTokenFile, toCa } = words
  const network = await networkAt(await control())
  const placeOf = (host: string): Promise<ControlPlace> =>
    findPlace(
      {
        host,
        ...(toTokenFile === undefined ? {} : { tokenFile: toTokenFile }),
        ...(toCa === undefined ? {} : { ca: toCa }),
      },
      { env, cwd },
    )
  const named = new NamedHosts(toHost, async (host) => connectControl(await placeOf(memberApi(network, host) ?? host)))
  const member = (name: string): ReachedHost => ({
    name,
    connect: async () => connectControl(await memberPlace(network, name, placeOf)),
  })
  return async (tunnel) => {
    const { provider, host } = tunnel
    if (GROUP.test(provider)) {
      const told = await named.all()
      const members = (network?.hosts ?? []).filter(
        ({ name, providerAddresses }) => name !== network?.host && !providerAddresses.some((address) => told.has(address)),
      )
      const reached = [...new Set(told.values()), ...members.map(({ name }) => member(name))]
      if (reached.length === 0) throw unknownHost(tunnel)
      return reached
    }
    const found = (await named.all()).get(provider)
    if (found !== undefined) return [{ ...found, name: host ?? found.name }]
    if (host === null) throw unknownHost(tunnel)
    return [member(host)]
  }
}

const memberApi = (network: NetworkStatus | null, host: string): string | null =>
  network?.hosts.find(({ name }) => name === host)?.api ?? null

// By the file of hosts, which may have a token of its own for it; else where its lease says.
async function memberPlace(
  network: NetworkStatus | null,
  host: string,
  placeOf: (host: string) => Promise<ControlPlace>,
): Promise<ControlPlace> {
  try {
    return await placeOf(host)
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'no-such-host') throw error
  }
  const api = memberApi(network, host)
  if (api !== null) return placeOf(api)
  throw new CliError(
    'no-api',
    `host ${host} serves its control API on no network: start its service with --listen HOST:PORT, a certificate and --token-file`,
  )
}

const GROUP = /^(22[4-9]|23\d)\.|^ff/

const unknownHost = ({ provider }: TraceTunnel): CliError =>
  GROUP.test(provider)
    ? new CliError('group', `${provider} is a group, and no network says who may be in it: name hosts with --to-host`)
    : new CliError('unknown-host', `nobody says which host has ${provider}: name it with --to-host https://HOST:PORT`)

/** Hosts that the command line names: each says itself which provider addresses it has. */
class NamedHosts {
  readonly #names: readonly string[]
  readonly #connect: (name: string) => Promise<RemoteSwitchHost>
  #found: Promise<ReadonlyMap<string, ReachedHost>> | undefined

  constructor(names: readonly string[], connect: (name: string) => Promise<RemoteSwitchHost>) {
    this.#names = names
    this.#connect = connect
  }

  /** The hosts by provider address; each is one object. */
  async all(): Promise<ReadonlyMap<string, ReachedHost>> {
    this.#found ??= this.#ask()
    return this.#found
  }

  async #ask(): Promise<ReadonlyMap<string, ReachedHost>> {
    const found = new Map<string, ReachedHost>()
    for (const name of this.#names) {
      const host = await this.#connect(name)
      const reached = { name, connect: async () => host }
      for (const address of (await host.overlay())?.providerAddresses ?? [])
        found.set(address.replace(PREFIX_LENGTH, ''), reached)
    }
    return found
  }
}

/** The network that a switch is in; null: it is no service, or in none. */
export async function networkAt(place: ControlPlace): Promise<NetworkStatus | null> {
  try {
    const status = await connectCluster(place).network()
    return status.network === null ? null : status
  } catch (error) {
    if ((error as { code?: unknown }).code === 'no-such-route') return null
    throw error
  }
}
