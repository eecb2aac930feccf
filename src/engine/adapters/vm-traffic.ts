// Where the switch sends frames for a VM that has a VF: to its port, or out of the external port to the adapter, which hands them to the
// VF; and who is told when that changes.
//
// The rule it must not break: the switch never sends to the adapter what the adapter would send back.
import type { AssignedVf } from '../../adapter/sequences.ts'
import { reverseArp } from '../../packet/build.ts'
import type { MacTable } from '../../switch/mac-table.ts'
import type { ProcessorSet } from '../processor-set.ts'
import type { AdapterRun } from './adapter-run.ts'
import { type IovPort, inOrder } from './iov-port.ts'

export interface VmTrafficComponents {
  readonly macs: MacTable
  readonly processors: ProcessorSet
  readonly isConnected: (portId: number) => boolean
  readonly event: (port: IovPort, code: string, message: string) => void
}

export class VmTraffic {
  readonly #components: VmTrafficComponents

  constructor(components: VmTrafficComponents) {
    this.#components = components
  }

  /** The switch sends frames for the VM's address to the adapter from now on, or to its port: as its filters are, or are about to be. */
  direct(port: IovPort, toVf = port.onVf): void {
    const { macs } = this.#components
    const hostPort = port.given?.run.hostPort ?? 0
    macs.addStatic(port.mac, 0, toVf && hostPort !== 0 ? hostPort : port.id)
    macs.forgetLearned(port.mac)
  }

  /** The adapter's filters have moved to the VF, or are about to move back. */
  steered(port: IovPort, run: AdapterRun, vf: AssignedVf, toVf: boolean): void {
    if (port.onVf === toVf) return
    port.given ??= { run, vf }
    port.onVf = toVf
    port.switchovers++
    this.direct(port)
    const where = toVf ? `VF ${vf.vfId} of adapter "${run.adapter.name}"` : 'the synthetic path'
    this.#components.event(port, toVf ? 'vf-active' : 'vf-inactive', `traffic goes through ${where}`)
    if (!toVf) this.#announce(port)
  }

  // Switches that learned the VM behind the adapter learn where it is now, as from itself.
  #announce({ id, mac }: IovPort): void {
    const { processors, isConnected } = this.#components
    if (!isConnected(id)) return
    const octets = Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16))
    processors.clients[0]!.request({ kind: 'inject', port: id, frame: reverseArp(octets) }).catch(() => undefined)
  }

  /** The guest's driver came or went: the VM's filters follow, at once where nothing else is under way. */
  follow(port: IovPort): void {
    inOrder(port, async () => {
      const { given, seat } = port
      if (given && seat.active !== port.onVf) await given.run.stack?.follow(given.vf.vfId, seat.active)
    }).catch((error: Error) => this.#components.event(port, 'vf-not-followed', error.message))
  }
}
