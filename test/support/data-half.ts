// A processor's side of an endpoint without an engine, for tests: shared memory, a packet pool, kernels, the queues of one endpoint,
// and the events that its control half told.
//
// The rule it must not break: it follows the contract as a processor does (complete after receive, withdraw before release), so that
// a test that passes here says something about the engine.
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import type { EndpointEvents, EndpointQueue, QueueContext, QueuePlan, WindowPlan } from '../../src/endpoints/endpoint.ts'
import { openQueue } from '../../src/endpoints/open-queue.ts'
import { SCRATCH_BYTES } from '../../src/endpoints/scratch.ts'
import {
  BURST_MAX,
  HEADER_COPY,
  HEADER_START,
  HEADER_STRIDE,
  P_ADDRESS,
  P_FLAGS,
  P_HEADER,
  P_HEADER_LENGTH,
  P_HEADER_OFFSET,
  P_LENGTH,
  P_NEEDS,
  P_REASON,
  P_SEGMENT,
  P_SEGMENTS,
  P_VNET,
  PF_DROPPED,
  POOL_BYTES,
  SEGMENTS_MAX,
  VNET_HEADER,
  VNET_STRIDE,
} from '../../src/kernels/layout.ts'
import { EpollSet } from '../../src/linux/epoll.ts'
import { SharedMemory } from '../../src/linux/shared-memory.ts'
import { makeKernels } from './kernels.ts'

const PAYLOAD_BYTES = 8 * 1024 * 1024
const LIST_BYTES = 256
const SPINS = 100 // turns of the event loop before waiting costs time

/** A frame as a test sees it, with what stood beside it in its slot. */
export interface ReceivedFrame {
  readonly bytes: Buffer
  readonly flags: number
  readonly reason: number
  readonly needs: number
  readonly vnet: Buffer
}

export interface DeliverOptions {
  /** Payload segments that the frame's bytes after the header copy are cut into (default 1). */
  readonly segments?: number
  /** Packet flags of every frame. */
  readonly flags?: number
  /** virtio-net header of every frame. */
  readonly vnet?: Uint8Array
}

let shared: SharedMemory | null = null

/** The memory of this test process: reserving 4 GiB of address space once is enough. */
export function testMemory(): SharedMemory {
  shared ??= SharedMemory.create()
  return shared
}

export class DataHalf {
  readonly memory: SharedMemory
  readonly context: QueueContext
  readonly epoll = new EpollSet()
  readonly links: boolean[] = []
  readonly told: { code: string; message: string }[] = []
  readonly inbox: ReceivedFrame[] = []
  /** Called when the control half tells an MTU. */
  heardMtu: (bytes: number) => void = () => {}
  /** What a control half is created with. */
  readonly events: EndpointEvents
  plans: readonly QueuePlan[] = []
  windows: readonly WindowPlan[] = []
  queues: EndpointQueue[] = []
  readonly #payload: number
  readonly #list: number
  readonly #u16: Uint16Array

  constructor(memory = testMemory()) {
    this.memory = memory
    const pool = memory.allocate(POOL_BYTES)
    this.#payload = memory.allocate(PAYLOAD_BYTES)
    this.#list = memory.allocate(LIST_BYTES)
    this.#u16 = new Uint16Array(memory.buffer, 0, memory.u8.length >> 1)
    const kernels = makeKernels(memory)
    this.context = { memory, kernels, pool, scratch: memory.allocateForPort(SCRATCH_BYTES) }
    this.events = {
      plans: (plans, windows) => {
        for (const queue of this.queues) queue.close(this.epoll)
        this.plans = plans
        this.windows = windows
        kernels.windows.add(windows)
        this.queues = plans.map((plan) => openQueue(plan, this.context))
      },
      link: (up) => {
        this.links.push(up)
      },
      mtu: (bytes) => this.heardMtu(bytes),
      event: (code, message) => {
        this.told.push({ code, message })
      },
    }
  }

  get linkUp(): boolean {
    return this.links.at(-1) ?? false
  }

  /** The queue pair `index`; throws while there is none. */
  queue(index = 0): EndpointQueue {
    const queue = this.queues[index]
    if (!queue) throw new Error(`no plan for queue pair ${index} is in force`)
    return queue
  }

