// The part of SwitchHost that is about multicast groups, over the engine's object.
import type { RunningSwitch } from '../../engine/host.ts'
import { checkSnooping } from '../config/snooping-schema.ts'
import { ControlError } from '../control/control-errors.ts'
import type { SnoopingCalls } from './snooping-calls.ts'

export function snoopingHost(running: RunningSwitch): SnoopingCalls {
  const { snooping } = running.effects
  return {
    mdb: () => snooping.status(),
    setSnooping: async (settings) => {
      const ports = running.ports().map(({ name }) => name)
      if (settings !== null)
        checkSnooping(settings, ports, (_, path, message, hint) => {
          throw new ControlError('bad-request', `${path.join('.')}: ${message}${hint === '' ? '' : `; ${hint}`}`)
        })
      await snooping.configure(settings ?? undefined)
      return snooping.status()
    },
  }
}
