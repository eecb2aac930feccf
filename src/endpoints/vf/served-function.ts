// A virtual function while its endpoint is open: the block of shared memory, the model of the device, the vfio-user server of whoever is
// connected, and, where no adapter owns the function, the options that decide what its guest may do.
//
// The rule it must not break: the block outlives every client; what a client brought does not outlive it.
import {
  type Fault,
  faultTexts,
  REGION_ENTRIES_MAX,
  V_ALARM,
  V_DMA_FAULTS,
  V_DOORBELL,
  V_INTERRUPTS,
  V_RX_FAULT,
  V_RX_FILTERED,
  V_RX_LOCK,
  V_RX_NO_DESCRIPTOR,
  V_RX_TOO_LONG,
  V_TSO,
  V_TX_DROPPED,
  V_TX_FAULT,
  V_TX_LOCK,
  VF_BLOCK_BYTES,
  writeRegions,
} from '../../adapter/igbvf/block.ts'
import { CONFIG_BYTES } from '../../adapter/igbvf/config-space.ts'
import type { ResetCause, VfFilterState, VfOwner } from '../../adapter/igbvf/owner.ts'
import {
  BAR_MSIX_BYTES,
  BAR_REGISTERS_BYTES,
  CTRL,
  CTRL_RST,
  QUEUE_ENABLE,
  TDH,
  TDT,
  TXDCTL,
  VECTORS,
  VFGORC,
  VFGOTC,
  VFGPRC,
  VFGPTC,
} from '../../adapter/igbvf/registers.ts'
import { VirtualFunction } from '../../adapter/igbvf/virtual-function.ts'
import { closeFd, createEventFd, drainEventFd, signalEventFd, type Watcher, watchFd } from '../../linux/files.ts'
import { createTimerFd } from '../../linux/timer-fd.ts'
import { Connection } from '../../vfio-user/connection.ts'
import { CONFIG_REGION, DeviceServer, type PciFunction } from '../../vfio-user/device-server.ts'
import { lockQueue, unlockQueue } from '../../virtio/queue-lock.ts'
import type { EndpointComponents, EndpointOptions } from '../endpoint.ts'
import { sharedNowMs, type VfPlan, wakeIn } from './queue.ts'

const REGISTERS_REGION = 0
const MSIX_REGION = 3
const ETHERNET_BYTES = 18 // header and frame check sequence
const TAG_BYTES = 4
/** Longest that the guest's stop waits for its transmit ring, and between two looks at it. */
const DRAIN_MS = 200
const DRAIN_STEP_MS = 0.2

export interface VfOptions extends EndpointOptions {
  /** The socket's path: at most 107 bytes. */
  readonly path: string
  /** The address that the guest is given: six octets with colons. */
  readonly mac: string
  /** Largest MTU that the guest may set. */
  readonly mtu: number
  /** The guest may choose other addresses and receive what is not addressed to it. */
  readonly trusted: boolean
  /** Refuse guest memory whose file could shrink. */
  readonly requireSeals: boolean
}

export interface VfComponents extends EndpointComponents {
  /** Who decides what the function may do; without one the options do. */
  readonly owner?: VfOwner
}

export interface ServedFunctionEvents {
  /** Something that a person should know. */
  readonly event: (code: string, message: string) => void
  /** The client closed its connection in good order: it has no device any more. */
  readonly clientLeft: () => void
}

/** What lives while the endpoint is open: the block, the function, and a client's connection now and then. */
export class ServedFunction implements PciFunction, VfOwner {
  readonly vectors = VECTORS
  readonly plan: VfPlan
  readonly function: VirtualFunction
  readonly mac: Uint8Array
  readonly linkUp = true
  readonly maxFrameBytes: number
  readonly trusted: boolean
  /** What the transmit ring holds is sent before its driver's stop takes effect. */
  draining = false
  readonly #components: VfComponents
  readonly #event: (code: string, message: string) => void
  readonly #clientLeft: () => void
  readonly #block: number
  readonly #server: DeviceServer
  readonly #alarm: number
  readonly #doorbell: number
  readonly #timer: number
  readonly #alarmWatch: Watcher
  #connection: Connection | null = null
  #lastReset: ResetCause | null = null

