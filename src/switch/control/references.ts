// Reference counts of ports and connections (spec 3.3), in memory that all processors share: one word each, with a gate that only the
// control side opens and closes. Taking a reference and closing the gate are atomic against each other, so a success that raced with
// a teardown stays valid and holds the deletion back (ES-144, ES-220).
//
// The rule it must not break: the switch issues PORT_DELETE and NIC_DELETE only at a count of zero (ES-140, ES-213).
import { PHYSICAL_NICS_MAX } from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'

const WORDS_PER_PORT = 2 + PHYSICAL_NICS_MAX // the port, index 0, physical adapters
const KNOWN = 1 << 29 // the object exists
const OPEN = 1 << 30 // references may be taken
const COUNT = KNOWN - 1

/** Stands for the port itself where a NIC index is expected. */
export const PORT_ITSELF = -1

export const referenceTableBytes = (ports: number): number => ports * WORDS_PER_PORT * 4

/** The words; port ids are 1…ports-1, NIC indices 0…32 or PORT_ITSELF. */
export class ReferenceTable {
  readonly #words: Int32Array
  readonly #ports: number

  constructor(buffer: ArrayBufferLike, at: number, ports: number) {
    this.#words = new Int32Array(buffer, at, ports * WORDS_PER_PORT)
    this.#ports = ports
  }

  // The word of an object, or -1 if no such object can exist.
  #at(port: number, nic: number): number {
    const valid =
      Number.isInteger(port) &&
      port > 0 &&
      port < this.#ports &&
      Number.isInteger(nic) &&
      nic >= PORT_ITSELF &&
      nic <= PHYSICAL_NICS_MAX
    return valid ? port * WORDS_PER_PORT + nic + 1 : -1
  }

  #word(port: number, nic: number): number {
    const at = this.#at(port, nic)
    return at < 0 ? 0 : Atomics.load(this.#words, at)
  }

  /** The object exists from now on; references are refused until `open`. */
  create(port: number, nic: number): void {
    Atomics.or(this.#words, this.#at(port, nic), KNOWN)
  }

  /** References may be taken: a port that was created, a connection that was connected. */
  open(port: number, nic: number): void {
    Atomics.or(this.#words, this.#at(port, nic), KNOWN | OPEN)
  }

  /** No new references; those held stay. */
  close(port: number, nic: number): void {
    Atomics.and(this.#words, this.#at(port, nic), ~OPEN)
  }

  /** The object is gone, with whatever was still counted. */
  remove(port: number, nic: number): void {
    Atomics.store(this.#words, this.#at(port, nic), 0)
  }

  isOpen(port: number, nic: number): boolean {
    return (this.#word(port, nic) & OPEN) !== 0
  }

  /** References held now. */
  count(port: number, nic: number): number {
    return this.#word(port, nic) & COUNT
  }

  /** Takes a reference: SUCCESS, INVALID_PARAMETER for an unknown object, FAILURE in a state that does not allow it (AMB-39). */
  take(port: number, nic: number): number {
    const at = this.#at(port, nic)
    if (at < 0) return NdisStatus.invalidParameter
    for (;;) {
      const word = Atomics.load(this.#words, at)
      if ((word & KNOWN) === 0) return NdisStatus.invalidParameter // ES-231
      if ((word & OPEN) === 0) return NdisStatus.failure // ES-143, ES-215, ES-232, ES-233, ES-235, ES-236, ES-237
      if (Atomics.compareExchange(this.#words, at, word, word + 1) === word) return NdisStatus.success
    }
  }

  /** Gives a reference back that was taken. */
  give(port: number, nic: number): void {
    const at = this.#at(port, nic)
    for (;;) {
      const word = Atomics.load(this.#words, at)
      if ((word & COUNT) === 0) return // the object went, and its count with it
      if (Atomics.compareExchange(this.#words, at, word, word - 1) === word) return
    }
  }
}

/** The references of one module: each success is released exactly once (ES-142, ES-219). */
export class ModuleReferences {
  readonly #table: ReferenceTable
  readonly #held = new Map<number, number>()

  constructor(table: ReferenceTable) {
    this.#table = table
  }

  static #key(port: number, nic: number): number {
    return port * WORDS_PER_PORT + nic + 1
  }

  /** ReferenceSwitchPort with PORT_ITSELF, ReferenceSwitchNic with an index. Returns an NDIS status. */
  take(port: number, nic: number): number {
    const status = this.#table.take(port, nic)
    if (status !== NdisStatus.success) return status
    const key = ModuleReferences.#key(port, nic)
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1)
    return status
  }

  /** DereferenceSwitchPort, DereferenceSwitchNic: INVALID_PARAMETER if this module holds none. */
  give(port: number, nic: number): number {
    const key = ModuleReferences.#key(port, nic)
    const held = this.#held.get(key) ?? 0
    if (held === 0) return NdisStatus.invalidParameter
    if (held === 1) this.#held.delete(key)
    else this.#held.set(key, held - 1)
    this.#table.give(port, nic)
    return NdisStatus.success
  }

  /** References of this module on the object. */
  held(port: number, nic: number): number {
    return this.#held.get(ModuleReferences.#key(port, nic)) ?? 0
  }

  /** Takes what the module holds on an object away from it; returns how many. */
  revoke(port: number, nic: number): number {
    let revoked = 0
    while (this.give(port, nic) === NdisStatus.success) revoked++
    return revoked
  }

  /** Gives everything back, for a module that is detached; returns how many references it left behind. */
  releaseAll(): number {
    let released = 0
    for (const key of [...this.#held.keys()])
      released += this.revoke(Math.floor(key / WORDS_PER_PORT), (key % WORDS_PER_PORT) - 1)
    return released
  }
}
