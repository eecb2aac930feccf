// What the checking mode knows of one module: its state, the call it is in, the packets it owns, and the connections it was told of.
//
// The rule it must not break: a module is blamed by what it was told, not by what the switch knows already: a connection that goes
// while a burst is in work is no breach of the module that directs packets to it.
import type { ExtensionClass, PacketHandle, SwitchHandle } from '../../extension.ts'
import { type NicParameters, NicState, Oid, type OidRequest, oidName } from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import type { BreachLog } from './breach-log.ts'

/** Where a module is in its life, as far as its duties go. */
export type WatchState = 'attaching' | 'paused' | 'running' | 'pausing' | 'detached'

/** A packet that the module owns. */
export interface OwnedPacket {
  readonly kind: 'held' | 'cloned' | 'originated'
  readonly packet: number
  readonly sinceMs: number
}

export interface WatchOptions {
  readonly name: string
  readonly class: ExtensionClass
  /** A packet that a module holds longer, in milliseconds of the switch's clock, is reported as kept for ever. */
  readonly holdLimitMs: number
}

const HANDLES_REMEMBERED = 4096

/** The record of one module. */
export class ModuleWatch {
  readonly name: string
  readonly class: ExtensionClass
  readonly #log: BreachLog
  readonly #holdLimitMs: number
  state: WatchState = 'attaching'
  /** Entry point in work, packet and OID that it is about. */
  where = ''
  packet = 0
  oid = ''
  /** The switch's own handle, from attach on. */
  handle: SwitchHandle | undefined
  readonly #owned = new Map<PacketHandle, OwnedPacket>()
  readonly #usedUp = new Set<PacketHandle>()
  readonly #overdue = new Set<PacketHandle>()
  readonly #told = new Map<string, NicState>()
  readonly #tearingDown = new Set<number>()
  /** References by object. */
  readonly #references = new Map<string, number>()

  constructor(options: WatchOptions, log: BreachLog) {
    this.name = options.name
    this.class = options.class
    this.#holdLimitMs = options.holdLimitMs
    this.#log = log
  }

  /** Reports a breach of `rule` in the present call. */
  breach(rule: string, what: string, packet = this.packet): void {
    this.#log.report({ module: this.name, rule, what, where: this.where, packet, oid: this.oid })
  }

  /** Runs `work` as entry point `where`. */
  during<T>(where: string, work: () => T): T {
    const before = { where: this.where, packet: this.packet, oid: this.oid }
    this.where = where
    try {
      return work()
    } finally {
      this.where = before.where
      this.packet = before.packet
      this.oid = before.oid
    }
  }

  // ---- packets that the module owns ----------------------------------------------------------------------------------------

  own(handle: PacketHandle, kind: OwnedPacket['kind']): void {
    if (handle === 0) return
    this.#usedUp.delete(handle)
    this.#owned.set(handle, { kind, packet: this.packet, sinceMs: this.handle?.now() ?? 0 })
  }

  owned(handle: PacketHandle): OwnedPacket | undefined {
    return this.#owned.get(handle)
  }

