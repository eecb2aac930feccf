// A TCP connection that lasts as long as the lab does: random bytes at a steady rate to another guest's receive service, whose account of
// them (length, SHA-256) is compared with what was sent.
import { createHash, type Hash } from 'node:crypto'
import { GuestPort } from '../guest-init.ts'
import { parseIpv4 } from '../software/addresses.ts'
import type { TcpConnection } from '../software/tcp-connection.ts'
import type { SoftwareGuest } from '../software-guest.ts'

/** What became of the stream. */
export interface TcpOutcome {
  readonly sentBytes: number
  readonly receivedBytes: number
  /** What arrived is what was sent, to the last byte. */
  readonly intact: boolean
  /** Why the connection ended early, or null. */
  readonly error: string | null
}

const BLOCK_BYTES = 8 * 1024
const BACKLOG_MAX_BYTES = 64 * 1024
const END_TIMEOUT_MS = 15_000

export class TcpStream {
  readonly #bytesPerMs: number
  readonly #connection: TcpConnection
  readonly #hash: Hash = createHash('sha256')
  readonly #over = Promise.withResolvers<string | null>()
  #answer = ''
  #sentBytes = 0
  #startedAtMs = performance.now()

  constructor(from: SoftwareGuest, to: string, mbps: number) {
    this.#bytesPerMs = (mbps * 1e6) / 8 / 1000
    this.#connection = from.tcp.connect(parseIpv4(to), GuestPort.receive, {
      data: (bytes) => {
        this.#answer += bytes.toString('latin1')
      },
      end: () => {},
      closed: (error) => this.#over.resolve(error),
    })
  }

  /** Writes what is due by now. */
  pump(): void {
    const due = (performance.now() - this.#startedAtMs) * this.#bytesPerMs
    while (this.#sentBytes + BLOCK_BYTES <= due && this.#connection.backlogBytes < BACKLOG_MAX_BYTES) {
      const block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES))
      this.#hash.update(block)
      this.#connection.write(block)
      this.#sentBytes += BLOCK_BYTES
    }
  }

  /** Ends the stream and compares. */
  async finish(): Promise<TcpOutcome> {
    this.#connection.end()
    const late = setTimeout(() => this.#over.resolve('the receiver did not answer in time'), END_TIMEOUT_MS)
    const error = await this.#over.promise
    clearTimeout(late)
    const [bytes, , sha256] = this.#answer.trim().split(' ')
    const receivedBytes = Number(bytes ?? 0) || 0
    const intact = receivedBytes === this.#sentBytes && sha256 === this.#hash.digest('hex')
    return { sentBytes: this.#sentBytes, receivedBytes, intact, error: intact ? null : (error ?? 'the receiver got other bytes') }
  }
}
