// One TCP connection of a software guest (RFC 9293, with the retransmission timer of RFC 6298 and the congestion window of
// RFC 5681). It does what a transfer across a switch needs and does it right: handshake, both windows, loss, both ends closing.
// Segments out of order are not kept, they are asked for again. Without window scaling: a window is at most 65535 bytes.
//
// The rule it must not break: a connection always ends, whatever the peer sends or leaves out: retries are counted, silence is timed.
import type { Clock } from './clock.ts'
import { CongestionWindow } from './congestion-window.ts'
import { RetransmissionTimer } from './retransmission-timer.ts'
import { SendQueue } from './send-queue.ts'
import { DEFAULT_SEGMENT_BYTES, sequenceAdd, sequenceDifference, TcpFlag, type TcpSegment } from './tcp-segment.ts'

export type TcpState =
  | 'syn-sent'
  | 'syn-received'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'closing'
  | 'time-wait'
  | 'close-wait'
  | 'last-ack'
  | 'closed'

/** What the user of a connection is told. */
export interface TcpHandler {
  connected?(): void
  data(bytes: Buffer): void
  /** The peer will send nothing more. */
  end(): void
  /** It is over; `error` is null if both sides closed it in order. */
  closed(error: string | null): void
  /** Bytes that the user can take now; 65535 without it. */
  room?(): number
}

export interface TcpAddresses {
  readonly localPort: number
  readonly remotePort: number
}

export interface TcpConnectionComponents {
  readonly clock: Clock
  transmit(segment: TcpSegment): void
  /** The connection's ports are free again. */
  released(): void
}

const WINDOW_MAX = 65_535
const RETRIES_MAX = 10
/** Two maximum segment lifetimes; those of a lab are short. */
const TIME_WAIT_MS = 1_000
/** A peer that says nothing for so long is gone. */
const SILENCE_MAX_MS = 120_000

const SENDING: ReadonlySet<TcpState> = new Set(['established', 'close-wait', 'fin-wait-1', 'closing', 'last-ack'])

export class TcpConnection {
  readonly addresses: TcpAddresses
  readonly #components: TcpConnectionComponents
  readonly #handler: TcpHandler
  readonly #timer: RetransmissionTimer
  readonly #queue = new SendQueue()
  readonly #congestion: CongestionWindow
  readonly #ownSegmentBytes: number
  #state: TcpState
  #segmentBytes = DEFAULT_SEGMENT_BYTES
  /** Sequence number of the oldest byte that is not acknowledged, of the next to send, and one beyond the highest sent. */
  #unacknowledged: number
  #next: number
  #highest: number
  #peerWindow = 0
  #receiveNext = 0
  #offered = 0
  #finQueued = false
  #finSequence: number | null = null
  #retries = 0
  #heardAtMs: number
  #cancelTimeWait: (() => void) | null = null
  #cancelSilence: () => void

  constructor(
    options: {
      addresses: TcpAddresses
      initialSequence: number
      segmentBytes: number
      handler: TcpHandler
      state: 'syn-sent' | 'syn-received'
    },
    components: TcpConnectionComponents,
  ) {
    this.addresses = options.addresses
    this.#components = components
    this.#handler = options.handler
    this.#ownSegmentBytes = options.segmentBytes
    this.#state = options.state
    this.#unacknowledged = options.initialSequence
    this.#next = options.initialSequence
    this.#highest = options.initialSequence
    this.#congestion = new CongestionWindow(options.initialSequence)
    this.#heardAtMs = components.clock.nowMs()
    this.#cancelSilence = components.clock.after(SILENCE_MAX_MS, () => this.#checkSilence())
    this.#timer = new RetransmissionTimer(components.clock, () => this.#onTimeout())
  }

  get state(): TcpState {
    return this.#state
  }

  /** Bytes written and not yet acknowledged. */
  get backlogBytes(): number {
    return this.#queue.length
  }

  /** Starts the handshake of an active open. */
  open(): void {
    this.#sendSyn()
  }