  /** Checks what the switch answered when the module gave a packet away with `call`. */
  gaveAway(handle: PacketHandle, call: string, status: number): void {
    if (status === NdisStatus.success) {
      this.#owned.delete(handle)
      this.#usedUp.add(handle)
      // The oldest are forgotten: a handle is refused by the switch all the same.
      if (this.#usedUp.size > HANDLES_REMEMBERED) this.#usedUp.delete(this.#usedUp.values().next().value!)
      return
    }
    const own = this.#owned.get(handle)
    if (own !== undefined) this.breach('ES-066', `${call}() of a packet that was ${own.kind}: ${remedy[own.kind]}`, own.packet)
    else if (handle === 0) this.breach('ES-443', `${call}(0): the packet was never taken, since there was no room for it`)
    else if (this.#usedUp.has(handle)) this.breach('ES-066', `${call}() of a packet that was given away before`)
    else this.breach('ES-443', `${call}() with a handle that this module never got`)
  }

  /** Reports packets held longer than they may be. Call it now and then. */
  checkAges(): void {
    const now = this.handle?.now() ?? 0
    for (const [handle, { kind, packet, sinceMs }] of this.#owned) {
      if (now - sinceMs <= this.#holdLimitMs || this.#overdue.has(handle)) continue
      this.#overdue.add(handle)
      this.breach('ES-056', `a packet was ${kind} and not given back for more than ${this.#holdLimitMs} ms`, packet)
    }
  }

  /** The module has paused: everything must be back. */
  checkPaused(): void {
    for (const [, { kind, packet }] of this.#owned)
      this.breach('ES-056', `a packet was ${kind} and not given back when the module paused`, packet)
    this.#owned.clear()
  }

  /** The module is gone: every reference must be released. */
  checkDetached(): void {
    for (const [object, count] of this.#references)
      if (count > 0) this.breach(ruleOfReference(object), `${count} reference(s) to ${object} were not released`, 0)
    this.#references.clear()
  }

  // ---- references ------------------------------------------------------------------------------------------------------------

  /** A reference to a port (`nicIndex` -1) or connection was asked for (`change` 1) or given back (-1). */
  referenced(portId: number, nicIndex: number, change: 1 | -1, status: number): void {
    const object = objectOf(portId, nicIndex)
    const count = this.#references.get(object) ?? 0
    if (change === 1 && status !== NdisStatus.success) this.#referenceRefused(portId, nicIndex)
    else if (change === -1 && count === 0)
      this.breach(ruleOfReference(object), `a reference to ${object} was released that this module does not have`)
    else this.#references.set(object, count + change)
  }

  // A refusal that the module could not foresee is an answer like any other.
  #referenceRefused(portId: number, nicIndex: number): void {
    if (nicIndex < 0) {
      if (this.#tearingDown.has(portId)) this.breach('ES-131', `port ${portId} was referenced after its PORT_TEARDOWN`)
      else if (!this.handle?.ports().some((port) => port.portId === portId))
        this.breach('ES-442', `port ${portId} was referenced and does not exist`)
      return
    }
    const wrong = this.whatIsWrong(portId, nicIndex)
    const rules = { disconnected: 'ES-200', 'not connected yet': 'ES-177', unknown: 'ES-442' } as const
    if (wrong) this.breach(rules[wrong.state], `${wrong.what}: it can't be referenced`)
  }

  /** True if the module has a reference to a port (`nicIndex` -1) or connection. */
  holds(portId: number, nicIndex = -1): boolean {
    return (this.#references.get(objectOf(portId, nicIndex)) ?? 0) > 0
  }

  // ---- connections that the module was told of -------------------------------------------------------------------------------

  /** The module attaches: what the switch lists then it is taken to know. */
  attaches(handle: SwitchHandle): void {
    this.handle = handle
    for (const nic of handle.nics()) if (nic.nicState === NicState.connected) this.#told.set(keyOf(nic), NicState.connected)
  }

  /** A request passes the module. */
  sees(request: OidRequest): void {
    const nic = request.payload as Partial<NicParameters> | null
    if (typeof nic !== 'object' || nic?.portId === undefined) return
    if (request.oid === Oid.portTeardown) this.#tearingDown.add(nic.portId)
    else if (request.oid === Oid.portCreate) this.#tearingDown.delete(nic.portId)
    if (nic.nicIndex === undefined) return
    const key = keyOf({ portId: nic.portId, nicIndex: nic.nicIndex })
    if (request.oid === Oid.nicCreate) this.#told.set(key, NicState.created)
    else if (request.oid === Oid.nicDisconnect) this.#told.set(key, NicState.disconnected)
  }

  /** A request that passed the module ended. */
  sawEnd(request: OidRequest, status: number): void {
    const nic = request.payload as Partial<NicParameters> | null
    if (request.oid === Oid.nicConnect && status === NdisStatus.success && nic?.portId !== undefined)
      this.#told.set(`${nic.portId}/${nic.nicIndex ?? 0}`, NicState.connected)
  }

  /**
   * What is wrong with (port, nic) as a connection that must be connected, as far as the module could know; undefined if it could
   * not know. For connections older than the module the switch's own list counts.
   */
  whatIsWrong(
    portId: number,
    nicIndex: number,
  ): { state: 'disconnected' | 'not connected yet' | 'unknown'; what: string } | undefined {
    const name = `connection ${portId}/${nicIndex}`
    const told = this.#told.get(`${portId}/${nicIndex}`)
    if (told === NicState.connected) return undefined
    if (told === NicState.disconnected)
      return { state: 'disconnected', what: `${name} was disconnected, and the module was told so` }
    if (told === NicState.created) return { state: 'not connected yet', what: `${name} is not connected yet` }
    const listed = this.handle?.nics().find((nic) => nic.portId === portId && (nic.nicIndex === nicIndex || nicIndex === 1))
    if (listed !== undefined) return undefined // what the switch has already done to it the module need not know
    return { state: 'unknown', what: `${name} does not exist` }
  }
}

const remedy: Readonly<Record<OwnedPacket['kind'], string>> = {
  held: 'a held packet goes on with forward() or is given up with release()',
  cloned: 'a clone goes on with send() or is given up with release()',
  originated: 'an originated packet goes on with send() or is given up with release()',
}

const keyOf = ({ portId, nicIndex }: Pick<NicParameters, 'portId' | 'nicIndex'>): string => `${portId}/${nicIndex}`

const objectOf = (portId: number, nicIndex: number): string =>
  nicIndex < 0 ? `port ${portId}` : `connection ${portId}/${nicIndex}`

const ruleOfReference = (object: string): string => (object.startsWith('port') ? 'ES-142' : 'ES-219')

/** The name of a request, for reports. */
export const nameOfRequest = (request: OidRequest): string => oidName(request.oid)
