// A service's place in a network: joins, leaves, and comes back to it at each start.
//
// The rule it must not break: what a network does, or does not, never stops the switch; a service without a network talks to nobody.
import { randomUUID } from 'node:crypto'
import type { OverlayControl } from '../../switch/overlay/overlay-control.ts'
import type { ImposedPolicy } from '../../switch/policies/imposed.ts'
import type { ResolvedConfig, ResolvedPort } from '../config/types.ts'
import { ControlError } from '../control/control-errors.ts'
import type { EventLog } from '../host.ts'
import { Arrivals } from './arrivals.ts'
import type {
  ClusterCalls,
  JoinRequest,
  NetworkArrival,
  NetworkPolicyInput,
  NetworkStatus,
  NetworkSubnetInput,
} from './cluster-calls.ts'
import { ClusterError } from './cluster-error.ts'
import { sharedPorts } from './config-ports.ts'
import { NETWORK_KEY, policyKey, subnetKey } from './keys.ts'
import { Lingering } from './lingering.ts'
import { NatsStore } from './nats-store.ts'
import { NetworkPolicies } from './network-policies.ts'
import { nothingSeen, seenNetwork, seenTunnels } from './network-status.ts'
import { OverlayFeed } from './overlay-feed.ts'
import { policySchema, RECORD_VERSION, subnetSchema, writeRecord } from './records.ts'
import { ClusterSession, type LookupDifferences } from './session.ts'
import { checkedMembership, declaredMembership, isSameWish, type StoredMembership, storeOptions } from './stored-membership.ts'
import { TunnelRates } from './tunnel-rates.ts'

const JOIN_TIMEOUT_MS = 20_000
const RETRY_MS = 3000
/** How long the claims of a port that is about to come may take. */
const CLAIM_MS = 10_000

export interface MembershipComponents {
  readonly load: () => StoredMembership | null
  /** Throws `not-stored`. */
  readonly save: (membership: StoredMembership | null) => void
  readonly config: () => ResolvedConfig | null
  readonly overlay: () => OverlayControl | null
  /** Brings what the network imposes on ports into force. */
  readonly impose: (policies: readonly ImposedPolicy[]) => Promise<void>
  /** Ports of the switch on which a policy of this name is imposed. */
  readonly imposedOn: (policy: string) => readonly string[]
  /** A port that the switch has, stored or only prepared; null: it has none of this name. */
  readonly port: (name: string) => ResolvedPort | null
  /** Takes a port back that was prepared for a move, and does not come. */
  readonly abandon: (port: string) => Promise<void>
  /** Where other hosts can ask this one's control API; null: nowhere. */
  readonly api: () => string | null
  readonly log: EventLog
  readonly software: string
}

interface Joined {
  readonly membership: StoredMembership
  session: ClusterSession | null
  closed: boolean
  retry: NodeJS.Timeout | undefined
  problem: string | null
}

const now = (): number => performance.now()

export class Membership implements ClusterCalls {
  readonly #components: MembershipComponents
  readonly #feed: OverlayFeed
  readonly #lingering: Lingering
  readonly #policies: NetworkPolicies
  readonly #rates = new TunnelRates()
  #joined: Joined | null = null
  #since = new Date()
  /** When the standing in the network that was asked for last began. */
  #standing = { sinceMs: Number.NaN, since: new Date() }
  #queue: Promise<unknown> = Promise.resolve()
  #feeding: Promise<void> = Promise.resolve()
  /** Ports that are about to move here, by name. */
  readonly #coming: Arrivals

