// The physical function's half of the mailbox: what a guest's driver asks for in up to 16 words of shared memory, and the answers.
//
// The rule it must not break: the word left in the mailbox memory decides about the guest's link (it must carry CTS), so an answer is
// complete before the guest can see that there is one; and every wish is judged by the owner.
import { BlockMailbox, isBlockMessage } from './block-mailbox.ts'
import type { VfFilters } from './filters.ts'
import type { VfOwner } from './owner.ts'
import {
  FRAME_DEFAULT,
  MAC_FILTER_ADD,
  MAC_FILTER_CLEAR,
  MAILBOX_ACK,
  MAILBOX_PFACK,
  MAILBOX_PFSTS,
  MAILBOX_PFU,
  MAILBOX_REQ,
  MAILBOX_VFU,
  MESSAGE_ACK,
  MESSAGE_CTS,
  MESSAGE_INFO_MASK,
  MESSAGE_INFO_SHIFT,
  MESSAGE_NACK,
  MESSAGE_TYPE,
  MULTICAST_HASHES_MAX,
  PF_BLOCKS_CHANGED,
  PF_CONTROL,
  V2PMAILBOX,
  VF_RESET,
  VF_SET_LPE,
  VF_SET_MAC,
  VF_SET_MULTICAST,
  VF_SET_PROMISCUOUS,
  VF_SET_VLAN,
  VMBMEM,
  VMBMEM_WORDS,
} from './registers.ts'

const FRAME_LEAST = 64

export interface MailboxComponents {
  /** Views shared memory from address 0. */
  readonly u32: Uint32Array
  readonly filters: VfFilters
  readonly owner: VfOwner
  /** The physical function has sent a message by itself: raises the mailbox's interrupt. */
  readonly interrupt: () => void
}

/** One function's mailbox. */
export class Mailbox {
  readonly #u32: Uint32Array
  readonly #filters: VfFilters
  readonly #owner: VfOwner
  readonly #control: number
  readonly #memory: number
  readonly #interrupt: () => void
  readonly #blocks: BlockMailbox | undefined
  /** The guest has said hello since the last reset ("clear to send"). */
  #clearToSend = false
  /** A block's request is with the physical function, which owns the memory (PFU) until it has answered. */
  #busy = false
  /** The guest has not acknowledged what stands in the memory; and that is about a block. */
  #unread = false
  #unreadBlock = false
  #life = 0

  constructor(block: number, { u32, filters, owner, interrupt }: MailboxComponents) {
    this.#u32 = u32
    this.#filters = filters
    this.#owner = owner
    this.#interrupt = interrupt
    this.#blocks = owner.blocks && new BlockMailbox(owner.blocks, () => this.#tellBlocks())
    this.#control = (block + V2PMAILBOX) >> 2
    this.#memory = (block + VMBMEM) >> 2
  }

  /** The function was reset: it must say hello again. The memory keeps its words. */
  reset(): void {
    this.#clearToSend = false
    this.#forgetBlocks()
  }

  /** The driver finds out that it is not cleared to send any more, and resets itself. */
  refuseUntilReset(): void {
    this.#u32[this.#memory] = MESSAGE_NACK >>> 0
    this.#u32[this.#control] = this.#u32[this.#control]! | MAILBOX_PFSTS
  }

