// A failover lab whose guests are software guests: it runs anywhere, in seconds.
//
// The rule it must not break: guests and switch are gone when it returns, however it does.
import type { VfPlug } from '../../engine/adapters/switch-adapters.ts'
import type { RunningSwitch } from '../../engine/host.ts'
import type { FailoverPlan } from './plan-failover.ts'
import { type FailoverComponents, type FailoverResult, runFailover } from './run-failover.ts'
import { SoftwareGuests } from './software-guests.ts'
import { SoftwarePlug } from './software-plug.ts'

export type LabLog = (event: { source: string; code: string; message: string }) => void

export interface SoftwareLabComponents extends Pick<FailoverComponents, 'write' | 'interrupt'> {
  readonly log: LabLog
  /** Creates the plan's switch with this plug; its events go to `log`. */
  readonly createSwitch: (plug: VfPlug, log: LabLog) => Promise<RunningSwitch>
}

/** Throws a LabError if a guest can't be started or fails. */
export async function runSoftwareLab(plan: FailoverPlan, components: SoftwareLabComponents): Promise<FailoverResult> {
  const { write, interrupt, log } = components
  const guests = new SoftwareGuests()
  try {
    const plug = new SoftwarePlug({ guests, log, path: () => plan.functionPath })
    const running = await components.createSwitch(plug, log)
    try {
      for (const { options, path } of [plan.guest, plan.peer]) await guests.start(options, path)
      plug.started(plan.run.port)
      return await runFailover(plan.run, {
        adapters: running.adapters,
        drops: () => running.drops(),
        write,
        interrupt,
        guests: {
          kind: 'software',
          startLoad: (guest, peer, options) => guests.startLoad(guest, peer, options),
          finishLoad: () => guests.finishLoad(),
        },
      })
    } finally {
      await guests.close()
      await running.close()
    }
  } finally {
    await guests.close()
  }
}
