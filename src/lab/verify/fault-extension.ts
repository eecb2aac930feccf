// The troublemaker of a verification: a filtering extension that stands above or below the one under test and does, within the
// contract, what makes bad extensions fail: it holds packets, drops, clones and sends them anew, excludes destinations, answers
// requests late, vetoes creations, and takes the whole packet pool for a while.
//
// The rule it must not break: what it does to a packet depends on the packet and the seed alone, so that a run can be repeated.
import { type Batch, defineExtension, NdisStatus, Oid, type OidRequest, type SwitchHandle } from '../../extension.ts'

export interface FaultOptions {
  readonly seed: number
}

const HOLD_MS = 5
const HOG_EVERY_MS = 40
const HOG_ROUNDS = 8 // one round in so many takes the pool
const HOG_PACKETS_MAX = 4096
const OID_DELAY_MS = 8
const HASHED_BYTES = 40

const mix = (a: number, b: number): number => {
  const mixed = Math.imul(a ^ b, 0x9e3779b1)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

function hashOf(batch: Batch, i: number, seed: number): number {
  let hash = mix(seed, batch.frameLength(i))
  for (let at = 0; at < HASHED_BYTES; at += 4) hash = mix(hash, batch.u32(i, at))
  return hash
}

const hashOfText = (text: string, seed: number): number =>
  [...text].reduce((hash, letter) => mix(hash, letter.charCodeAt(0)), seed)

class Troublemaker {
  readonly #sw: SwitchHandle
  readonly #seed: number
  readonly #dropped: number
  readonly #held: number[] = []
  readonly #hogged: number[] = []
  #rounds = 0

  constructor(sw: SwitchHandle, seed: number) {
    this.#sw = sw
    this.#seed = seed
    this.#dropped = sw.registerReason('verify: fault')
    sw.every(HOLD_MS, () => this.giveBack())
    sw.every(HOG_EVERY_MS, () => this.#hog())
  }

  giveBack(): void {
    for (const packet of this.#held.splice(0)) this.#sw.forward(packet)
    for (const packet of this.#hogged.splice(0)) this.#sw.release(packet)
  }

  // Nothing is left for others to clone, hold or originate until the next time of giving back.
  #hog(): void {
    if (mix(this.#seed, this.#rounds++) % HOG_ROUNDS !== 0) return
    const frame = new Uint8Array(60)
    while (this.#hogged.length < HOG_PACKETS_MAX) {
      const packet = this.#sw.originate(frame)
      if (packet === 0) return
      this.#hogged.push(packet)
    }
  }

  ingress(batch: Batch): void {
    for (let i = 0; i < batch.length; i++) {
      const choice = hashOf(batch, i, this.#seed) % 64
      if (choice === 0) batch.drop(i, this.#dropped)
      else if (choice <= 3) this.#hold(batch, i)
      else if (choice <= 5) {
        const clone = batch.clone(i)
        if (clone === 0) continue
        batch.drop(i, this.#dropped)
        this.#sw.send(clone)
      }
    }
  }

  egress(batch: Batch): void {
    for (let i = 0; i < batch.length; i++) {
      const hash = hashOf(batch, i, this.#seed ^ 1)
      const choice = hash % 64
      if (choice === 0) batch.drop(i, this.#dropped)
      else if (choice <= 2) this.#hold(batch, i)
      else if (choice <= 5) {
        const k = hash % batch.destinationCount(i)
        if (!batch.isExcluded(i, k)) batch.exclude(i, k, this.#dropped)
      }
    }
  }

  #hold(batch: Batch, i: number): void {
    const packet = batch.hold(i)
    if (packet !== 0) this.#held.push(packet)
  }

  // Creations of ports are vetoed by their name, so that the one who tries again with another name comes through.
  async oid({ oid, payload }: OidRequest): Promise<undefined | { status: number }> {
    const names = payload as { portName?: string; nicName?: string }
    const hash = hashOfText(`${oid}${names.portName ?? names.nicName ?? ''}`, this.#seed)
    if (hash % 3 === 0) await new Promise((done) => setTimeout(done, 1 + (hash % OID_DELAY_MS)))
    const mayVeto = oid === Oid.portCreate || oid === Oid.nicCreate
    if (!mayVeto || hash % 5 !== 0) return undefined
    return { status: hash % 2 === 0 ? NdisStatus.dataNotAccepted : NdisStatus.resources }
  }
}

export default defineExtension<FaultOptions>({
  id: '6f0b5c1d-42f3-4b0e-8a57-0e9d1f6c7a21',
  name: 'verify-fault',
  version: '1.0.0',
  class: 'filtering',
  parseOptions: (raw) => ({ seed: Number((raw as { seed?: unknown } | undefined)?.seed ?? 1) }),
  attach(sw, { seed }) {
    const trouble = new Troublemaker(sw, seed)
    return {
      ingress: (batch) => trouble.ingress(batch),
      egress: (batch) => trouble.egress(batch),
      oid: (request) => trouble.oid(request),
      pause: () => trouble.giveBack(),
    }
  },
})
