// A port of the switch that wants a VF, as the adapters keep it: its seat, the VF that it has, and where its traffic goes.
import type { AssignedVf } from '../../adapter/sequences.ts'
import type { AssignedVfStatus, IovConfig } from '../adapter-config.ts'
import type { AdapterRun } from './adapter-run.ts'
import type { VfSeat } from './vf-seat.ts'

/** The VF that a port has. */
export interface GivenVf {
  readonly run: AdapterRun
  readonly vf: AssignedVf
}

/** A port with an address: adapters have filters for it. */
export interface PlainPort {
  readonly id: number
  readonly mac: string
  /** VLAN of its filters, see VmAdapter. */
  vlan: number
}

export interface IovPort extends PlainPort {
  readonly name: string
  /** Name of the VM. */
  readonly vm: string
  readonly iov: IovConfig
  readonly seat: VfSeat
  given: GivenVf | null
  /** Its VF has rates of the port's bandwidth. */
  isLimited: boolean
  /** Frames for the VM's address go to its VF. */
  onVf: boolean
  switchovers: number
  removing: boolean
  /** Its VF was taken away by somebody: it gets none by weight until it is given one again. */
  barred: boolean
  /** Why it has no VF, as it was told. */
  refusal: string | null
  /** `arriving`: its VM is migrated here and not there yet; `leaving`: it is about to be migrated away, `-without` the VF that it had. */
  moving: 'no' | 'arriving' | 'leaving' | 'leaving-without'
  /** One operation at a time. */
  queue: Promise<unknown>
}

/** Runs `work` after what was asked of the port before. */
export function inOrder<T>(port: IovPort, work: () => Promise<T>): Promise<T> {
  const result = port.queue.then(work)
  port.queue = result.catch(() => undefined)
  return result
}

/** What is told of a port's VF. */
export function statusOf(port: IovPort, { run, vf }: GivenVf): AssignedVfStatus {
  return {
    adapter: run.adapter.name,
    port: port.name,
    vf: vf.vfId,
    vport: vf.vportId,
    serialNumber: vf.serialNumber,
    form: port.iov.form,
    path: port.iov.path,
    state: port.removing ? 'removing' : port.onVf ? 'active' : 'waiting',
    switchovers: port.switchovers,
    detail: port.seat.describe(),
  }
}
