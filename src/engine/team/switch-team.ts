// The team of uplinks of a running switch, on the control thread: tells the data path of its members' links at once, and the physical network
// where guests are when their member changed.
//
// The rule it must not break: a link that goes down is told to the data path before anything else happens, so that a failover waits for
// nobody.
import { reverseArp } from '../../packet/build.ts'
import type { FdbEntry, MacTable } from '../../switch/mac-table.ts'
import { macKey } from '../../switch/mac-table.ts'
import { type PortTable, VlanMode } from '../../switch/port-table.ts'
import { TeamMembers } from '../../switch/team/team-members.ts'
import { LoadBalancing, memberBit, TeamCounter } from '../../switch/team/team-table.ts'
import { linkSpeedOf } from '../link-speed.ts'
import { hostAdapters, type PortConfig } from '../switch-config.ts'

/** Addresses that are announced after one change at the most. */
export const ANNOUNCEMENTS_MAX = 4096
const ANNOUNCED_AT_ONCE = 32
const ADDRESSES = 12
const ETHERTYPE_VLAN = 0x8100
const BITS_PER_MEGABIT = 1e6

export const loadBalancingAlgorithms = ['HyperVPort', 'Dynamic'] as const
export type LoadBalancingAlgorithm = (typeof loadBalancingAlgorithms)[number]
const modes = { HyperVPort: LoadBalancing.hyperVPort, Dynamic: LoadBalancing.dynamic } as const

/** Settings of a team. */
export interface TeamingConfig {
  /** Default: HyperVPort. */
  readonly loadBalancing?: LoadBalancingAlgorithm | undefined
  /** Names of members that carry traffic only while no other one can. */
  readonly standby?: readonly string[] | undefined
}

export interface TeamMemberStatus {
  readonly name: string
  /** NIC index, from 1. */
  readonly nicIndex: number
  readonly role: 'active' | 'standby'
  readonly link: 'up' | 'down'
  /** It carries traffic now. */
  readonly active: boolean
  /** It takes broadcast, multicast and unknown frames. */
  readonly designated: boolean
  /** Ports whose member it is. */
  readonly ports: readonly string[]
  readonly counters: Readonly<Record<keyof typeof TeamCounter, number>>
}

export interface TeamStatus {
  readonly port: string
  readonly teamingMode: 'SwitchIndependent'
  readonly loadBalancing: LoadBalancingAlgorithm
  /** How often the active members changed. */
  readonly failovers: number
  /** Addresses that were announced to the physical network. */
  readonly announced: number
  readonly members: readonly TeamMemberStatus[]
}

export interface SwitchTeamComponents {
  readonly switchName: string
  readonly table: PortTable
  readonly macs: MacTable
  readonly nowSeconds: () => number
  readonly portName: (id: number) => string
  /** Takes a frame into the switch as though it came from the port. */
  readonly inject: (port: number, frame: Uint8Array) => Promise<unknown>
  readonly event: (port: string, code: string, message: string) => void
}

interface TeamPort {
  readonly id: number
  readonly name: string
  readonly members: readonly string[]
  readonly teaming: TeamingConfig
}

export class SwitchTeam {
  readonly #components: SwitchTeamComponents
  readonly #members = new TeamMembers()
  #port: TeamPort | undefined
  #failovers = 0
  #announced = 0

  constructor(components: SwitchTeamComponents) {
    this.#components = components
  }

  /** A port is there, or its settings changed: of interest if it has several physical adapters. */
  configure(id: number, config: PortConfig): void {
    if ((config.adapters ?? []).length === 0) return
    const { table, switchName } = this.#components
    const { physicalNics } = hostAdapters(switchName, config)
    const teaming = config.teaming ?? {}
    this.#port = { id, name: config.name, members: physicalNics, teaming }
    table.uplinks.set({
      port: id,
      loadBalancing: modes[teaming.loadBalancing ?? 'HyperVPort'],
      members: physicalNics.map((_, i) => i + 1),
      standby: physicalNics.flatMap((name, i) => (teaming.standby?.includes(name) ? [i + 1] : [])),
    })
    table.changed()
    this.settle()
  }

