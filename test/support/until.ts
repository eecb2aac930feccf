// Waiting for a condition. The rule it must not break: it waits as long as a machine may take whose processors others hold; only a test that
// fails takes that long.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

const LIMIT_MS = 60_000
const LOOK_MS = 20

/** Waits until `done` says so, at most a minute; then fails with `what` was to come about, and with what `state` tells. */
export async function until(
  done: () => boolean | Promise<boolean>,
  what: string,
  state: () => string | Promise<string> = () => '',
): Promise<void> {
  for (const end = performance.now() + LIMIT_MS; !(await done()); await sleep(LOOK_MS))
    if (performance.now() >= end) assert.fail(`${what}: did not come about\n${await state()}`)
}
