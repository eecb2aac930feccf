// An Intel 82576 virtual function: configuration space, registers, mailbox, interrupts and resets, as a PCI function that a stock
// driver drives. It moves no frames: data halves do, from the same block of shared memory. The physical function's side (read and
// write of configuration space, probed BARs, reset, power) works on the very same state.
//
// The rule it must not break: a reset is a fence: when it returns, nothing of the old rings is touched any more.
import {
  Fault,
  V_ASLEEP,
  V_CONTEXTS,
  V_DEFERRED,
  V_DOORBELL,
  V_GENERATION,
  V_INTERVAL,
  V_PENDING,
  V_RUN,
  V_RUNG,
  V_RX_FAULT,
  V_RX_TOLD,
  V_TX_FAULT,
  V_TX_TOLD,
  V_TX_UNTOLD,
  V_VECTORS,
} from './block.ts'
import { ConfigSpace } from './config-space.ts'
import { VfFilters } from './filters.ts'
import { type InterruptComponents, Interrupts } from './interrupts.ts'
import { Mailbox } from './mailbox.ts'
import type { ResetCause, VfOwner } from './owner.ts'
import * as registers from './registers.ts'

const {
  BAR_REGISTERS_BYTES,
  CTRL,
  CTRL_RST,
  EICR,
  EICS,
  EIMC,
  EIMS,
  MAILBOX_READ_CLEARS,
  MAILBOX_RSTD,
  QUEUE_ENABLE,
  RXDCTL,
  STATUS,
  STATUS_FULL_DUPLEX,
  STATUS_LINK_UP,
  STATUS_SPEED_1000,
  TDT,
  TXDCTL,
  V2PMAILBOX,
  VECTOR_MASK,
  VECTORS,
  VMBMEM,
  VMBMEM_WORDS,
} = registers

/** PCI power states: D0 works, D3 is off. */
export type PowerState = 'D0' | 'D1' | 'D2' | 'D3'

/** Registers that simply hold what is written. */
const plainRegisters = new Set<number>([
  registers.EIAC,
  registers.EIAM,
  registers.EITR0,
  registers.EITR0 + 4,
  registers.EITR0 + 8,
  registers.IVAR0,
  registers.IVAR_MISC,
  registers.RDT,
  registers.DCA_TXCTRL,
])
/** Registers that say where and how a ring is: written while nobody uses it. */
const ringRegisters = new Set<number>([
  registers.RDBAL,
  registers.RDBAH,
  registers.RDLEN,
  registers.SRRCTL,
  registers.RDH,
  registers.RXDCTL,
  registers.TDBAL,
  registers.TDBAH,
  registers.TDLEN,
  registers.TDH,
  registers.TXDCTL,
])

export interface VirtualFunctionComponents extends InterruptComponents {
  /** Views shared memory from address 0. */
  readonly u8: Uint8Array
  readonly u32: Uint32Array
  readonly owner: VfOwner
  /** Does `work` while no processor is in either ring. */
  readonly quiesce: (work: () => void) => void
}

/** One virtual function. */
export class VirtualFunction {
  readonly config: ConfigSpace
  readonly filters: VfFilters
  readonly interrupts: Interrupts
  readonly mailbox: Mailbox
  readonly #block: number
  readonly #components: VirtualFunctionComponents
  #power: PowerState = 'D0'
  #attached = false
  #active = false
  #linkUp = false
  #resets = 0

  /** `block`: linear address of VF_BLOCK_BYTES, zeroed. */
  constructor(block: number, components: VirtualFunctionComponents) {
    const { u8, u32, i32, owner } = components
    this.#block = block
    this.#components = components
    this.filters = new VfFilters(u8, u32, block)
    this.interrupts = new Interrupts(block, components)
    const interrupt = (): void => this.interrupts.raise(this.interrupts.mailboxCause)
    this.mailbox = new Mailbox(block, { u32, filters: this.filters, owner, interrupt })
    this.config = new ConfigSpace(VECTORS, () => this.reset('function-level'))
    this.#linkUp = owner.linkUp
    i32.fill(-1, (block + V_VECTORS) >> 2, ((block + V_VECTORS) >> 2) + VECTORS)
    i32[(block + V_DOORBELL) >> 2] = -1
    this.#clear()
  }

