// What policy-forward knows of each port, in memory common to the instances of all processors. Processor 0's instance hears of changes
// by OIDs and writes; all instances read.
//
// The rule it must not break: a connection whose NIC_DISCONNECT was forwarded is never used again (ES-320).
import type { NicParameters } from 'vmswitch/extension'
import { NicState, NicType, parseMac } from 'vmswitch/extension'

/** Port ids below this are served. */
export const PORTS_MAX = 4096
const WORDS = 8
const CONNECTED = 0
const MAC_HIGH = 1
const MAC_LOW = 2
const GROUP = 3
const NIC = 4
const FRAMES = 5
const EXTERNAL = 6
const VERSION = PORTS_MAX * WORDS

export const RECORDS_BYTES = (PORTS_MAX * WORDS + 1) * 4

export class PortRecords {
  /** Connected ports, for floods. */
  readonly connected = new Uint16Array(PORTS_MAX)
  connectedCount = 0
  /** The connected external port, or 0. */
  external = 0
  readonly #words: Int32Array
  readonly #byMac = new Map<number, number>()
  #version = -1

  constructor(words: Int32Array) {
    this.#words = words
  }

  #at(port: number, word: number): number {
    return port * WORDS + word
  }

  #changed(): void {
    Atomics.add(this.#words, VERSION, 1)
  }

  /** Derives the look-up tables again, if a record changed. Once per batch. */
  refresh(): void {
    const version = Atomics.load(this.#words, VERSION)
    if (version === this.#version) return
    this.#version = version
    this.#byMac.clear()
    this.connectedCount = 0
    this.external = 0
    for (let port = 1; port < PORTS_MAX; port++) {
      if (!this.isConnected(port)) continue
      this.connected[this.connectedCount++] = port
      this.#byMac.set(this.#words[this.#at(port, MAC_LOW)]!, port)
      if (this.#words[this.#at(port, EXTERNAL)] === 1) this.external = port
    }
  }

  isConnected(port: number): boolean {
    return Atomics.load(this.#words, this.#at(port, CONNECTED)) === 1
  }

  /** The connected port of an address, or 0. Allocates nothing. */
  find(high: number, low: number): number {
    const port = this.#byMac.get(low | 0) ?? 0
    return port !== 0 && this.#words[this.#at(port, MAC_HIGH)] === high ? port : 0
  }

  /** The NIC index to direct packets to (ES-322, ES-324). */
  nicIndex(port: number): number {
    return this.#words[this.#at(port, NIC)]!
  }

  /** The port's group; 0 = none. */
  group(port: number): number {
    return this.#words[this.#at(port, GROUP)]!
  }

  countFrame(port: number): void {
    Atomics.add(this.#words, this.#at(port, FRAMES), 1)
  }

  frames(port: number): number {
    return Atomics.load(this.#words, this.#at(port, FRAMES)) >>> 0
  }

  // ---- for the instance on processor 0 ------------------------------------------------------------------------------------------

  setFrames(port: number, frames: number): void {
    Atomics.store(this.#words, this.#at(port, FRAMES), frames | 0)
  }

  setGroup(port: number, group: number): void {
    if (port < PORTS_MAX) Atomics.store(this.#words, this.#at(port, GROUP), group)
  }

  /** True if another port's connection has an address that look-ups can't tell from this one. */
  isTaken(nic: NicParameters): boolean {
    const { low } = macWords(nic)
    for (let port = 1; port < PORTS_MAX; port++)
      if (port !== nic.portId && this.isConnected(port) && this.#words[this.#at(port, MAC_LOW)] === low) return true
    return false
  }

  /** NIC_CONNECT or NIC_UPDATED was completed, or the connection was there already. */
  connect(nic: NicParameters): void {
    if (nic.portId >= PORTS_MAX || nic.nicState !== NicState.connected) return
    const { high, low } = macWords(nic)
    const isExternal = nic.nicType === NicType.external
    this.#words[this.#at(nic.portId, MAC_HIGH)] = high
    this.#words[this.#at(nic.portId, MAC_LOW)] = low
    this.#words[this.#at(nic.portId, EXTERNAL)] = isExternal ? 1 : 0
    if (nic.nicIndex !== 0 || !isExternal) this.#words[this.#at(nic.portId, NIC)] = nic.nicIndex
    Atomics.store(this.#words, this.#at(nic.portId, CONNECTED), 1)
    this.#changed()
  }

  /** NIC_DISCONNECT is being forwarded. */
  disconnect(nic: NicParameters): void {
    if (nic.portId >= PORTS_MAX) return
    Atomics.store(this.#words, this.#at(nic.portId, CONNECTED), 0)
    this.#changed()
  }

  /** PORT_TEARDOWN: what was kept of the port is forgotten (ES-133). */
  forget(port: number): void {
    if (port < PORTS_MAX) this.#words.fill(0, this.#at(port, 0), this.#at(port + 1, 0))
    this.#changed()
  }
}

function macWords({ currentMacAddress }: NicParameters): { high: number; low: number } {
  if (currentMacAddress === '') return { high: 0, low: 0 }
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = parseMac(currentMacAddress)
  return { high: (a << 8) | b, low: (c << 24) | (d << 16) | (e << 8) | f }
}
