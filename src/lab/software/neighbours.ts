// Which MAC address an IPv4 address has: asked by ARP, remembered for a while, with packets that wait for the answer.
//
// The rule it must not break: what others on the network say can't fill memory. Table and waiting packets are bounded.
import { BROADCAST_MAC, formatIpv4 } from './addresses.ts'
import type { Clock } from './clock.ts'
import { ArpOperation, type ArpPacket, buildArp } from './wire.ts'

const ENTRIES_MAX = 256
const FRESH_MS = 60_000
/** The wait for an answer doubles with each question: 0.1 s, 0.2 s, … */
const FIRST_RETRY_MS = 100
const TRIES_MAX = 5
const WAITING_MAX = 16

interface Neighbour {
  mac: Buffer | null
  learnedAtMs: number
  waiting: ((mac: Uint8Array) => void)[]
  cancelRetry: (() => void) | null
}

export interface NeighbourComponents {
  readonly clock: Clock
  /** Sends an ARP packet to a MAC address. */
  transmit(destination: Uint8Array, packet: Buffer): void
}

export class Neighbours {
  readonly #mac: Uint8Array
  readonly #address: Uint8Array
  readonly #components: NeighbourComponents
  readonly #table = new Map<string, Neighbour>()

  constructor(options: { mac: Uint8Array; address: Uint8Array }, components: NeighbourComponents) {
    this.#mac = options.mac
    this.#address = options.address
    this.#components = components
  }

  /** Calls `send` with the MAC address of a neighbour, now or when it has answered; never, if it does not. */
  resolve(address: Uint8Array, send: (mac: Uint8Array) => void): void {
    const key = formatIpv4(address)
    const known = this.#table.get(key)
    if (known?.mac && this.#components.clock.nowMs() - known.learnedAtMs < FRESH_MS) {
      send(known.mac)
      return
    }
    if (known?.cancelRetry) {
      if (known.waiting.length < WAITING_MAX) known.waiting.push(send)
      return
    }
    const neighbour: Neighbour = { mac: null, learnedAtMs: 0, waiting: [send], cancelRetry: null }
    this.#store(key, neighbour)
    this.#ask(Buffer.from(address), key, neighbour, 1)
  }

  receive(packet: ArpPacket): void {
    const forUs = Buffer.compare(packet.targetIp, this.#address) === 0
    const key = formatIpv4(packet.senderIp)
    const known = this.#table.get(key)
    // RFC 826: refresh who is known; make an entry only for who talks to us.
    if (known !== undefined || (forUs && packet.operation === ArpOperation.request)) this.#learn(key, packet.senderMac, known)
    if (!forUs || packet.operation !== ArpOperation.request) return
    const reply = {
      operation: ArpOperation.reply,
      senderMac: this.#mac,
      senderIp: this.#address,
      targetMac: packet.senderMac,
      targetIp: packet.senderIp,
    }
    this.#components.transmit(packet.senderMac, buildArp(reply))
  }

  close(): void {
    for (const { cancelRetry } of this.#table.values()) cancelRetry?.()
    this.#table.clear()
  }

  #learn(key: string, mac: Uint8Array, known: Neighbour | undefined): void {
    const neighbour = known ?? { mac: null, learnedAtMs: 0, waiting: [], cancelRetry: null }
    if (known === undefined) this.#store(key, neighbour)
    neighbour.mac = Buffer.from(mac)
    neighbour.learnedAtMs = this.#components.clock.nowMs()
    neighbour.cancelRetry?.()
    neighbour.cancelRetry = null
    const waiting = neighbour.waiting
    neighbour.waiting = []
    for (const send of waiting) send(neighbour.mac)
  }

  #store(key: string, neighbour: Neighbour): void {
    const oldest = this.#table.keys().next()
    if (this.#table.size >= ENTRIES_MAX && !oldest.done) {
      this.#table.get(oldest.value)?.cancelRetry?.()
      this.#table.delete(oldest.value)
    }
    this.#table.delete(key)
    this.#table.set(key, neighbour)
  }

  #ask(address: Uint8Array, key: string, neighbour: Neighbour, attempt: number): void {
    neighbour.cancelRetry = this.#components.clock.after(FIRST_RETRY_MS * 2 ** (attempt - 1), () => {
      neighbour.cancelRetry = null
      if (attempt < TRIES_MAX) this.#ask(address, key, neighbour, attempt + 1)
      else this.#table.delete(key)
    })
    const request = {
      operation: ArpOperation.request,
      senderMac: this.#mac,
      senderIp: this.#address,
      targetMac: Buffer.alloc(6),
      targetIp: address,
    }
    this.#components.transmit(BROADCAST_MAC, buildArp(request))
  }
}
