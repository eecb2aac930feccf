// The one shared linear memory of the process: a WebAssembly.Memory of up to 4 GiB address space that every thread, TypeScript and
// the wasm kernels see. The lower part (the control arena) holds pools, queue blocks, tables and counters; above it lies the guest
// area, where guests' memory files are mapped with MAP_FIXED over the pages that V8 reserved. Guests are put at its upper end; from its
// lower end on, rings and buffers of single ports take pages as they are used.
//
// The rule it must not break: the memory is reserved once and never grows, and a mapping that goes leaves anonymous pages, never a
// hole. Allocation happens on the control thread only.
import { addressOf, closeFd, createMemfd, excludeFromDumps, mapAnonymousFixed, mapFixed, preferHugePages } from './files.ts'

const PAGE = 4096
const WASM_PAGE = 65536
const HUGE_PAGE = 2 * 1024 * 1024
const NULL_GUARD = 1024 * 1024 // the kernels' static data and address 0 stay below
export const CONTROL_BYTES = 256 * 1024 * 1024
/** Rings and buffers of ports lie below this, guests where there is room. */
export const VIEW_BYTES = 1024 * 1024 * 1024

/** What another thread needs to use the same memory. Structured-cloneable. */
export interface SharedMemoryHandle {
  readonly memory: WebAssembly.Memory
}

interface Span {
  start: number
  length: number
}

/** Allocator over one address range, first fit from either end, with coalescing. Control thread only. */
export class SpanAllocator {
  readonly #free: Span[]

  constructor(start: number, length: number) {
    this.#free = [{ start, length }]
  }

  /** Reserves `length` bytes aligned so that (result + bias) is a multiple of `alignment`; -1 if there is no room. */
  take(length: number, alignment: number, bias = 0): number {
    for (let i = 0; i < this.#free.length; i++) {
      const span = this.#free[i]!
      const misalignment = (span.start + bias) % alignment
      const start = misalignment === 0 ? span.start : span.start + alignment - misalignment
      if (start + length > span.start + span.length) continue
      return this.#cut(i, start, length)
    }
    return -1
  }

  /** The same from the upper end. */
  takeLast(length: number, alignment: number, bias = 0): number {
    for (let i = this.#free.length - 1; i >= 0; i--) {
      const span = this.#free[i]!
      const last = span.start + span.length - length
      const misalignment = (((last + bias) % alignment) + alignment) % alignment
      if (last - misalignment >= span.start) return this.#cut(i, last - misalignment, length)
    }
    return -1
  }

  #cut(i: number, start: number, length: number): number {
    const span = this.#free[i]!
    const end = start + length
    const rest: Span[] = []
    if (start > span.start) rest.push({ start: span.start, length: start - span.start })
    if (end < span.start + span.length) rest.push({ start: end, length: span.start + span.length - end })
    this.#free.splice(i, 1, ...rest)
    return start
  }

  /** Gives a reserved range back. */
  give(start: number, length: number): void {
    let i = this.#free.findIndex((span) => span.start > start)
    if (i < 0) i = this.#free.length
    this.#free.splice(i, 0, { start, length })
    for (const at of [i, i - 1]) {
      const left = this.#free[at]
      const right = this.#free[at + 1]
      if (left && right && left.start + left.length === right.start) {
        left.length += right.length
        this.#free.splice(at + 1, 1)
      }
    }
  }

  /** Bytes not reserved. */
  get available(): number {
    return this.#free.reduce((sum, span) => sum + span.length, 0)
  }
}

/** The control arena is full. */
export class ControlMemoryError extends Error {
  override readonly name = 'ControlMemoryError'
  readonly code = 'CONTROL_MEMORY_FULL'

  constructor(bytes: number) {
    super(
      `the switch's control memory (${CONTROL_BYTES >> 20} MiB) has no ${bytes} bytes left for this: use fewer ports, queues, adapters or processors`,
    )
  }
}

/** The shared linear memory, its allocator and the mappings in it. */
export class SharedMemory {
  readonly memory: WebAssembly.Memory
  readonly buffer: ArrayBufferLike
  /** Native address of linear address 0. */
  readonly base: number
  readonly u8: Uint8Array
  readonly i32: Int32Array
  readonly u32: Uint32Array
  readonly f64: Float64Array
  readonly #control: SpanAllocator
  readonly #guests: SpanAllocator

  private constructor(memory: WebAssembly.Memory) {
    this.memory = memory
    this.buffer = memory.buffer
    const all = new Uint8Array(memory.buffer)
    this.base = addressOf(all)
    // Views cover what is ours only: small indices are fast, and guest bytes are out of reach until guests take nearly all there is.
    const view = Math.min(VIEW_BYTES, memory.buffer.byteLength / 2)
    this.u8 = new Uint8Array(memory.buffer, 0, view)
    this.i32 = new Int32Array(memory.buffer, 0, view >> 2)
    this.u32 = new Uint32Array(memory.buffer, 0, view >> 2)
    this.f64 = new Float64Array(memory.buffer, 0, view >> 3)
    this.#control = new SpanAllocator(NULL_GUARD, CONTROL_BYTES - NULL_GUARD)
    this.#guests = new SpanAllocator(CONTROL_BYTES, memory.buffer.byteLength - CONTROL_BYTES)
  }

