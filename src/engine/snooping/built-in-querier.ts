// The built-in querier: asks for members of groups where no router or other switch does (RFC 3376 6.6.2, RFC 3810 7.6.2; election by the
// lower address), and whether a group still has members where one left.
import { formatIpv4, formatIpv6 } from '../../packet/addresses.ts'
import { ipBytes } from '../../packet/build.ts'
import { type PortTable, VlanMode } from '../../switch/port-table.ts'
import type { GroupEntry, GroupTable } from '../../switch/snooping/group-table.ts'
import type { QuerierEntry, QuerierTable, SnoopingTimers } from '../../switch/snooping/querier-table.ts'
import { queryFrame } from '../../switch/snooping/query-frames.ts'
import type { QuerierConfig } from './snooping-config.ts'

/** VLANs in which it asks at the most. */
export const QUERIER_VLANS_MAX = 64
/** Tenths between two queries at least, however often ports come and go. */
const HURRY_TENTHS = 10

type Other = NonNullable<QuerierEntry['other']>

export interface BuiltInQuerierComponents {
  readonly mac: Uint8Array
  /** IPv4 (true) and IPv6 (false), those that are snooped. */
  readonly families: readonly boolean[]
  readonly timers: SnoopingTimers
  readonly table: PortTable
  readonly groups: GroupTable
  readonly queriers: QuerierTable
  readonly send: (frame: Uint8Array) => Promise<unknown>
  /** Another querier asks in a VLAN now, or none. */
  readonly changed: (vlan: number, isIpv4: boolean, other: Other | undefined) => void
}

interface Turn {
  readonly vlan: number
  readonly isIpv4: boolean
  asks: boolean
  nextTenths: number
  lastTenths: number
  /** Queries left that follow each other faster (RFC 3376 8.7). */
  startup: number
}

/** The address that it asks from by default in IPv6: of its MAC address (RFC 4291, appendix A). */
export function linkLocalOf(mac: Uint8Array): Uint8Array {
  const address = Uint8Array.from(ipBytes('fe80::'))
  address.set([mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe, mac[3]!, mac[4]!, mac[5]!], 8)
  return address
}

const wordsOf = (bytes: Uint8Array): number[] => {
  const words = Array.from({ length: bytes.length / 4 }, (_, k) => Buffer.from(bytes).readUInt32BE(k * 4))
  return [...words, ...Array<number>(4 - words.length).fill(0)]
}

export class BuiltInQuerier {
  readonly #components: BuiltInQuerierComponents
  readonly #vlans: readonly number[]
  readonly #ipv4: Uint8Array
  readonly #ipv6: Uint8Array
  readonly #turns = new Map<string, Turn>()
  /** When a group that a member left is asked for again, by its slot. */
  readonly #leaving = new Map<number, number>()

  constructor({ address = '0.0.0.0', ipv6Address, vlans = [] }: QuerierConfig, components: BuiltInQuerierComponents) {
    this.#components = components
    this.#vlans = vlans
    this.#ipv4 = ipBytes(address)
    this.#ipv6 = ipv6Address === undefined ? linkLocalOf(components.mac) : ipBytes(ipv6Address)
  }

