// NDIS_DECLARE_SWITCH_NET_BUFFER_LIST_CONTEXT_TYPE: a kind of value that one extension attaches to packets and finds again, on egress
// too, for the life of the packet. The object itself is the key: who does not have it can neither read nor set its values.
//
// The rules it must not break: a value is set once per packet (ES-437), is not carried to a clone (ES-433), and is gone with the packet.
// A value is a number that indexes memory of the extension's own (ES-435); nothing is allocated or cleared per packet.
import { POOL_SLOTS } from '../kernels/layout.ts'
import type { PacketPool } from './pool.ts'

/** A declared context type, of one processor. */
export class SwitchContextType {
  /** ContextName. */
  readonly name: string
  /** ExtensionId. */
  readonly extensionId: string
  // A value counts while the slot holds the packet that it was set on.
  private readonly packet = new Float64Array(POOL_SLOTS).fill(-1)
  private readonly value = new Int32Array(POOL_SLOTS)

  constructor(name: string, extensionId: string) {
    this.name = name
    this.extensionId = extensionId
  }

  /** The value of the packet in a slot, 0 = none. ES-432 */
  read(pool: PacketPool, slot: number): number {
    return this.packet[slot] === pool.packetId[slot] ? this.value[slot]! : 0
  }

  /** Sets a value (not 0). False if the packet has one already. ES-431, ES-437 */
  write(pool: PacketPool, slot: number, value: number): boolean {
    const id = pool.packetId[slot]!
    if (this.packet[slot] === id) return false
    this.packet[slot] = id
    this.value[slot] = value
    return true
  }

  /** The packet in slot `from` goes on living in slot `to`, under its own id. */
  move(pool: PacketPool, from: number, to: number): void {
    if (this.packet[from] !== pool.packetId[from]) return
    this.packet[to] = pool.packetId[to]!
    this.value[to] = this.value[from]!
  }
}

/** The context types of one processor. A type whose extension is gone is forgotten. */
export class SwitchContextTypes {
  readonly #types: WeakRef<SwitchContextType>[] = []

  /** Declares a type; any number per extension. ES-436 */
  declare(name: string, extensionId: string): SwitchContextType {
    for (let i = this.#types.length - 1; i >= 0; i--) if (this.#types[i]!.deref() === undefined) this.#types.splice(i, 1)
    const type = new SwitchContextType(name, extensionId)
    this.#types.push(new WeakRef(type))
    return type
  }

  /** How many there are, some of which may be forgotten. */
  get count(): number {
    return this.#types.length
  }

  /** A packet was moved from one slot to another: so are its contexts. */
  move(pool: PacketPool, from: number, to: number): void {
    for (let i = 0; i < this.#types.length; i++) this.#types[i]!.deref()?.move(pool, from, to)
  }
}