  /** A port is gone. */
  forget(id: number): void {
    if (this.#port?.id !== id) return
    this.#port = undefined
    this.#components.table.uplinks.set(undefined)
    this.#components.table.changed()
  }

  /** The link of a physical adapter; `address`: of its interface, where it has one. */
  linked(id: number, nicIndex: number, up: boolean, address: unknown): void {
    if (this.#port?.id !== id) return
    const { table } = this.#components
    const { low, high } = typeof address === 'string' ? macKey(address) : { low: 0, high: 0 }
    const name = this.#port.members[nicIndex - 1]
    const speed = up && name !== undefined ? linkSpeedOf([name]) : 0
    table.uplinks.setLink(nicIndex, up, low, high, Math.round(speed / BITS_PER_MEGABIT))
    table.changed()
    this.settle()
  }

  /** Looks at the members again: a link or a connection changed. */
  settle(): void {
    const port = this.#port
    if (port === undefined) return
    const { table, event } = this.#components
    const before = this.#members.active
    const places = this.#places(port)
    const isNew = this.#members.update(table.uplinks, table.adapters(port.id))
    const { active } = this.#members
    if (isNew) {
      if (before !== 0) this.#failovers++
      for (const [i, name] of port.members.entries()) {
        const bit = memberBit(i + 1)
        if ((before & bit) === (active & bit)) continue
        const others = port.members.filter((_, k) => (active & memberBit(k + 1)) !== 0).join(', ')
        if ((active & bit) !== 0) event(port.name, 'team-member-active', `uplink ${name} carries traffic of the team`)
        else
          event(
            port.name,
            'team-member-inactive',
            `uplink ${name} carries no traffic of the team: ${others === '' ? 'no member is left' : `it goes on over ${others}`}`,
          )
      }
    }
    this.#follow(port, places)
  }

  /** The member of each port that is connected. */
  #places(port: TeamPort): Map<number, number> {
    const { table } = this.#components
    const places = new Map<number, number>()
    for (let id = 1; id <= table.highest; id++)
      if (id !== port.id && table.connected(id)) places.set(id, this.#members.memberOf(id))
    return places
  }

  // Announces the addresses of ports whose member is another one than `before`.
  #follow(port: TeamPort, before: ReadonlyMap<number, number>): void {
    const { macs, nowSeconds } = this.#components
    const moved = new Set<number>()
    for (const [id, member] of this.#places(port)) if (member !== 0 && before.get(id) !== member) moved.add(id)
    if (moved.size === 0) return
    const entries = macs.entries(nowSeconds()).filter((entry) => moved.has(entry.port))
    this.#announce(entries.slice(0, ANNOUNCEMENTS_MAX)).catch(() => undefined) // the switch is being closed
  }

  async #announce(entries: readonly FdbEntry[]): Promise<void> {
    const { macs, nowSeconds, inject } = this.#components
    for (let at = 0; at < entries.length; at += ANNOUNCED_AT_ONCE)
      await Promise.all(
        entries.slice(at, at + ANNOUNCED_AT_ONCE).map((entry) => {
          const { low, high } = macKey(entry.mac)
          if (!entry.static) macs.learn(low, high, entry.vlan, entry.port, nowSeconds()) // what comes back is not believed
          this.#announced++
          return inject(entry.port, this.#announcement(entry))
        }),
      )
  }

  // A reverse ARP, in the VLAN in which the port is known to use the address.
  #announcement({ mac, vlan, port }: FdbEntry): Uint8Array {
    const { table } = this.#components
    const frame = reverseArp(Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16)))
    const mode = table.vlanMode(port)
    const isTagged = vlan !== 0 && (mode === VlanMode.none || (mode === VlanMode.trunk && vlan !== table.vlan(port)))
    if (!isTagged) return frame
    const tagged = new Uint8Array(frame.length + 4)
    tagged.set(frame.subarray(0, ADDRESSES))
    tagged.set([ETHERTYPE_VLAN >> 8, ETHERTYPE_VLAN & 0xff, vlan >> 8, vlan & 0xff], ADDRESSES)
    tagged.set(frame.subarray(ADDRESSES), ADDRESSES + 4)
    return tagged
  }

  /** The team as people see it; undefined: the switch has none. */
  status(): TeamStatus | undefined {
    const port = this.#port
    if (port === undefined) return undefined
    this.settle()
    const { table, portName } = this.#components
    const { uplinks } = table
    const members = this.#members
    const ports = [...this.#places(port)]
    return {
      port: port.name,
      teamingMode: 'SwitchIndependent',
      loadBalancing: port.teaming.loadBalancing ?? 'HyperVPort',
      failovers: this.#failovers,
      announced: this.#announced,
      members: port.members.map((name, i) => {
        const nicIndex = i + 1
        const counters = Object.entries(TeamCounter).map(([counter, index]) => [counter, uplinks.counted(nicIndex, index)])
        return {
          name,
          nicIndex,
          role: (uplinks.standby & memberBit(nicIndex)) !== 0 ? 'standby' : 'active',
          link: (uplinks.up & memberBit(nicIndex)) !== 0 ? 'up' : 'down',
          active: (members.active & memberBit(nicIndex)) !== 0,
          designated: members.designated === nicIndex,
          ports: ports.filter(([, member]) => member === nicIndex).map(([id]) => portName(id)),
          counters: Object.fromEntries(counters) as TeamMemberStatus['counters'],
        }
      }),
    }
  }
}
