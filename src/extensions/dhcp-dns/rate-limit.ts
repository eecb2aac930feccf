// How often a port is answered, and whether what it tells of itself is news.
//
// The rule it must not break: no port costs more than its rate, whatever it sends; a traced question uses nothing up.

const PORT_IDS = 65_536
const NEWS_AGAIN_MS = 300_000

export class RateLimit {
  readonly #perSecond: number
  readonly #tokens = new Float64Array(PORT_IDS)
  readonly #filledAt = new Float64Array(PORT_IDS)
  readonly #told = new Int32Array(PORT_IDS)
  readonly #toldAt = new Float64Array(PORT_IDS)

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** A port that came: it may have as many answers at once as it may have in a second. */
  fill(port: number): void {
    this.#tokens[port] = this.#perSecond
    this.#told[port] = 0
  }

  /** Whether a port may have another answer now. Allocates nothing. */
  take(port: number, nowMs: number, isTraced: boolean): boolean {
    const have = Math.min(this.#perSecond, this.#tokens[port]! + ((nowMs - this.#filledAt[port]!) * this.#perSecond) / 1000)
    if (isTraced) return have >= 1
    this.#filledAt[port] = nowMs
    this.#tokens[port] = have < 1 ? have : have - 1
    return have >= 1
  }

  /** Whether an address that a port tells of is another one than the last, or was told long ago. Allocates nothing. */
  isNews(port: number, address: number, nowMs: number): boolean {
    if (this.#told[port] === (address | 0) && nowMs - this.#toldAt[port]! < NEWS_AGAIN_MS) return false
    this.#told[port] = address
    this.#toldAt[port] = nowMs
    return true
  }
}