  /** The address that it asks from. */
  addressText(isIpv4: boolean): string {
    return isIpv4 ? formatIpv4(wordsOf(this.#ipv4)[0]!) : formatIpv6(this.#ipv6)
  }

  /** Asks everywhere at once: a port came back. */
  hurry(now: number): void {
    for (const turn of this.#turns.values()) {
      turn.nextTenths = Math.min(turn.nextTenths, Math.max(now, turn.lastTenths + HURRY_TENTHS))
      turn.startup = Math.max(turn.startup, 1)
    }
  }

  /** Does what is due at `now`. To be called several times a second. */
  run(now: number): void {
    const entries = this.#components.groups.entries()
    const vlans = this.#vlansOf(entries)
    for (const vlan of vlans) for (const isIpv4 of this.#components.families) this.#turn(vlan, isIpv4, now)
    for (const [key, { vlan, isIpv4, asks }] of this.#turns) {
      if (vlans.includes(vlan)) continue
      this.#turns.delete(key)
      if (asks) this.#components.queriers.setOwn(vlan, isIpv4, 0) // nobody asks there any more
    }
    this.#askLeaving(entries, now)
  }

  /** VLANs that ports are in without a tag, those that have members, and those of the configuration. */
  #vlansOf(entries: readonly GroupEntry[]): number[] {
    const { table } = this.#components
    const vlans = new Set(this.#vlans)
    for (let port = 1; port <= table.highest; port++) {
      if (!table.connected(port)) continue
      const vlan = table.vlanMode(port) === VlanMode.none ? 0 : table.vlan(port)
      if (vlan >= 0) vlans.add(vlan)
    }
    for (const { vlan } of entries) vlans.add(vlan)
    return [...vlans].slice(0, QUERIER_VLANS_MAX)
  }

  #turn(vlan: number, isIpv4: boolean, now: number): void {
    const { timers, queriers } = this.#components
    const key = `${vlan}/${isIpv4}`
    const turn: Turn = this.#turns.get(key) ?? {
      vlan,
      isIpv4,
      asks: false,
      nextTenths: now,
      lastTenths: now - HURRY_TENTHS,
      startup: timers.robustness,
    }
    this.#turns.set(key, turn)
    const { other } = queriers.entry(vlan, isIpv4, now)
    const asks = other === undefined || !this.#yields(other, isIpv4)
    if (asks !== turn.asks) {
      queriers.setOwn(vlan, isIpv4, asks ? now + timers.responseTenths : 0)
      if (asks) {
        turn.nextTenths = now
        turn.startup = timers.robustness
      }
      turn.asks = asks
      this.#components.changed(vlan, isIpv4, asks ? undefined : other)
    }
    if (!asks || now < turn.nextTenths) return
    if (turn.startup > 0) turn.startup--
    turn.lastTenths = now
    turn.nextTenths = now + Math.ceil((timers.intervalSeconds * 10) / (turn.startup > 0 ? 4 : 1))
    this.#send(vlan, isIpv4, undefined)
  }

  // True if another querier's address is the lower one. One of 0 takes no part in the election.
  #yields({ address }: Other, isIpv4: boolean): boolean {
    const own = wordsOf(isIpv4 ? this.#ipv4 : this.#ipv6)
    if (address.every((word) => word === 0)) return false
    if (own.every((word) => word === 0)) return true
    for (const [k, word] of address.entries()) if (word !== own[k]) return word < own[k]!
    return false
  }

  #askLeaving(entries: readonly GroupEntry[], now: number): void {
    const { groups, timers } = this.#components
    if (groups.takeWanted())
      for (const { slot } of entries) if (groups.isWanted(slot) && !this.#leaving.has(slot)) this.#leaving.set(slot, now)
    if (this.#leaving.size === 0) return
    const bySlot = new Map(entries.map((entry) => [entry.slot, entry]))
    for (const [slot, next] of this.#leaving) {
      const entry = bySlot.get(slot)
      if (entry === undefined || !groups.isWanted(slot)) this.#leaving.delete(slot)
      else if (now >= next) {
        groups.takeQuery(slot)
        this.#leaving.set(slot, now + timers.lastMemberTenths)
        this.#send(entry.vlan, entry.isIpv4, entry)
      }
    }
  }

  #send(vlan: number, isIpv4: boolean, of: GroupEntry | undefined): void {
    const { mac, timers, send } = this.#components
    const bytes = Buffer.alloc(isIpv4 ? 4 : 16)
    if (of !== undefined) for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE(of.address[at / 4]!, at)
    const frame = queryFrame(
      { mac, address: isIpv4 ? this.#ipv4 : this.#ipv6, timers },
      { vlan, isIpv4, group: of === undefined ? undefined : bytes },
    )
    send(frame).catch(() => undefined) // the switch is being closed
  }
}
