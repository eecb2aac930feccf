// Giving a VM a VF and taking it back: the stack's sequence on the adapter's side, the seat and its plug on the guest's.
//
// The rule it must not break: what fails is undone, and the VM's traffic goes on through its port of the switch.
import type { VfOwner } from '../../adapter/igbvf/owner.ts'
import { type AssignedVf, REMOVAL_TIMEOUT_MS, VfAssignmentError, type VfExposure } from '../../adapter/sequences.ts'
import { deviceOf, ownerOf } from '../../adapter/vf-binding.ts'
import type { SharedMemory } from '../../linux/shared-memory.ts'
import { NdisStatus } from '../../ndis/status.ts'
import type { AssignedVfStatus } from '../adapter-config.ts'
import type { ProcessorSet } from '../processor-set.ts'
import { ServedQueues } from '../served-queues.ts'
import type { AdapterRun } from './adapter-run.ts'
import { SwitchAdapterError } from './errors.ts'
import { type IovPort, statusOf } from './iov-port.ts'
import type { VmPolicies } from './vm-policies.ts'
import type { VmTraffic } from './vm-traffic.ts'

/** How a VF is plugged into its guest, where the VMM does not have it from the start. */
export interface VfPlug {
  plug(port: string, vf: AssignedVf): Promise<void>
  /** Settles when the guest has let go of it. */
  unplug(port: string, vf: AssignedVf): Promise<void>
  /** The VMM is about to migrate the guest, and takes a PCI function out by itself. Settles when nothing keeps it from that. */
  leaving?(port: string): Promise<void>
  /** The driver of a function that was left to the VMM has stopped. Settles when the guest has let go of it, or after a short while. */
  released?(port: string): Promise<void>
  /** The guest of a port without a VF stays after all: what `leaving` undid is done again. */
  staying?(port: string): Promise<void>
  /** The port is gone: nothing is plugged for it any more. */
  gone?(port: string): Promise<void>
}

/** Frames that are on their way to a processor at once: its pool has room for them. */
const DRAIN_AT_ONCE = 64

export interface VfGivingComponents {
  readonly memory: SharedMemory
  readonly processors: ProcessorSet
  readonly policies: VmPolicies
  readonly traffic: VmTraffic
  readonly plug?: VfPlug | undefined
  /** The port of a VM's adapter. */
  readonly port: (name: string) => IovPort
  /** The VM behind a port has a VF, or has none any more (ES-226). */
  readonly vfAssigned: (portId: number, assigned: boolean) => Promise<void>
  readonly event: (port: IovPort, code: string, message: string) => void
}

export class VfGiving {
  readonly #components: VfGivingComponents

  constructor(components: VfGivingComponents) {
    this.#components = components
  }

  /** The guests' side of an adapter's sequences. */
  exposureOn(run: () => AdapterRun): VfExposure {
    return {
      expose: (vf) => this.#expose(run(), vf),
      withdraw: (vf) => this.#withdraw(run(), vf),
      surprise: (vf) => this.#tearOut(run(), vf),
      drain: (vf) => this.#drain(run(), vf),
    }
  }

  async #expose(run: AdapterRun, vf: AssignedVf): Promise<true> {
    const { memory, processors, plug, event } = this.#components
    const port = this.#components.port(vf.vm.nicName)
    const { adapter } = run
    const { pf } = adapter.software!
    port.given = { run, vf }
    const target = { kind: 'vport', adapter: adapter.index, vport: vf.vportId } as const
    const served = new ServedQueues(target, vf.vportId - 1, {
      memory,
      processors,
      failed: (error) => event(port, 'queues-failed', error.message),
    })
    try {
      pf.configure(vf.vfId, { trust: port.iov.trusted }) // what the VF's last VM was trusted with is its own affair
      const problem = this.limit(port)
      if (problem !== undefined) throw new SwitchAdapterError('NO_IOV', `port "${port.name}" can't have a VF: ${problem}`)
      await port.seat.give(this.#ownerOf(run, vf), served)
      const { device } = port.seat
      if (device) pf.attachDevice(vf.vfId, deviceOf(device))
      if (port.iov.qmp !== undefined) await plug?.plug(port.name, vf)
    } catch (error) {
      this.#unlimit(port)
      pf.attachDevice(vf.vfId, undefined)
      await port.seat.take()
      throw error
    }
    return true
  }

