// IGMP and MLD snooping of a running switch, on the control thread: its memory, which exists while it is on; memberships that ended are
// removed beside the traffic; the built-in querier; and what people see.
//
// The rule it must not break: off, there is no memory, no timer, and nothing in the data path.
import { createHash, randomInt } from 'node:crypto'
import { formatIpv4, formatIpv6 } from '../../packet/addresses.ts'
import type { PortTable } from '../../switch/port-table.ts'
import { GroupCounter, GroupPort, GroupTable, type GroupTableSize, groupTableBytes } from '../../switch/snooping/group-table.ts'
import { QUERIER_TABLE_BYTES, QuerierTable } from '../../switch/snooping/querier-table.ts'
import type { SnoopingPlan } from '../../switch/snooping/snooping.ts'
import { BuiltInQuerier } from './built-in-querier.ts'
import { type SnoopingConfig, type SnoopingStatus, snoopingDefaults } from './snooping-config.ts'

const TICK_MS = 200
const REFUSALS_TOLD_TENTHS = 600

export interface SwitchSnoopingComponents {
  readonly switchName: string
  readonly table: PortTable
  readonly nowMs: () => number
  readonly portName: (id: number) => string
  /** Tells all processors; undefined: snooping is off. */
  readonly announce: (plan: SnoopingPlan | undefined) => Promise<void>
  /** Sends a frame of the switch itself. */
  readonly send: (frame: Uint8Array) => Promise<unknown>
  readonly event: (source: string, code: string, message: string) => void
}

interface Running {
  readonly settings: SnoopingConfig
  readonly plan: SnoopingPlan
  readonly groups: GroupTable
  readonly queriers: QuerierTable
  readonly querier: BuiltInQuerier | undefined
}

type Address = readonly [number, number, number, number]

const textOf = (address: Address, isIpv4: boolean): string => {
  if (isIpv4) return formatIpv4(address[0])
  const bytes = Buffer.alloc(16)
  for (const [k, word] of address.entries()) bytes.writeUInt32BE(word, k * 4)
  return formatIpv6(bytes)
}

/** The address that the switch itself sends from: the same as long as its name is. */
export function switchMac(name: string): Uint8Array {
  const mac = new Uint8Array(createHash('sha256').update(`switch ${name}`).digest().subarray(0, 6))
  mac[0] = (mac[0]! & 0xfc) | 2
  return mac
}

