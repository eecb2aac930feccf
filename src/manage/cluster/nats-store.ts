// The shared bucket on NATS JetStream KV.
//
// The rule it must not break: whatever the connection does, its watcher hears every key's last state in the order of the bucket, or is told
// that it hears nothing; a write is done only if the server said so.
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { type Authenticator, connect, errors, headers, type NatsConnection } from '@nats-io/transport-node'
import { ClusterError } from './cluster-error.ts'
import { bucketOf } from './keys.ts'
import { RECORD_BYTES_MAX } from './records.ts'
import type { SharedEntry, SharedStore, StoreWatcher, WriteRefusal, WriteResult } from './shared-store.ts'

const CONNECT_TIMEOUT_MS = 10_000
/** Longer than a write takes anywhere, and shorter than the servers need to choose a leader: what was on its way to one that died is over by then. */
const WRITE_TIMEOUT_MS = 2500
const RECONNECT_WAIT_MS = 300
const RECONNECT_JITTER_MS = 300
const PING_MS = 2000
const CLOSE_WAIT_MS = 1000
const PINGS_MISSED_MAX = 2
/** A watch that says nothing for twice this long is begun anew: it was led by a server that is gone, whatever the connection does. */
const HEARTBEAT_MS = 1000
/** Wait before the watch is begun anew: at least this, and up to as much again, so that not all hosts ask at once. */
const REWATCH_MS = 150
/**
 * How long servers may take to answer a new watch. Servers without a leader say nothing, and a question that they got then is lost: it is asked again
 * soon, at first; after as many tries as an election may take, only as often as a slow answer may need.
 */
const ASK_FIRST_MS = 500
const ASK_MS = 1500
const ASK_SLOW_MS = 5000
const ASKS_SOON = 12
/** Unanswered questions after which another server is asked: this one may be cut off from the others. */
const ASKS_PER_SERVER = 8
/**
 * Tries to begin a watch at a stream that has a leader. A watch is led by any server that has the stream, for some time even by one that has just died:
 * then nobody answers, and the next try may have better luck. Each is given half as much time again.
 */
const BEGIN_TRIES = 6
const BEGIN_MS = 500
/** Entries that the server sends ahead of what was read. */
const AHEAD_MAX = 1000
const BUCKET_BYTES_MAX = 256 * 1024 * 1024
/** Server's codes: the revision was another one; there is no room. */
const WRONG_REVISION = [10071, 10164]
const NO_ROOM = [10077, 10047, 10023, 10122, 10054]

export interface NatsStoreOptions {
  readonly servers: readonly string[]
  readonly network: string
  /** Name of this host: of its connection, and of the subjects on which it gets answers. */
  readonly host: string
  readonly tls: boolean
  /** File with the certificates of the authorities, PEM. */
  readonly ca?: string | undefined
  readonly authenticator?: Authenticator | undefined
  /** Copies of the bucket, if this host makes it. Without it: three in a cluster of three, else one. */
  readonly replicas?: number | undefined
}

export class NatsStore implements SharedStore {
  readonly #connection: NatsConnection
  readonly #stream: string
  readonly #subject: string
  readonly #client: JetStreamClient
  readonly #manager: JetStreamManager
  #watcher: StoreWatcher | null = null
  #messages: ConsumerMessages | null = null
  /** Identity of the bucket: another one begins to count anew. */
  #made: string | null = null
  #last = 0
  #isUp = true
  #round = 0
  /** Times that a new watch was asked for since one last began. */
  #asked = 0
  #closed = false
  #retry: NodeJS.Timeout | undefined

  private constructor(connection: NatsConnection, manager: JetStreamManager, network: string) {
    this.#connection = connection
    this.#client = jetstream(connection, { timeout: WRITE_TIMEOUT_MS })
    this.#manager = manager
    this.#stream = `KV_${bucketOf(network)}`
    this.#subject = `$KV.${bucketOf(network)}.`
  }

