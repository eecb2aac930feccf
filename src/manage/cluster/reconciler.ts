// The mind of a host in a network: from what the shared bucket says and what ports this host has, to what has to be written and what has to
// be changed in the switch. It does nothing itself, and knows the time only as it is told.
//
// The rule it must not break: the same entries, ports and times make the same differences; what was made is never made twice, and nothing is
// taken from the switch because the network can't be heard.
import { leaseKey, portKey } from './keys.ts'
import { awayAfterMs, Leases, type LeaseTimes, leaseTimes, renewEveryMs, ttlOf } from './leases.ts'
import { type LookupChanges, Lookups } from './lookups.ts'
import { type OwnPort, type OwnPortState, planOwnPorts, type Write } from './own-ports.ts'
import { type LeaseRecord, type PolicyRecord, RECORD_VERSION, writeRecord } from './records.ts'
import type { SharedEntry, WriteResult } from './shared-store.ts'
import { ClusterView, thingsOf } from './view.ts'

/** Writes that are under way at once. */
export const WRITES_AT_ONCE = 256
const RETRY_MS = 200
const RETRY_MAX_MS = 30_000
/** The same for what only did not get through: servers that choose a leader take writes again soon. */
const UNREACHED_MAX_MS = 1600

export interface ReconcilerOptions {
  readonly host: string
  /** Different for each start. */
  readonly instance: string
  readonly providerAddresses: readonly string[]
  readonly software: string
  readonly api?: string | undefined
  readonly times?: LeaseTimes | undefined
}

/** joining: not all has been heard yet; refused: the network does not take this version; superseded: another one bears this host's name. */
export type Standing = 'joining' | 'joined' | 'partitioned' | 'superseded' | 'refused'

export interface ClusterEvent {
  readonly code: string
  readonly message: string
}

export interface Differences extends Pick<LookupChanges, 'set' | 'removed' | 'peers'> {
  readonly writes: readonly Write[]
  readonly events: readonly ClusterEvent[]
  /** What the network imposes on ports, all of it, in the order in which it counts; null: as before. */
  readonly policies: readonly PolicyRecord[] | null
}

interface Pending {
  readonly sentMs: number
  /** Known when it was acknowledged. */
  revision: number | null
}

interface Retry {
  readonly atMs: number
  readonly waitMs: number
}

export class Reconciler {
  readonly options: ReconcilerOptions
  readonly view: ClusterView
  readonly leases: Leases
  readonly lookups: Lookups
  readonly #times: LeaseTimes
  readonly #key: string
  #ports: readonly OwnPort[] = []
  #states: ReadonlyMap<string, OwnPortState> = new Map()
  #standing: Standing = 'joining'
  #sinceMs: number
  #up = false
  #synced = false
  // All that was written before this time has come: a write of this host's own that was sent then came back.
  #heardUntilMs = Number.NEGATIVE_INFINITY
  readonly #pending = new Map<string, Pending>()
  readonly #retries = new Map<string, Retry>()
  #planAgain = true
  #events: ClusterEvent[] = []
  readonly #known = new Set<string>()
  // This host's own lease: since when it is alive (0: it is only starting), and when the last one that was acknowledged was sent.
  #aliveSince = 0
  #leaseSentMs = Number.NEGATIVE_INFINITY
  #heardMs = Number.NEGATIVE_INFINITY
  #lagMs: number | null = null

