// One virtqueue as the protocol sets it up, and its queue block in shared memory, from which processors work.
//
// The rule it must not break: the block changes only under the queue's lock, and says "running" only while all it names is valid:
// the whole ring inside one region, aligned, of an allowed size.
import {
  Q_ALARM,
  Q_BAD_BUFFER,
  Q_BAD_CHAIN,
  Q_CALL,
  Q_DESC,
  Q_DESC_BYTES,
  Q_DESC_OFFSET,
  Q_DESC_WINDOW,
  Q_DEVICE,
  Q_DEVICE_OFFSET,
  Q_DEVICE_WINDOW,
  Q_DISCARD,
  Q_DRIVER,
  Q_DRIVER_OFFSET,
  Q_DRIVER_WINDOW,
  Q_ERROR,
  Q_FLAGS,
  Q_GENERATION,
  Q_INDEX,
  Q_INFLIGHT,
  Q_KICK,
  Q_LAST,
  Q_LOG,
  Q_LOG_RING,
  Q_LOG_RING_HIGH,
  Q_LOG_RING_LOW,
  Q_LOG_SIZE,
  Q_MASK,
  Q_NO_BUFFER,
  Q_OFFLOADS,
  Q_PORT,
  Q_REGION_COUNT,
  Q_REGIONS,
  Q_SIGNALLED_VALID,
  Q_SIZE,
  Q_STATE,
  Q_TOO_BIG,
  Q_USED,
  Q_WRAP,
  QF_EVENT_INDEX,
  QF_FOREIGN,
  QF_PACKED,
  QS_BROKEN,
  QS_RUNNING,
  QS_STOPPED,
} from '../kernels/layout.ts'
import { closeFd, signalEventFd } from '../linux/files.ts'
import { RefusedError } from '../linux/refused.ts'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { hasLongHeader, queueFlags, receiveOffloads, transmitOffloads } from '../virtio/features.ts'
import { encodePackedBase, isRingSize, PACKED_START, packedBase, RING_SIZE_MAX, ringParts } from '../virtio/ring-layout.ts'
import type { DirtyLog } from './dirty-log.ts'
import type { InflightRegion } from './inflight.ts'
import type { MemoryTable, Place } from './memory-table.ts'
import type { VringAddresses } from './messages.ts'

const errorNames = [
  'none',
  'available index ahead of the ring',
  'descriptor index outside the table',
  'chain longer than the ring',
]

/** What a ring depends on besides its own settings. */
export interface RingSurroundings {
  readonly table: MemoryTable
  /** Linear address of the region table. */
  readonly regions: number
  readonly features: bigint
  /** In force, or null. */
  readonly log: DirtyLog | null
  readonly inflight: InflightRegion | null
  /** Whether rings are enabled from the start: protocol features were not negotiated. */
  readonly enabledFromStart: boolean
}

/** One virtqueue of a device. Even ones are the guest's receive queues, odd ones its transmit queues. */
export class Vring {
  readonly index: number
  /** Linear address of the queue block. */
  readonly queue: number
  #size = 0
  #addresses: VringAddresses | null = null
  #enabled = false
  #problem: string | null = null
  /** The base that was set and not yet used. */
  #base: number | null = null
  #kick: number | null = null
  #call = -1
  #error = -1
  #breakReported = false
  /** The block says where the ring stands. */
  #positioned = false
  readonly #u32: Uint32Array
  readonly #i32: Int32Array

  /** Takes over the zeroed queue block at `queue`. */
  constructor(index: number, queue: number, port: number, alarm: number, memory: SharedMemory) {
    this.index = index
    this.queue = queue
    this.#u32 = memory.u32
    this.#i32 = memory.i32
    this.#set(Q_INDEX, index)
    this.#set(Q_PORT, port)
    this.#setSigned(Q_ALARM, alarm)
    this.#setSigned(Q_KICK, -1)
    this.#setSigned(Q_CALL, -1)
  }

  get isTransmit(): boolean {
    return (this.index & 1) === 1
  }

  get size(): number {
    return this.#size
  }

  /** Why a ring that the front-end started does not run; null if it runs or was not started. */
  get problem(): string | null {
    return this.#problem
  }

  /** The front-end has started it; whether it runs depends on the rest. */
  get isStarted(): boolean {
    return this.#kick !== null
  }

  get isRunning(): boolean {
    return this.#get(Q_STATE) === QS_RUNNING
  }

  /** It runs, and what the guest sends goes through. */
  get isServing(): boolean {
    return this.isRunning && this.#get(Q_DISCARD) === 0
  }

  get generation(): number {
    return this.#get(Q_GENERATION)
  }

  /**
   * Sets the number of entries; whether the ring's format allows it is checked when the ring starts. A ring that is set up anew is
   * stopped: some front-ends do so without stopping it first. Under the lock. Throws RefusedError.
   */
  setSize(size: number): void {
    if (!isRingSize(size, true))
      throw new RefusedError('ring-size', `queue ${this.index} can't have ${size} entries: 1 to ${RING_SIZE_MAX}`)
    if (this.isStarted) this.stop()
    this.#size = size
  }

