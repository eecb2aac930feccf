// Guests that left this switch a moment ago: frames that still come for them by a tunnel are sent on to the host that has them now.
//
// The rule it must not break: only for a bounded time after a guest left, only so many frames a second, and nothing is allocated per packet.

/** How long frames for a guest that left are sent on. */
export const DEPARTED_SECONDS = 5
/** Guests that are remembered; those that left first are forgotten first. */
export const DEPARTED_MAX = 256
/** Frames sent on per second of a processor: hosts that do not know yet who has a guest can't fill the network by sending it round. */
export const SENT_ON_PER_SECOND = 100_000

/** Fields are ordinary ones: it runs per packet. */
export class Departures {
  private readonly lows = new Int32Array(DEPARTED_MAX)
  // Octets 0 and 1 of the address.
  private readonly highs = new Uint16Array(DEPARTED_MAX)
  // Number of the subnet; 0: nobody.
  private readonly subnets = new Uint16Array(DEPARTED_MAX)
  private readonly ends = new Float64Array(DEPARTED_MAX)
  private next = 0
  private last = 0
  private left = 0

  /** The guest with this MAC address (6 octets) in the subnet with this number left, in this second. */
  add(subnet: number, mac: Uint8Array, second: number): void {
    const at = this.next
    this.next = (at + 1) % DEPARTED_MAX
    this.lows[at] = mac[2]! | (mac[3]! << 8) | (mac[4]! << 16) | (mac[5]! << 24)
    this.highs[at] = mac[0]! | (mac[1]! << 8)
    this.subnets[at] = subnet
    this.ends[at] = second + DEPARTED_SECONDS
    this.last = Math.max(this.last, second + DEPARTED_SECONDS)
  }

  /** The same guests, for a look that uses nothing up. */
  copy(): Departures {
    const copy = new Departures()
    copy.lows.set(this.lows)
    copy.highs.set(this.highs)
    copy.subnets.set(this.subnets)
    copy.ends.set(this.ends)
    copy.last = this.last
    copy.left = this.left
    return copy
  }

  /** To be called once a second. */
  nextSecond(): void {
    this.left = SENT_ON_PER_SECOND
  }

  /** True if one more frame for this address (as MacKey words) may be sent on. */
  take(subnet: number, low: number, high: number, second: number): boolean {
    if (second > this.last || this.left === 0) return false
    for (let at = 0; at < DEPARTED_MAX; at++) {
      if (this.subnets[at] !== subnet || this.lows[at] !== low || this.highs[at] !== high || this.ends[at]! < second) continue
      this.left--
      return true
    }
    return false
  }
}