export class SwitchSnooping {
  readonly #components: SwitchSnoopingComponents
  readonly #ports = new Map<number, string>()
  readonly #told = new Map<number, { refused: number; atTenths: number }>()
  #running: Running | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(components: SwitchSnoopingComponents) {
    this.#components = components
  }

  get #now(): number {
    return Math.floor(this.#components.nowMs() / 100)
  }

  /** As it is in force; undefined: off. */
  get settings(): SnoopingConfig | undefined {
    return this.#running?.settings
  }

  /** Switches snooping on, off (undefined), or to other settings. Members are kept where the size of the table is. */
  async configure(settings: SnoopingConfig | undefined): Promise<void> {
    clearInterval(this.#timer)
    if (settings === undefined) {
      this.#running = undefined
      this.#told.clear()
      return this.#components.announce(undefined)
    }
    const running = this.#start(settings)
    this.#running = running
    for (const id of this.#ports.keys()) this.#setFlags(id)
    running.groups.divide(this.#ports.size)
    await this.#components.announce(running.plan)
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref()
    this.#tick()
  }

  #start(settings: SnoopingConfig): Running {
    const { switchName, table, send, event, portName } = this.#components
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
    const all = { ...snoopingDefaults, ...given } as typeof snoopingDefaults & SnoopingConfig
    const size: GroupTableSize = { ports: table.ports, groups: all.groups }
    const before = this.#running?.plan
    const isKept = before !== undefined && before.size.groups === size.groups
    const timers = {
      robustness: all.robustness,
      intervalSeconds: all.queryIntervalSeconds,
      responseTenths: Math.round(all.queryResponseSeconds * 10),
      lastMemberTenths: Math.round(all.lastMemberQuerySeconds * 10),
    }
    const plan: SnoopingPlan = {
      groups: isKept ? before.groups : new SharedArrayBuffer(groupTableBytes(size)),
      queriers: isKept ? before.queriers : new SharedArrayBuffer(QUERIER_TABLE_BYTES),
      size,
      timers,
      igmp: all.igmp,
      mld: all.mld,
      floodUnregistered: all.floodUnregistered,
    }
    const groups = new GroupTable(plan.groups, size)
    if (!isKept) groups.seed(randomInt(1, 0x7fffffff))
    const queriers = new QuerierTable(plan.queriers, timers)
    for (const { vlan, isIpv4 } of queriers.entries(this.#now)) queriers.setOwn(vlan, isIpv4, 0)
    const querier =
      all.querier === undefined
        ? undefined
        : new BuiltInQuerier(all.querier, {
            mac: switchMac(switchName),
            families: [...(all.igmp ? [true] : []), ...(all.mld ? [false] : [])],
            timers,
            table,
            groups,
            queriers,
            send,
            changed: (vlan, isIpv4, other) =>
              event(
                'switch',
                'querier-changed',
                `${isIpv4 ? 'IGMP' : 'MLD'} in VLAN ${vlan}: ${
                  other === undefined
                    ? 'the switch asks for members'
                    : `${textOf(other.address, isIpv4)} behind ${portName(other.port)} asks for members`
                }`,
              ),
          })
    return { settings: given, plan, groups, queriers, querier }
  }

  /** A port is there. */
  addPort(id: number, name: string): void {
    this.#ports.set(id, name)
    this.#setFlags(id)
    this.#running?.groups.divide(this.#ports.size)
  }

  #setFlags(id: number): void {
    const running = this.#running
    const name = this.#ports.get(id)
    if (running === undefined || name === undefined) return
    const { routerPorts = [], fastLeavePorts = [] } = running.settings
    const flags = (routerPorts.includes(name) ? GroupPort.router : 0) | (fastLeavePorts.includes(name) ? GroupPort.fastLeave : 0)
    running.groups.setPort(id, flags)
  }

  /** A port's peer is there: it is asked at once, since nothing is known of it. */
  connected(): void {
    this.#running?.querier?.hurry(this.#now)
  }

  /** A port is gone. */
  forget(id: number): void {
    this.#ports.delete(id)
    this.#told.delete(id)
    const running = this.#running
    if (running === undefined) return
    running.groups.setPort(id, 0)
    running.groups.sweep(this.#now, (port) => port === id)
    running.queriers.forget(id)
    running.groups.divide(this.#ports.size)
  }

  #tick(): void {
    const running = this.#running
    if (running === undefined) return
    const { table } = this.#components
    const now = this.#now
    running.groups.sweep(now, (port) => !table.connected(port))
    running.querier?.run(now)
    this.#tellRefusals(running.groups, now)
  }

  #tellRefusals(groups: GroupTable, now: number): void {
    for (const [id, name] of this.#ports) {
      const refused = groups.refused(id)
      const told = this.#told.get(id)
      if (refused === (told?.refused ?? 0) || (told !== undefined && now - told.atTenths < REFUSALS_TOLD_TENTHS)) continue
      this.#told.set(id, { refused, atTenths: now })
      const more = refused - (told?.refused ?? 0)
      const message = `${more} joins of multicast groups refused: a port may have ${groups.share} (switch.snooping.groups makes it more)`
      this.#components.event(`port ${name}`, 'groups-refused', message)
    }
  }

  /** What is known. */
  status(): SnoopingStatus {
    const running = this.#running
    const counter = (name: keyof typeof GroupCounter): number => running?.groups.counted(GroupCounter[name]) ?? 0
    const counters = Object.fromEntries(
      (Object.keys(GroupCounter) as (keyof typeof GroupCounter)[]).map((name) => [name, counter(name)]),
    ) as SnoopingStatus['counters']
    if (running === undefined)
      return {
        settings: null,
        groups: [],
        routers: [],
        queriers: [],
        table: { used: 0, capacity: 0, share: 0 },
        ports: [],
        counters,
      }
    const { settings, groups, plan } = running
    const { portName } = this.#components
    const now = this.#now
    const seconds = (ends: number): number => Math.max(0, Math.ceil((ends - now) / 10))
    const members = groups
      .entries()
      .flatMap(({ vlan, isIpv4, address, members: all }) =>
        all.map(({ port, endsTenths }) => ({ vlan, isIpv4, address, port: portName(port), expiresSeconds: seconds(endsTenths) })),
      )
    const isRouter = ({ address }: (typeof members)[number]): boolean => address.every((word) => word === 0)
    return {
      settings,
      groups: members
        .filter((member) => !isRouter(member))
        .map(({ vlan, isIpv4, address, port, expiresSeconds }) => ({
          vlan,
          group: textOf(address, isIpv4),
          port,
          expiresSeconds,
        }))
        .sort((a, b) => a.vlan - b.vlan || a.group.localeCompare(b.group) || a.port.localeCompare(b.port)),
      routers: [
        ...[...this.#ports.values()]
          .filter((name) => settings.routerPorts?.includes(name))
          .map((port) => ({ vlan: null, family: 'both', port, kind: 'configured', expiresSeconds: null }) as const),
        ...members.filter(isRouter).map(({ vlan, isIpv4, port, expiresSeconds }) => {
          const family = isIpv4 ? 'ipv4' : 'ipv6'
          return { vlan, family, port, kind: 'learned', expiresSeconds } as const
        }),
      ],
      queriers: this.#queriers(running, now, seconds),
      table: { used: groups.used, capacity: plan.size.groups, share: groups.share },
      ports: [...this.#ports]
        .map(([id, port]) => ({ port, groups: groups.held(id), refused: groups.refused(id) }))
        .filter((one) => one.groups + one.refused > 0),
      counters,
    }
  }

  #queriers({ queriers, querier }: Running, now: number, seconds: (ends: number) => number): SnoopingStatus['queriers'] {
    const { portName } = this.#components
    return queriers.entries(now).flatMap(({ vlan, isIpv4, own, other }) => {
      const family = isIpv4 ? ('ipv4' as const) : ('ipv6' as const)
      return [
        ...(own && querier !== undefined
          ? [{ vlan, family, kind: 'built-in' as const, address: querier.addressText(isIpv4), port: null, expiresSeconds: null }]
          : []),
        ...(other === undefined
          ? []
          : [
              {
                vlan,
                family,
                kind: 'other' as const,
                address: textOf(other.address, isIpv4),
                port: portName(other.port),
                expiresSeconds: seconds(other.endsTenths),
              },
            ]),
      ]
    })
  }

  close(): void {
    clearInterval(this.#timer)
    this.#running = undefined
  }
}
