// The counters of ports summed over processors: each instance writes those of its own into a row of shared memory, the first one adds
// the rows up.
//
// The rule it must not break: each number has one writer.
import type { PortCounters, SwitchHandle } from '../../extension.ts'

const PROCESSORS = 16
/** Ports with ids from here on are told as the first processor counts them. */
const PORTS = 2048
const names = [
  'receivedFrames',
  'receivedBytes',
  'receivedMulticast',
  'receivedDropped',
  'sentFrames',
  'sentBytes',
  'sendDropped',
] as const
const ROW = PORTS * names.length

export const PORT_FIGURES_MEMORY = 'port-figures'
/** Bytes to declare under `shared`. */
export const PORT_FIGURES_BYTES = PROCESSORS * ROW * 8

export class PortSums {
  readonly #sw: SwitchHandle
  readonly #numbers: Float64Array | undefined

  constructor(sw: SwitchHandle) {
    this.#sw = sw
    if (sw.processors === 1) return
    const { buffer, byteOffset } = sw.shared(PORT_FIGURES_MEMORY)
    this.#numbers = new Float64Array(buffer, byteOffset, PROCESSORS * ROW)
  }

  /** Shows the others what this processor counted for a port. */
  publish(portId: number): void {
    if (this.#numbers === undefined || portId >= PORTS) return
    const own = this.#sw.portCounters(portId)
    const at = this.#sw.processor * ROW + portId * names.length
    for (const [i, name] of names.entries()) this.#numbers[at + i] = own[name]
  }

  /** The counters of a port on all processors. */
  sum(portId: number): PortCounters {
    const own = this.#sw.portCounters(portId)
    if (this.#numbers === undefined || portId >= PORTS) return own
    const sums = { ...own }
    for (let processor = 0; processor < this.#sw.processors; processor++) {
      if (processor === this.#sw.processor) continue
      const at = processor * ROW + portId * names.length
      for (const [i, name] of names.entries()) sums[name] += this.#numbers[at + i]!
    }
    return sums
  }
}
