// Migrates a port from one running switch to another (spec 8.3), while a VMM migrates its guest: what the source and the target do in
// which order.
//
// The rule it must not break: whatever fails, one of the two has the port; what was saved is never lost.
import type { AssignedVfStatus } from './adapters/adapter-calls.ts'
import type { PortStatus, RemoteSwitchHost, RestoreReport } from './host.ts'

/** Milliseconds of one wait for the guest to stop. */
const WAIT_MS = 5_000

export interface MigrationSteps {
  /**
   * The target is ready: its VMM can connect to `port`, and the guest can be migrated. `vf`: what the port has at the source still, which
   * the VMM takes out when it migrates the guest.
   */
  ready(port: PortStatus, vf: AssignedVfStatus | undefined): void
  /** True to give up waiting for the guest. */
  cancelled(): boolean
}

/** A migration that was given up before the guest moved. */
export class MigrationCancelledError extends Error {
  override readonly name = 'MigrationCancelledError'
  readonly code = 'cancelled'
}

/**
 * Moves port `name`. With `waitForStop` the port is handed over when its guest has stopped at the source, else at once. Throws what the
 * switches answer; the port is where it was then.
 */
export async function migratePort(
  source: RemoteSwitchHost,
  target: RemoteSwitchHost,
  name: string,
  options: { readonly waitForStop: boolean },
  steps: MigrationSteps,
): Promise<RestoreReport> {
  let saved: string | undefined
  let prepared = false
  let held = false
  try {
    // The target is asked first: a guest does not lose its virtual function for a migration that is refused.
    const port = await target.prepareMigration(await source.save({ port: name })) // ES-491, ES-492
    prepared = true
    await source.holdPort(name)
    held = true
    steps.ready(
      port,
      (await source.vfs()).find((vf) => vf.port === name),
    )
    while (options.waitForStop && !(await source.awaitStop(name, WAIT_MS)))
      if (steps.cancelled()) throw new MigrationCancelledError(`port "${name}" was not migrated: its guest did not stop`)
    saved = await source.handOver(name) // ES-493, ES-494
    return await target.takeOver(saved) // ES-495
  } catch (error) {
    if (prepared) await target.abandonMigration(name).catch(() => undefined)
    if (saved !== undefined) await source.restore(saved)
    else if (held) await source.abandonMigration(name).catch(() => undefined)
    throw error
  }
}
