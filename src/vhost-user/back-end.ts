// The vhost-user back-end of one network port: what a front-end's requests do to features, memory and rings, and what the processors
// are told of it. It knows no sockets: a connection hands it checked messages.
//
// The rule it must not break: what is taken away (mappings, descriptors, windows) goes only after no queue block names it; and a ring
// starts only when processors know all the memory it may lead them to.
import { fstatSync } from 'node:fs'
import { REGION_BYTES, REGIONS_MAX } from '../kernels/layout.ts'
import { closeFd, createMemfd, setNonBlocking } from '../linux/files.ts'
import type { PassedFds } from '../linux/passed-fds.ts'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { featureMask, featureNames, hasFeature, offeredFeatures } from '../virtio/features.ts'
import { PACKED_START, RING_SIZE_MAX } from '../virtio/ring-layout.ts'
import type { Answer } from './connection.ts'
import { DirtyLog } from './dirty-log.ts'
import { GuestMemory } from './guest-memory.ts'
import { InflightRegion, inflightBytes } from './inflight.ts'
import type { MemoryTable, MemoryWindow } from './memory-table.ts'
import { decode, encode, OFFERED_PROTOCOL_FEATURES, protocolFeatureNames, type RequestId } from './messages.ts'
import { type QueuePair, RingSet } from './ring-set.ts'
import type { RingSurroundings } from './vring.ts'
import type { WindowAllocator } from './window-allocator.ts'

/** Slots that front-ends are told of: what the protocol's largest users allow, and never more than the region table holds. */
export const MEMORY_SLOTS_MAX = Math.min(509, REGIONS_MAX)
/** Queue pairs of one port, as many as a kick message can name. */
export const QUEUE_PAIRS_LIMIT = 128
const MTU_MIN = 68
const MTU_MAX = 65535
const STATUS_FEATURES_OK = 8
const FILE_TYPE_MASK = 0o170000
/** Features that change what a ring looks like: they are settled before a ring starts. */
const RING_FORMAT = featureMask('packed', 'eventIndex', 'indirect', 'mergeableBuffers', 'inOrder', 'version1')

export interface BackEndOptions {
  /** Number of the port, for the queue blocks. */
  readonly port: number
  /** Queue pairs served at the most: 1…QUEUE_PAIRS_LIMIT. */
  readonly queuePairsMax: number
  /** Largest MTU a front-end may announce; 65535 if absent. */
  readonly mtu?: number
  /** Refuse guest memory whose file could shrink. */
  readonly requireSeals: boolean
}

export interface BackEndOwner {
  /** Processors may serve these pairs, and must know these windows first. Resolves when all have confirmed. */
  pairs(pairs: readonly QueuePair[], windows: readonly MemoryWindow[]): Promise<void> | void
  /** The guest's driver is ready, or gone. */
  link(up: boolean): void
  /** A migrated guest asks to be announced: six bytes of its address. */
  announce(mac: Uint8Array): void
  event(code: string, message: string): void
}

export interface BackEndComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  readonly owner: BackEndOwner
}

type Handler = (payload: Buffer, fds: PassedFds) => Answer | null
/** A handler of a request that has no answer of its own. */
const act =
  (work: (payload: Buffer, fds: PassedFds) => void): Handler =>
  (payload, fds) => {
    work(payload, fds)
    return null
  }
/** Windows of a table: the first `count` of them. */
type KnownWindows = { readonly table: MemoryTable; readonly count: number } | null

/** State and request handlers of one port. */
export class BackEnd {
  readonly #options: BackEndOptions
  readonly #components: BackEndComponents
  readonly #offered: bigint
  readonly #regions: number
  readonly #rings: RingSet
  readonly #memory: GuestMemory
  readonly #handlers: Readonly<Record<RequestId, Handler>>
  #features = 0n
  #protocolFeatures = 0n
  #status = 0
  #mtu: number | null = null
  #log: DirtyLog | null = null
  #inflight: InflightRegion | null = null
  #backEndRequests = -1
  #logFd = -1
  /** Windows that processors have confirmed, and windows they were told of. */
  #confirmed: KnownWindows = null
  #told: KnownWindows = null
  #published = ''
  #linkUp = false