  #forgetBlocks(): void {
    this.#busy = false
    this.#unread = false
    this.#unreadBlock = false
    this.#life++
    this.#blocks?.reset()
  }

  /** The guest wrote V2PMAILBOX. */
  write(value: number): void {
    if (this.#busy) return // whatever it writes meanwhile
    const u32 = this.#u32
    const at = this.#control
    if ((value & MAILBOX_VFU) !== 0 && (u32[at]! & MAILBOX_PFU) === 0) u32[at] = u32[at]! | MAILBOX_VFU
    if ((value & (MAILBOX_REQ | MAILBOX_ACK)) !== 0 && (value & MAILBOX_VFU) === 0) u32[at] = u32[at]! & ~MAILBOX_VFU
    if ((value & (MAILBOX_REQ | MAILBOX_ACK)) !== 0) {
      this.#unread = false
      this.#unreadBlock = false
    }
    if ((value & MAILBOX_REQ) !== 0) this.#serve()
    else this.#tellBlocks()
  }

  /** Tells the guest to look at its link again. The caller raises the mailbox's interrupt. */
  notify(): void {
    // The answer that stands there, or will, carries CTS: all that a driver looks for.
    if (this.#busy || this.#unreadBlock) return
    this.#u32[this.#memory] = (PF_CONTROL | (this.#clearToSend ? MESSAGE_CTS : 0)) >>> 0
    this.#u32[this.#control] = this.#u32[this.#control]! | MAILBOX_PFSTS
  }

  #serve(): void {
    const u32 = this.#u32
    const words = u32.slice(this.#memory, this.#memory + VMBMEM_WORDS)
    const message = words[0]!
    if (message === VF_RESET) this.#hello()
    else if (this.#clearToSend && this.#blocks && isBlockMessage(message & MESSAGE_TYPE)) {
      this.#serveBlocks(this.#blocks.serve(message & MESSAGE_TYPE, words), words)
      return
    } else {
      const done = this.#clearToSend && this.#carryOut(message, words)
      this.#answer(message, done)
      if (done) this.#owner.filtersChanged(this.#filters.describe())
    }
    u32[this.#control] = u32[this.#control]! | MAILBOX_PFACK | MAILBOX_PFSTS
    this.#unread = true
  }

  #answer(message: number, done: boolean): void {
    const answer = (message & ~(MESSAGE_ACK | MESSAGE_NACK | MESSAGE_CTS)) | (this.#clearToSend ? MESSAGE_CTS : 0)
    this.#u32[this.#memory] = (answer | (done ? MESSAGE_ACK : MESSAGE_NACK)) >>> 0
  }

  // The message is taken at once; the answer comes when the physical function has it (SR-284, SR-285).
  #serveBlocks(outcome: boolean | Promise<boolean>, words: Uint32Array): void {
    const u32 = this.#u32
    const life = this.#life
    u32[this.#control] = u32[this.#control]! | MAILBOX_PFACK
    const finish = (done: boolean): void => {
      if (life !== this.#life) return // reset meanwhile: nobody waits for this
      this.#busy = false
      this.#unread = true
      this.#unreadBlock = true
      u32.set(words.subarray(1), this.#memory + 1)
      this.#answer(words[0]!, done)
      u32[this.#control] = (u32[this.#control]! & ~MAILBOX_PFU) | MAILBOX_PFSTS
    }
    if (typeof outcome === 'boolean') {
      finish(outcome)
      return
    }
    this.#busy = true
    u32[this.#control] = u32[this.#control]! | MAILBOX_PFU
    outcome.then(finish, () => finish(false))
  }

  // The mask of changed blocks goes to a guest that waits for it, once, when nobody uses the memory (SR-292).
  #tellBlocks(): void {
    const u32 = this.#u32
    const blocks = this.#blocks
    const free = !this.#busy && !this.#unread && (u32[this.#control]! & (MAILBOX_VFU | MAILBOX_PFSTS)) === 0
    if (!blocks || blocks.mask === 0n || !this.#clearToSend || !free) return
    u32[this.#memory + 1] = Number(blocks.mask & 0xffff_ffffn)
    u32[this.#memory + 2] = Number(blocks.mask >> 32n)
    u32[this.#memory] = (PF_BLOCKS_CHANGED | MESSAGE_CTS) >>> 0
    u32[this.#control] = u32[this.#control]! | MAILBOX_PFSTS
    this.#unread = true
    this.#unreadBlock = true
    blocks.told()
    this.#interrupt()
  }

  #hello(): void {
    const u32 = this.#u32
    const { mac } = this.#owner
    this.#clearToSend = true
    this.#forgetBlocks()
    this.#filters.reset(mac)
    u32[this.#memory] = (VF_RESET | (mac ? MESSAGE_ACK : MESSAGE_NACK)) >>> 0
    u32[this.#memory + 1] = mac ? (mac[0]! | (mac[1]! << 8) | (mac[2]! << 16) | (mac[3]! << 24)) >>> 0 : 0
    u32[this.#memory + 2] = mac ? mac[4]! | (mac[5]! << 8) : 0
  }

  /** Returns false for what is refused. */
  #carryOut(message: number, words: Uint32Array): boolean {
    const info = (message >>> MESSAGE_INFO_SHIFT) & MESSAGE_INFO_MASK
    const filters = this.#filters
    switch (message & MESSAGE_TYPE) {
      case VF_SET_MAC:
        return this.#setMac(info, words)
      case VF_SET_MULTICAST: {
        if (info > MULTICAST_HASHES_MAX) return false
        filters.setMulticast(Array.from({ length: info }, (_, i) => (words[1 + (i >> 1)]! >>> (16 * (i & 1))) & 0xffff))
        return true
      }
      case VF_SET_VLAN: {
        const vlan = words[1]! & 0xfff
        if (info !== 0 && !this.#owner.allowsVlan(vlan)) return false
        filters.setVlan(vlan, info !== 0)
        return true
      }
      case VF_SET_LPE: {
        const bytes = words[1]!
        if (bytes < FRAME_LEAST || bytes > Math.max(FRAME_DEFAULT, this.#owner.maxFrameBytes)) return false
        filters.setMaxFrame(bytes)
        return true
      }
      case VF_SET_PROMISCUOUS:
        if (info !== 0 && !this.#owner.trusted) return false
        filters.setPromiscuous(info)
        return true
      default:
        return false
    }
  }

  #setMac(info: number, words: Uint32Array): boolean {
    const filters = this.#filters
    if (info === MAC_FILTER_CLEAR) {
      filters.clearAddresses() // comes with a zero address, which says nothing
      return true
    }
    const mac = Uint8Array.of(words[1]!, words[1]! >>> 8, words[1]! >>> 16, words[1]! >>> 24, words[2]!, words[2]! >>> 8)
    if ((mac[0]! & 1) !== 0 || mac.every((octet) => octet === 0) || !this.#owner.allowsMac(mac)) return false
    if (info === MAC_FILTER_ADD) return filters.addAddress(mac)
    if (info !== 0) return false
    filters.setAddress(mac)
    return true
  }
}
