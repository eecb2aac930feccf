// One world of the direct path's fuzz: an adapter with three VFs, each with a guest of its own in linear memory. VF 1 sends, VFs 2 and 3
// receive, through the real queues of vhost-user ports; with or without the direct path, with the wasm kernels or their twin.
//
// The rule it must not break: whatever is written into one world by the fuzz is written into all of them.
import { AdapterPath } from '../../src/adapter/adapter-path.ts'
import { type DataTables, dataTablesBytes, viewDataTables } from '../../src/adapter/data-tables.ts'
import { DirectPath, directPathBytes } from '../../src/adapter/direct-path.ts'
import type { EndpointQueue } from '../../src/endpoints/endpoint.ts'
import { openVhostUserQueue } from '../../src/endpoints/vhost-user/queue.ts'
import { kernelsByPacket } from '../../src/kernels/by-packet.ts'
import type { DirectKernels } from '../../src/kernels/kernels.ts'
import * as L from '../../src/kernels/layout.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { SharedMemory } from '../../src/linux/shared-memory.ts'
import { dropReasonNames } from '../../src/ndis/drop-reasons.ts'
import { PacketPool, POOL_TOTAL_BYTES } from '../../src/ndis/pool.ts'
import { Counters, countersBytes, PortCounter } from '../../src/switch/counters.ts'
import { Delivery, deliveryListBytes } from '../../src/switch/delivery.ts'
import { BLOCKS, LINEAR_BYTES, LOG, LOG_BYTES, type QueueSetting, World } from './worlds.ts'

export const VFS = 3
const VPORTS = 4
const WIRE = VPORTS
const SIZES = { vports: VPORTS, filters: 16 }
const MEMORY_BYTES = 0x4000000
/** A queue block that stays stopped: the other direction of a VF that only sends or only receives. */
const IDLE = BLOCKS + VFS * L.QUEUE_BYTES
const TURNS_MAX = 200

/** Counters that must be the same with and without the direct path. */
export interface Tally {
  readonly ports: readonly (readonly number[])[]
  readonly drops: Readonly<Record<string, number>>
}

export class AdapterWorld {
  readonly world: World
  readonly name: string
  readonly tables: DataTables
  readonly counters: Counters
  /** Linear address and bytes of what the direct path keeps. */
  readonly directAt: number
  readonly directBytes = directPathBytes(VPORTS)
  /** Frames that the direct kernel has taken since `reset`. */
  direct = 0
  readonly #path: AdapterPath
  readonly #queues: EndpointQueue[]
  readonly #zeroed: readonly [at: number, bytes: number][]
  readonly #u8: Uint8Array

