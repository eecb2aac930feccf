// Which address each port must send from: the security property, which this extension accepts and so enforces (ES-319, ES-498). In
// memory common to all processors: the instance on processor 0 hears of properties and adapters and writes; all read.
//
// The rule it must not break: a reader that meets a writer lets nothing pass that neither the old nor the new state allows.
import type { NicParameters, SecurityProperty } from '../../extension.ts'
import { parseMac } from '../../extension.ts'

const PORT_IDS = 65536
const GUARDED = 0x10000
/** No address has it as its upper half. */
const NONE = GUARDED | 0x20000

export const SOURCE_GUARD_BYTES = PORT_IDS * 2 * 4

/** Fields are ordinary ones: they are read per packet. */
export class SourceGuard {
  private readonly words: Int32Array
  // Processor 0 only.
  private readonly security = new Map<number, SecurityProperty>()
  private readonly addresses = new Map<number, string>()

  constructor(words: Int32Array) {
    this.words = words
  }

  /** True if `port` must not send from the address (upper 16 and lower 32 bits). */
  forbids(port: number, high: number, low: number): boolean {
    const state = Atomics.load(this.words, port * 2)
    return state !== 0 && (state !== (GUARDED | high) || this.words[port * 2 + 1] !== (low | 0))
  }

  /** The adapter on a port, created or changed. */
  adapter({ portId, nicIndex, permanentMacAddress }: NicParameters): void {
    if (nicIndex !== 0) return
    this.addresses.set(portId, permanentMacAddress)
    this.write(portId)
  }

  /** The security property of a port; undefined takes it away. */
  property(portId: number, security: SecurityProperty | undefined): void {
    if (security) this.security.set(portId, security)
    else this.security.delete(portId)
    this.write(portId)
  }

  forget(portId: number): void {
    this.security.delete(portId)
    this.addresses.delete(portId)
    this.write(portId)
  }

  // ES-525, ES-526: the permanent address, unless the property allows any. A port that has none cannot be held to it.
  private write(portId: number): void {
    const { words } = this
    const address = this.addresses.get(portId) ?? ''
    const security = this.security.get(portId)
    if (!security || security.allowMacSpoofing || address === '') {
      Atomics.store(words, portId * 2, 0)
      return
    }
    const mac = parseMac(address)
    const view = new DataView(mac.buffer)
    Atomics.store(words, portId * 2, NONE)
    Atomics.store(words, portId * 2 + 1, view.getInt32(2))
    Atomics.store(words, portId * 2, GUARDED | view.getUint16(0))
  }
}