  constructor(options: BackEndOptions, components: BackEndComponents) {
    const { queuePairsMax, port, requireSeals } = options
    if (!(queuePairsMax >= 1 && queuePairsMax <= QUEUE_PAIRS_LIMIT))
      throw new RangeError(`a port has 1 to ${QUEUE_PAIRS_LIMIT} queue pairs, not ${queuePairsMax}`)
    this.#options = options
    this.#components = components
    this.#offered = offeredFeatures(queuePairsMax)
    const { memory, owner, windows } = components
    const event = owner.event.bind(owner)
    this.#regions = memory.allocate(REGIONS_MAX * REGION_BYTES)
    this.#rings = new RingSet(
      { port, queuePairs: queuePairsMax },
      {
        memory,
        event,
        surroundings: () => this.#surroundings(),
        windowsConfirmed: () => this.#windowsConfirmed,
        onBreak: () => this.#conclude(),
      },
    )
    const install = (table: MemoryTable, adopt: () => void): void =>
      this.#rings.update(this.#rings.all, () => {
        adopt()
        table.write(this.#regions)
      })
    this.#memory = new GuestMemory({ requireSeals, slotsMax: MEMORY_SLOTS_MAX }, { memory, windows, event, install })
    this.#handlers = this.#makeHandlers()
  }

  get protocolFeatures(): bigint {
    return this.#protocolFeatures
  }

  /** Serves one checked request. Throws RefusedError or SystemCallError. */
  handle(request: number, payload: Buffer, fds: PassedFds): Answer | null {
    try {
      return this.#handlers[request as RequestId](payload, fds)
    } finally {
      this.#conclude()
    }
  }

  /** The front-end is gone: forgets all it has set, at once. Resolves when processors have confirmed that. */
  async reset(): Promise<void> {
    this.#rings.reset()
    this.#features = 0n
    this.#protocolFeatures = 0n
    this.#status = 0
    this.#mtu = null
    this.#setLog(null)
    this.#setInflight(null)
    this.#memory.clear()
    this.#setBackEndRequests(-1)
    this.#setLogFd(-1)
    this.#confirmed = null
    this.#told = null
    this.#published = ''
    this.#updateLink()
    await this.#components.owner.pairs([], [])
  }

  /** Gives everything back. */
  async close(): Promise<void> {
    await this.reset()
    this.#rings.close()
    this.#components.memory.free(this.#regions, REGIONS_MAX * REGION_BYTES)
  }

  /** Facts for `status`. */
  describe(): Record<string, unknown> {
    const { table } = this.#memory
    return {
      engine: table.foreign ? 'typescript' : 'wasm',
      engineReason: table.reason,
      features: featureNames(this.#features),
      protocolFeatures: protocolFeatureNames(this.#protocolFeatures),
      mtu: this.#mtu,
      dirtyLog: this.#surroundings().log !== null,
      memory: this.#memory.describe(),
      rings: this.#rings.all.filter((ring) => ring.isStarted || ring.size > 0).map((ring) => ring.describe()),
    }
  }

  #makeHandlers(): Readonly<Record<RequestId, Handler>> {
    const u64 = (value: number | bigint): Answer => ({ payload: encode.u64(BigInt(value)) })
    const rings = this.#rings
    return {
      1: () => u64(this.#offered),
      2: act((payload) => this.#setFeatures(decode.u64(payload))),
      3: act(() => {}), // SET_OWNER: the connection is the session
      4: act(() => this.#resetOwner()),
      5: act((payload, fds) => this.#memory.set(payload, fds)),
      6: (payload, fds) => this.#setLogBase(payload, fds),
      7: act((_, fds) => this.#setLogFd(takeNotifier(fds))),
      8: act((payload) => {
        const { index, value } = decode.vringState(payload)
        const ring = rings.at(index)
        rings.locked([ring], () => ring.setSize(value))
      }),
      9: act((payload) => {
        const addresses = decode.vringAddresses(payload)
        const ring = rings.at(addresses.index)
        rings.update([ring], () => ring.setAddresses(addresses), true)
      }),
      10: act((payload) => {
        const { index, value } = decode.vringState(payload)
        const ring = rings.at(index)
        rings.locked([ring], () => ring.setBase(value))
      }),
      11: (payload) => this.#getVringBase(decode.vringState(payload).index),
      12: act((payload, fds) => {
        const { index, polled } = decode.vringFile(payload)
        const ring = rings.at(index)
        const fd = polled ? -1 : takeNotifier(fds)
        rings.update([ring], () => ring.start(fd), true)
      }),
      13: act((payload, fds) => {
        const { index, polled } = decode.vringFile(payload)
        const ring = rings.at(index)
        const fd = polled ? -1 : takeNotifier(fds)
        rings.locked([ring], () => ring.setCall(fd))
      }),
      14: act((payload, fds) => {
        const { index, polled } = decode.vringFile(payload)
        rings.at(index).setError(polled ? -1 : takeNotifier(fds))
      }),
      15: () => u64(OFFERED_PROTOCOL_FEATURES),
      16: act((payload) => this.#setProtocolFeatures(decode.u64(payload))),
      // Queue pairs to QEMU and DPDK; Cloud Hypervisor compares it with its number of rings, which is two at the least.
      17: () => u64(Math.max(2, this.#options.queuePairsMax)),
      18: act((payload) => {
        const { index, value } = decode.vringState(payload)
        const ring = rings.at(index)
        if (value > 1) throw new RefusedError('ring-enable', `queue ${index} can be enabled (1) or disabled (0), not ${value}`)
        rings.update([ring], () => ring.setEnabled(value === 1))
      }),
      19: act((payload) => this.#components.owner.announce(Uint8Array.from(payload.subarray(0, 6)))),
      20: act((payload) => this.#setMtu(decode.u64(payload))),
      21: act((_, fds) => this.#setBackEndRequests(fds.take(0))),
      31: (payload) => this.#getInflight(payload),
      32: act((payload, fds) => {
        const { offset, queues, queueSize } = decode.inflight(payload)
        this.#checkInflight(queues, queueSize)
        this.#setInflight(new InflightRegion(this.#components.memory, fds.peek(0), offset, queues, queueSize, this.#isPacked))
      }),
      34: act(() => this.#resetDevice()),
      36: () => u64(MEMORY_SLOTS_MAX),
      37: act((payload, fds) => this.#memory.add(decode.region(payload, 8), fds)),
      38: act((payload) => this.#memory.remove(decode.region(payload, 8))),
      39: act((payload) => this.#setStatus(Number(decode.u64(payload) & 0xffn))),
      40: () => u64(this.#status),
    }
  }

  get #isPacked(): boolean {
    return hasFeature(this.#features, 'packed')
  }

  #surroundings(): RingSurroundings {
    return {
      table: this.#memory.table,
      regions: this.#regions,
      features: this.#features,
      log: hasFeature(this.#features, 'logAll') ? this.#log : null,
      inflight: this.#inflight,
      enabledFromStart: !hasFeature(this.#features, 'protocolFeatures'),
    }
  }

  // ---- device state -----------------------------------------------------------------------------------------------------------

  #setFeatures(features: bigint): void {
    const unknown = features & ~this.#offered
    const format = (features ^ this.#features) & RING_FORMAT
    this.#status &= ~STATUS_FEATURES_OK
    if (unknown)
      throw new RefusedError('features', `the driver accepts features that were not offered: ${featureNames(unknown).join(', ')}`)
    if (format && this.#rings.all.some((ring) => ring.isStarted))
      throw new RefusedError('features', `${featureNames(format).join(', ')} can't change while a queue is started`)
    this.#rings.update(this.#rings.all, () => {
      this.#features = features
    })
  }

  #setProtocolFeatures(features: bigint): void {
    const unknown = features & ~OFFERED_PROTOCOL_FEATURES
    if (unknown)
      throw new RefusedError(
        'protocol-features',
        `the front-end accepts protocol features that were not offered: 0x${unknown.toString(16)}`,
      )
    this.#protocolFeatures = features
  }

  #setMtu(mtu: bigint): void {
    const most = this.#options.mtu ?? MTU_MAX
    if (mtu < MTU_MIN || mtu > most)
      throw new RefusedError('mtu', `an MTU of ${mtu} is not possible here: ${MTU_MIN} to ${most} bytes`)
    this.#mtu = Number(mtu)
  }

  #setStatus(status: number): void {
    if (status === 0) this.#rings.stop()
    this.#status = status
  }

  /** Deprecated, but what some front-ends send instead of stopping each ring. */
  #resetOwner(): void {
    this.#rings.stop()
    for (const ring of this.#rings.all) ring.setEnabled(false)
  }

  #resetDevice(): void {
    this.#rings.reset()
    this.#features = 0n
    this.#status = 0
    this.#mtu = null
    this.#setLog(null)
    this.#setInflight(null)
  }

  #getVringBase(index: number): Answer {
    const ring = this.#rings.at(index)
    let base = 0
    this.#rings.locked([ring], () => {
      const wasStarted = ring.isStarted
      base = ring.stop() ?? (this.#isPacked ? PACKED_START : 0)
      if (wasStarted) this.#inflight?.initialize(index) // an orderly stop leaves nothing in flight
    })
    return { payload: encode.vringState(index, base) }
  }

  #setBackEndRequests(fd: number): void {
    closeFd(this.#backEndRequests)
    this.#backEndRequests = fd
  }

  // ---- migration and in-flight region -------------------------------------------------------------------------------------------

  #setLogBase(payload: Buffer, fds: PassedFds): Answer {
    const { bytes, offset } = decode.log(payload)
    this.#setLog(new DirtyLog(this.#components.memory, fds.peek(0), bytes, offset))
    return { payload: encode.u64(0n) }
  }

  #setLog(log: DirtyLog | null): void {
    const old = this.#log
    this.#rings.update(this.#rings.all, () => {
      this.#log = log
    })
    old?.release()
  }

  #setLogFd(fd: number): void {
    closeFd(this.#logFd)
    this.#logFd = fd
  }

  #checkInflight(queues: number, size: number): void {
    if (queues < 1 || queues > this.#rings.all.length || size < 1 || size > RING_SIZE_MAX)
      throw new RefusedError(
        'inflight',
        `an in-flight region for ${queues} queues of ${size} entries: this port has ${this.#rings.all.length} queues`,
      )
  }

  #getInflight(payload: Buffer): Answer {
    const { queues, queueSize } = decode.inflight(payload)
    this.#checkInflight(queues, queueSize)
    const bytes = inflightBytes(queues, queueSize, this.#isPacked)
    const fd = createMemfd('vmswitch-inflight', bytes)
    try {
      const region = new InflightRegion(this.#components.memory, fd, 0n, queues, queueSize, this.#isPacked)
      for (let i = 0; i < queues; i++) region.initialize(i)
      this.#setInflight(region)
    } catch (error) {
      closeFd(fd)
      throw error
    }
    const answer = Buffer.from(payload)
    answer.writeBigUInt64LE(BigInt(bytes), 0)
    answer.writeBigUInt64LE(0n, 8)
    return { payload: answer, fds: [fd] }
  }

  #setInflight(region: InflightRegion | null): void {
    const old = this.#inflight
    this.#rings.update(this.#rings.all, () => {
      this.#inflight = region
    })
    old?.release()
  }

  // ---- what processors are told ---------------------------------------------------------------------------------------------------

  get #windowsConfirmed(): boolean {
    const { table } = this.#memory
    return table.windows.length === 0 || knows(this.#confirmed, table, table.windows.length)
  }

  /** Tells processors what changed since they were told last. Rings in windows they don't know yet start once they do. */
  #conclude(): void {
    const { pairs } = this.#rings
    const { table } = this.#memory
    const count = table.windows.length
    const published = JSON.stringify([pairs, table.windows])
    if (published !== this.#published || !(this.#windowsConfirmed || knows(this.#told, table, count))) {
      this.#published = published
      this.#told = { table, count }
      const done = this.#components.owner.pairs(pairs, [...table.windows])
      if (done)
        done.then(
          () => this.#confirm(table, count),
          (error: unknown) => this.#components.owner.event('plans-failed', `processors did not take over the queues: ${error}`),
        )
      else this.#confirm(table, count)
    }
    this.#updateLink()
  }

  #confirm(table: MemoryTable, count: number): void {
    if (this.#memory.table !== table || count === 0 || knows(this.#confirmed, table, count)) return
    this.#confirmed = { table, count }
    this.#rings.update(this.#rings.all, () => {})
    this.#conclude()
  }

  #updateLink(): void {
    const up = this.#rings.isServing
    if (up === this.#linkUp) return
    this.#linkUp = up
    this.#components.owner.link(up)
  }
}

const knows = (known: KnownWindows, table: MemoryTable, count: number): boolean => known?.table === table && known.count >= count

/** Takes a descriptor that is to be signalled or waited for. Throws RefusedError. */
function takeNotifier(fds: PassedFds): number {
  const fd = fds.peek(0)
  const stat = fstatSync(fd)
  // An eventfd has no file type. Front-ends on systems without eventfds pass pipes.
  if ((stat.mode & FILE_TYPE_MASK) !== 0 && !stat.isFIFO())
    throw new RefusedError('not-an-eventfd', 'a descriptor for notifications is neither an eventfd nor a pipe')
  setNonBlocking(fd, true)
  return fds.take(0)
}
