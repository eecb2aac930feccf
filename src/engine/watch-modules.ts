// The checking mode of a processor: its modules are watched, and each breach is a report under the number of its rule.
//
// The rule it must not break: what is watched behaves as it would without; a breach is told, never punished.
import { setTimeout as sleep } from 'node:timers/promises'
import { BreachLog, describeBreach } from '../switch/verify/breach-log.ts'
import { ContractWatch } from '../switch/verify/contract-watch.ts'

/** A packet that a module keeps longer counts as kept for ever. */
const HOLD_LIMIT_MS = 2000
/** A request that a module does not answer by then counts as never answered. */
const OID_LIMIT_MS = 2000

/** The watch over the modules of one processor, which tells breaches through `report`. */
export function watchModules(report: (module: string, code: string, message: string) => void): ContractWatch {
  const log = new BreachLog((breach) => report(breach.module, breach.rule, describeBreach(breach)))
  const delay = (ms: number): Promise<void> => sleep(ms, undefined, { ref: false })
  return new ContractWatch({ holdLimitMs: HOLD_LIMIT_MS, oidLimitMs: OID_LIMIT_MS }, log, delay)
}
