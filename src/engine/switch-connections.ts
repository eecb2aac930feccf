// The connections of a switch on the control thread: their memory, made when the first port needs it; what was idle for too long is removed
// beside the traffic; lists for people, and what moves with a port.
//
// The rule it must not break: without a stateful rule nothing of this exists; no processor waits for the control thread.
import { randomInt } from 'node:crypto'
import type { SharedMemory } from '../linux/shared-memory.ts'
import { CONNECTIONS_DEFAULT, ConnectionCounter, connectionTableBytes } from '../switch/conntrack/connection-layout.ts'
import {
  type ConnectionPage,
  listConnections,
  removeConnections,
  restoreConnections,
  saveConnections,
} from '../switch/conntrack/connection-records.ts'
import { ConnectionStore } from '../switch/conntrack/connection-store.ts'
import type { ConnectionMemory } from '../switch/conntrack/connection-table.ts'

const SWEEP_MS = 100
/** Entries that one sweep looks at: all of the largest table within half a minute. */
const SWEEP_ENTRIES = 4096

export interface SwitchConnectionsOptions {
  /** Port ids are below. */
  readonly ports: number
  /** Rounded up to a power of two; CONNECTIONS_DEFAULT without it. */
  readonly entries?: number
}

export interface SwitchConnectionsComponents {
  /** Milliseconds of the clock that processors have. */
  readonly nowMs: () => number
  /** Linear memory, where kernels reach the table. */
  readonly memory?: Pick<SharedMemory, 'allocateTable' | 'buffer'>
}

/** Numbers of all connections together. */
export interface ConnectionFigures {
  readonly used: number
  readonly capacity: number
  readonly opened: number
  readonly evicted: number
  readonly refusedByShare: number
  readonly full: number
  readonly expired: number
}

const NO_BYTES = new Uint8Array(0)

export class SwitchConnections {
  readonly #ports: number
  readonly #capacity: number
  readonly #components: SwitchConnectionsComponents
  #memory: ConnectionMemory | undefined
  #store: ConnectionStore | undefined
  /** Ports whose connections in progress are picked up since they came. */
  readonly #pickedUp = new Set<number>()
  #swept = 0

  constructor({ ports, entries = CONNECTIONS_DEFAULT }: SwitchConnectionsOptions, components: SwitchConnectionsComponents) {
    this.#ports = ports
    this.#capacity = 2 ** Math.ceil(Math.log2(entries))
    this.#components = components
  }

  /** The memory for a port with stateful rules, which processors see too. */
  memoryFor(port: number): ConnectionMemory {
    const ports = this.#ports
    const connections = this.#capacity
    this.#memory ??= { ...this.#reserve(connectionTableBytes(connections, ports)), ports, connections }
    if (this.#store === undefined) {
      this.#store = new ConnectionStore(this.#memory.buffer, this.#memory.at, this.#memory)
      this.#store.seed(randomInt(1, 0x7fffffff))
      setInterval(() => this.#sweep(), SWEEP_MS).unref()
    }
    if (!this.#pickedUp.has(port)) this.#store.pickUp(port, this.#components.nowMs())
    this.#pickedUp.add(port)
    return this.#memory
  }

  // In linear memory; where that has no room, in memory of its own, where connections are followed in TypeScript.
  #reserve(bytes: number): Pick<ConnectionMemory, 'buffer' | 'at'> {
    const { memory } = this.#components
    const at = memory?.allocateTable(bytes) ?? 0
    return memory === undefined || at === 0 ? { buffer: new SharedArrayBuffer(bytes), at: 0 } : { buffer: memory.buffer, at }
  }

  #sweep(): void {
    this.#swept = this.#store!.sweep(this.#swept, SWEEP_ENTRIES, this.#components.nowMs())
  }

  /** A page of a port's connections; `from`: 0, or `next` of the page before. */
  list(port: number, from = 0, limit = 100): ConnectionPage {
    if (this.#store === undefined) return { connections: [], next: 0 }
    return listConnections(this.#store, port, this.#components.nowMs(), from, limit)
  }

  figures(): ConnectionFigures {
    const store = this.#store
    const count = (name: keyof typeof ConnectionCounter): number => store?.counter(ConnectionCounter[name]) ?? 0
    return {
      used: store?.used ?? 0,
      capacity: this.#capacity,
      opened: count('opened'),
      evicted: count('evicted'),
      refusedByShare: count('refusedByShare'),
      full: count('full'),
      expired: count('expired'),
    }
  }

  /** A port's connections as bytes, for another host. */
  save(port: number): Uint8Array {
    return this.#store === undefined ? NO_BYTES : saveConnections(this.#store, port, this.#components.nowMs())
  }

  /** Gives a port what was saved. Returns how many connections that were. Throws RangeError if `bytes` are none. */
  restore(port: number, bytes: Uint8Array): number {
    if (bytes.length === 0) return 0
    this.memoryFor(port)
    return restoreConnections(this.#store!, port, bytes, this.#components.nowMs())
  }

  /** A port is gone. */
  forget(port: number): void {
    this.#pickedUp.delete(port)
    if (this.#store !== undefined) removeConnections(this.#store, port)
  }
}
