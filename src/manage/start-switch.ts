// Makes a switch from a configuration and what manages it: the one path by which `vmswitch up`, a service's start and its first `apply`
// come to a running switch.
//
// The rule it must not break: if the start fails, nothing of it is left.
import { mkdirSync } from 'node:fs'
import { createSwitch, type RunningSwitch } from '../engine/host.ts'
import type { ImposedPolicy } from '../switch/policies/imposed.ts'
import type { QmpPlug } from './adapters/qmp-plug.ts'
import type { ResolvedConfig, ResolvedPort } from './config/types.ts'
import type { EventLog, SwitchHost } from './host.ts'
import { configuredPorts, engineConfig, manageSwitch } from './switch-host.ts'

const DIRECTORY_MODE = 0o700

export interface StartComponents {
  readonly log: EventLog
  /** The switch can't go on: a processor died. */
  readonly fatal: (error: Error) => void
  /** What a network imposes on ports from their first frame on. */
  readonly imposed?: (() => readonly ImposedPolicy[]) | undefined
}

/** A running switch with what manages it. */
export interface StartedSwitch {
  readonly running: RunningSwitch
  readonly host: SwitchHost
  /** The ports as configured; kept as they come, change and go. */
  readonly settings: Map<string, ResolvedPort>
  close(): Promise<void>
}

/** Starts the switch of `config`. Throws what its creation throws. */
export async function startSwitch(config: ResolvedConfig, { log, fatal, imposed }: StartComponents): Promise<StartedSwitch> {
  mkdirSync(config.runtime.directory, { recursive: true, mode: DIRECTORY_MODE })
  const settings = configuredPorts(config)
  const plug = await makePlug(config, settings, log)
  try {
    const running = await createSwitch(engineConfig(config), { log, plug, fatal, imposed: imposed?.() })
    return {
      running,
      host: manageSwitch(running, config, settings, log),
      settings,
      close: async () => {
        await running.close()
        await plug?.close()
      },
    }
  } catch (error) {
    await plug?.close()
    throw error
  }
}

/** Plugs virtual functions into guests over QMP, where the switch has an adapter to take them from. */
async function makePlug(
  { adapters = [] }: ResolvedConfig,
  ports: ReadonlyMap<string, ResolvedPort>,
  log: EventLog,
): Promise<QmpPlug | undefined> {
  if (adapters.length === 0) return undefined
  const { QmpPlug: Plug } = await import('./adapters/qmp-plug.ts')
  return new Plug({
    log,
    port: (name) => {
      const port = ports.get(name)
      return port?.iov === undefined ? undefined : { iov: port.iov, mac: port.mac }
    },
  })
}
