// Takes all that an adapter has left, as many tenants at once would: VFs with their VPorts, then VPorts of the PF; then gives all of it
// back. What guests have is not touched.
//
// The rule it must not break: everything that was taken is given back, whatever happens on the way.
import {
  INVALID_RID,
  INVALID_VF_FUNCTION_ID,
  InterruptModeration,
  PF_FUNCTION_ID,
  VPortState,
} from '../../adapter/identifiers.ts'
import { AdapterOid } from '../../adapter/oids.ts'
import type { VfParameters, VPortParameters } from '../../adapter/payloads.ts'
import type { SwitchAdapters } from '../../engine/adapter-config.ts'
import { NdisStatus, ndisStatusName } from '../../ndis/status.ts'

/** What there was to take, and the status that ended it. */
export interface Exhaustion {
  readonly vfs: number
  readonly vports: number
  readonly status: string
}

const ROUNDS_MAX = 1024
/** Locally administered; the number of the VF follows. */
const MAC_PREFIX = '02:76:6d:73:00:'

const vportOn = (functionId: number): VPortParameters => ({
  flags: 0,
  switchId: 0,
  vPortId: 0,
  vPortName: 'exhausted',
  attachedFunctionId: functionId,
  numQueuePairs: 1,
  interruptModeration: InterruptModeration.adaptive,
  vPortState: VPortState.activated,
  processorAffinity: functionId === PF_FUNCTION_ID ? [0] : [],
  lookaheadSize: 0,
})

/** Keeps all taken for `holdMs`. Throws if something can't be given back. */
export async function exhaust(adapters: Pick<SwitchAdapters, 'request'>, adapter: string, holdMs: number): Promise<Exhaustion> {
  const ask = (oid: number, type: 'method' | 'set', payload: unknown) => adapters.request(adapter, { oid, type, payload })
  const giveBack: (() => Promise<{ readonly status: number }>)[] = []
  let vfs = 0
  let vports = 0
  const takeVPort = async (functionId: number): Promise<number> => {
    const { status, output } = await ask(AdapterOid.nicSwitchCreateVPort, 'method', vportOn(functionId))
    if (status !== NdisStatus.success) return status
    const { vPortId } = output as VPortParameters
    vports++
    giveBack.unshift(() => ask(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId }))
    return status
  }
  const takeVf = async (): Promise<number> => {
    const mac = `${MAC_PREFIX}${vfs.toString(16).padStart(2, '0')}`
    const { status, output } = await ask(AdapterOid.nicSwitchAllocateVf, 'method', {
      switchId: 0,
      vmName: 'exhausted',
      vmFriendlyName: 'exhausted',
      nicName: `exhausted-${vfs}`,
      permanentMacAddress: mac,
      currentMacAddress: mac,
      vfId: INVALID_VF_FUNCTION_ID,
      requestorId: INVALID_RID,
    })
    if (status !== NdisStatus.success) return status
    const { vfId } = output as VfParameters
    vfs++
    giveBack.unshift(() => ask(AdapterOid.nicSwitchFreeVf, 'set', { vfId }))
    return takeVPort(vfId)
  }
  const takeAll = async (): Promise<number> => {
    let last: number = NdisStatus.success
    for (const take of [takeVf, () => takeVPort(PF_FUNCTION_ID)]) {
      last = NdisStatus.success
      for (let i = 0; i < ROUNDS_MAX && last === NdisStatus.success; i++) last = await take()
    }
    await new Promise((resolve) => setTimeout(resolve, holdMs))
    return last
  }
  const taken = await takeAll().catch((error: Error) => error)
  for (const step of giveBack) {
    const { status } = await step()
    if (status !== NdisStatus.success) throw new Error(`adapter "${adapter}" does not take it back: ${ndisStatusName(status)}`)
  }
  if (taken instanceof Error) throw taken
  return { vfs, vports, status: ndisStatusName(taken) }
}
