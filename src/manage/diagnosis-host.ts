// The calls by which a running switch is looked into, over the engine's object.
import type { RunningSwitch } from '../engine/host.ts'
import { startCapture } from '../engine/live-capture.ts'
import { compileFilter, FilterError } from '../packet/filter/filter.ts'
import { ControlError } from './control-errors.ts'
import type { DiagnosisCalls } from './diagnosis-calls.ts'

export interface DiagnosisComponents {
  readonly running: RunningSwitch
  /** Throws `no-such-port` for a name that no port has. */
  readonly port: (name: string) => unknown
  /** Runs work whose errors are the engine's. */
  readonly translated: <T>(work: () => Promise<T>) => Promise<T>
}

export function diagnosisHost({ running, port, translated }: DiagnosisComponents): DiagnosisCalls {
  return {
    capture: (request) =>
      translated(async () => {
        for (const name of request.ports ?? []) port(name)
        try {
          compileFilter(request.filter ?? '')
        } catch (error) {
          if (error instanceof FilterError) throw new ControlError('bad-request', error.message)
          throw error
        }
        return startCapture(running, request)
      }),
  }
}
