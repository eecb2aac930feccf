// Tells the operator why a guest got no address: in the switch's log, seldom, and by a counter.
//
// The rule it must not break: a guest that asks and asks writes no more than a line a minute of each kind into the log.
import { formatIpv4, type SwitchHandle } from '../../extension.ts'

const APART_MS = 60_000

export class Shortage {
  readonly #sw: SwitchHandle
  readonly #counter: number
  readonly #nameOf: (port: number) => string
  readonly #toldAt = new Map<string, number>()
  /** A traced question is told of to nobody. */
  isSilent = false

  /** `counter`: index of the one that counts all kinds. */
  constructor(sw: SwitchHandle, counter: number, nameOf: (port: number) => string) {
    this.#sw = sw
    this.#counter = counter
    this.#nameOf = nameOf
  }

  #tell(kind: string, text: string, nowMs: number): void {
    if (this.isSilent) return
    const { counters } = this.#sw
    counters[this.#counter] = counters[this.#counter]! + 1
    const before = this.#toldAt.get(kind)
    if (before !== undefined && nowMs - before < APART_MS) return
    this.#toldAt.set(kind, nowMs)
    this.#sw.log(text)
  }

  /** All addresses of a pool are given away. */
  ofPool(port: number, [first, last]: readonly [number, number], nowMs: number): void {
    const range = `${formatIpv4(first)}-${formatIpv4(last)}`
    this.#tell('pool', `no address for a guest of port ${this.#nameOf(port)}: the pool ${range} is used up`, nowMs)
  }

  /** All addresses of an IPv6 pool are given away. */
  ofPool6(port: number, nowMs: number): void {
    this.#tell('pool6', `no IPv6 address for a guest of port ${this.#nameOf(port)}: the pool is used up`, nowMs)
  }

  /** A port has its share of leases, or all leases are given. */
  ofLeases(port: number, nowMs: number): void {
    const text = `no lease for a guest of port ${this.#nameOf(port)}: it has leasesPerPort of them, or there are leases in all`
    this.#tell('leases', text, nowMs)
  }

  /** What is set aside for a VM is used by another. */
  ofStatic(port: number, address: number, nowMs: number): void {
    const text = `no address for a guest of port ${this.#nameOf(port)}: another one uses ${formatIpv4(address)}, which is its own`
    this.#tell('static', text, nowMs)
  }
}