  /**
   * Holds the VF of `port` to what the port may send and is sure of. Rates that the host gave the VF itself stay where the port has none.
   * Returns why it can't be, or undefined.
   */
  limit(port: IovPort): string | undefined {
    const { given } = port
    if (!given) return undefined
    const rates = this.#components.policies.rates(port.id)
    const isLimited = rates.maxRateMbps + rates.minRateMbps > 0
    if (!isLimited && !port.isLimited) return undefined
    const problem = given.run.adapter.software?.pf.configure(given.vf.vfId, rates)
    if (problem === undefined) port.isLimited = isLimited
    return problem
  }

  // The next VM of its VF has rates of its own, or none.
  #unlimit(port: IovPort): void {
    const { given, isLimited } = port
    port.isLimited = false
    if (given && isLimited) given.run.adapter.software?.pf.configure(given.vf.vfId, { maxRateMbps: 0, minRateMbps: 0 })
  }

  // While the VM's filters are not at the VF yet, its guest may ask for what they will admit.
  #ownerOf({ adapter }: AdapterRun, { vfId, vm }: AssignedVf): VfOwner {
    const { pf } = adapter.software!
    const owner = ownerOf(pf, vfId, adapter.config.mtu, undefined, adapter.software!.channel(vfId))
    return Object.assign(Object.create(owner) as VfOwner, {
      allowsVlan: (vlan: number) => vlan === 0 || vm.vlan < 0 || vm.vlan === vlan || owner.allowsVlan(vlan),
    })
  }

  async #withdraw(run: AdapterRun, vf: AssignedVf): Promise<void> {
    const { plug, traffic } = this.#components
    const port = this.#components.port(vf.vm.nicName)
    const { seat, name, iov } = port
    if (seat.active) await seat.park().catch(() => undefined) // without memory for it frames are lost as in a removal by surprise
    if (iov.qmp !== undefined && plug) await plug.unplug(name, vf)
    else seat.askBack()
    if (iov.form === 'vfio-user') await seat.inactive()
    if (port.given?.vf !== vf) return // it took too long: the VF is gone already
    traffic.direct(port, false)
    await this.#drain(run, vf) // before the filters move: what comes after that comes later
  }

  // The guest is not asked: what its rings hold is lost, and nothing else, since frames that come wait for the filters to move.
  async #tearOut(run: AdapterRun, vf: AssignedVf): Promise<void> {
    const port = this.#components.port(vf.vm.nicName)
    if (!run.isPulled && port.seat.active) {
      await port.seat.park(true).catch(() => undefined)
      this.#components.traffic.direct(port, false)
    }
    await port.seat.tear()
  }

  // Frames that came when the driver had stopped go to the VM through the switch, as from the adapter, in order (PD-11).
  async #drain(run: AdapterRun, vf: AssignedVf): Promise<void> {
    const { processors, event } = this.#components
    const port = this.#components.port(vf.vm.nicName)
    const { hostPort } = run
    const [first] = processors.clients
    let drained = 0
    let lost = 0
    for (let frames = port.seat.parked(); frames.length > 0; frames = port.seat.parked())
      for (let i = 0; i < frames.length; i += DRAIN_AT_ONCE) {
        const some = frames.slice(i, i + DRAIN_AT_ONCE)
        if (hostPort !== 0) {
          const requests = some.map((frame) => first!.request<boolean>({ kind: 'inject', port: hostPort, nicIndex: 1, frame }))
          for (const taken of await Promise.all(requests)) taken ? drained++ : lost++
        } else lost += some.length
      }
    if (drained + lost === 0) return
    const rest = lost === 0 ? '' : `, ${lost} were lost`
    event(port, 'vf-drained', `${drained} frames for VF ${vf.vfId} went through the switch instead${rest}`)
  }

  /** Gives the VM behind `port` a VF of `run`. */
  async assign(port: IovPort, run: AdapterRun): Promise<AssignedVfStatus> {
    const { policies, vfAssigned, traffic, event } = this.#components
    const vm = {
      vmName: port.vm,
      nicName: port.name,
      mac: port.mac,
      vlan: policies.vlan(port.id),
      queuePairs: port.iov.form === 'vfio-user' ? 1 : port.iov.queuePairs,
    }
    let vf: AssignedVf
    try {
      vf = await run.stack!.assign(vm)
    } catch (error) {
      port.given = null
      if (!(error instanceof VfAssignmentError && error.status === NdisStatus.resources)) throw error
      throw new SwitchAdapterError('NO_VF_LEFT', `adapter "${run.adapter.name}" has no VF left for port "${port.name}"`)
    }
    port.given = { run, vf }
    port.barred = false
    port.refusal = null
    event(port, 'vf-assigned', `VF ${vf.vfId} of adapter "${run.adapter.name}" at ${port.iov.path}`)
    await vfAssigned(port.id, true)
    if (port.seat.active) traffic.follow(port) // one that is not up yet has its filters already in strict order, and keeps them (SR-240)
    return statusOf(port, port.given)
  }

  /** The driver of a PCI function has gone that was parked, and may come back: the VF stays the VM's, its traffic leaves it. */
  async fallBack(port: IovPort): Promise<void> {
    const { given } = port
    if (!given) return
    const { run, vf } = given
    const { traffic, processors } = this.#components
    traffic.direct(port, false)
    await processors.all(() => ({ kind: 'quiesce' })) // what was on its way to the VF has come there, and waits with the rest
    await this.#drain(run, vf) // before the filters move: what comes after that comes later
    await run.stack?.follow(vf.vfId, false)
    await this.#drain(run, vf)
    await port.seat.unpark()
  }

  /** Takes the VF of `port` back; `surprise`: its guest is not asked. */
  async remove(port: IovPort, surprise: boolean): Promise<void> {
    const { given } = port
    if (!given) return
    const { run, vf } = given
    port.removing = true
    try {
      await run.stack?.remove(vf.vfId, surprise)
    } finally {
      run.adapter.software?.pf.attachDevice(vf.vfId, undefined)
      await port.seat.take()
      await port.seat.unpark()
      await this.taken(port)
    }
  }

  /**
   * A VF was torn out of the guest behind `port`: the VMM takes what is left of it. A driver that stayed bound to it would keep the guest
   * from hearing its synthetic card (net_failover). Never throws.
   */
  async takeRest(port: IovPort, vf: AssignedVf): Promise<void> {
    const { plug, event } = this.#components
    if (port.iov.qmp === undefined || !plug) return
    const late = new Promise<void>((resolve) => setTimeout(resolve, REMOVAL_TIMEOUT_MS).unref())
    await Promise.race([plug.unplug(port.name, vf), late]).catch((error: Error) =>
      event(port, 'vf-not-unplugged', `VF ${vf.vfId} was torn out; its device is in the guest still: ${error.message}`),
    )
  }

  /** The VF of `port` is gone. */
  async taken(port: IovPort): Promise<void> {
    const { given } = port
    port.removing = false
    this.#unlimit(port)
    port.given = null
    if (!given) return
    const { event, vfAssigned } = this.#components
    event(port, 'vf-removed', `VF ${given.vf.vfId} of adapter "${given.run.adapter.name}" was taken back`)
    await vfAssigned(port.id, false)
  }
}
