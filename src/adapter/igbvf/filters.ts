// Which frames a function takes: its unicast addresses, multicast hashes, VLANs and modes, in the function's block so that every
// processor that delivers sees them.
//
// The rule it must not break: a frame is taken only if the guest asked for it and its owner allowed that.
import {
  BITMAP_BYTES,
  UNICAST_MAX,
  V_MAX_FRAME,
  V_MULTICAST,
  V_PROMISCUOUS,
  V_UNICAST,
  V_UNICAST_COUNT,
  V_VLANS,
} from './block.ts'
import type { VfFilterState } from './owner.ts'
import { FRAME_DEFAULT, PROMISCUOUS_MULTICAST, PROMISCUOUS_UNICAST } from './registers.ts'

// V8 folds a module's own constants: these are per packet.
const UNICAST = V_UNICAST
const COUNT = V_UNICAST_COUNT
const MULTICAST = V_MULTICAST
const VLANS = V_VLANS
const MODES = V_PROMISCUOUS
const VLAN_IDS = 4096

/** Filters of the function whose block lies at `block`; `u8` and `u32` view shared memory from address 0. */
export class VfFilters {
  private readonly u8: Uint8Array
  private readonly u32: Uint32Array
  private readonly block: number

  constructor(u8: Uint8Array, u32: Uint32Array, block: number) {
    this.u8 = u8
    this.u32 = u32
    this.block = block
  }

  /** Does the function take a frame to the address whose six octets stand at linear address `at`? Allocates nothing. */
  takesAddress(at: number): boolean {
    const { u8, u32, block } = this
    const low = (u8[at]! | (u8[at + 1]! << 8) | (u8[at + 2]! << 16) | (u8[at + 3]! << 24)) >>> 0
    const high = u8[at + 4]! | (u8[at + 5]! << 8)
    const modes = u32[(block + MODES) >> 2]!
    if ((low & 1) !== 0) {
      if ((low === 0xffff_ffff && high === 0xffff) || (modes & PROMISCUOUS_MULTICAST) !== 0) return true
      const hash = ((u8[at + 4]! >> 4) + (u8[at + 5]! << 4)) & 0xfff
      return (u8[block + MULTICAST + (hash >> 3)]! & (1 << (hash & 7))) !== 0
    }
    if ((modes & PROMISCUOUS_UNICAST) !== 0) return true
    const count = u32[(block + COUNT) >> 2]!
    for (let i = 0, entry = (block + UNICAST) >> 2; i < count; i++, entry += 2)
      if (u32[entry] === low && u32[entry + 1] === high) return true
    return false
  }

  /** Does it take frames tagged with this VLAN id? A priority tag (id 0) is no VLAN. */
  takesVlan(id: number): boolean {
    return id === 0 || (this.u8[this.block + VLANS + (id >> 3)]! & (1 << (id & 7))) !== 0
  }

  /** Forgets all but the function's own address, which becomes `mac` (null: none). */
  reset(mac: Uint8Array | null): void {
    const { u8, u32, block } = this
    u8.fill(0, block + V_VLANS, block + V_VLANS + BITMAP_BYTES)
    u8.fill(0, block + V_MULTICAST, block + V_MULTICAST + BITMAP_BYTES)
    u32[(block + V_PROMISCUOUS) >> 2] = 0
    u32[(block + V_MAX_FRAME) >> 2] = FRAME_DEFAULT
    u32[(block + V_UNICAST_COUNT) >> 2] = 0
    if (mac) this.setAddress(mac)
  }

  /** Sets the function's own address. */
  setAddress(mac: Uint8Array): void {
    this.#put(0, mac)
    const count = (this.block + V_UNICAST_COUNT) >> 2
    this.u32[count] = Math.max(1, this.u32[count]!)
  }

  /** Adds another address. Returns false if there is no room. */
  addAddress(mac: Uint8Array): boolean {
    const at = (this.block + V_UNICAST_COUNT) >> 2
    const count = this.u32[at]!
    if (count >= UNICAST_MAX) return false
    this.#put(count, mac)
    this.u32[at] = count + 1
    return true
  }

  /** Forgets the additional addresses. */
  clearAddresses(): void {
    const at = (this.block + V_UNICAST_COUNT) >> 2
    this.u32[at] = Math.min(1, this.u32[at]!)
  }

  /** Takes multicast by these hashes and no others. */
  setMulticast(hashes: readonly number[]): void {
    const { u8, block } = this
    u8.fill(0, block + V_MULTICAST, block + V_MULTICAST + BITMAP_BYTES)
    for (const hash of hashes) this.#setBit(V_MULTICAST, hash & 0xfff, true)
  }

  setVlan(id: number, on: boolean): void {
    this.#setBit(V_VLANS, id & 0xfff, on)
  }

  setPromiscuous(modes: number): void {
    this.u32[(this.block + V_PROMISCUOUS) >> 2] = modes & (PROMISCUOUS_UNICAST | PROMISCUOUS_MULTICAST)
  }

  setMaxFrame(bytes: number): void {
    this.u32[(this.block + V_MAX_FRAME) >> 2] = bytes
  }

  /** For people and owners. */
  describe(): VfFilterState {
    const { u8, u32, block } = this
    const addresses = Array.from({ length: u32[(block + V_UNICAST_COUNT) >> 2]! }, (_, i) => {
      const at = block + V_UNICAST + 8 * i
      return Array.from(u8.subarray(at, at + 6), (octet) => octet.toString(16).padStart(2, '0')).join(':')
    })
    const vlans = Array.from({ length: VLAN_IDS }, (_, id) => id).filter((id) => this.#bit(V_VLANS, id))
    const hashes = Array.from({ length: VLAN_IDS }, (_, id) => id).filter((id) => this.#bit(V_MULTICAST, id))
    const modes = u32[(block + V_PROMISCUOUS) >> 2]!
    return {
      addresses,
      vlans,
      multicastHashes: hashes.length,
      promiscuous: { unicast: (modes & PROMISCUOUS_UNICAST) !== 0, multicast: (modes & PROMISCUOUS_MULTICAST) !== 0 },
      maxFrameBytes: u32[(block + V_MAX_FRAME) >> 2]!,
    }
  }

  #put(index: number, mac: Uint8Array): void {
    const at = this.block + V_UNICAST + 8 * index
    for (let i = 0; i < 8; i++) this.u8[at + i] = i < 6 ? mac[i]! : 0
  }

  #bit(bitmap: number, index: number): boolean {
    return (this.u8[this.block + bitmap + (index >> 3)]! & (1 << (index & 7))) !== 0
  }

  #setBit(bitmap: number, index: number, on: boolean): void {
    const at = this.block + bitmap + (index >> 3)
    this.u8[at] = on ? this.u8[at]! | (1 << (index & 7)) : this.u8[at]! & ~(1 << (index & 7))
  }
}