  /** Sets where the ring resumes, as SET_VRING_BASE says it; stops a started ring. Under the lock. */
  setBase(base: number): void {
    if (this.isStarted) this.stop()
    this.#base = base
  }

  /** Sets where the parts of the ring lie, in addresses of the front-end. Under the lock. */
  setAddresses(addresses: VringAddresses): void {
    this.#addresses = addresses
  }

  /** Enables or disables the ring; `settle` makes it effective. */
  setEnabled(enabled: boolean): void {
    this.#enabled = enabled
  }

  /** Starts the ring with its kick descriptor, -1 = the guest polls. Takes the descriptor over. Under the lock. */
  start(kick: number): void {
    const old = this.#kick ?? -1
    if (this.#get(Q_STATE) === QS_BROKEN) this.#set(Q_STATE, QS_STOPPED)
    this.#breakReported = false
    this.#kick = kick
    this.#setSigned(Q_KICK, kick)
    this.#renew()
    signalAndClose(old) // a processor asleep on it wakes and finds the new one
  }

  /** Replaces the descriptor by which the guest is told of used buffers. Under the lock. */
  setCall(call: number): void {
    closeFd(this.#call)
    this.#call = call
    this.#setSigned(Q_CALL, call)
    if (call >= 0) signalEventFd(call) // what was told through the old one may not have been heard
  }

  /** Replaces the descriptor for errors. */
  setError(error: number): void {
    closeFd(this.#error)
    this.#error = error
  }

  /**
   * Makes the block fit the surroundings: running if it can, else stopped. `confirmed`: processors know all windows. Under the
   * lock. Returns whether anything changed for processors.
   */
  settle(surroundings: RingSurroundings, confirmed: () => boolean): boolean {
    const before = this.#get(Q_STATE)
    this.#problem = null
    const usable = this.isStarted && this.#size > 0 && this.#addresses !== null && surroundings.table.entryCount > 0
    if (usable) this.#problem = this.#configure(surroundings)
    const enabled = this.#enabled || surroundings.enabledFromStart
    const runs = usable && this.#problem === null && confirmed() && (enabled || this.isTransmit)
    const discard = runs && !enabled ? 1 : 0
    const state = before === QS_BROKEN ? QS_BROKEN : runs ? QS_RUNNING : QS_STOPPED
    const changed = state !== before || discard !== this.#get(Q_DISCARD)
    this.#set(Q_DISCARD, discard)
    this.#set(Q_STATE, state)
    if (changed) this.#renew()
    return changed
  }

  /** Wakes a processor that sleeps until the guest kicks. */
  wake(): void {
    if (this.#kick !== null && this.#kick >= 0) signalEventFd(this.#kick)
  }

  /** Stops the ring and returns its position as GET_VRING_BASE tells it, null if it never had one. Under the lock. */
  stop(): number | null {
    this.#base = this.#position()
    const kick = this.#kick ?? -1
    this.#kick = null
    this.#set(Q_STATE, QS_STOPPED)
    this.#set(Q_ERROR, 0)
    this.#setSigned(Q_KICK, -1)
    this.#renew()
    this.#problem = null
    signalAndClose(kick)
    return this.#base
  }

  /** Forgets all the front-end has set. Under the lock. */
  reset(): void {
    this.stop()
    this.setCall(-1)
    this.setError(-1)
    this.#size = 0
    this.#addresses = null
    this.#enabled = false
    this.#base = null
    this.#positioned = false
    this.#set(Q_INFLIGHT, 0)
    this.#set(Q_LOG, 0)
  }

  /** Tells the front-end, once, that the ring broke. Returns why, or null if it didn't or that was told before. */
  reportBreak(): string | null {
    if (this.#get(Q_STATE) !== QS_BROKEN || this.#breakReported) return null
    this.#breakReported = true
    if (this.#error >= 0) signalEventFd(this.#error)
    return this.#errorText()
  }

  /** Facts for `status`. */
  describe(): Record<string, unknown> {
    return {
      index: this.index,
      direction: this.isTransmit ? 'transmit' : 'receive',
      size: this.#size,
      state: ['stopped', 'running', 'broken'][this.#get(Q_STATE)],
      enabled: this.#enabled,
      problem: this.#problem ?? (this.#get(Q_STATE) === QS_BROKEN ? this.#errorText() : null),
      notification: this.#kick === null ? 'none' : this.#kick < 0 ? 'polling' : 'eventfd',
      noBuffer: this.#get(Q_NO_BUFFER),
      tooBig: this.#get(Q_TOO_BIG),
      badBuffer: this.#get(Q_BAD_BUFFER),
      badChain: this.#get(Q_BAD_CHAIN),
    }
  }

  #errorText(): string {
    return errorNames[this.#get(Q_ERROR)] ?? `error ${this.#get(Q_ERROR)}`
  }

  /** Fills the block. Returns what stands in the way, or null. */
  #configure({ table, regions, features, log, inflight }: RingSurroundings): string | null {
    const flags = queueFlags(features)
    const packed = (flags & QF_PACKED) !== 0
    if (!hasLongHeader(features))
      return 'the driver negotiated neither VIRTIO 1 nor mergeable buffers; its 10-byte header is not supported: use a modern driver'
    if (!isRingSize(this.#size, packed)) return `a split ring can't have ${this.#size} entries: the size must be a power of two`
    const addresses = this.#addresses!
    const parts = ringParts(this.#size, packed, (flags & QF_EVENT_INDEX) !== 0)
    const places: Place[] = []
    for (const part of ['descriptors', 'driver', 'device'] as const) {
      const { bytes, alignment } = parts[part]
      const place = table.place(addresses[part], bytes)
      const where = `the ${part} part of the ring (0x${addresses[part].toString(16)}, ${bytes} bytes)`
      if (!place) return `${where} does not lie within one shared memory region`
      if (place.native % alignment !== 0) return `${where} is not aligned to ${alignment}`
      places.push(place)
    }
    const [descriptors, driver, device] = places as [Place, Place, Place]
    const logged = log !== null && addresses.logged
    if (logged && !log.reaches(addresses.log, parts.device.bytes)) return 'the dirty log has no bits for the used ring'
    this.#setPlace(Q_DESC, Q_DESC_WINDOW, Q_DESC_OFFSET, descriptors)
    this.#setPlace(Q_DRIVER, Q_DRIVER_WINDOW, Q_DRIVER_OFFSET, driver)
    this.#setPlace(Q_DEVICE, Q_DEVICE_WINDOW, Q_DEVICE_OFFSET, device)
    this.#set(Q_DESC_BYTES, Math.min(descriptors.room, 0xffff_ffff))
    this.#set(Q_FLAGS, flags | (table.foreign ? QF_FOREIGN : 0))
    this.#set(Q_SIZE, this.#size)
    this.#set(Q_MASK, this.#size - 1)
    this.#set(Q_OFFLOADS, this.isTransmit ? transmitOffloads(features) : receiveOffloads(features))
    this.#set(Q_REGIONS, regions)
    this.#set(Q_REGION_COUNT, table.entryCount)
    this.#set(Q_LOG, log?.at ?? 0)
    this.#set(Q_LOG_SIZE, log?.bytes ?? 0)
    this.#set(Q_LOG_RING, logged ? 1 : 0)
    this.#set(Q_LOG_RING_LOW, Number(addresses.log & 0xffff_ffffn))
    this.#set(Q_LOG_RING_HIGH, Number(addresses.log >> 32n))
    this.#set(Q_INFLIGHT, inflight?.addressOf(this.index) ?? 0)
    if (!this.#positioned || this.#base !== null) this.#resume(table, device, packed, inflight)
    return null
  }

  /** Sets the position: where the guest's used index stands (split), or where base or in-flight region say (packed). */
  #resume(table: MemoryTable, device: Place, packed: boolean, inflight: InflightRegion | null): void {
    if (packed) {
      const fromBase = this.#base === null ? packedBase(PACKED_START) : packedBase(this.#base)
      const fresh = fromBase.index === 0 && fromBase.wrap === 1
      // After a crash of its back-end, a front-end knows no better than the start; then the in-flight region does.
      const { index, wrap } = (fresh ? inflight?.packedPosition(this.index) : null) ?? fromBase
      this.#set(Q_LAST, index < this.#size ? index : 0)
      this.#set(Q_USED, index < this.#size ? index : 0)
      this.#set(Q_WRAP, wrap === 1 ? 3 : 0)
    } else {
      const used = table.readU16({ ...device, native: device.native + 2 })
      this.#set(Q_LAST, used)
      this.#set(Q_USED, used)
    }
    this.#set(Q_SIGNALLED_VALID, 0)
    this.#set(Q_ERROR, 0)
    this.#base = null
    this.#positioned = true
  }

  #position(): number | null {
    if (this.#base !== null || !this.#positioned) return this.#base
    if ((this.#get(Q_FLAGS) & QF_PACKED) === 0) return this.#get(Q_LAST) & 0xffff
    const wraps = this.#get(Q_WRAP)
    return encodePackedBase(
      { index: this.#get(Q_LAST), wrap: wraps & 1 ? 1 : 0 },
      { index: this.#get(Q_USED), wrap: wraps & 2 ? 1 : 0 },
    )
  }

  #renew(): void {
    this.#set(Q_GENERATION, (this.#get(Q_GENERATION) + 1) >>> 0)
  }

  #setPlace(linear: number, window: number, offset: number, place: Place): void {
    this.#set(linear, place.linear)
    this.#set(window, place.window)
    this.#set(offset, place.offset)
  }

  #get(field: number): number {
    return this.#u32[(this.queue + field) >> 2]!
  }

  #set(field: number, value: number): void {
    this.#u32[(this.queue + field) >> 2] = value
  }

  #setSigned(field: number, value: number): void {
    this.#i32[(this.queue + field) >> 2] = value
  }
}

function signalAndClose(fd: number): void {
  if (fd < 0) return
  signalEventFd(fd)
  closeFd(fd)
}
