// The place of a port's VF in its guest: the socket that the VMM connects to, and the device behind it, with or without a VF.
//
// A PCI function (vfio-user) stays while its port does: a VMM never connects to it again. Without a VF it is a function whose PF gives
// it no address and no link. A virtio-net device (vhost-user) is there while the port has a VF: the guest sees its link go.
//
// The rule it must not break: what the guest's rings hold goes to the VPort of the VF that the seat has now, or to nobody.
import type { VfOwner } from '../../adapter/igbvf/owner.ts'
import type { BoundFunction } from '../../adapter/vf-binding.ts'
import type { EndpointControl, EndpointEvents, QueuePlan, WindowPlan } from '../../endpoints/endpoint.ts'
import { forgetClient } from '../../endpoints/vf/client-record.ts'
import { VfEndpoint } from '../../endpoints/vf/control.ts'
import { createVhostUserControl } from '../../endpoints/vhost-user/control.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import type { WindowAllocator } from '../../vhost-user/window-allocator.ts'
import type { IovConfig } from '../adapter-config.ts'
import type { ServedQueues } from '../served-queues.ts'
import { FrameParking } from './frame-parking.ts'

export interface VfSeatOptions {
  readonly iov: IovConfig
  /** Address of the VM's adapter. */
  readonly mac: string
  /** Largest MTU that the guest may set, in bytes. */
  readonly mtu: number
}

export interface VfSeatComponents {
  readonly memory: SharedMemory
  readonly windows: WindowAllocator
  /** The guest's driver came up or went. */
  readonly activity: (active: boolean) => void
  readonly event: (code: string, message: string) => void
}

/** What the seat's device asks while the port has no VF. */
const nobody = (maxFrameBytes: number): VfOwner => ({
  mac: null,
  linkUp: false,
  maxFrameBytes,
  trusted: false,
  allowsMac: () => false,
  allowsVlan: () => false,
  wasReset: () => {},
  filtersChanged: () => {},
  activity: () => {},
})

export class VfSeat {
  readonly iov: IovConfig
  readonly #components: VfSeatComponents
  readonly #function: VfEndpoint | undefined
  readonly #endpoint: EndpointControl
  readonly #nobody: VfOwner
  #owner: VfOwner
  #served: ServedQueues | null = null
  #plans: readonly QueuePlan[] = []
  #windows: readonly WindowPlan[] = []
  #parking: FrameParking | null = null
  #isOpen = false
  #active = false
  #gone: (() => void)[] = []