  constructor(name: string, wasm: Uint8Array | undefined, direct: boolean) {
    const world = new World(name, wasm, VFS, MEMORY_BYTES)
    const buffer = world.memory.buffer
    let end = LINEAR_BYTES
    const place = (bytes: number): number => {
      const at = end
      end += Math.ceil(bytes / 4096) * 4096
      return at
    }
    const pool = place(POOL_TOTAL_BYTES)
    const tablesAt = place(dataTablesBytes(SIZES))
    const countersAt = place(countersBytes(VPORTS + 1))
    const lists = place(deliveryListBytes(VPORTS + 1))
    this.directAt = place(this.directBytes)
    this.world = world
    this.name = name
    this.#u8 = world.u8
    this.#zeroed = [
      [tablesAt, dataTablesBytes(SIZES)],
      [countersAt, countersBytes(VPORTS + 1)],
    ]
    this.tables = viewDataTables(buffer, tablesAt, SIZES)
    this.counters = new Counters(buffer, countersAt, VPORTS + 1)
    const any = createTwin({ linear: buffer, windows: linearWindows(buffer), copyForeign: () => undefined })
    const kernels = { linear: world.kernels, any }
    const packets = kernelsByPacket(buffer, pool, world.kernels, any)
    const packetPool = new PacketPool(buffer, pool, packets)
    const delivery = new Delivery(buffer, lists, VPORTS + 1, {
      pool: packetPool,
      kernels: packets,
      counters: this.counters,
      reasonName: (reason) => dropReasonNames[reason] ?? `${reason}`,
    })
    const counted: DirectKernels = {
      direct: (block, queue, vport, max) => {
        const rest = world.kernels.direct(block, queue, vport, max)
        this.direct += world.view.getUint32(block + L.D_TAKEN, true)
        return rest
      },
    }
    const directPath = direct
      ? new DirectPath(buffer, this.directAt, { ...this.tables, kernels: counted, counters: this.counters })
      : undefined
    this.#path = new AdapterPath({
      ...this.tables,
      pool: packetPool,
      counters: this.counters,
      delivery,
      nowMs: () => 1000,
      ...(directPath ? { direct: directPath } : {}),
    })
    const memory = SharedMemory.attach({ memory: world.memory })
    this.#queues = Array.from({ length: VFS }, (_, g) => {
      const block = BLOCKS + g * L.QUEUE_BYTES
      const [tx, rx] = g === 0 ? [block, IDLE] : [IDLE, block]
      const queue = openVhostUserQueue(
        { kind: 'vhost-user', index: 0, port: g + 1, rx, tx, generation: 0 },
        { memory, kernels, pool, scratch: 0 },
      )
      delivery.setQueues(g + 1, [queue])
      directPath?.setQueues(g + 1, [queue])
      return queue
    })
  }

  /** Empties tables and counters, and sets the rings up. */
  reset(settings: readonly QueueSetting[], generation: number): void {
    const { world } = this
    this.direct = 0
    this.#u8.fill(0, LOG, LOG + LOG_BYTES)
    for (const [at, bytes] of this.#zeroed) this.#u8.fill(0, at, at + bytes)
    this.tables.vports.words[0] = generation * 64 // what was derived from the tables is to be renewed
    for (const [g, setting] of settings.entries()) {
      world.describe(g)
      world.configure(g, setting)
      const block = BLOCKS + g * L.QUEUE_BYTES
      for (const fd of [L.Q_CALL, L.Q_KICK, L.Q_ALARM]) world.view.setInt32(block + fd, -1, true)
      world.view.setUint32(block + L.Q_GENERATION, generation, true)
    }
    for (const fd of [L.Q_CALL, L.Q_KICK, L.Q_ALARM]) world.view.setInt32(IDLE + fd, -1, true)
  }

  /** Serves VF 1 until its ring is empty. Returns the frames taken. */
  serve(): number {
    let all = 0
    for (let i = 0; i < TURNS_MAX; i++) {
      const taken = this.#path.turn(this.#queues[0]!, 1)
      if (taken === 0) return all
      all += taken
    }
    throw new Error(`${this.name} does not come to an end`)
  }

  /** True if no queue's lock was left taken. */
  get unlocked(): boolean {
    return Array.from({ length: VFS }, (_, g) => this.world.view.getInt32(BLOCKS + g * L.QUEUE_BYTES + L.Q_LOCK, true)).every(
      (lock) => lock === 0,
    )
  }

  /** What was counted. Bytes sent are left out where frames were lost: the pooled path estimates them then. */
  tally(): Tally {
    const { counters } = this
    const drops: Record<string, number> = {}
    const ports: number[][] = []
    for (let port = 0; port <= WIRE; port++) {
      const read = (counter: number): number => counters.readPort(port, counter)
      const lost = read(PortCounter.sendDropped)
      ports.push([
        read(PortCounter.receivedFrames),
        read(PortCounter.receivedBytes),
        read(PortCounter.receivedDropped),
        read(PortCounter.receivedMulticast),
        read(PortCounter.sentFrames),
        lost,
        lost === 0 ? read(PortCounter.sentBytes) : 0,
      ])
      for (let reason = 1; reason < dropReasonNames.length; reason++) {
        const count = counters.readDrop(port, reason)
        if (count !== 0) drops[`${port} ${dropReasonNames[reason]}`] = count
      }
    }
    return { ports, drops }
  }
}
