// Checks the source addresses of a burst, on one processor.
//
// The rule it must not break: a packet passes without a look-up only if its port and its address are those of a packet of the same
// burst that passed one.
import { type Batch, PACKET_HEADER_STRIDE, type SwitchHandle } from '../../extension.ts'
import { type AddressTable, REFUSED, UNKNOWN } from './address-table.ts'

export const GuardCounter = { checked: 0, wrongSource: 1, groupSource: 2, zeroSource: 3, unknownPort: 4 } as const

const { checked: CHECKED, wrongSource: WRONG_SOURCE, groupSource: GROUP_SOURCE, zeroSource: ZERO_SOURCE } = GuardCounter
const { unknownPort: UNKNOWN_PORT } = GuardCounter
const HEADER_STRIDE = PACKET_HEADER_STRIDE
const GROUP_BIT = 0x100
/** No port has this id: ids are 16 bits. */
const NO_PORT = -1

/** Fields are ordinary ones: they are read per packet. */
export class Guard {
  private readonly table: AddressTable
  private readonly counters: Float64Array
  private readonly dropUnknown: boolean
  private readonly wrongSource: number
  private readonly groupSource: number
  private readonly zeroSource: number
  private readonly unknownPort: number

  constructor(sw: SwitchHandle, table: AddressTable, dropUnknown: boolean) {
    this.table = table
    this.counters = sw.counters
    this.dropUnknown = dropUnknown
    this.wrongSource = sw.registerReason('mac-guard: wrong source address')
    this.groupSource = sw.registerReason('mac-guard: group address as source')
    this.zeroSource = sw.registerReason('mac-guard: source address zero')
    this.unknownPort = sw.registerReason('mac-guard: port without addresses')
  }

  /** Drops the packets of a burst that their ports must not send. Allocates nothing. */
  check(batch: Batch): void {
    const { length, slots, pool, oneSource } = batch
    const { header16, header32, headerOffset, sourcePort } = pool
    const { table } = this
    let bypassing = 0
    // Port, and upper 16 and lower 32 bits of the address as they lie in memory, of the last packet that passed.
    let passedPort = NO_PORT
    let passedHigh = 0
    let passedLow = 0
    let portBefore = NO_PORT
    let hasFirst = false
    for (let i = 0; i < length; i++) {
      // This loop calls and writes nothing, so that the compiler loads what belongs to the arrays themselves once, not per packet.
      if (passedPort !== NO_PORT)
        for (; i < length; i++) {
          const slot = slots[i]!
          const frame = slot * HEADER_STRIDE + headerOffset[slot]!
          if (header32[(frame >> 2) + 2] !== passedLow || header16[(frame >> 1) + 3] !== passedHigh) break
          if ((frame & 3) !== 0 || (!oneSource && sourcePort[slot] !== passedPort)) break
        }
      if (i === length) break
      const slot = slots[i]!
      const port = sourcePort[slot]!
      if (port === 0) {
        bypassing++ // ES-341: packets of extensions bypass port policies
        continue
      }
      const high = batch.sourceMacHigh(i)
      const low = batch.sourceMacLow(i)
      if (port !== portBefore) {
        portBefore = port
        hasFirst = table.readFirst(port)
      }
      // Packets mostly come from their port's own address.
      if (!(hasFirst && low === table.firstLow && high === table.firstHigh) && !this.passes(batch, i, port, high, low)) continue
      const frame = slot * HEADER_STRIDE + headerOffset[slot]!
      if ((frame & 3) !== 0) continue
      passedPort = port
      passedLow = header32[(frame >> 2) + 2]!
      passedHigh = header16[(frame >> 1) + 3]!
    }
    this.counters[CHECKED] = this.counters[CHECKED]! + length - bypassing
  }

  // Looks the address (upper 16 and lower 32 bits) of packet `i` up and drops the packet unless its port may use it.
  private passes(batch: Batch, i: number, port: number, high: number, low: number): boolean {
    if ((high & GROUP_BIT) !== 0) return this.drop(batch, i, GROUP_SOURCE, this.groupSource)
    if (high === 0 && low === 0) return this.drop(batch, i, ZERO_SOURCE, this.zeroSource)
    const verdict = this.table.check(port, high, low)
    if (verdict === REFUSED) return this.drop(batch, i, WRONG_SOURCE, this.wrongSource)
    if (verdict === UNKNOWN && this.dropUnknown) return this.drop(batch, i, UNKNOWN_PORT, this.unknownPort)
    return true
  }

  private drop(batch: Batch, i: number, counter: number, reason: number): boolean {
    this.counters[counter] = this.counters[counter]! + 1
    batch.drop(i, reason)
    return false
  }
}