  /** Starts the handshake of a passive open, by the SYN that asked for it. */
  accept(syn: TcpSegment): void {
    this.#learnPeer(syn)
    this.#sendSyn()
  }

  write(bytes: Uint8Array): void {
    if (this.#finQueued || this.#state === 'closed') return
    this.#queue.push(bytes)
    this.#push()
  }

  /** Nothing more will be written; what was written still goes out. */
  end(): void {
    if (this.#finQueued || this.#state === 'closed') return
    this.#finQueued = true
    this.#push()
  }

  abort(): void {
    if (this.#state === 'closed') return
    this.#emit(TcpFlag.rst | TcpFlag.ack, this.#next, Buffer.alloc(0))
    this.#finish('aborted')
  }

  receive(segment: TcpSegment): void {
    if (this.#state === 'closed') return
    this.#heardAtMs = this.#components.clock.nowMs()
    if (this.#state === 'syn-sent') this.#receiveInSynSent(segment)
    else if (this.#acceptable(segment)) this.#receiveSynchronized(segment)
  }

  #receiveInSynSent(segment: TcpSegment): void {
    const acknowledges = (segment.flags & TcpFlag.ack) !== 0 && segment.acknowledgment === this.#highest
    if ((segment.flags & TcpFlag.rst) !== 0) {
      if (acknowledges) this.#finish('the peer refused the connection')
      return
    }
    if (!acknowledges || (segment.flags & TcpFlag.syn) === 0) return
    this.#learnPeer(segment)
    this.#takeAcknowledgment(segment)
    this.#establish()
    this.#acknowledge()
    this.#push()
  }

  /** Does the segment touch the receive window? If not, the peer is told where the connection stands (RFC 9293, 3.10.7.4). */
  #acceptable(segment: TcpSegment): boolean {
    const offset = sequenceDifference(segment.sequence, this.#receiveNext)
    const length = segment.payload.length + (segment.flags & TcpFlag.fin ? 1 : 0)
    const good = offset >= 0 ? offset === 0 || offset < this.#offered : offset + length > 0
    if (!good && (segment.flags & TcpFlag.rst) === 0) {
      if (segment.flags & TcpFlag.syn && this.#state === 'syn-received') this.#resendSyn()
      else this.#acknowledge()
    }
    return good
  }

  #receiveSynchronized(segment: TcpSegment): void {
    if (segment.flags & TcpFlag.rst) {
      // Only the exact number ends a connection; others are asked to prove themselves (RFC 5961).
      if (segment.sequence === this.#receiveNext) this.#finish('the peer reset the connection')
      else this.#acknowledge()
      return
    }
    if (segment.flags & TcpFlag.syn) {
      this.#acknowledge()
      return
    }
    if ((segment.flags & TcpFlag.ack) === 0) return
    if (sequenceDifference(segment.acknowledgment, this.#highest) > 0) {
      this.#acknowledge()
      return
    }
    if (this.#state === 'syn-received') {
      if (segment.acknowledgment !== this.#highest) return
      this.#takeAcknowledgment(segment)
      this.#establish()
    } else this.#takeAcknowledgment(segment)
    this.#takeData(segment)
    this.#push()
    this.#offerRoom()
  }

  #takeAcknowledgment(segment: TcpSegment): void {
    const advanced = sequenceDifference(segment.acknowledgment, this.#unacknowledged)
    if (advanced < 0) return
    const flight = sequenceDifference(this.#highest, this.#unacknowledged)
    const sameWindow = segment.window === this.#peerWindow
    this.#peerWindow = segment.window
    // The answer to a probe: the peer lives, however long it keeps its window closed.
    if (segment.window === 0) this.#retries = 0
    if (advanced === 0) {
      const duplicate = flight > 0 && sameWindow && segment.payload.length === 0 && (segment.flags & TcpFlag.fin) === 0
      // The receiver may keep nothing beyond the gap: go back to it.
      if (duplicate && this.#congestion.duplicate(this.#unacknowledged, this.#highest)) this.#next = this.#unacknowledged
      return
    }
    this.#retries = 0
    this.#congestion.acknowledged(advanced)
    const syn = this.#state === 'syn-sent' || this.#state === 'syn-received' ? 1 : 0
    const fin = this.#finSequence !== null && sequenceDifference(segment.acknowledgment, this.#finSequence) > 0 ? 1 : 0
    this.#queue.drop(advanced - syn - fin)
    this.#unacknowledged = segment.acknowledgment
    if (sequenceDifference(this.#next, this.#unacknowledged) < 0) this.#next = this.#unacknowledged
    this.#timer.acknowledged(segment.acknowledgment)
    if (this.#unacknowledged === this.#highest) this.#timer.stop()
    else this.#timer.restart()
    if (fin) this.#finAcknowledged()
  }

  #takeData(segment: TcpSegment): void {
    const repeated = sequenceDifference(this.#receiveNext, segment.sequence)
    const hasFin = (segment.flags & TcpFlag.fin) !== 0
    if (segment.payload.length === 0 && !hasFin) return
    if (repeated < 0) {
      this.#acknowledge()
      return
    }
    const open = this.#state === 'established' || this.#state === 'fin-wait-1' || this.#state === 'fin-wait-2'
    const fresh = Buffer.from(segment.payload.subarray(repeated))
    const fits = fresh.subarray(0, Math.min(fresh.length, Math.max(this.#offered, 0)))
    if (open && fits.length > 0) {
      this.#receiveNext = sequenceAdd(this.#receiveNext, fits.length)
      this.#handler.data(fits)
      if (this.#isClosed()) return
    }
    if (open && hasFin && fits.length === fresh.length) {
      this.#receiveNext = sequenceAdd(this.#receiveNext, 1)
      this.#acknowledge()
      this.#takeFin()
    } else this.#acknowledge()
  }

  #takeFin(): void {
    if (this.#state === 'established') this.#state = 'close-wait'
    else if (this.#state === 'fin-wait-1') this.#state = 'closing'
    else if (this.#state === 'fin-wait-2') this.#enterTimeWait()
    this.#handler.end()
  }

  #finAcknowledged(): void {
    if (this.#state === 'fin-wait-1') this.#state = 'fin-wait-2'
    else if (this.#state === 'closing') this.#enterTimeWait()
    else if (this.#state === 'last-ack') this.#finish(null)
  }

  #enterTimeWait(): void {
    this.#state = 'time-wait'
    this.#timer.stop()
    this.#cancelTimeWait = this.#components.clock.after(TIME_WAIT_MS, () => this.#finish(null))
  }

  #establish(): void {
    this.#state = 'established'
    this.#congestion.open(this.#segmentBytes)
    this.#handler.connected?.()
  }

  #learnPeer(syn: TcpSegment): void {
    this.#receiveNext = sequenceAdd(syn.sequence, 1)
    this.#segmentBytes = Math.min(this.#ownSegmentBytes, syn.segmentBytes > 0 ? syn.segmentBytes : DEFAULT_SEGMENT_BYTES)
    this.#peerWindow = syn.window
  }

  /** Sends what both windows allow. */
  #push(): void {
    if (!SENDING.has(this.#state)) return
    const window = Math.min(this.#peerWindow, this.#congestion.bytes)
    for (;;) {
      const flight = sequenceDifference(this.#next, this.#unacknowledged)
      const left = this.#queue.length - flight
      const bytes = Math.min(left, this.#segmentBytes, window - flight)
      if (bytes > 0) {
        this.#sendData(flight, bytes)
        continue
      }
      if (left === 0 && this.#finQueued) this.#sendFin()
      // A closed window is opened by a segment that may be lost: the timer asks again.
      else if (left > 0 && flight === 0) this.#timer.start()
      return
    }
  }

  #sendData(offset: number, bytes: number): void {
    const payload = this.#queue.read(offset, bytes)
    const last = offset + bytes === this.#queue.length
    const sequence = this.#next
    this.#next = sequenceAdd(this.#next, bytes)
    this.#noteSent()
    this.#emit(TcpFlag.ack | (last ? TcpFlag.psh : 0), sequence, payload)
  }

  #sendFin(): void {
    if (this.#finSequence === null) {
      this.#finSequence = this.#next
      this.#state = this.#state === 'close-wait' ? 'last-ack' : 'fin-wait-1'
    }
    if (sequenceDifference(this.#next, this.#finSequence) > 0) return
    this.#next = sequenceAdd(this.#finSequence, 1)
    this.#noteSent()
    this.#emit(TcpFlag.fin | TcpFlag.ack, this.#finSequence, Buffer.alloc(0))
  }

  #noteSent(): void {
    const isNew = sequenceDifference(this.#next, this.#highest) > 0
    if (isNew) this.#highest = this.#next
    this.#timer.sent(this.#next, isNew)
    this.#timer.start()
  }

  #sendSyn(): void {
    this.#next = sequenceAdd(this.#next, 1)
    this.#noteSent()
    this.#resendSyn()
  }

  #resendSyn(): void {
    this.#emit(this.#state === 'syn-sent' ? TcpFlag.syn : TcpFlag.syn | TcpFlag.ack, this.#unacknowledged, Buffer.alloc(0))
  }

  #onTimeout(): void {
    if (++this.#retries > RETRIES_MAX) {
      this.#finish('the peer does not answer')
      return
    }
    if (this.#state === 'syn-sent' || this.#state === 'syn-received') {
      this.#resendSyn()
    } else if (this.#peerWindow === 0 && this.#queue.length > 0) {
      this.#sendProbe()
    } else {
      this.#congestion.timeout(this.#unacknowledged, this.#highest)
      this.#next = this.#unacknowledged
      this.#push()
    }
    this.#timer.backOff()
  }

  /** One byte beyond the closed window makes the peer say how wide it is now. */
  #sendProbe(): void {
    const sequence = this.#unacknowledged
    const end = sequenceAdd(sequence, 1)
    if (sequenceDifference(end, this.#highest) > 0) this.#highest = end
    // The peer most likely throws the byte away: it goes out again when there is room.
    this.#next = sequence
    this.#emit(TcpFlag.ack, sequence, this.#queue.read(0, 1))
  }

  #checkSilence(): void {
    const leftMs = this.#heardAtMs + SILENCE_MAX_MS - this.#components.clock.nowMs()
    if (leftMs <= 0) this.#finish('the peer has fallen silent')
    else this.#cancelSilence = this.#components.clock.after(leftMs, () => this.#checkSilence())
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** Tells the peer if there is room again after there was none. */
  #offerRoom(): void {
    if (!this.#isClosed() && this.#offered < this.#ownSegmentBytes && this.#room() >= this.#ownSegmentBytes) this.#acknowledge()
  }

  #room(): number {
    return Math.max(0, Math.min(WINDOW_MAX, this.#handler.room?.() ?? WINDOW_MAX))
  }

  #acknowledge(): void {
    this.#emit(TcpFlag.ack, this.#next, Buffer.alloc(0))
  }

  #emit(flags: number, sequence: number, payload: Uint8Array): void {
    this.#offered = this.#room()
    const isSyn = (flags & TcpFlag.syn) !== 0
    this.#components.transmit({
      sourcePort: this.addresses.localPort,
      destinationPort: this.addresses.remotePort,
      sequence,
      acknowledgment: flags & TcpFlag.ack ? this.#receiveNext : 0,
      flags,
      window: this.#offered,
      segmentBytes: isSyn ? this.#ownSegmentBytes : 0,
      payload,
    })
  }

  #finish(error: string | null): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#timer.stop()
    this.#cancelTimeWait?.()
    this.#cancelSilence()
    this.#components.released()
    this.#handler.closed(error)
  }
}
