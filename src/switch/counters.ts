// Counters of the data path in shared memory: one block per processor, so that each number has one writer and anyone can read it
// without stopping anything. Numbers are doubles: exact to 2^53, read and written whole.
import { DROP_REASONS_MAX } from '../ndis/drop-reasons.ts'

/** Counters of one port. "Received" is from the connection into the switch, "sent" is delivered to the connection. */
export const PortCounter = {
  receivedFrames: 0,
  receivedBytes: 1,
  sentFrames: 2,
  sentBytes: 3,
  receivedDropped: 4,
  sendDropped: 5,
  receivedMulticast: 6,
  floodedFrames: 7,
} as const

export const portCounterNames = Object.keys(PortCounter) as (keyof typeof PortCounter)[]

const PORT_COUNTERS = 8
/** Power-of-two buckets of nanoseconds, each cut in eight: bucket b*8+s holds (8+s)·2^(b-3) ns and up. */
export const LATENCY_BUCKETS = 40 * 8
/** Counters of one processor besides those of its ports. */
export const ProcessorCounter = {
  turns: 0,
  bursts: 1,
  frames: 2,
  sleeps: 3,
  busyNs: 4,
  slowTurns: 5,
  originated: 6,
  held: 7,
  kicks: 8,
  /** Frames whose port a table of addresses was asked for: the switch's own, or that of an adapter's receive filters. */
  lookUps: 9,
  /** Frames of a receive queue that another processor had taken from the wire. */
  handedOver: 10,
  /** Bursts as long as they can be that were timed, and the nanoseconds that they took. */
  fullBursts: 11,
  fullBurstNs: 12,
  /** Times that a module was interrupted since it did not return. */
  interruptions: 13,
} as const
const INSIDE = 14
const BORROWED = 15
const PROCESSOR_COUNTERS = 16

/** Bytes of one processor's block for port ids below `ports`. */
export const countersBytes = (ports: number): number =>
  (PROCESSOR_COUNTERS + LATENCY_BUCKETS + ports * (PORT_COUNTERS + DROP_REASONS_MAX)) * 8

/** One processor's counters. The owner increments, others read. */
export class Counters {
  readonly values: Float64Array
  readonly ports: number

  constructor(buffer: ArrayBufferLike, at: number, ports: number) {
    this.values = new Float64Array(buffer, at, countersBytes(ports) >> 3)
    this.ports = ports
  }

  /** Adds `by` to a processor counter. */
  processor(counter: number, by: number): void {
    this.values[counter] = this.values[counter]! + by
  }

  /**
   * Where the processor is in the code of a module, for who watches it from outside: 0 nowhere, n > 0 in the module at place n - 1 of the
   * stack, n < 0 in a timer of the module with the key -n.
   */
  set inside(place: number) {
    this.values[INSIDE] = place
  }

  get inside(): number {
    return this.values[INSIDE]!
  }

  /** Whether the packets of the burst in work are another data path's, which gives them back. */
  set borrowed(is: boolean) {
    this.values[BORROWED] = is ? 1 : 0
  }

  get borrowed(): boolean {
    return this.values[BORROWED] === 1
  }

  /** Adds `by` to a port counter. */
  port(port: number, counter: number, by: number): void {
    const at = PROCESSOR_COUNTERS + LATENCY_BUCKETS + port * (PORT_COUNTERS + DROP_REASONS_MAX) + counter
    this.values[at] = this.values[at]! + by
  }

  /** Counts `by` frames dropped at `port` for `reason`. */
  drop(port: number, reason: number, by: number): void {
    const at = PROCESSOR_COUNTERS + LATENCY_BUCKETS + port * (PORT_COUNTERS + DROP_REASONS_MAX) + PORT_COUNTERS + reason
    this.values[at] = this.values[at]! + by
  }

  /** Counts a burst that took `ns` nanoseconds. */
  latency(ns: number): void {
    const whole = ns < 8 ? 8 : ns > 0x7fffffff ? 0x7fffffff : ns | 0
    const exponent = 31 - Math.clz32(whole)
    const at = PROCESSOR_COUNTERS + exponent * 8 + ((whole >>> (exponent - 3)) & 7)
    this.values[at] = this.values[at]! + 1
  }

  readPort(port: number, counter: number): number {
    return this.values[PROCESSOR_COUNTERS + LATENCY_BUCKETS + port * (PORT_COUNTERS + DROP_REASONS_MAX) + counter]!
  }

  readDrop(port: number, reason: number): number {
    return this.values[PROCESSOR_COUNTERS + LATENCY_BUCKETS + port * (PORT_COUNTERS + DROP_REASONS_MAX) + PORT_COUNTERS + reason]!
  }

  readProcessor(counter: number): number {
    return this.values[counter]!
  }

  /** The histogram of burst latencies: one count per bucket. */
  readLatency(): Float64Array {
    return this.values.subarray(PROCESSOR_COUNTERS, PROCESSOR_COUNTERS + LATENCY_BUCKETS)
  }

  /** Forgets a port that is deleted. */
  clearPort(port: number): void {
    const at = PROCESSOR_COUNTERS + LATENCY_BUCKETS + port * (PORT_COUNTERS + DROP_REASONS_MAX)
    this.values.fill(0, at, at + PORT_COUNTERS + DROP_REASONS_MAX)
  }
}

/** The lower bound of a latency bucket in nanoseconds. */
export const latencyBucketNs = (bucket: number): number => (8 + (bucket & 7)) * 2 ** ((bucket >> 3) - 3)

/** The latency below which `fraction` of the bursts stay, in nanoseconds; 0 without any. */
export function latencyQuantileNs(histogram: ArrayLike<number>, fraction: number): number {
  let total = 0
  for (let i = 0; i < histogram.length; i++) total += histogram[i]!
  let seen = 0
  for (let i = 0; i < histogram.length; i++) {
    seen += histogram[i]!
    if (total > 0 && seen >= total * fraction) return latencyBucketNs(i + 1)
  }
  return 0
}