  /** One receive and complete: frames taken are appended to the inbox. Returns how many. */
  take(max = BURST_MAX, index = 0): number {
    const queue = this.queues[index]
    if (!queue) return 0
    const count = queue.receive(0, max)
    for (let slot = 0; slot < count; slot++) this.inbox.push(this.frameOf(slot))
    if (count > 0) queue.complete(0, count)
    return count
  }

  /** The frame in a slot. */
  frameOf(slot: number): ReceivedFrame {
    const { memory, context } = this
    const { u8, u32 } = memory
    const { pool } = context
    const length = u32[((pool + P_LENGTH) >> 2) + slot]!
    const flags = u32[((pool + P_FLAGS) >> 2) + slot]!
    const bytes = Buffer.alloc((flags & PF_DROPPED) !== 0 ? 0 : length)
    if (bytes.length > 0) {
      const copied = context.kernels.any.copyFrame(pool, slot, 0, length, this.#payload)
      if (copied !== length) throw new Error(`copyFrame copied ${copied} of ${length} bytes`)
      bytes.set(u8.subarray(this.#payload, this.#payload + length))
    }
    const vnet = pool + P_VNET + slot * VNET_STRIDE
    return {
      bytes,
      flags,
      reason: u8[pool + P_REASON + slot]!,
      needs: u8[pool + P_NEEDS + slot]!,
      vnet: Buffer.from(u8.slice(vnet, vnet + VNET_HEADER)),
    }
  }

  /** Puts frames (at most BURST_MAX) into slots and delivers them. Returns how many were taken. */
  deliver(frames: readonly Uint8Array[], options: DeliverOptions = {}, index = 0): number {
    let payload = this.#payload
    for (const [slot, frame] of frames.entries()) {
      payload = this.#put(slot, frame, payload, options)
      this.#u16[(this.#list >> 1) + slot] = slot
    }
    return this.queue(index).deliver(this.#list, frames.length)
  }

  /** Works like a processor until `done` returns true; throws after `timeoutMs`. */
  async until(done: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
    const end = performance.now() + timeoutMs
    for (let idle = 0; !done(); idle++) {
      if (this.take() > 0) idle = 0
      else if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for: ${what}`)
      else if (idle < SPINS) await immediate()
      else await sleep(1)
    }
  }

  /** Gives the memory back. Close the endpoint before. */
  close(): void {
    for (const queue of this.queues) queue.close(this.epoll)
    this.queues = []
    this.epoll.close()
    this.memory.free(this.context.pool, POOL_BYTES)
    this.memory.free(this.context.scratch, SCRATCH_BYTES)
    this.memory.free(this.#payload, PAYLOAD_BYTES)
    this.memory.free(this.#list, LIST_BYTES)
  }

  #put(slot: number, frame: Uint8Array, payload: number, options: DeliverOptions): number {
    const { u8, u32 } = this.memory
    const { pool } = this.context
    const header = Math.min(frame.length, HEADER_COPY)
    u8.set(frame.subarray(0, header), pool + P_HEADER + slot * HEADER_STRIDE + HEADER_START)
    u32[((pool + P_LENGTH) >> 2) + slot] = frame.length
    u32[((pool + P_FLAGS) >> 2) + slot] = options.flags ?? 0
    this.#u16[((pool + P_HEADER_OFFSET) >> 1) + slot] = HEADER_START
    this.#u16[((pool + P_HEADER_LENGTH) >> 1) + slot] = header
    u8[pool + P_NEEDS + slot] = 0
    const vnet = pool + P_VNET + slot * VNET_STRIDE
    u8.fill(0, vnet, vnet + VNET_STRIDE)
    if (options.vnet) u8.set(options.vnet, vnet)
    const rest = frame.subarray(header)
    const segments = rest.length === 0 ? 0 : Math.min(options.segments ?? 1, rest.length, SEGMENTS_MAX)
    u8[pool + P_SEGMENTS + slot] = segments
    u32[((pool + P_ADDRESS) >> 2) + slot] = payload
    const share = segments > 0 ? Math.ceil(rest.length / segments) : 0
    for (let i = 0; i < segments; i++) {
      const piece = rest.subarray(i * share, (i + 1) * share)
      const entry = (pool + P_SEGMENT + (slot * SEGMENTS_MAX + i) * 8) >> 2
      u8.set(piece, payload)
      u32[entry] = payload
      u32[entry + 1] = piece.length
      payload += piece.length + (segments > 1 ? 3 : 0) // pieces that don't touch: an error in a length shows
    }
    return payload
  }
}
