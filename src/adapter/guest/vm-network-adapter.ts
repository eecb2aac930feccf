// The VM network adapter as the guest's stack sees it (NetVSC): one adapter with one address for as long as the VM lives, over a synthetic
// path that is always there and a VF path that comes and goes.
//
// The rule it must not break: a frame takes exactly one path, chosen by one word read when it is sent (PD-12); without a VF that is
// ready the path is the synthetic one (SR-018, SR-243).

/** One way into the network. */
export interface GuestPath {
  /** Sends a frame. False: no room, the frame was not taken. */
  send(frame: Uint8Array): boolean
}

/** What went through the adapter, over both paths (PD-13). */
export interface GuestStatistics {
  readonly sentFrames: number
  readonly sentBytes: number
  readonly receivedFrames: number
  readonly receivedBytes: number
}

/** Values of the word, as the data path message of the guest's stack has them. */
export const GuestPathWord = { synthetic: 0, vf: 1 } as const
export type GuestPathWord = (typeof GuestPathWord)[keyof typeof GuestPathWord]

interface Counted {
  path: GuestPath
  sentFrames: number
  sentBytes: number
  receivedFrames: number
  receivedBytes: number
}

const counted = (path: GuestPath): Counted => ({ path, sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0 })
/** The VF path while there is no VF: takes nothing. */
const noPath: GuestPath = { send: () => false }

export class VmNetworkAdapter {
  readonly mac: string
  /** Serial number of the VF adapter that belongs to this adapter. */
  readonly serialNumber: number
  readonly #receive: (frame: Uint8Array) => void
  readonly #paths: readonly [Counted, Counted]
  #word: GuestPathWord = GuestPathWord.synthetic

  /** `receive`: the guest's stack. */
  constructor(options: { mac: string; serialNumber: number }, synthetic: GuestPath, receive: (frame: Uint8Array) => void) {
    this.mac = options.mac
    this.serialNumber = options.serialNumber
    this.#receive = receive
    this.#paths = [counted(synthetic), counted(noPath)]
  }

  get path(): GuestPathWord {
    return this.#word
  }

  /** Sends a frame on the path that the word names. */
  send(frame: Uint8Array): boolean {
    const way = this.#paths[this.#word]
    if (!way.path.send(frame)) return false
    way.sentFrames++
    way.sentBytes += frame.length
    return true
  }

  /** A frame came in on a path: the stack gets it from this adapter whichever it was. */
  received(word: GuestPathWord, frame: Uint8Array): void {
    const way = this.#paths[word]
    way.receivedFrames++
    way.receivedBytes += frame.length
    this.#receive(frame)
  }

  /**
   * A VF adapter has initialized and its packet filter is set: what is sent takes it from now on (SR-243). False: its serial number is that
   * of another VM network adapter, whatever its address is (SR-281).
   */
  vfReady(serialNumber: number, path: GuestPath): boolean {
    if (serialNumber !== this.serialNumber) return false
    this.#paths[GuestPathWord.vf].path = path
    this.#word = GuestPathWord.vf
    return true
  }

  /** The VF goes: what is sent takes the synthetic path from now on. Its counts stay. */
  vfGone(): void {
    this.#word = GuestPathWord.synthetic
    this.#paths[GuestPathWord.vf].path = noPath
  }

  statistics(): GuestStatistics {
    const [synthetic, vf] = this.#paths
    return {
      sentFrames: synthetic.sentFrames + vf.sentFrames,
      sentBytes: synthetic.sentBytes + vf.sentBytes,
      receivedFrames: synthetic.receivedFrames + vf.receivedFrames,
      receivedBytes: synthetic.receivedBytes + vf.receivedBytes,
    }
  }
}