  /** How often it was reset, for `status`. */
  get resets(): number {
    return this.#resets
  }

  get powerState(): PowerState {
    return this.#power
  }

  /** Whether both rings are on: the guest's driver is up. */
  get isActive(): boolean {
    return this.#active
  }

  /** A client serves as the function's bus, or goes: without one no memory can be reached. */
  attach(attached: boolean): void {
    this.#attached = attached
    this.#updateRun()
  }

  /**
   * Resets the function as the named cause does. Configuration space goes back to its start on the guest's and the machine's reset; the
   * owner restores it, as hosts do around a function-level reset of a device in use, and lets the driver know that it must start anew.
   */
  reset(cause: ResetCause): void {
    this.#resets++
    this.#components.quiesce(() => {
      if (cause === 'function-level' || cause === 'device') this.config.reset()
      this.#clear()
      if (cause === 'owner') this.mailbox.refuseUntilReset()
    })
    this.#updateRun()
    this.#components.owner.wasReset(cause)
    this.#updateActivity()
  }

  /** Reads a register of BAR 0; `offset` is a multiple of 4 below 0x4000. Unknown ones read 0. */
  read(offset: number): number {
    const { u32, i32 } = this.#components
    const at = (this.#block + offset) >> 2
    if (offset === EICR) return Atomics.exchange(i32, at, 0) >>> 0
    if (offset === EICS) return Atomics.load(i32, (this.#block + EICR) >> 2) >>> 0
    if (offset === EIMC) return Atomics.load(i32, (this.#block + EIMS) >> 2) >>> 0
    const value = u32[at]!
    if (offset === V2PMAILBOX) u32[at] = value & ~MAILBOX_READ_CLEARS
    return value
  }

  /** Writes a register of BAR 0. */
  write(offset: number, value: number): void {
    const { u32, i32 } = this.#components
    const block = this.#block
    const at = (block + offset) >> 2
    switch (offset) {
      case TDT:
        Atomics.store(i32, at, value | 0)
        if (Atomics.load(i32, (block + V_ASLEEP) >> 2) !== 0) this.ring()
        return
      case registers.RDT:
        Atomics.store(i32, at, value | 0)
        return
      case EIMS:
        Atomics.or(i32, at, value & VECTOR_MASK)
        this.interrupts.evaluate()
        return
      case EIMC:
        Atomics.and(i32, (block + EIMS) >> 2, ~value)
        return
      case EICS:
        this.interrupts.raise(value & VECTOR_MASK)
        return
      case EICR:
        Atomics.and(i32, at, ~value)
        return
      case CTRL:
        if ((value & CTRL_RST) !== 0) this.reset('driver')
        u32[at] = value & ~CTRL_RST
        return
      case V2PMAILBOX:
        this.mailbox.write(value)
        return
    }
    if (plainRegisters.has(offset) || (offset >= VMBMEM && offset < VMBMEM + 4 * VMBMEM_WORDS)) u32[at] = value
    else if (ringRegisters.has(offset)) this.#writeRing(offset, at, value)
  }

  /** Wakes the processor that polls the transmit ring. */
  ring(): void {
    const { i32, signal } = this.#components
    const doorbell = i32[(this.#block + V_DOORBELL) >> 2]!
    if (doorbell < 0) return
    signal(doorbell) // first, noted then: what is noted can be drained
    Atomics.store(i32, (this.#block + V_RUNG) >> 2, 1)
  }

  /** Takes the link down or up, and tells the driver. */
  setLink(up: boolean): void {
    if (up === this.#linkUp) return
    this.#linkUp = up
    this.#writeStatus()
    this.mailbox.notify()
    this.interrupts.raise(this.interrupts.mailboxCause)
  }

  /** Sets the eventfds of the vectors, -1 = none; what was raised meanwhile is handed on. */
  setVectors(fds: readonly number[]): void {
    const { i32, quiesce } = this.#components
    quiesce(() => {
      for (let vector = 0; vector < VECTORS; vector++) i32[((this.#block + V_VECTORS) >> 2) + vector] = fds[vector] ?? -1
      this.interrupts.flushPending()
    })
  }

  /** Reads configuration space. Returns false if it is out of range. SR-265. */
  readConfig(offset: number, target: Uint8Array): boolean {
    return this.config.read(offset, target)
  }

  /** Writes configuration space. Returns false if it is out of range. SR-266. */
  writeConfig(offset: number, data: Uint8Array): boolean {
    if (!this.config.write(offset, data)) return false
    this.#updateRun()
    return true
  }

  /** Below D0 the function neither sends nor receives. Affects this function only. SR-299. */
  setPowerState(state: PowerState): void {
    this.#power = state
    this.#updateRun()
  }

  #writeRing(offset: number, at: number, value: number): void {
    const { u32, quiesce } = this.#components
    quiesce(() => {
      u32[at] = value
      const generation = (this.#block + V_GENERATION) >> 2
      u32[generation] = u32[generation]! + 1
      if (offset === TXDCTL) u32[(this.#block + V_TX_FAULT) >> 2] = Fault.none
      if (offset === RXDCTL) u32[(this.#block + V_RX_FAULT) >> 2] = Fault.none
    })
    this.#updateActivity()
  }

  /** Everything that a reset takes away, but the mailbox's memory and what belongs to the bus (vectors, memory, doorbell). */
  #clear(): void {
    const { u32, owner } = this.#components
    const block = this.#block
    const words = u32.slice((block + VMBMEM) >> 2, (block + VMBMEM) / 4 + VMBMEM_WORDS)
    u32.fill(0, block >> 2, (block + BAR_REGISTERS_BYTES) >> 2)
    u32.set(words, (block + VMBMEM) >> 2)
    u32[(block + V2PMAILBOX) >> 2] = MAILBOX_RSTD
    for (const word of [V_TX_FAULT, V_RX_FAULT, V_PENDING, V_DEFERRED, V_TX_UNTOLD, V_RX_TOLD, V_TX_TOLD])
      u32[(block + word) >> 2] = 0
    this.#components.f64.fill(0, (block + V_INTERVAL) >> 3, ((block + V_INTERVAL) >> 3) + VECTORS)
    u32.fill(0, (block + V_CONTEXTS) >> 2, (block + V_CONTEXTS + 32) >> 2)
    const generation = (block + V_GENERATION) >> 2
    u32[generation] = u32[generation]! + 1
    this.mailbox.reset()
    this.filters.reset(owner.mac)
    this.#writeStatus()
  }

  #writeStatus(): void {
    const up = this.#linkUp ? STATUS_LINK_UP : 0
    this.#components.u32[(this.#block + STATUS) >> 2] = STATUS_FULL_DUPLEX | STATUS_SPEED_1000 | up
  }

  #updateRun(): void {
    const { u32, quiesce } = this.#components
    const run = this.#attached && this.config.busMaster && this.#power === 'D0' ? 1 : 0
    if (u32[(this.#block + V_RUN) >> 2] === run) return
    quiesce(() => {
      u32[(this.#block + V_RUN) >> 2] = run
    })
    this.#updateActivity()
  }

  #updateActivity(): void {
    const { u32, owner } = this.#components
    const enabled = u32[(this.#block + TXDCTL) >> 2]! & u32[(this.#block + RXDCTL) >> 2]! & QUEUE_ENABLE
    const active = enabled !== 0 && u32[(this.#block + V_RUN) >> 2] === 1
    if (active === this.#active) return
    this.#active = active
    owner.activity(active)
  }
}