  /** Reserves the memory: 4 GiB of address space, or less where the machine refuses that. */
  static create(): SharedMemory {
    for (const pages of [65536, 32768, 16384]) {
      try {
        const reserved = new SharedMemory(new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }))
        reserved.#preferHugePages()
        return reserved
      } catch {}
    }
    throw new Error('cannot reserve 1 GiB of address space for the switch: raise the limit on address space (ulimit -v)')
  }

  // The arrays of a packet pool, its store and the lists of ports stand in some hundred small pages: more than a processor keeps the
  // addresses of. What is allocated is written at once, so that huge pages take no more memory.
  #preferHugePages(): void {
    const skipped = (HUGE_PAGE - (this.base % HUGE_PAGE)) % HUGE_PAGE
    preferHugePages(this.base + skipped, CONTROL_BYTES - HUGE_PAGE)
  }

  /** The same memory in another thread; it must not allocate there. */
  static attach(handle: SharedMemoryHandle): SharedMemory {
    return new SharedMemory(handle.memory)
  }

  get handle(): SharedMemoryHandle {
    return { memory: this.memory }
  }

  /** Reserves zeroed control memory. Throws if the arena is full. Returns a linear address, never 0. */
  allocate(bytes: number, alignment = 64): number {
    const size = Math.ceil(bytes / 64) * 64
    const at = this.#control.take(size, alignment)
    if (at < 0) throw new ControlMemoryError(bytes)
    this.u8.fill(0, at, at + size)
    return at
  }

  /**
   * Reserves zeroed memory for the rings or buffers of one port, whose pages are taken when they are first used: outside of the control
   * arena while there is room. Throws if there is none. Returns a linear address, never 0.
   */
  allocateForPort(bytes: number): number {
    const size = Math.ceil(bytes / PAGE) * PAGE
    const at = this.#guests.take(size, PAGE)
    if (at >= 0 && at + size <= this.u8.length) return at
    if (at >= 0) this.#guests.give(at, size)
    return this.allocate(bytes)
  }

  /**
   * Reserves zeroed memory for a large table that packets look things up in, in huge pages where the machine has them: every look-up is in another
   * page. Returns a linear address, 0 if there is no room. It is never given back.
   */
  allocateTable(bytes: number): number {
    const size = Math.ceil(bytes / HUGE_PAGE) * HUGE_PAGE
    const at = this.#guests.take(size, HUGE_PAGE, this.base % HUGE_PAGE)
    if (at < 0) return 0
    if (at + size > this.u8.length) {
      this.#guests.give(at, size)
      return 0
    }
    preferHugePages(this.base + at, size)
    return at
  }

  /** Gives memory of `allocate` or `allocateForPort` back. */
  free(at: number, bytes: number): void {
    if (at < CONTROL_BYTES) {
      this.#control.give(at, Math.ceil(bytes / 64) * 64)
      return
    }
    const size = Math.ceil(bytes / PAGE) * PAGE
    mapAnonymousFixed(this.base + at, size) // empty pages: the next one finds zeros, and the machine has its memory back
    this.#guests.give(at, size)
  }

  /** Reserves `bytes` of the guest area at a huge-page boundary; -1 if it does not fit (then the port uses windows). */
  reserveGuest(bytes: number): number {
    return this.#guests.takeLast(Math.ceil(bytes / HUGE_PAGE) * HUGE_PAGE, HUGE_PAGE, this.base % HUGE_PAGE)
  }

  /** Maps `bytes` of `fd` from `offset` at the reserved address `at`. */
  mapGuest(at: number, bytes: number, fd: number, offset: number): void {
    mapFixed(this.base + at, bytes, fd, offset)
    excludeFromDumps(this.base + at, bytes)
  }

  /** Puts anonymous pages over a mapping and gives its range back. */
  releaseGuest(at: number, bytes: number): void {
    const length = Math.ceil(bytes / HUGE_PAGE) * HUGE_PAGE
    mapAnonymousFixed(this.base + at, length)
    this.#guests.give(at, length)
  }

  /** Bytes of control memory that are not reserved. */
  get controlBytesAvailable(): number {
    return this.#control.available
  }

  /** Bytes of guest memory that still fit. */
  get guestBytesAvailable(): number {
    return this.#guests.available
  }

  /** Checks at start that a mapped file is coherent with typed arrays, atomics and a second mapping. Throws if not. */
  selfTest(): void {
    const at = this.reserveGuest(HUGE_PAGE)
    const other = this.reserveGuest(HUGE_PAGE)
    const fd = createMemfd('vmswitch-self-test', HUGE_PAGE)
    try {
      this.mapGuest(at, HUGE_PAGE, fd, 0)
      this.mapGuest(other, HUGE_PAGE, fd, 0)
      const here = new Int32Array(this.buffer, at, PAGE >> 2)
      const there = new Int32Array(this.buffer, other, PAGE >> 2)
      Atomics.store(here, 7, 0x12345678)
      if (Atomics.load(there, 7) !== 0x12345678 || Atomics.add(there, 7, 1) !== 0x12345678 || here[7] !== 0x12345679)
        throw new Error(
          'memory self-test failed: a file mapped into the shared memory is not coherent; this kernel or Node build cannot run vmswitch',
        )
    } finally {
      closeFd(fd)
      this.releaseGuest(at, HUGE_PAGE)
      this.releaseGuest(other, HUGE_PAGE)
    }
  }
}

export { WASM_PAGE }
