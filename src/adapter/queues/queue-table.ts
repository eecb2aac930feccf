// What the data path must know of each receive queue, in shared memory: written by the control thread when the miniport carries a request
// out, read by every processor. Queue ids are indices (0 = the default queue). Behind the entries stand the queues' positions: how far
// the memory of each is written and given back, who writes and who reads it.
//
// The rule it must not break: one thread writes the entries; a reader sees an entry's state change in one step.
import { lockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import { OperationalState, QUEUES_MAX } from './queue-words.ts'

const HEADER_WORDS = 16
const ENTRY_WORDS = 16
const POSITION_WORDS = 16
const GENERATION = 0
const PACKET_FILTER = 1
const ENCAPSULATION = 2
const MAC_LOW = 3
const MAC_HIGH = 4
const APPENDED = 5
const W_STATE = 0
const W_FLAGS = 1
const W_PROCESSOR = 2
const W_MODERATION = 3
const W_HANDLE = 4
const W_ADDRESS = 5
const W_BYTES = 6
const W_PORT = 7
const W_HELD = 8
const W_RING_HANDLE = 9
const W_RING_ADDRESS = 10
// Positions: bytes, free running; each queue's in a cache line of its own. The lock is the first word, as queue-lock.ts has it.
const P_LOCK = 0
const P_HEAD = 1
const P_TAIL = 2
const P_READER = 3
const P_WAITING = 4
/** Reader number of the control thread. */
const CONTROL = 0x7fffffff

export const queueTableBytes = (queues: number): number => (HEADER_WORDS + queues * (ENTRY_WORDS + POSITION_WORDS)) * 4

/** What the control thread sets of a queue. */
export interface QueueEntry {
  readonly state: OperationalState
  /** True: its packets are indicated by themselves (PER_QUEUE_RECEIVE_INDICATION). */
  readonly alone: boolean
  readonly processor: number
  /** Microseconds that a wake-up of its processor may be put off. */
  readonly moderationUs: number
  /** Memory of the queue: handle, linear address, bytes (a power of two); 0 without. */
  readonly handle: number
  readonly address: number
  readonly bytes: number
  /** Port of the extensible switch. */
  readonly port: number
}

/** The table. Fields are ordinary ones: they are read per burst and queue. */
export class QueueTable {
  readonly words: Int32Array
  readonly queues: number
  private readonly positionsAt: number

  /** Views the table at byte offset `at` of `buffer`, zeroed by the caller. */
  constructor(buffer: ArrayBufferLike, at: number, queues: number) {
    if (!(queues >= 1 && queues <= QUEUES_MAX && Number.isInteger(queues)))
      throw new RangeError(`an adapter has 1 to ${QUEUES_MAX} receive queues, not ${queues}`)
    this.words = new Int32Array(buffer, at, queueTableBytes(queues) >> 2)
    this.queues = queues
    this.positionsAt = HEADER_WORDS + queues * ENTRY_WORDS
  }

  // ---- of the adapter -------------------------------------------------------------------------------------------------------

  /** Changes whenever an entry or a filter does. */
  get generation(): number {
    return Atomics.load(this.words, GENERATION)
  }

  /** Changes whenever packets were left in the memory of a queue. */
  get appended(): number {
    return Atomics.load(this.words, APPENDED)
  }

  /** Tells processors that something has changed. */
  announce(): void {
    Atomics.add(this.words, GENERATION, 1)
  }

  /** NDIS packet filter (PacketFilter). */
  get packetFilter(): number {
    return this.words[PACKET_FILTER]!
  }

  setPacketFilter(filter: number): void {
    this.words[PACKET_FILTER] = filter
    this.announce()
  }

  /** True while EncapsulatedPacketTaskOffload is on. */
  get encapsulation(): boolean {
    return this.words[ENCAPSULATION] !== 0
  }

  setEncapsulation(on: boolean): void {
    this.words[ENCAPSULATION] = on ? 1 : 0
    this.announce()
  }

  /** The adapter's own address: octets 2…5 and octets 0 and 1, little-endian. */
  get macLow(): number {
    return this.words[MAC_LOW]!
  }

  get macHigh(): number {
    return this.words[MAC_HIGH]!
  }

  setMac(low: number, high: number): void {
    this.words[MAC_LOW] = low
    this.words[MAC_HIGH] = high
    this.announce()
  }

  // ---- of a queue -----------------------------------------------------------------------------------------------------------

  private entry(queue: number, word: number): number {
    return HEADER_WORDS + queue * ENTRY_WORDS + word
  }

  /** OperationalState */
  state(queue: number): number {
    return Atomics.load(this.words, this.entry(queue, W_STATE))
  }

  /** True if the queue's packets are indicated by themselves. */
  alone(queue: number): boolean {
    return this.words[this.entry(queue, W_FLAGS)] !== 0
  }

  /** Processor on which the queue's packets are indicated. */
  processor(queue: number): number {
    return Atomics.load(this.words, this.entry(queue, W_PROCESSOR))
  }

  moderationUs(queue: number): number {
    return this.words[this.entry(queue, W_MODERATION)]!
  }

  handle(queue: number): number {
    return this.words[this.entry(queue, W_HANDLE)]!
  }

  /** Linear address of the queue's memory. */
  address(queue: number): number {
    return this.words[this.entry(queue, W_ADDRESS)]! >>> 0
  }

  /** Bytes of the queue's memory, a power of two; 0 = none. */
  bytes(queue: number): number {
    return this.words[this.entry(queue, W_BYTES)]!
  }

  /** Port of the extensible switch to which the queue of an id belongs; 0 of the default queue, and of ids that name no queue (VQ-117). */
  port(queue: number): number {
    return queue < this.queues ? this.words[this.entry(queue, W_PORT)]! : 0
  }

  /** True while nobody reads the queue: packets wait in it. */
  held(queue: number): boolean {
    return Atomics.load(this.words, this.entry(queue, W_HELD)) !== 0
  }

  /** Handle and address of the receive ring whose packets reach the queue without a copy; handle 0 = not known. */
  ringHandle(queue: number): number {
    return this.words[this.entry(queue, W_RING_HANDLE)]!
  }

  ringAddress(queue: number): number {
    return this.words[this.entry(queue, W_RING_ADDRESS)]! >>> 0
  }

  // ---- control thread -------------------------------------------------------------------------------------------------------

  /** Writes an entry and announces it; its state last. */
  set(queue: number, entry: QueueEntry): void {
    const { words } = this
    words[this.entry(queue, W_FLAGS)] = entry.alone ? 1 : 0
    words[this.entry(queue, W_MODERATION)] = entry.moderationUs
    words[this.entry(queue, W_HANDLE)] = entry.handle
    words[this.entry(queue, W_ADDRESS)] = entry.address
    words[this.entry(queue, W_BYTES)] = entry.bytes
    words[this.entry(queue, W_PORT)] = entry.port
    Atomics.store(words, this.entry(queue, W_PROCESSOR), entry.processor)
    Atomics.store(words, this.entry(queue, W_STATE), entry.state)
    this.announce()
  }

  /** Empties an entry and its positions. Nobody uses the queue any more. */
  clear(queue: number): void {
    const at = HEADER_WORDS + queue * ENTRY_WORDS
    this.words.fill(0, at, at + ENTRY_WORDS)
    const position = this.position(queue, P_LOCK)
    this.words.fill(0, position, position + POSITION_WORDS)
    this.announce()
  }

  setState(queue: number, state: OperationalState): void {
    Atomics.store(this.words, this.entry(queue, W_STATE), state)
    this.announce()
  }

  setModeration(queue: number, moderationUs: number): void {
    this.words[this.entry(queue, W_MODERATION)] = moderationUs
  }

  /** While held, packets of the queue are kept in its memory and nobody reads them. */
  hold(queue: number, held: boolean): void {
    Atomics.store(this.words, this.entry(queue, W_HELD), held ? 1 : 0)
    this.announce()
  }

  setRing(queue: number, handle: number, address: number): void {
    this.words[this.entry(queue, W_RING_HANDLE)] = handle
    this.words[this.entry(queue, W_RING_ADDRESS)] = address
    this.announce()
  }

  /**
   * Stops writes to the queue's memory: when this returns no processor is writing there and none will (DMA has stopped, VQ-125).
   * Returns false if a writer did not let go of the lock in time, which means that its thread has died.
   */
  stop(queue: number): boolean {
    this.setState(queue, OperationalState.dmaStopped)
    const got = this.lock(queue)
    if (got) this.unlock(queue)
    return got
  }

  // ---- positions --------------------------------------------------------------------------------------------------------------

  private position(queue: number, word: number): number {
    return this.positionsAt + queue * POSITION_WORDS + word
  }

  /** Takes the lock that writers of the queue's memory hold. */
  lock(queue: number): boolean {
    return lockQueue(this.words, this.position(queue, P_LOCK) << 2)
  }

  unlock(queue: number): void {
    unlockQueue(this.words, this.position(queue, P_LOCK) << 2)
  }

  /** Bytes given back so far. */
  head(queue: number): number {
    return Atomics.load(this.words, this.position(queue, P_HEAD))
  }

  /** Bytes written so far. */
  tail(queue: number): number {
    return Atomics.load(this.words, this.position(queue, P_TAIL))
  }

  /** True if every packet that was written has come back. */
  isEmpty(queue: number): boolean {
    return this.head(queue) === this.tail(queue)
  }

  /** Publishes what a writer wrote; under the lock. */
  publish(queue: number, tail: number): void {
    Atomics.store(this.words, this.position(queue, P_TAIL), tail)
    Atomics.add(this.words, APPENDED, 1)
  }

  /** Gives memory back; the reader only, who stays that unless `last`. Wakes who waits for it. */
  giveBack(queue: number, head: number, last: boolean): void {
    const at = this.position(queue, P_HEAD)
    Atomics.store(this.words, at, head)
    if (last) this.releaseReader(queue)
    if (Atomics.load(this.words, this.position(queue, P_WAITING)) !== 0) Atomics.notify(this.words, at)
  }

  /** Makes `processor` the one reader of the queue. False while another one is. */
  takeReader(queue: number, processor: number): boolean {
    const at = this.position(queue, P_READER)
    const mine = processor + 1
    return Atomics.load(this.words, at) === mine || Atomics.compareExchange(this.words, at, 0, mine) === 0
  }

  releaseReader(queue: number): void {
    Atomics.store(this.words, this.position(queue, P_READER), 0)
  }

  /** As `takeReader`, for the control thread. */
  takeAsControl(queue: number): boolean {
    return this.takeReader(queue, CONTROL - 1)
  }

  /**
   * Settles when everything up to position `until` has been given back. `meanwhile` is called before each wait. Control thread; the memory
   * must be shared.
   */
  async passed(queue: number, until: number, meanwhile?: () => void): Promise<void> {
    const { words } = this
    const at = this.position(queue, P_HEAD)
    const waiting = this.position(queue, P_WAITING)
    Atomics.add(words, waiting, 1)
    for (;;) {
      meanwhile?.()
      const head = Atomics.load(words, at)
      if (((head - until) | 0) >= 0) break
      await Atomics.waitAsync(words, at, head).value
    }
    Atomics.sub(words, waiting, 1)
  }
}
