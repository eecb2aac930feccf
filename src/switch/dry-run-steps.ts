// What a dry run tells: each stage that a packet passes, and what was different after it.
//
// The rule it must not break: it looks at packets and changes none.
import {
  DE_EXCLUDED,
  DE_PORT,
  HEADER_STRIDE,
  PF_DROPPED,
  PF_NATIVE_FORWARDING,
  PF_TAGGED,
  PF_VLAN_OOB,
} from '../kernels/layout.ts'
import type { Batch } from '../ndis/batch.ts'
import { destinationAt } from '../ndis/destinations.ts'
import { isRuleReason, meaningOfReason } from '../ndis/drop-reason-meanings.ts'
import { LEFT_TO_GO_ON, type PacketPool } from '../ndis/pool.ts'
import { COUNTERS_OF_ROW } from './acl/acl-plan.ts'
import type { AclTable } from './acl/acl-table.ts'
import { ConnectionState, connectionStateNames } from './conntrack/connection-layout.ts'
import { NO_STATE } from './conntrack/connection-table.ts'
import type { SinkQueue } from './delivery.ts'
import type { DropNotes } from './drop-log.ts'
import type { DryWords } from './dry-words.ts'
import { type MacTable, macText } from './mac-table.ts'
import type { ReasonRegistry } from './reason-registry.ts'

export type TraceStage = 'arrival' | 'ingress' | 'overlay' | 'forwarding' | 'mirroring' | 'egress' | 'delivery' | 'learning'

export interface TraceStep {
  readonly stage: TraceStage
  /** Extension that did it; '' for the switch itself. */
  readonly module: string
  /** Which packet: 1 is the traced one, others were made by extensions on the way. */
  readonly packet: number
  /** What happened, in words. */
  readonly text: string
  /** What decided so: the value of the frame and what the port may, the age of an address …. */
  readonly why?: string
  /** The entry or rule of a policy. */
  readonly rule?: string
  /** Reason of a drop. */
  readonly dropped?: string
  /** Port that it was delivered to, or that a drop is counted at. */
  readonly port?: string
  /** The packet of a tunnel that it would be delivered as. */
  readonly tunnel?: { readonly provider: string; readonly frame: Uint8Array }
}

export interface PacketTraceComponents {
  readonly pool: PacketPool
  readonly reasons: ReasonRegistry
  readonly portName: (id: number) => string
  readonly words: DryWords
  readonly acls: AclTable
}

/** What of a packet is compared before and after a stage. */
interface Look {
  readonly slot: number
  readonly header: Uint8Array
  readonly tag: number
  readonly destinations: readonly number[]
}

const CHANGES_SHOWN = 8
const ALL_OFFLOADS = 0xff
const SENDS = 'sends it to '
/** Reasons of guards, which come before the ACLs. */
const OF_GUARDS: ReadonlySet<string> = new Set(['dhcp-guard', 'router-guard', 'source-guard', 'storm-limit'])

/** The steps of one dry run. */
export class PacketTrace implements DropNotes {
  readonly steps: TraceStep[] = []
  readonly #pool: PacketPool
  readonly #reasons: ReasonRegistry
  readonly #portName: (id: number) => string
  readonly #numbers = new Map<number, number>()
  /** By number of the packet: where its tunnel leads, and by which port. */
  readonly #tunnels = new Map<number, { readonly provider: string; readonly port: number }>()
  #stage: TraceStage = 'arrival'
  readonly #words: DryWords
  readonly #acls: AclTable
  /** By slot: what the module in work said of a packet. */
  readonly #said = new Map<number, string>()
  /** Priorities (802.1p) of packets before they are delivered. */
  readonly #priorities = new Map<number, number>()

  /** `acls`: those of the dry run, whose counters tell which entries were met. */
  constructor({ pool, reasons, portName, words, acls }: PacketTraceComponents) {
    this.#pool = pool
    this.#reasons = reasons
    this.#portName = portName
    this.#words = words
    this.#acls = acls
  }