  constructor(options: ReconcilerOptions, nowMs: number) {
    this.options = options
    this.view = new ClusterView(options.host)
    this.#times = options.times ?? leaseTimes
    this.leases = new Leases(this.#times)
    this.lookups = new Lookups(options.host)
    this.#key = leaseKey(options.host)
    this.#sinceMs = nowMs
  }

  get standing(): Standing {
    return this.#standing
  }

  /** When the present standing began, by the caller's clock. */
  get sinceMs(): number {
    return this.#sinceMs
  }

  /** Milliseconds between the last write of this host and its coming back through the watch; null: none came yet. */
  get lagMs(): number | null {
    return this.#lagMs
  }

  get ports(): readonly OwnPort[] {
    return this.#ports
  }

  get states(): ReadonlyMap<string, OwnPortState> {
    return this.#states
  }

  /** Nothing is under way, and nothing is left to be written. */
  get settled(): boolean {
    if (this.#standing !== 'joined' || this.#aliveSince === 0 || this.#planAgain || this.view.ownTouched) return false
    return this.#pending.size === (this.#pending.has(this.#key) ? 1 : 0) // a lease is always to be renewed
  }

  /** This host's ports from now on. */
  setPorts(ports: readonly OwnPort[]): void {
    this.#ports = ports
    this.view.watchThings(new Set(ports.flatMap((port) => thingsOf(port))))
    this.#planAgain = true
  }

  connected(up: boolean, why: string, nowMs: number): void {
    if (this.#up === up) return
    this.#up = up
    if (up) return
    this.#synced = false
    if (this.#standing === 'joined') {
      this.#stand('partitioned', nowMs)
      this.#tell('partitioned', `the network can't be reached (${why}): everything goes on as it was last known`)
    }
  }

  begin(kind: 'whole' | 'rest'): void {
    this.#synced = false
    if (kind === 'whole') this.view.markAll()
  }

  entries(batch: readonly SharedEntry[], nowMs: number): void {
    for (const entry of batch) {
      const read = this.view.take(entry)
      if (read?.kind !== 'lease') continue
      if (read.place.host === this.options.host) this.#ownLease(read.record, entry.revision, nowMs)
      else this.leases.heard(read.place.host, read.record, entry.revision, nowMs)
    }
    for (const [key, { sentMs, revision }] of this.#pending)
      if (revision !== null && revision <= this.view.revision) {
        this.#pending.delete(key)
        this.#cameBack(sentMs, nowMs)
      }
  }

  synced(nowMs: number): void {
    this.view.swept()
    this.#synced = true
    for (const [key, { revision }] of this.#pending) if (revision !== null) this.#pending.delete(key) // all that stands has come
    this.leases.resume(nowMs)
    if (this.#isOver() || this.#tooOld(nowMs)) return
    const { network } = this.view
    if (this.#standing === 'joining') this.#tell('joined', `this is host ${this.options.host} of network ${network?.name ?? ''}`)
    if (this.#standing === 'joining') this.#stand('joined', nowMs)
    // A host that was away too long begins anew, which its lease tells: then the network is back.
    else if (this.#standing === 'partitioned' && nowMs - this.#heardMs <= awayAfterMs(ttlOf(this.#renewMs()))) this.#heal(nowMs)
    this.#planAgain = true
  }

  /** What became of a write. */
  answered(key: string, result: WriteResult, nowMs: number): void {
    const pending = this.#pending.get(key)
    if (pending === undefined) return
    if (result.done) {
      this.#retries.delete(key)
      pending.revision = result.revision
      if (key === this.#key && this.#aliveSince > 0) this.#heardMs = pending.sentMs
      if (result.revision <= this.view.revision) {
        this.#pending.delete(key)
        this.#cameBack(pending.sentMs, nowMs)
      }
      return
    }
    this.#planAgain = true
    this.#pending.delete(key)
    const before = this.#retries.get(key)?.waitMs ?? RETRY_MS / 2
    const waitMs = Math.min(result.code === 'unreachable' ? UNREACHED_MAX_MS : RETRY_MAX_MS, before * 2)
    this.#retries.set(key, { atMs: nowMs + waitMs, waitMs })
    if (before === RETRY_MS / 2 && (result.code === 'full' || result.code === 'not-permitted'))
      this.#tell(result.code === 'full' ? 'network-full' : 'network-not-permitted', `${key}: ${result.message}`)
  }

  /** What has to be done now. Its writes count as under way until they are answered. */
  step(nowMs: number): Differences {
    if (this.#up && this.#synced)
      for (const { host, change } of this.leases.changes(this.#heardUntilMs, nowMs)) this.#hostChanged(host, change)
    const writes = this.#synced && this.#up && !this.#isOver() ? this.#writes(nowMs) : []
    // While all comes again, what has not come yet is not gone.
    const { set, removed, peers } = this.#synced ? this.#follow() : { set: [], removed: [], peers: [] }
    const policies = this.#synced ? this.#policies() : null
    const events = this.#events
    this.#events = []
    return { writes, set, removed, peers, events, policies }
  }

  // A bucket without its network was lost, or is put back only now: what was imposed stays until it is told anew.
  #policies(): Differences['policies'] {
    if (!this.view.policiesTouched || this.view.network === null) return null
    this.view.policiesTouched = false
    return [...this.view.policies.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** When `step` should be called, if nothing happens before. */
  nextAtMs(): number {
    if (!this.#up || !this.#synced || this.#isOver()) return Number.POSITIVE_INFINITY
    const retries = [...this.#retries.values()].map(({ atMs }) => atMs)
    return Math.min(this.#leaseSentMs + this.#renewMs(), ...retries.slice(0, WRITES_AT_ONCE))
  }

  /** What to write so that the network forgets this host: its ports, its claims, then its lease. */
  farewell(): Write[] {
    const keys = [...this.view.ownKeys()].filter((key) => key !== this.#key)
    const isPort = (key: string): boolean => key.startsWith(`host.${this.options.host}.port.`)
    const order = [...keys.filter(isPort), ...keys.filter((key) => !isPort(key)), this.#key]
    return order.map((key) => ({ key, value: null, expected: this.view.revisionOf(key) })).filter(({ expected }) => expected > 0)
  }

  #cameBack(sentMs: number, nowMs: number): void {
    this.#lagMs = nowMs - sentMs
    this.#heardUntilMs = Math.max(this.#heardUntilMs, sentMs)
  }

  #follow(): Pick<LookupChanges, 'set' | 'removed' | 'peers'> {
    this.#followHosts()
    const { refused, ...changes } = this.lookups.follow(this.view)
    for (const { host, port, problem } of refused)
      this.#tell('record-refused', `port ${port} of host ${host} is not believed: ${problem.message}`)
    return changes
  }

  #followHosts(): void {
    if (!this.view.membersTouched) return
    this.view.membersTouched = false
    const now = new Set([...this.view.hosts.values()].filter(({ lease }) => lease !== null).map(({ name }) => name))
    now.delete(this.options.host)
    for (const name of now)
      if (!this.#known.has(name)) {
        this.#known.add(name)
        this.#tell('host-joined', `host ${name} is in the network`)
      }
    for (const name of this.#known)
      if (!now.has(name)) {
        this.#known.delete(name)
        this.leases.forget(name)
        this.#tell('host-left', `host ${name} has left the network`)
      }
  }

  #hostChanged(host: string, change: 'lost' | 'returned'): void {
    this.view.setLost(host, change === 'lost')
    if (change === 'lost')
      this.#tell('host-lost', `host ${host} was not heard in time; its tunnels stay until others claim its ports`)
    else this.#tell('host-returned', `host ${host} is heard again`)
  }

  #writes(nowMs: number): Write[] {
    const writes: Write[] = []
    const lease = this.#leaseToWrite(nowMs)
    if (lease !== null) writes.push(lease)
    // Nobody believes in claims of a host that has no lease, or begins anew: so does this host itself.
    if (this.#aliveSince === 0) this.#states = new Map()
    else if ((this.#planAgain || this.view.ownTouched) && !this.#isBusy()) writes.push(...this.#plan(nowMs))
    for (const { key } of writes) this.#pending.set(key, { sentMs: nowMs, revision: null })
    return writes
  }

  // Planning looks at all ports: not for each of many writes that come back, but when there is room for many new ones.
  #isBusy(): boolean {
    return this.#pending.size > WRITES_AT_ONCE / 2
  }

  #plan(nowMs: number): Write[] {
    const { writes, states } = planOwnPorts(this.view, this.options.host, this.#ports)
    for (const [port, state] of states) {
      const before = this.#states.get(port)
      if (state.state === 'refused' && before?.message !== state.message)
        this.#tell('claim-refused', `port ${port} stays out of the network: ${state.message}`)
      if (state.state === 'held' && before !== undefined && before.state !== 'held' && before.state !== 'claiming')
        this.#tell('claim-held', `port ${port} is in the network`)
    }
    this.#states = states
    this.view.ownTouched = false
    this.#planAgain = false
    const ready: Write[] = []
    for (const write of writes) {
      if (this.#pending.has(write.key)) continue
      const retry = this.#retries.get(write.key)
      if (this.#pending.size + ready.length >= WRITES_AT_ONCE || (retry !== undefined && retry.atMs > nowMs))
        this.#planAgain = true
      else ready.push(write)
    }
    return ready
  }

  #leaseToWrite(nowMs: number): Write | null {
    if (this.#pending.has(this.#key) || nowMs < (this.#retries.get(this.#key)?.atMs ?? 0)) return null
    const renewMs = this.#renewMs()
    const isAway = nowMs - this.#heardMs > awayAfterMs(ttlOf(renewMs))
    if (isAway && this.#aliveSince > 0 && this.#standing === 'joined') {
      this.#stand('partitioned', nowMs)
      this.#tell('partitioned', 'the network takes no writes: everything goes on as it was last known')
    }
    if (isAway) this.#aliveSince = 0
    if (!isAway && nowMs - this.#leaseSentMs < renewMs) return null
    this.#leaseSentMs = nowMs
    const { host, instance, providerAddresses, software, api } = this.options
    const record: LeaseRecord = {
      v: RECORD_VERSION,
      host,
      instance,
      aliveSince: this.#aliveSince,
      ttlMs: ttlOf(renewMs),
      providerAddresses: [...providerAddresses],
      software,
      ...(api === undefined ? {} : { api }),
    }
    const { api: _, ...kept } = JSON.parse(this.view.ownText(this.#key) ?? '{}') as Record<string, unknown>
    return { key: this.#key, value: writeRecord(record, kept), expected: this.view.revisionOf(this.#key) }
  }

  // A lease of this host came through the watch.
  #ownLease({ instance, aliveSince }: LeaseRecord, revision: number, nowMs: number): void {
    if (instance !== this.options.instance) {
      if (this.#aliveSince === 0 || this.#isOver()) return
      this.#stand('superseded', nowMs)
      this.#tell('superseded', `another vmswitch joined as host ${this.options.host}: this one is no longer part of the network`)
      return
    }
    const pending = this.#pending.get(this.#key)
    if (aliveSince === 0 && pending !== undefined) {
      this.#aliveSince = revision
      this.#heardMs = pending.sentMs
      this.#planAgain = true
      if (this.#standing === 'partitioned' && this.#synced) this.#heal(nowMs)
    }
  }

  #renewMs(): number {
    return renewEveryMs(this.view.hosts.size, this.#times)
  }

  #heal(nowMs: number): void {
    this.#tell('healed', `the network is back after ${Math.round((nowMs - this.#sinceMs) / 1000)} s`)
    this.#stand('joined', nowMs)
  }

  #isOver(): boolean {
    return this.#standing === 'superseded' || this.#standing === 'refused'
  }

  #tooOld(nowMs: number): boolean {
    const least = this.view.network?.minimumVersion ?? RECORD_VERSION
    const isTooNew = this.view.refused.get('network')?.code === 'too-new'
    if (least <= RECORD_VERSION && !isTooNew) return false
    this.#stand('refused', nowMs)
    this.#tell('version-refused', `the network asks for records of a newer vmswitch: update this one`)
    return true
  }

  #stand(standing: Standing, nowMs: number): void {
    this.#standing = standing
    this.#sinceMs = nowMs
  }

  #tell(code: string, message: string): void {
    this.#events.push({ code, message })
  }

  /** Whether a port of this host is known to the others as it is now. */
  isPublished(port: string): boolean {
    return this.#states.get(port)?.state === 'held' && this.view.revisionOf(portKey(this.options.host, port)) > 0
  }

  /** Whether the others know that a port is about to come to this host, which has it when the one that has it now lets go. */
  isAnnounced(name: string): boolean {
    const { host } = this.options
    const state = this.#states.get(name)?.state
    const port = this.#ports.find((one) => one.name === name)
    if (port === undefined || (state !== 'moving' && state !== 'held') || this.view.revisionOf(portKey(host, name)) === 0)
      return false
    return thingsOf(port).every((thing) => this.view.claimantsOf(thing).includes(host))
  }
}
