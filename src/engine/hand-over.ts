// What a module that leaves the stack knows goes to the module of the same extension that comes in its place.
//
// The rule it must not break: whatever goes wrong with it, the stack changes.
import { describeError } from '../switch/describe-error.ts'
import type { Module } from '../switch/module.ts'

/** Hands over from each of `leaving`, which are paused, to its heir among `staying`; `report` is told of the heir that did not take it. */
export function handOver(
  leaving: readonly Module[],
  staying: readonly Module[],
  report: (module: string, code: string, message: string) => void,
): void {
  for (const old of leaving) {
    const heir = staying.find(
      ({ definition, handlers }) => definition.id === old.definition.id && handlers.takeOver !== undefined,
    )
    if (heir === undefined || old.handlers.handOver === undefined || old.state === 'failed') continue
    try {
      const state = old.handlers.handOver()
      if (state !== undefined) heir.handlers.takeOver!(state)
    } catch (error) {
      report(heir.name, 'hand-over-failed', describeError(error))
    }
  }
}
