// How often a port may have something done for it: so many times a second on average, and so many at once.
//
// The rule it must not break: what one port asks for takes nothing from another one; `take` allocates nothing.

export interface PortRateLimits {
  /** Highest port number, 1…65535. */
  readonly ports: number
  readonly perSecond: number
  readonly burst: number
}

/** Fields are ordinary ones. */
export class PortRates {
  private readonly nowMs: () => number
  private readonly perMs: number
  private readonly burst: number
  // What each port has left, and when that was so. A port that never asked has a full measure.
  private readonly left: Float64Array
  private readonly at: Float64Array

  constructor({ ports, perSecond, burst }: PortRateLimits, { nowMs }: { readonly nowMs: () => number }) {
    this.nowMs = nowMs
    this.perMs = perSecond / 1000
    this.burst = burst
    this.left = new Float64Array(ports + 1).fill(burst)
    this.at = new Float64Array(ports + 1)
  }

  /** True if `port` has something left, one less of it then. */
  take(port: number): boolean {
    const now = this.nowMs()
    const left = Math.min(this.burst, this.left[port]! + Math.max(0, now - this.at[port]!) * this.perMs)
    this.at[port] = now
    this.left[port] = left < 1 ? left : left - 1
    return left >= 1
  }
}