  constructor(components: MembershipComponents) {
    this.#components = components
    this.#feed = new OverlayFeed(components.overlay)
    this.#lingering = new Lingering({
      nowMs: now,
      after: (ms, work) => setTimeout(work, ms).unref(),
      ended: () => {
        if (this.#joined?.session) void this.#bring(this.#joined.session)
      },
    })
    this.#coming = new Arrivals({
      after: (ms, work) => {
        const timer = setTimeout(work, ms)
        return () => clearTimeout(timer)
      },
      silent: (name) => void this.#giveUp(name),
    })
    this.#policies = new NetworkPolicies(components.load()?.policies ?? [], {
      impose: components.impose,
      save: (policies) => {
        const stored = components.load()
        if (stored !== null) components.save({ ...stored, policies })
      },
    })
  }

  /** What the network imposes on ports, as far as it is known: for a switch that starts. */
  imposed(): readonly ImposedPolicy[] {
    return this.#policies.all
  }

  /** Comes back to the network that is stored; in its own time, where that can't be reached. */
  start(): void {
    void this.#inOrder(async () => {
      const membership = this.#components.load()
      if (membership === null || this.#joined !== null) return
      this.#joined = { membership, session: null, closed: false, retry: undefined, problem: null }
      void this.#connectAgain(this.#joined)
    })
  }

  join(request: JoinRequest): Promise<NetworkStatus> {
    return this.#inOrder(async () => {
      if (this.#joined !== null)
        throw new ControlError('already-joined', `this host is in network "${this.#joined.membership.network}": leave it first`)
      const membership = checkedMembership(request)
      const joined: Joined = { membership, session: null, closed: false, retry: undefined, problem: null }
      try {
        const session = await this.#open(joined)
        const isIn = await session.until(() => session.reconciler.standing !== 'joining', JOIN_TIMEOUT_MS)
        if (!isIn)
          throw new ClusterError(
            'unreachable',
            `network "${membership.network}" was not heard within ${JOIN_TIMEOUT_MS / 1000} s`,
          )
        if (session.reconciler.standing !== 'joined')
          throw new ClusterError('refused', `network "${membership.network}" does not take this host: update this vmswitch`)
        await this.#nameNetwork(session, membership.network)
        await session.until(() => session.reconciler.settled, JOIN_TIMEOUT_MS)
        await session.applied()
        this.#components.save({ ...membership, policies: this.#policies.written })
        this.#joined = joined
        this.#since = new Date()
      } catch (error) {
        joined.closed = true
        await joined.session?.close()
        await this.#policies.clear()
        throw controlError(error)
      }
      return this.network()
    })
  }

  leave(): Promise<{ readonly left: readonly string[] }> {
    return this.#inOrder(async () => {
      const joined = this.#joined
      if (joined === null) throw notJoined()
      if (this.#components.config()?.cluster !== undefined)
        throw new ControlError('refused', 'the configuration names this network: take cluster out of it, and apply it')
      return { left: await this.#leave(joined) }
    })
  }

  async #leave(joined: Joined): Promise<readonly string[]> {
    this.#components.save(null)
    this.#joined = null
    this.#since = new Date()
    const left = (await joined.session?.leave()) ?? [
      'the network can not be reached: this host is in it until its lease runs out',
    ]
    await this.#end(joined)
    await this.#bring(null)
    await this.#policies.clear()
    this.#components.log({
      source: 'network',
      code: 'left',
      message: `this host has left network ${joined.membership.network}`,
    })
    return left
  }

  async network(): Promise<NetworkStatus> {
    const joined = this.#joined
    const reconciler = joined?.session?.reconciler
    const seen = reconciler === undefined ? nothingSeen : seenNetwork(reconciler, now())
    const overlay = this.#components.overlay()
    const tunnels = overlay?.status().tunnels ?? []
    const isKnown = reconciler !== undefined && reconciler.standing !== 'joining'
    return {
      network: joined?.membership.network ?? null,
      host: joined?.membership.host ?? null,
      servers: joined?.membership.servers ?? null,
      state: joined === null ? 'alone' : (reconciler?.standing ?? 'joining'),
      since: (isKnown ? this.#dateOf(reconciler.sinceMs) : this.#since).toISOString(),
      message: joined?.problem ?? null,
      lookups: overlay === null ? null : this.#feed.size,
      ...seen,
      policies: seen.policies.map((policy) => ({ ...policy, ports: this.#components.imposedOn(policy.name) })),
      tunnels: seenTunnels(tunnels, seen.hosts, this.#rates.read(tunnels, now())),
    }
  }

  async setSubnet(input: NetworkSubnetInput): Promise<NetworkStatus> {
    const parsed = subnetSchema.safeParse({ v: RECORD_VERSION, ...input })
    if (!parsed.success)
      throw new ControlError('bad-request', parsed.error.issues[0]?.message ?? 'the virtual subnet is malformed')
    return this.#write(subnetKey(input.virtualSubnetId), JSON.parse(JSON.stringify(parsed.data)) as object)
  }

  async removeSubnet(virtualSubnetId: number): Promise<NetworkStatus> {
    if (this.#session().reconciler.view.subnets.get(virtualSubnetId) === undefined)
      throw new ControlError('no-such-subnet', `the network has no virtual subnet ${virtualSubnetId}`)
    return this.#write(subnetKey(virtualSubnetId), null)
  }

  async setPolicy(input: NetworkPolicyInput): Promise<NetworkStatus> {
    const parsed = policySchema.safeParse({ v: RECORD_VERSION, ...input })
    if (!parsed.success) throw new ControlError('bad-request', parsed.error.issues[0]?.message ?? 'the policy is malformed')
    return this.#write(policyKey(input.name), JSON.parse(JSON.stringify(parsed.data)) as object)
  }

  async removePolicy(name: string): Promise<NetworkStatus> {
    if (!this.#session().reconciler.view.policies.has(name))
      throw new ControlError('no-such-policy', `the network has no policy "${name}"`)
    return this.#write(policyKey(name), null)
  }

  // What the configuration asks for: another network, other servers of it, or none any more.
  #follow(): Promise<void> {
    return this.#inOrder(async () => {
      const wish = declaredMembership(this.#components.config()?.cluster)
      const joined = this.#joined
      if (wish === null) {
        if (joined?.membership.declared === true) await this.#leave(joined)
        return
      }
      const stored = this.#components.load()
      if (stored !== null && isSameWish(stored, wish)) return
      const isSame = stored?.network === wish.network && stored.host === wish.host
      if (joined !== null && isSame) await this.#end(joined)
      else if (joined !== null) await this.#leave(joined)
      this.#components.save({ ...wish, policies: this.#policies.written })
      const next: Joined = { membership: wish, session: null, closed: false, retry: undefined, problem: null }
      this.#joined = next
      this.#since = new Date()
      void this.#connectAgain(next)
    }).catch((error: Error) => this.#components.log({ source: 'network', code: 'network-not-applied', message: error.message }))
  }

  // A network that imposed something before has lost its records, if it has no name: that is for a person to see.
  async #nameWhenHeard({ session, membership }: Joined): Promise<void> {
    if (session === null || this.#policies.all.length > 0) return
    if (await session.until(() => session.reconciler.standing === 'joined', JOIN_TIMEOUT_MS))
      await this.#nameNetwork(session, membership.network)
  }

  /** The ports of the configuration, or the switch itself, may be others now. */
  configChanged(): void {
    void this.#follow()
    const session = this.#joined?.session
    if (session === null || session === undefined) return
    this.#setPorts(session)
    void this.#bring(session)
  }

  async expectPort(name: string, from: string): Promise<NetworkArrival> {
    const session = this.#session()
    const port = this.#components.port(name)
    if (port === null) throw new ControlError('no-such-port', `port "${name}" was not prepared here`)
    if (from === session.reconciler.options.host)
      throw new ControlError('bad-request', `port "${name}" can't come from ${from}: that is this host`)
    const isKnown = this.#coming.expect(name, { from, port })
    if (isKnown) return this.#arrival(session, name)
    this.configChanged()
    const { reconciler } = session
    if (!reconciler.ports.some((one) => one.name === name)) {
      this.#coming.forget(name)
      return { state: null } // the network knows guests' ports with an address of their own
    }
    const refusal = (): string | null => reconciler.states.get(name)?.message ?? null
    await session.until(() => reconciler.isAnnounced(name) || refusal() !== null, CLAIM_MS)
    if (reconciler.isAnnounced(name)) return this.#arrival(session, name)
    const why = refusal()
    await this.forgetPort(name)
    throw why === null
      ? new ControlError('partitioned', `port "${name}" could not be claimed within ${CLAIM_MS / 1000} s`)
      : new ControlError('claim-refused', `port "${name}" can't come here: ${why}`)
  }

  async awaitPort(name: string, timeoutMs: number): Promise<NetworkArrival> {
    const session = this.#session()
    await session.until(() => session.reconciler.isPublished(name), timeoutMs)
    await session.applied() // frames that come here are not sent back
    return this.#arrival(session, name)
  }

  async forgetPort(name: string): Promise<void> {
    if (this.#coming.forget(name)) this.configChanged()
  }

  // Whoever moved the port here is gone. Where its host has let go of it already, it is this one's, and stays.
  async #giveUp(name: string): Promise<void> {
    const reconciler = this.#joined?.session?.reconciler
    if (reconciler?.states.get(name)?.state === 'held') return
    await this.forgetPort(name)
    const { abandon, log } = this.#components
    try {
      await abandon(name)
      log({ source: 'network', code: 'arrival-given-up', message: `port ${name} was to come here, and nobody moves it any more` })
    } catch (error) {
      log({ source: 'network', code: 'network-not-applied', message: (error as Error).message })
    }
  }

  #arrival({ reconciler }: ClusterSession, name: string): NetworkArrival {
    if (reconciler.isPublished(name)) return { state: 'held' }
    return { state: reconciler.isAnnounced(name) ? 'moving' : null }
  }

  // Made once for each: the two clocks drift, and who asks again is to hear the same.
  #dateOf(sinceMs: number): Date {
    if (this.#standing.sinceMs !== sinceMs) this.#standing = { sinceMs, since: new Date(Date.now() - (now() - sinceMs)) }
    return this.#standing.since
  }

  /** Ends the connection; the membership stays. */
  async close(): Promise<void> {
    const joined = this.#joined
    this.#joined = null
    this.#coming.close()
    if (joined !== null) await this.#end(joined)
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #end(joined: Joined): Promise<void> {
    joined.closed = true
    clearTimeout(joined.retry)
    await joined.session?.close()
  }

  async #connectAgain(joined: Joined): Promise<void> {
    try {
      await this.#open(joined)
      joined.problem = null
      this.#since = new Date()
      if (joined.closed) await joined.session?.close()
      else if (joined.membership.declared === true) void this.#nameWhenHeard(joined)
    } catch (error) {
      if (joined.closed) return
      const { message } = error as Error
      if (joined.problem !== message) this.#components.log({ source: 'network', code: 'partitioned', message })
      joined.problem = message
      joined.retry = setTimeout(() => void this.#connectAgain(joined), RETRY_MS)
    }
  }

  async #open(joined: Joined): Promise<ClusterSession> {
    const { membership } = joined
    const { log, software } = this.#components
    const store = await NatsStore.open(storeOptions(membership))
    const providerAddresses = membership.providerAddresses ?? this.#ownProviders()
    const api = this.#components.api() ?? undefined
    const session = new ClusterSession(
      { host: membership.host, instance: randomUUID(), providerAddresses, software, api },
      {
        store,
        nowMs: now,
        tell: ({ code, message }) => log({ source: 'network', code, message }),
        apply: (changes) => this.#bring(joined.session, changes),
        impose: (policies) => this.#policies.set(policies),
      },
    )
    joined.session = session
    this.#setPorts(session)
    return session
  }

  #ownProviders(): string[] {
    const status = this.#components.overlay()?.status()
    return (status?.providerAddresses ?? []).map((address) => address.split('/')[0] ?? address)
  }

  #setPorts(session: ClusterSession): void {
    // One that was given up at the switch comes no more.
    for (const name of [...this.#coming.ports.keys()]) if (this.#components.port(name) === null) this.#coming.forget(name)
    session.setPorts(sharedPorts(this.#components.config(), this.#coming.ports))
  }

  // One after the other, whoever asks.
  #bring(session: ClusterSession | null, changes?: LookupDifferences): Promise<void> {
    const work = async (): Promise<void> => {
      const reconciler = session?.reconciler
      const subnets = this.#lingering.fed(reconciler?.ports, reconciler?.view.subnets ?? new Map())
      const lookups = reconciler?.lookups.current ?? new Map()
      await this.#feed.bring({ subnets, lookups }, changes === undefined ? undefined : [...changes.set, ...changes.removed])
    }
    this.#feeding = this.#feeding.then(work).catch((error: Error) => {
      this.#components.log({ source: 'network', code: 'network-not-applied', message: error.message })
    })
    return this.#feeding
  }

  async #nameNetwork(session: ClusterSession, name: string): Promise<void> {
    if (session.reconciler.view.network !== null) return
    await session.write(NETWORK_KEY, writeRecord({ v: RECORD_VERSION, name, minimumVersion: RECORD_VERSION }), 0)
  }

  #session(): ClusterSession {
    if (this.#joined === null) throw notJoined()
    const { session } = this.#joined
    if (session?.reconciler.standing === 'joined') return session
    throw new ControlError('partitioned', 'the network can not be reached now: try it again when it is back')
  }

  async #write(key: string, record: object | null): Promise<NetworkStatus> {
    const session = this.#session()
    const { view } = session.reconciler
    const result = await session.write(key, record === null ? null : writeRecord(record), view.revisionOf(key))
    if (!result.done)
      throw new ControlError(
        result.code === 'not-permitted' ? 'network-not-permitted' : 'not-stored',
        `${key}: ${result.message}`,
      )
    await session.until(() => view.revision >= result.revision, JOIN_TIMEOUT_MS)
    await session.applied()
    return this.network()
  }
}

const notJoined = (): ControlError =>
  new ControlError('not-joined', 'this host is in no network: vmswitch join nats://HOST:PORT --network NAME')

const controlError = (error: unknown): unknown =>
  error instanceof ClusterError
    ? new ControlError(error.code === 'not-permitted' ? 'network-not-permitted' : error.code, error.message)
    : error
