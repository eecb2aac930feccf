// Packets as a connection table gets them: frames put together header by header, parsed into a slot, with the flow key of a port.
import { HEADER_START, HEADER_STRIDE, PF_DROPPED } from '../../src/kernels/layout.ts'
import { createTwin, linearWindows } from '../../src/kernels/twin.ts'
import { PacketPool, POOL_TOTAL_BYTES } from '../../src/ndis/pool.ts'
import { FLOW_KEY_WORDS, fillFlowKey } from '../../src/switch/acl/flow-key.ts'
import { connectionTableBytes } from '../../src/switch/conntrack/connection-layout.ts'
import { ConnectionTable } from '../../src/switch/conntrack/connection-table.ts'
import { PortTable, portTableBytes } from '../../src/switch/port-table.ts'
import { ipv4, ipv6 } from './guard-frames.ts'

const PAGE = 4096
const HEADER_COPY = 128
const SLOT = 0
export const TEST_PORTS = 16

export const LOCAL = { 4: '10.0.0.1', 6: 'fd00::1' } as const
export const REMOTE = { 4: '192.0.2.7', 6: '2001:db8::7' } as const
export type Family = 4 | 6

const half = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff]
const word = (value: number): number[] => [...half(value >>> 16), ...half(value)]

export interface TcpParts {
  readonly flags: string
  readonly seq?: number
  readonly ack?: number
  readonly window?: number
  readonly scale?: number
  readonly bytes?: number
  readonly ports?: readonly [from: number, to: number]
}

/** A TCP segment; `flags` as letters: S A F R P. */
export function tcp({ flags, seq = 0, ack = 0, window = 65535, scale, bytes = 0, ports = [1000, 80] }: TcpParts): number[] {
  const bits = [...flags].reduce((sum, letter) => sum | (1 << 'FSRPA'.indexOf(letter)), 0)
  const options = scale === undefined ? [] : [1, 3, 3, scale]
  const header = 20 + options.length
  return [
    ...[...half(ports[0]), ...half(ports[1]), ...word(seq), ...word(ack)],
    ...[(header >> 2) << 4, bits, ...half(window), 0, 0, 0, 0],
    ...options,
    ...Array<number>(bytes).fill(0x78),
  ]
}

/** UDP between two ports. */
export const datagram = (from: number, to: number, bytes = 20): number[] => [
  ...[...half(from), ...half(to), ...half(8 + bytes), 0, 0],
  ...Array<number>(bytes).fill(0),
]

/** ICMP of either family with an identifier. */
export const echo = (type: number, identifier: number): number[] => [type, 0, 0, 0, ...half(identifier), 0, 1]

/** A frame between the local side (10.0.0.1, fd00::1) and the remote one. */
export function packet(
  family: Family,
  outgoing: boolean,
  protocol: number,
  payload: readonly number[],
  local = LOCAL[family],
): Buffer {
  const source = outgoing ? local : REMOTE[family]
  const destination = outgoing ? REMOTE[family] : local
  return family === 4 ? ipv4({ source, destination, protocol }, payload) : ipv6({ source, destination }, protocol, payload)
}

/** A table, and what calls it: frames become packets of a port, judged as the ACL stage does it. */
export class TrackingHarness {
  table!: ConnectionTable
  memory!: SharedArrayBuffer
  readonly pool: PacketPool
  nowMs = 1000
  /** What the last call of `find` said. */
  found = 0
  readonly #ports: PortTable
  readonly #kernels
  readonly #key = new Uint32Array(FLOW_KEY_WORDS)

  constructor(connections = 1024, ports = TEST_PORTS) {
    this.renew(connections, ports)
    const poolAt = PAGE
    const portsAt = Math.ceil((poolAt + POOL_TOTAL_BYTES) / PAGE) * PAGE
    const buffer = new SharedArrayBuffer(portsAt + portTableBytes(ports))
    this.#kernels = createTwin({
      linear: buffer,
      windows: linearWindows(buffer),
      copyForeign() {
        throw new Error('these tests have no memory outside linear memory')
      },
    })
    this.pool = new PacketPool(buffer, poolAt, this.#kernels)
    this.#ports = new PortTable(buffer, portsAt, ports)
  }

  /** Begins with an empty table. */
  renew(connections: number, ports = TEST_PORTS): void {
    this.memory = new SharedArrayBuffer(connectionTableBytes(connections, ports))
    this.table = new ConnectionTable(this.memory, 0, { connections, ports })
  }

  #put(frame: Uint8Array, port: number, incoming: boolean): void {
    const { pool } = this
    const copied = Math.min(frame.length, HEADER_COPY)
    pool.header8.set(frame.subarray(0, copied), SLOT * HEADER_STRIDE + HEADER_START)
    pool.headerOffset[SLOT] = HEADER_START
    pool.headerLength[SLOT] = copied
    pool.length[SLOT] = frame.length
    pool.flags[SLOT] = pool.flags[SLOT]! & ~PF_DROPPED
    this.#kernels.parse(pool.base, SLOT, 1)
    fillFlowKey(pool, this.#ports, SLOT, port, incoming, this.#key)
    this.table.begin(this.nowMs)
  }

  find(frame: Uint8Array, incoming: boolean, port = 1): number {
    this.#put(frame, port, incoming)
    this.found = this.table.find(this.#key, incoming, this.pool, SLOT)
    return this.found
  }

  /** As where a stateful rule lets everything through: what is found goes its way, all else opens. */
  open(frame: Uint8Array, incoming: boolean, idleSeconds = 255, port = 1): number {
    const found = this.find(frame, incoming, port)
    return found === -1 ? this.table.open(this.#key, incoming, this.pool, SLOT, idleSeconds) : found
  }
}