  /**
   * Connects, and makes the bucket where it is missing. Throws ClusterError `unreachable`, `not-permitted`, `no-jetstream`,
   * `no-network`.
   */
  static async open(options: NatsStoreOptions): Promise<NatsStore> {
    const connection = await connectNats(options)
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false, timeout: ASK_SLOW_MS })
      const store = new NatsStore(connection, manager, options.network)
      await store.#findBucket(options)
      void store.#followConnection()
      return store
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  watch(watcher: StoreWatcher): void {
    this.#watcher = watcher
    void this.#rewatch()
  }

  async write(key: string, value: string | null, expected: number): Promise<WriteResult> {
    if (!this.#isUp || this.#closed) return refusal('unreachable', 'there is no connection')
    try {
      const first = await this.#publish(key, value, expected)
      if (first.done || first.code !== 'changed' || expected !== 0) return first
      // What was deleted stands there as a mark, whose revision the server wants to hear.
      const mark = await this.#manager.streams.getMessage(this.#stream, { last_by_subj: this.#subject + key })
      if (mark === null || !isMark(mark.header.get('KV-Operation'))) return first
      return await this.#publish(key, value, mark.seq)
    } catch (error) {
      return refusal(codeOf(error), (error as Error).message)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#messages?.stop()
    // A connection whose server has just gone must notice that first: the client library would write to it when nobody hears of errors.
    await Promise.race([this.#connection.flush().catch(() => undefined), delay(CLOSE_WAIT_MS, undefined, { ref: false })])
    await this.#connection.close()
  }

  async #publish(key: string, value: string | null, expected: number): Promise<WriteResult> {
    const marks = headers()
    if (value === null) marks.set('KV-Operation', 'DEL')
    try {
      const { seq } = await this.#client.publish(this.#subject + key, value ?? '', {
        expect: { lastSubjectSequence: expected },
        timeout: WRITE_TIMEOUT_MS,
        ...(value === null ? { headers: marks } : {}),
      })
      return { done: true, revision: seq }
    } catch (error) {
      return refusal(codeOf(error), (error as Error).message)
    }
  }

  async #findBucket({ network, replicas }: NatsStoreOptions): Promise<void> {
    try {
      this.#made = (await this.#manager.streams.info(this.#stream)).created
      return
    } catch (error) {
      const code = apiCode(error)
      if (code === 10039 || code === 10076)
        throw new ClusterError(
          'no-jetstream',
          'the NATS server has no JetStream for this account: switch it on in its configuration',
        )
      if (code !== 10059) throw joinError(error, 'the network can not be asked for')
    }
    const servers = this.#connection.info?.connect_urls?.length ?? 1
    try {
      await new Kvm(this.#client).create(bucketOf(network), {
        history: 1,
        replicas: replicas ?? (servers >= 3 ? 3 : 1),
        max_bytes: BUCKET_BYTES_MAX,
        maxValueSize: RECORD_BYTES_MAX,
        description: `vmswitch network ${network}`,
      })
      this.#made = (await this.#manager.streams.info(this.#stream)).created
    } catch (error) {
      throw joinError(error, `there is no network "${network}" yet, and it can not be made`)
    }
  }

  async #followConnection(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === 'disconnect' || type === 'staleConnection') this.#gone(`the connection to the NATS server is lost`)
      else if (type === 'reconnect' && !this.#closed) void this.#rewatch()
    }
  }

  #gone(why: string): void {
    this.#isUp = false
    this.#round++
    this.#messages?.stop()
    this.#messages = null
    this.#watcher?.connected(false, why)
  }

  // Begins to listen: to what is new since the last entry, or, in another bucket than before, to all of it.
  async #rewatch(): Promise<void> {
    if (this.#watcher === null || this.#closed) return
    const round = ++this.#round
    const isOld = (): boolean => round !== this.#round || this.#closed
    clearTimeout(this.#retry)
    this.#messages?.stop()
    this.#messages = null
    try {
      const timeout = answerTime(this.#asked++)
      const { state, created } = await (await jetstreamManager(this.#connection, { checkAPI: false, timeout })).streams.info(
        this.#stream,
      )
      if (isOld()) return
      const isSame = created === this.#made && this.#last > 0 && state.last_seq >= this.#last
      this.#made = created
      if (!isSame) this.#last = 0
      const consumer = await this.#consumer(isSame, isOld)
      if (consumer === null) return
      this.#isUp = true
      this.#asked = 0
      this.#watcher.connected(true, '')
      this.#watcher.begin(isSame ? 'rest' : 'whole')
      await this.#listen(consumer, isOld, isSame ? this.#last >= state.last_seq : state.messages === 0)
      if (isOld()) return // another round has begun, or comes with the connection
    } catch (error) {
      if (isOld()) return
      // A watch that ends is no news yet, if another one begins at once.
      if (this.#asked > 0) this.#gone(`the network can't be heard: ${(error as Error).message}`)
    }
    if (this.#closed || this.#connection.isClosed()) return
    if (this.#asked > 0 && this.#asked % ASKS_PER_SERVER === 0) await this.#connection.reconnect().catch(() => undefined)
    else this.#retry = setTimeout(() => void this.#rewatch(), REWATCH_MS * (1 + Math.random()))
  }

  /** A new consumer of the rest, or of all; null: another round has begun. */
  async #consumer(isSame: boolean, isOld: () => boolean): Promise<Consumer | null> {
    for (let tries = 0; ; tries++) {
      try {
        const client = jetstream(this.#connection, { timeout: BEGIN_MS * 1.5 ** tries })
        const consumer = await client.consumers.get(this.#stream, {
          filter_subjects: `${this.#subject}>`,
          ...(isSame
            ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: this.#last + 1 }
            : { deliver_policy: DeliverPolicy.LastPerSubject }),
        })
        return isOld() ? null : consumer
      } catch (error) {
        if (isOld()) return null
        if (!(error instanceof errors.TimeoutError) || tries + 1 === BEGIN_TRIES) throw error
      }
    }
  }

  /** Hands on what comes, in batches, until the connection goes, another round begins, or the server ends it or falls silent. */
  async #listen(consumer: Consumer, isOld: () => boolean, isEmpty: boolean): Promise<void> {
    let batch: SharedEntry[] = []
    let isSynced = isEmpty
    let isLast = isEmpty
    const hand = (): void => {
      if (isOld()) return
      const full = batch
      batch = []
      if (full.length > 0) {
        this.#last = full[full.length - 1]!.revision // what is not handed on comes again
        this.#watcher!.entries(full)
      }
      if (isLast && !isSynced) {
        isSynced = true
        this.#watcher!.synced()
      }
    }
    if (isEmpty) this.#watcher!.synced()
    const messages = await consumer.consume({ max_messages: AHEAD_MAX, idle_heartbeat: HEARTBEAT_MS })
    if (isOld()) {
      messages.stop()
      return
    }
    this.#messages = messages
    void stopWhenSilent(messages)
    for await (const message of messages) {
      if (isOld()) return
      if (batch.length === 0) setImmediate(hand)
      batch.push(this.#entryOf(message))
      if (message.info.pending === 0) isLast = true
      if (batch.length >= AHEAD_MAX) hand()
    }
  }

  #entryOf(message: JsMsg): SharedEntry {
    const isGone = isMark(message.headers?.get('KV-Operation'))
    return { key: message.subject.slice(this.#subject.length), value: isGone ? null : message.string(), revision: message.seq }
  }
}

async function stopWhenSilent(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of messages.status())
    if (type === 'heartbeats_missed' || type === 'consumer_not_found' || type === 'no_responders') messages.stop()
}

/** Milliseconds for the answer to a question that was asked in vain `asked` times. */
const answerTime = (asked: number): number =>
  asked >= ASKS_SOON ? ASK_SLOW_MS : Math.min(ASK_MS, ASK_FIRST_MS * 2 ** Math.min(asked, 4))

async function connectNats({ servers, host, tls, ca, authenticator }: NatsStoreOptions): Promise<NatsConnection> {
  try {
    return await connect({
      servers: [...servers],
      name: `vmswitch ${host}`,
      inboxPrefix: `_INBOX_${host}`,
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      pingInterval: PING_MS,
      maxPingOut: PINGS_MISSED_MAX,
      ...(tls ? { tls: ca === undefined ? {} : { caFile: ca } } : {}),
      ...(authenticator === undefined ? {} : { authenticator }),
    })
  } catch (error) {
    throw joinError(error, `${servers.join(', ')} can not be reached`)
  }
}

const refusal = (code: WriteRefusal, message: string): WriteResult => ({ done: false, code, message })
const isMark = (operation: string | undefined): boolean => operation === 'DEL' || operation === 'PURGE'
const apiCode = (error: unknown): number => (error instanceof JetStreamApiError ? error.code : 0)
const isForbidden = (error: unknown): boolean =>
  /permissions violation|authorization violation|authentication/i.test(String(error))

function codeOf(error: unknown): WriteRefusal {
  if (WRONG_REVISION.includes(apiCode(error))) return 'changed'
  if (NO_ROOM.includes(apiCode(error))) return 'full'
  return isForbidden(error) ? 'not-permitted' : 'unreachable'
}

function joinError(error: unknown, what: string): ClusterError {
  const { message } = error as Error
  if (isForbidden(error)) return new ClusterError('not-permitted', `${what}: the NATS server does not allow it (${message})`)
  return new ClusterError('unreachable', `${what}: ${message}`)
}