  // Packets are numbered as they appear.
  #number(slot: number): number {
    const id = this.#pool.packetId[slot]!
    const number = this.#numbers.get(id) ?? this.#numbers.size + 1
    this.#numbers.set(id, number)
    return number
  }

  #tell(stage: TraceStage, module: string, slot: number, text: string, more: Partial<TraceStep> = {}): void {
    this.steps.push({ stage, module, packet: slot < 0 ? 1 : this.#number(slot), text, ...more })
  }

  arrives(slot: number, port: number): void {
    this.#pool.packetId[slot] = this.#pool.nextPacketId // admission gives it this one
    const why = this.#words.sendText(port)
    const more = { port: this.#portName(port), ...(why === undefined ? {} : { why }) }
    this.#tell('arrival', '', slot, `comes in at port ${this.#portName(port)}`, more)
  }

  /** A capturing extension would look at the packet here. */
  passedOver(stage: 'ingress' | 'egress', module: string): void {
    this.#tell(stage, module, -1, 'only looks (capturing): not called')
  }

  /** Watches what a stage does to the packets of a batch. */
  during(stage: TraceStage, module: string, batch: Batch, work: () => void, why?: (slot: number) => string): void {
    const before = this.#looks(batch)
    const told = this.steps.length
    this.#stage = stage
    try {
      work()
    } catch (error) {
      this.#tell(stage, module, -1, `fails: ${error instanceof Error ? error.message : String(error)}`)
      throw error
    } finally {
      const droppedHere = new Set(this.steps.slice(told).flatMap((step) => (step.dropped === undefined ? [] : [step.packet])))
      for (const look of before) {
        const changes = this.#changes(look)
        for (const text of changes) {
          const because = text.startsWith(SENDS) ? (why?.(look.slot) ?? '') : ''
          this.#tell(stage, module, look.slot, text, because === '' ? {} : { why: because })
        }
        if (changes.length === 0 && !droppedHere.has(this.#number(look.slot)) && !this.#isForwarded(stage, look.slot))
          this.#tell(stage, module, look.slot, 'lets it pass as it is')
      }
      this.#attach(told, stage, module)
    }
  }

  /** The module in work says why it treats the packet in `slot` as it does. */
  explained(slot: number, text: string): void {
    const said = this.#said.get(slot)
    this.#said.set(slot, said === undefined ? text : `${said}; ${text}`)
  }

  // What a module said belongs to its first step about the packet, from step `told` on.
  #attach(told: number, stage: TraceStage, module: string): void {
    for (const [slot, why] of this.#said) {
      const packet = this.#number(slot)
      const at = this.steps.findIndex((step, i) => i >= told && step.packet === packet && step.module === module)
      if (at < 0) this.#tell(stage, module, slot, why)
      else this.steps[at] = { ...this.steps[at]!, why }
    }
    this.#said.clear()
  }

  // The switch's own forwarding has nothing to do with what the overlay forwarded.
  #isForwarded(stage: TraceStage, slot: number): boolean {
    return stage === 'forwarding' && (this.#pool.flags[slot]! & PF_NATIVE_FORWARDING) !== 0
  }

  #looks(batch: Batch): Look[] {
    return Array.from({ length: batch.length }, (_, i) => this.#look(batch.slots[i]!))
  }

  #look(slot: number): Look {
    const { header8, headerOffset, headerLength, flags, vlan, destinationCount } = this.#pool
    const at = slot * HEADER_STRIDE + headerOffset[slot]!
    return {
      slot,
      header: header8.slice(at, at + headerLength[slot]!),
      tag: (flags[slot]! & (PF_TAGGED | PF_VLAN_OOB)) === 0 ? -1 : vlan[slot]!,
      destinations: Array.from({ length: destinationCount[slot]! }, (_, k) => destinationAt(this.#pool, slot, k)),
    }
  }

  #changes(before: Look): string[] {
    const { slot } = before
    const texts: string[] = []
    if ((this.#pool.flags[slot]! & PF_DROPPED) !== 0) {
      if (this.#pool.leftAt[slot] === LEFT_TO_GO_ON) texts.push('holds it back: it would go on later')
      return texts
    }
    const after = this.#look(slot)
    if (after.header.length !== before.header.length) texts.push(`makes its header ${after.header.length} bytes long`)
    else {
      const changed = [...after.header.keys()].filter((i) => after.header[i] !== before.header[i])
      const shown = changed.slice(0, CHANGES_SHOWN).map((i) => `${i}: ${hex(before.header[i]!)} → ${hex(after.header[i]!)}`)
      if (changed.length > shown.length) shown.push(`${changed.length - shown.length} more`)
      if (changed.length > 0) texts.push(`changes bytes (${shown.join(', ')})`)
    }
    if (after.tag !== before.tag)
      texts.push(after.tag < 0 ? 'takes its tag off' : `tags it with VLAN ${after.tag & 0xfff}, priority ${after.tag >> 13}`)
    const added = after.destinations.slice(before.destinations.length)
    if (added.length > 0) texts.push(`${SENDS}${this.#names(added)}`)
    const excluded = after.destinations.filter(
      (entry, k) => (entry & DE_EXCLUDED) !== 0 && (before.destinations[k] ?? DE_EXCLUDED) !== entry,
    )
    if (excluded.length > 0 && before.destinations.length > 0) texts.push(`excludes ${this.#names(excluded)}`)
    return texts
  }

  // The whole frame; the payload of all that a dry run sends lies in the pool's own store.
  #frame(buffer: ArrayBufferLike, slot: number): Uint8Array {
    const { header8, headerOffset, headerLength, length, segments } = this.#pool
    const frame = new Uint8Array(length[slot]!)
    const start = slot * HEADER_STRIDE + headerOffset[slot]!
    let at = headerLength[slot]!
    frame.set(header8.subarray(start, start + at))
    for (let i = 0; i < segments[slot]!; i++) {
      const bytes = this.#pool.stretchBytes(slot, i)
      frame.set(new Uint8Array(buffer, this.#pool.stretchAt(slot, i), bytes), at)
      at += bytes
    }
    return frame
  }

  #names(entries: readonly number[]): string {
    return entries.map((entry) => this.#portName(entry & DE_PORT)).join(', ')
  }

  /** The overlay has a packet in work: drops are its own until the next stage. */
  inOverlay(): void {
    this.#stage = 'overlay'
  }

  /** What the overlay does with a packet, or would learn of it. */
  overlay(slot: number, text: string, stage: 'overlay' | 'learning' = 'overlay'): void {
    this.#tell(stage, '', slot, text)
  }

  /** The packet goes through a tunnel to `provider` when port `port` sends it. */
  wrapped(slot: number, provider: string, port: number): void {
    this.#tunnels.set(this.#number(slot), { provider, port })
  }

  /** Names of the ports that a packet has as destinations. */
  destinations(slot: number): string {
    return this.#names(this.#look(slot).destinations)
  }

  /** Watches the policies of ports at one of their two places: guards and ACLs of the source, ACLs of receivers. */
  policies(stage: 'ingress' | 'egress', batch: Batch, work: () => void): void {
    const slots = Array.from({ length: batch.length }, (_, i) => batch.slots[i]!)
    const { counters, connections } = this.#acls
    const counted = counters.map((of) => of?.slice())
    const told = this.steps.length
    if (connections !== undefined) connections.metState = NO_STATE
    this.#stage = stage
    work()
    const drops = this.steps.splice(told)
    const slot = slots[0] ?? -1
    if (stage === 'ingress')
      for (const one of slots) {
        const passed = this.#words.ofGuards(one)
        const isStopped = drops.some(({ packet, dropped }) => packet === this.#number(one) && OF_GUARDS.has(dropped ?? ''))
        if (passed !== '' && !isStopped) this.#tell(stage, '', one, `passes the guards of its port: ${passed}`)
      }
    for (const [port, plan] of this.#acls.plans.entries()) {
      if (plan === undefined) continue
      for (const [row, name] of plan.names.entries()) {
        const isMet = counters[port]![row * COUNTERS_OF_ROW] !== counted[port]![row * COUNTERS_OF_ROW]
        if (!isMet || drops.some(({ rule }) => rule === name)) continue
        const does = plan.details[row] === 'meter' ? 'counts it (meter)' : `lets it pass (${plan.details[row]})`
        const at = this.#portName(port)
        this.#tell(stage, '', slot, `${name} of ${at} ${does}`, { rule: name, port: at })
      }
    }
    if (connections !== undefined && connections.metState !== NO_STATE) {
      const state = connectionStateNames[connections.metState]!
      const opener = connections.metFromRemote ? 'the remote side' : 'its port'
      const isNew = connections.metState === ConnectionState.free
      const text = isNew ? 'would open a connection: what answers it passes' : `is of a connection: ${state}, opened by ${opener}`
      this.#tell(stage, '', slot, text)
    }
    this.steps.push(...drops)
  }

  /** Watches what takes destinations away and adds copies, after the destinations were chosen. `why`: of those taken away. */
  placing(batch: Batch, why: string, work: () => void): void {
    const before = this.#looks(batch)
    this.#stage = 'forwarding'
    work()
    for (const { slot, destinations } of before) {
      const after = this.#look(slot).destinations
      const gone = destinations.filter((entry, k) => (entry & DE_EXCLUDED) === 0 && (after[k]! & DE_EXCLUDED) !== 0)
      if (gone.length > 0) this.#tell('forwarding', '', slot, `does not let it go to ${this.#names(gone)}`, { why })
      const added = after.slice(destinations.length)
      const reasons = added.map((entry) => this.#words.ofCopy(slot, entry & DE_PORT))
      if (added.length > 0)
        this.#tell('mirroring', '', slot, `copies it to ${this.#names(added)}`, { why: [...new Set(reasons)].join('; ') })
    }
  }

  /** Watches a whole way up the stack: drops behind it are those of delivery. */
  upward(batch: Batch, work: () => void): void {
    this.#stage = 'egress'
    work()
    this.#stage = 'delivery'
    for (const { slot, tag } of this.#looks(batch)) this.#priorities.set(slot, tag < 0 ? 0 : tag >> 13)
  }

  /** A module broke the contract, or failed. */
  reports(module: string, code: string, message: string): void {
    this.#tell(this.#stage, module, -1, `${code}: ${message}`)
  }

  /** A queue that tells what it is given, and takes all of it. */
  sink(buffer: ArrayBufferLike, port: number): SinkQueue {
    return {
      offloads: ALL_OFFLOADS,
      refusal: 0,
      deliver: (list, count) => {
        for (const slot of new Uint16Array(buffer, list, count)) {
          const { header } = this.#look(slot)
          const isTagged = (header[12] === 0x81 && header[13] === 0) || (header[12] === 0x88 && header[13] === 0xa8)
          const tagged = isTagged ? `, tagged with VLAN ${((header[14]! << 8) | header[15]!) & 0xfff}` : ''
          const name = this.#portName(port)
          const through = this.#tunnels.get(this.#number(slot))
          const priority = isTagged ? header[14]! >> 5 : 0
          const why = this.#words.ofDelivery(slot, port, this.#priorities.get(slot) ?? 0, priority !== 0)
          this.#tell('delivery', '', slot, `would be delivered to ${name}: ${this.#pool.length[slot]} bytes${tagged}`, {
            port: name,
            ...(why === '' ? {} : { why }),
            ...(through?.port === port ? { tunnel: { provider: through.provider, frame: this.#frame(buffer, slot) } } : {}),
          })
        }
        return count
      },
    }
  }

  /** DropNotes: every drop of the dry run. */
  note(_pool: PacketPool | undefined, slot: number, reason: number, port: number, incoming: boolean, module: string): void {
    const name = this.#reasons.name(reason)
    const at = this.#portName(port)
    const text = incoming ? `drops it: ${name}` : `does not let it go to ${at}: ${name}`
    const isRule = module !== '' && isRuleReason(name)
    const rule = isRule ? { rule: module } : {}
    const why = isRule ? this.#detailOf(port, module) : this.#words.ofDrop(slot, reason, port) || (meaningOfReason(name) ?? '')
    this.#tell(this.#stage, isRule ? '' : module, slot, text, {
      dropped: name,
      port: at,
      ...(why === '' ? {} : { why }),
      ...rule,
    })
  }

  // What the entry or rule of that name does.
  #detailOf(port: number, rule: string): string {
    const plan = this.#acls.plans[port]
    const row = plan?.names.indexOf(rule) ?? -1
    return row < 0 ? rule : `${rule}: ${plan!.details[row]}`
  }

  /** What the switch would have learned of the traced frame. */
  learned(before: MacTable, after: MacTable, slot: number, frame: Uint8Array, vlan: number, port: number): void {
    const high = frame[6]! | (frame[7]! << 8)
    const low = frame[8]! | (frame[9]! << 8) | (frame[10]! << 16) | (frame[11]! << 24)
    const tagged = frame[12] === 0x81 && frame[13] === 0 && frame.length > 16
    const inVlan = vlan !== 0 || !tagged ? vlan : ((frame[14]! << 8) | frame[15]!) & 0xfff
    const was = before.lookup(low, high, inVlan)
    const is = after.lookup(low, high, inVlan)
    if (is < 0 || is === was) return
    const moved = was < 0 ? '' : `, and no more behind ${this.#portName(was)}`
    this.#tell('learning', '', slot, `would learn that ${macText(low, high)} is behind ${this.#portName(port)}${moved}`)
  }
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0')