  constructor(options: VfOptions, components: VfComponents, { event, clientLeft }: ServedFunctionEvents) {
    const { memory } = components
    this.#clientLeft = clientLeft
    this.#components = components
    this.#event = event
    this.mac = Uint8Array.from(options.mac.split(':'), (octet) => Number.parseInt(octet, 16))
    this.maxFrameBytes = options.mtu + ETHERNET_BYTES + TAG_BYTES
    this.trusted = options.trusted
    this.#block = memory.allocate(VF_BLOCK_BYTES) // first: it may fail
    this.#alarm = createEventFd()
    this.#doorbell = createEventFd()
    this.#timer = createTimerFd()
    this.plan = {
      kind: 'vf',
      index: 0,
      port: options.port,
      block: this.#block,
      doorbell: this.#doorbell,
      timer: this.#timer,
    }
    const owner = components.owner ?? this
    const { u8, u32, i32, f64 } = memory
    this.function = new VirtualFunction(this.#block, {
      u8,
      u32,
      i32,
      f64,
      owner: withActivity(owner, (active) => this.#setActive(active, owner)),
      signal: signalEventFd,
      wakeIn: (ms) => wakeIn(i32, this.#block, this.#timer, ms),
      nowMs: sharedNowMs,
      quiesce: (work) => this.#quiesce(work),
    })
    i32[(this.#block + V_DOORBELL) >> 2] = this.#doorbell
    i32[(this.#block + V_ALARM) >> 2] = this.#alarm
    this.#server = new DeviceServer(
      this,
      { regionsMax: REGION_ENTRIES_MAX, requireSeals: options.requireSeals },
      {
        memory,
        event,
        install: (regions) => this.#quiesce(() => writeRegions(u32, this.#block, regions)),
      },
    )
    this.#alarmWatch = watchFd(this.#alarm, () => this.#onAlarm())
  }

  // ---- the owner, where there is no other: the endpoint's options -----------------------------------------------------------------

  allowsMac(mac: Uint8Array): boolean {
    return this.trusted || mac.every((octet, i) => octet === this.mac[i])
  }

  allowsVlan(): boolean {
    return true
  }

  wasReset(cause: ResetCause): void {
    this.#lastReset = cause
  }

  filtersChanged(_filters: VfFilterState): void {}

  activity(_active: boolean): void {}

  // ---- the function, as the vfio-user server sees it --------------------------------------------------------------------------------

  regionBytes(region: number): number {
    if (region === REGISTERS_REGION) return BAR_REGISTERS_BYTES
    if (region === MSIX_REGION) return BAR_MSIX_BYTES
    return region === CONFIG_REGION ? CONFIG_BYTES : 0
  }

  read(region: number, offset: number, target: Buffer): void {
    if (region === CONFIG_REGION) this.function.readConfig(offset, target)
    else if (region === REGISTERS_REGION && target.length === 4 && offset % 4 === 0)
      target.writeUInt32LE(this.function.read(offset) >>> 0, 0) // any other access reads zeros
  }

  write(region: number, offset: number, data: Buffer): void {
    if (region === CONFIG_REGION) this.function.writeConfig(offset, data)
    else if (region === REGISTERS_REGION && data.length === 4 && offset % 4 === 0) {
      const value = data.readUInt32LE(0)
      if (this.draining && stopsTransmission(offset, value)) this.#letTransmit()
      this.function.write(offset, value)
    }
  }

  // A processor takes what the ring holds; it is awake, or was woken when the last of it was queued. Once: a guest that stops and starts
  // its ring keeps nobody else waiting.
  #letTransmit(): void {
    this.draining = false
    const { u32, i32 } = this.#components.memory
    const head = (this.#block + TDH) >> 2
    const tail = (this.#block + TDT) >> 2
    for (const end = performance.now() + DRAIN_MS; u32[head] !== u32[tail] && performance.now() < end; )
      Atomics.wait(i32, head, i32[head]!, DRAIN_STEP_MS)
  }

  setVectors(fds: readonly number[]): void {
    this.function.setVectors(fds)
  }

  reset(): void {
    this.function.reset('device')
  }

  // ---- the client -------------------------------------------------------------------------------------------------------------------

  /** Serves a client. Returns false if another one is there. */
  connect(fd: number): boolean {
    this.#connection?.poll() // the last client may have gone without our having looked
    if (this.#connection) return false
    this.function.attach(true)
    this.#connection = new Connection(fd, {
      handle: (command, payload, fds) => this.#server.handle(command, payload, fds),
      closed: (reason) => this.#lost(reason),
      event: this.#event,
    })
    return true
  }

  poll(): void {
    this.#connection?.poll()
  }

  disconnect(): void {
    this.#connection?.close(null)
  }

  /** Gives all back; no processor may know the plan any more. */
  close(): void {
    this.#alarmWatch.close()
    closeFd(this.#alarm)
    closeFd(this.#doorbell)
    closeFd(this.#timer)
    this.#components.memory.free(this.#block, VF_BLOCK_BYTES)
  }

  describe(): Record<string, unknown> {
    const { u32 } = this.#components.memory
    const word = (at: number): number => u32[(this.#block + at) >> 2]!
    return {
      connected: this.#connection !== null,
      active: this.function.isActive,
      powerState: this.function.powerState,
      resets: this.function.resets,
      lastReset: this.#lastReset,
      filters: this.function.filters.describe(),
      ...this.#server.describe(),
      counters: {
        framesIn: word(VFGPTC),
        bytesIn: word(VFGOTC),
        framesOut: word(VFGPRC),
        bytesOut: word(VFGORC),
        superFrames: word(V_TSO),
        transmitDropped: word(V_TX_DROPPED),
        filtered: word(V_RX_FILTERED),
        noDescriptor: word(V_RX_NO_DESCRIPTOR),
        tooLong: word(V_RX_TOO_LONG),
        dmaFaults: word(V_DMA_FAULTS),
        interrupts: word(V_INTERRUPTS),
      },
      faults: {
        transmit: faultTexts[word(V_TX_FAULT) as Fault],
        receive: faultTexts[word(V_RX_FAULT) as Fault],
      },
    }
  }

  #lost(reason: string | null): void {
    this.#connection = null
    if (reason === null) this.#clientLeft()
    else this.#event('connection-dropped', `the connection was closed: ${reason}`)
    this.function.attach(false)
    this.function.reset('device')
    this.#server.reset()
  }

  #setActive(active: boolean, owner: VfOwner): void {
    owner.activity(active)
    this.#components.events.link(active)
  }

  #onAlarm(): void {
    drainEventFd(this.#alarm)
    const { u32 } = this.#components.memory
    for (const [name, at] of [
      ['transmit', V_TX_FAULT],
      ['receive', V_RX_FAULT],
    ] as const) {
      const fault = u32[(this.#block + at) >> 2] as Fault
      if (fault !== 0) this.#event('ring-stopped', `the ${name} ring is stopped until the driver resets it: ${faultTexts[fault]}`)
    }
  }

  /** Transmit before receive, as processors take them. */
  #quiesce(work: () => void): void {
    const { i32 } = this.#components.memory
    const locks = [this.#block + V_TX_LOCK, this.#block + V_RX_LOCK]
    for (const lock of locks) if (!lockQueue(i32, lock)) throw new Error('a processor does not let go of a ring: it has died')
    try {
      work()
    } finally {
      for (const lock of locks) unlockQueue(i32, lock)
    }
  }
}

const stopsTransmission = (offset: number, value: number): boolean =>
  (offset === TXDCTL && (value & QUEUE_ENABLE) === 0) || (offset === CTRL && (value & CTRL_RST) !== 0)

/** `owner`, with its word on activity replaced. */
const withActivity = (owner: VfOwner, activity: (active: boolean) => void): VfOwner => ({
  get mac() {
    return owner.mac
  },
  get linkUp() {
    return owner.linkUp
  },
  get maxFrameBytes() {
    return owner.maxFrameBytes
  },
  get trusted() {
    return owner.trusted
  },
  allowsMac: (mac) => owner.allowsMac(mac),
  allowsVlan: (vlan) => owner.allowsVlan(vlan),
  wasReset: (cause) => owner.wasReset(cause),
  filtersChanged: (filters) => owner.filtersChanged(filters),
  blocks: owner.blocks,
  activity,
})