  constructor({ iov, mac, mtu }: VfSeatOptions, components: VfSeatComponents) {
    this.iov = iov
    this.#components = components
    this.#nobody = nobody(mtu)
    this.#owner = this.#nobody
    const { memory, windows } = components
    const events: EndpointEvents = {
      plans: (plans, planWindows) => this.#setPlans(plans, planWindows),
      link: (up) => this.#setActive(up),
      event: components.event,
    }
    const { path, trusted, requireSeals, queuePairs } = iov
    const common = { port: 0, path, mtu, requireSeals }
    if (iov.form === 'vfio-user') {
      this.#function = new VfEndpoint({ ...common, mac, trusted }, { memory, events, owner: this.#delegate() })
      this.#endpoint = this.#function
    } else
      this.#endpoint = createVhostUserControl(
        { ...common, mode: 'server', queuePairsMax: queuePairs },
        { memory, windows, events, announce: () => {} },
      )
  }

  // The device keeps one owner for life; who that is changes.
  #delegate(): VfOwner {
    const owner = (): VfOwner => this.#owner
    return {
      get mac() {
        return owner().mac
      },
      get linkUp() {
        return owner().linkUp
      },
      get maxFrameBytes() {
        return owner().maxFrameBytes
      },
      get trusted() {
        return owner().trusted
      },
      allowsMac: (mac) => owner().allowsMac(mac),
      allowsVlan: (vlan) => owner().allowsVlan(vlan),
      wasReset: (cause) => owner().wasReset(cause),
      filtersChanged: (filters) => owner().filtersChanged(filters),
      blocks: {
        read: async (blockId, length) => owner().blocks?.read(blockId, length),
        write: async (blockId, data) => (await owner().blocks?.write(blockId, data)) ?? false,
        invalidated: async () => (await owner().blocks?.invalidated()) ?? 0n,
        endWait: () => owner().blocks?.endWait(),
      },
      activity: () => {}, // told by the endpoint's link
    }
  }

  /** The guest's driver is up. */
  get active(): boolean {
    return this.#active
  }

  /** The device as the PF's requests reach it; undefined for a form that has no registers. */
  get device(): BoundFunction | undefined {
    return this.#isOpen ? this.#function?.function : undefined
  }

  /** Opens the socket ahead of a VF, where the form allows: a VMM that starts finds it. */
  async prepare(): Promise<void> {
    if (this.#function !== undefined) await this.#open()
  }

  async #open(): Promise<void> {
    if (this.#isOpen) return
    await this.#endpoint.open()
    this.#isOpen = true
  }

  /** The port has a VF: its guest asks `owner` from now on, its rings are served as `served`. */
  async give(owner: VfOwner, served: ServedQueues): Promise<void> {
    this.#owner = owner
    this.#served = served
    await this.#open()
    await served.set(this.#plans, this.#windows)
    this.device?.setLink(owner.linkUp)
  }

  /**
   * The guest is about to let go: frames that its driver does not take any more are parked (PD-11). What it has queued to send on a PCI
   * function is sent first. Where nobody unplugs a virtio-net device its driver goes with its connection, and not before. `torn`: it is
   * not asked at all.
   */
  async park(torn = false): Promise<void> {
    const goesFirst = torn || this.#function !== undefined || this.iov.qmp !== undefined
    if (!goesFirst || this.#served === null || this.#parking !== null) return
    this.#parking = await FrameParking.open(this.#components.memory)
    if (torn) return
    if (this.#function !== undefined) this.#function.draining = true
    await this.#served.set([...this.#plans, this.#parking.plan], this.#windows)
  }

  /** The parked frames, oldest first. */
  parked(): Uint8Array[] {
    return this.#parking?.take() ?? []
  }

  /** Takes the guest's link away: with a PCI function it is asked to go without it. */
  askBack(): void {
    this.device?.setLink(false)
  }

  /** The VPort goes: its queues are withdrawn. Settles when no processor uses them. */
  async withdraw(): Promise<void> {
    const served = this.#served
    this.#served = null
    await served?.set([])
  }

  /** Frames are not parked any more; what still is, is lost. */
  async unpark(): Promise<void> {
    const parking = this.#parking
    if (parking === null) return
    this.#parking = null
    if (this.#isOpen && this.#function !== undefined) this.#function.draining = false
    await this.#served?.set(this.#plans, this.#windows)
    await parking?.close()
  }

  /** The VF is torn out of the guest: its rings are not served any more; frames for it are parked as long as its VPort is there. */
  async tear(): Promise<void> {
    const served = this.#served
    if (this.#parking === null || served === null) return this.take()
    await served.set([this.#parking.plan])
    this.#served = null // what the device does now is nobody's concern
    this.#owner = this.#nobody
    this.device?.setLink(false)
    if (this.#function === undefined) await this.close()
    this.#served = served
  }

  /** The port has no VF any more. */
  async take(): Promise<void> {
    await this.withdraw()
    this.#owner = this.#nobody
    this.device?.setLink(false)
    if (this.#function === undefined) await this.close()
  }

  /** The guest is somewhere else from now on: its old VMM, which may live on, is no client that lost its server. */
  forgetVmm(): void {
    if (this.#function !== undefined) forgetClient(this.iov.path)
  }

  /** Settles when the guest's driver is down. */
  inactive(): Promise<void> {
    return this.#active ? new Promise((resolve) => this.#gone.push(resolve)) : Promise.resolve()
  }

  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#endpoint.close()
  }

  describe(): Record<string, unknown> {
    return this.#endpoint.describe()
  }

  async #setPlans(plans: readonly QueuePlan[], windows: readonly WindowPlan[]): Promise<void> {
    this.#plans = plans
    this.#windows = windows
    await this.#served?.set(this.#parking === null ? plans : [...plans, this.#parking.plan], windows)
  }

  #setActive(active: boolean): void {
    if (active === this.#active) return
    this.#active = active
    if (!active) for (const gone of this.#gone.splice(0)) gone()
    this.#components.activity(active)
  }
}
