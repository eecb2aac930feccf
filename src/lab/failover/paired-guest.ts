// A software guest with two cards of one address, as net_failover pairs them in a Linux guest: it sends through the virtual function while
// that has a carrier, else through the synthetic card, and takes what comes through either. A virtio-net device that has just been started
// tells nothing of a carrier: the first frame that comes does, or time.
//
// The rule it must not break: a card is used until it says that it is gone, and its memory no longer after that.
import { systemClock } from '../software/clock.ts'
import { SoftwareGuest } from '../software-guest.ts'
import { type NumberedStream, nowUs, Path } from './numbered-frames.ts'
import { VirtioCard } from './virtio-card.ts'

/** After so long a function that hears nothing is taken to have a carrier, milliseconds. */
const CARRIER_MS = 200

export interface PairedGuestOptions {
  readonly name: string
  readonly mac: string
  /** IPv4 address. */
  readonly address: string
}

/** What a function's rings held when it was torn out. */
export interface TornOut {
  readonly atUs: number
  /** Frames that the guest had queued and nobody will send: lost. */
  readonly unsent: number
}

export class PairedGuest {
  readonly name: string
  readonly host: SoftwareGuest
  /** Streams whose frames this guest takes. */
  readonly streams: NumberedStream[] = []
  readonly tornOut: TornOut[] = []
  readonly #synthetic: VirtioCard
  #function: VirtioCard | null = null
  /** The function is about to go: it is not sent through any more. */
  #isLeaving = false
  #hasCarrier = false
  #carrierAtMs = 0

  private constructor({ name, mac, address }: PairedGuestOptions, synthetic: VirtioCard) {
    this.name = name
    this.#synthetic = synthetic
    this.host = new SoftwareGuest(
      { mac, address },
      { clock: systemClock, random: Math.random, send: (frame) => void this.#card.send(frame) },
    )
  }

  /** Starts a guest whose synthetic card's device is at `path`. Throws a LabError. */
  static async start(options: PairedGuestOptions, path: string): Promise<PairedGuest> {
    return new PairedGuest(options, await VirtioCard.plug(path))
  }

  get path(): Path {
    return this.#function !== null && this.#hasCarrier && !this.#isLeaving ? Path.vf : Path.synthetic
  }

  get #card(): VirtioCard {
    return this.path === Path.vf ? this.#function! : this.#synthetic
  }

  /** The function at `path` is plugged in: its driver starts, and traffic goes through it. */
  async plug(path: string): Promise<void> {
    const card = await VirtioCard.plug(path)
    this.#drop()
    this.#function = card
    this.#hasCarrier = false
    this.#carrierAtMs = performance.now() + CARRIER_MS
  }

  /** The guest lets go of the function: it sends through the other card, lets the function send what it has, and stops it. */
  async unplug(): Promise<void> {
    const card = this.#function
    if (card === null) return
    this.#isLeaving = true
    try {
      await card.stop()
    } catch (error) {
      if (!card.isGone) throw error
      this.#noteTorn(card)
    } finally {
      if (this.#function === card) this.#drop()
      this.#isLeaving = false
    }
  }

  /** Sends the next frame of a stream. Returns false if the card is full. */
  send(stream: NumberedStream): boolean {
    return stream.send(this.path, (frame) => this.#card.send(frame))
  }

  /** Takes what came. Returns how many frames. */
  poll(): number {
    let count = 0
    const card = this.#function
    if (card !== null) {
      count += card.receive((frame) => this.#take(frame, Path.vf))
      this.#hasCarrier ||= count > 0 || performance.now() > this.#carrierAtMs
      if (card.isGone && !this.#isLeaving) {
        this.#noteTorn(card)
        this.#drop()
      }
    }
    return count + this.#synthetic.receive((frame) => this.#take(frame, Path.synthetic))
  }

  close(): void {
    this.host.close()
    this.#drop()
    this.#synthetic.close()
  }

  #noteTorn(card: VirtioCard): void {
    this.tornOut.push({ atUs: nowUs(), unsent: card.unsent })
  }

  // What the function's ring holds still is in the guest's memory.
  #drop(): void {
    const card = this.#function
    this.#function = null
    card?.receive((frame) => this.#take(frame, Path.vf))
    card?.close()
  }

  #take(frame: Buffer, path: Path): void {
    for (const stream of this.streams) if (stream.receive(frame, path)) return
    this.host.receive(frame)
  }
}
