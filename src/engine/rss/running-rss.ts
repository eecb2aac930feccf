// VMMQ of a running switch: guests with several queue pairs get an indirection table in shared memory, by which every processor chooses the
// queue pair of what it delivers; the load moves entries.
//
// The rule it must not break: memory of a table is given back when no processor looks at it any more.
import { RSS_COUNTER_BYTES, RssCounters } from '../../adapter/rss/queue-pair-counters.ts'
import { RssTable, rssTableBytes } from '../../adapter/rss/rss-table.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import type { ProcessorSet } from '../processor-set.ts'
import { GuestRss, SwitchRssError } from './guest-rss.ts'
import type { EntryMoves, RssConfig, RssStatus, SwitchRss, VmmqSettings } from './rss-config.ts'

export const RSS_REBALANCE_SECONDS_DEFAULT = 10
const TABLE_BYTES = rssTableBytes(1)

/** How a port's queues are served. */
export interface ServedPairs {
  readonly port: number
  readonly name: string
  /** Queue pairs that the guest receives on; 0: the port is gone. */
  readonly receiving: number
  /** The processor that polls a queue pair. */
  readonly processorOf: (queuePair: number) => number
}

export interface RunningRssComponents {
  readonly memory: SharedMemory
  readonly processors: ProcessorSet
  /** 40 bytes, which guests don't know. */
  readonly hashKey: Uint8Array
  readonly log: (event: { source: string; code: string; message: string }) => void
  readonly hasPort: (name: string) => boolean
  readonly unknownPort: (name: string) => Error
}

interface Guest {
  readonly port: number
  readonly rss: GuestRss
  readonly table: number
  readonly counters: number
  served: ServedPairs
}

export class RunningRss implements SwitchRss {
  readonly #config: RssConfig
  readonly #components: RunningRssComponents
  readonly #guests = new Map<string, Guest>()
  readonly #settings = new Map<string, VmmqSettings>()
  #timer: NodeJS.Timeout | undefined
  #steps: Promise<unknown> = Promise.resolve()

  constructor(config: RssConfig, components: RunningRssComponents) {
    this.#config = config
    this.#components = components
  }

  /** Looks at the load from now on. */
  started(): void {
    const { rebalanceSeconds = RSS_REBALANCE_SECONDS_DEFAULT } = this.#config
    if (rebalanceSeconds === 0) return
    this.#timer = setInterval(() => this.rebalance(), rebalanceSeconds * 1000)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #inOrder<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#steps.then(work)
    this.#steps = result.catch(() => undefined)
    return result
  }

  /** What a port's configuration says. */
  configure(name: string, { vmmqEnabled, vmmqQueuePairs }: VmmqSettings): Promise<void> {
    return this.#inOrder(() => {
      const settings = { vmmqEnabled, vmmqQueuePairs }
      this.#settings.set(name, settings)
      const guest = this.#guests.get(name)
      guest?.rss.follow(guest.rss.receiving, settings)
    })
  }

  /** A port's queues have changed: a guest that receives on several gets a table. Settles when processors know. */
  serve(served: ServedPairs): Promise<void> {
    return this.#inOrder(async () => {
      const { name, receiving } = served
      const known = this.#guests.get(name)
      if (receiving === 0) return this.#remove(name)
      if (!known && receiving < 2) return
      const guest = known ?? (await this.#add(served))
      guest.served = served
      guest.rss.follow(receiving, this.#settings.get(name) ?? {})
    }).catch((error: Error) =>
      this.#components.log({ source: `port ${served.name}`, code: 'rss-failed', message: error.message }),
    )
  }

  async #add(served: ServedPairs): Promise<Guest> {
    const { memory, processors, hashKey } = this.#components
    const count = processors.clients.length
    const table = memory.allocate(TABLE_BYTES)
    const counters = memory.allocate(count * RSS_COUNTER_BYTES)
    const at = (processor: number): number => counters + processor * RSS_COUNTER_BYTES
    const rss = new GuestRss({
      table: new RssTable(memory.buffer, table, 1),
      counters: Array.from({ length: count }, (_, processor) => new RssCounters(memory.buffer, at(processor))),
      hashKey,
    })
    rss.follow(served.receiving, this.#settings.get(served.name) ?? {})
    const guest = { port: served.port, rss, table, counters, served }
    this.#guests.set(served.name, guest)
    await this.#tell(served.port, table, at)
    return guest
  }

  async #tell(port: number, table: number, counters: (processor: number) => number): Promise<void> {
    const { clients } = this.#components.processors
    await Promise.all(clients.map((client, i) => client.request({ kind: 'queue-pairs', port, table, counters: counters(i) })))
  }

  async #remove(name: string): Promise<void> {
    this.#settings.delete(name)
    const guest = this.#guests.get(name)
    if (!guest) return
    this.#guests.delete(name)
    await this.#tell(guest.port, 0, () => 0)
    const { memory, processors } = this.#components
    memory.free(guest.table, TABLE_BYTES)
    memory.free(guest.counters, processors.clients.length * RSS_COUNTER_BYTES)
  }

  /** One look at the load of every guest. */
  rebalance(): void {
    for (const [name, { rss }] of this.#guests) {
      const moves = rss.rebalance()
      if (moves.length === 0) continue
      const text = moves.map(({ entry, from, to }) => `${entry} from ${from} to ${to}`).join(', ')
      this.#components.log({
        source: `port ${name}`,
        code: 'rss-rebalanced',
        message: `entries moved between queue pairs: ${text}`,
      })
    }
  }

  list(): readonly RssStatus[] {
    return [...this.#guests].map(([name, guest]) => this.#status(name, guest))
  }

  #status(name: string, { rss, served }: Guest): RssStatus {
    return rss.status(name, this.#settings.get(name) ?? {}, served.processorOf)
  }

  #find(name: string): Guest {
    const guest = this.#guests.get(name)
    if (guest) return guest
    if (!this.#components.hasPort(name)) throw this.#components.unknownPort(name)
    throw new SwitchRssError(
      'NO_QUEUE_PAIRS',
      `the guest behind port "${name}" receives on one queue pair: set queuePairs at the port, and several queues at its VMM`,
    )
  }

  set(name: string, change: VmmqSettings): Promise<RssStatus> {
    return this.#inOrder(() => {
      const guest = this.#find(name)
      this.#settings.set(name, { ...this.#settings.get(name), ...change })
      guest.rss.follow(guest.rss.receiving, this.#settings.get(name)!)
      return this.#status(name, guest)
    })
  }

  move(name: string, moves: EntryMoves): RssStatus {
    const guest = this.#find(name)
    guest.rss.move(moves, name)
    return this.#status(name, guest)
  }
}
