// Migrates a port from one running switch to another (spec 8.3), while a VMM migrates its guest: what the source and the target do in
// which order; between hosts of a network, the others know the new place before the guest is connected there.
//
// The rule it must not break: whatever fails, one of the two has the port; what was saved is never lost. A network that can't be heard
// keeps no guest waiting.
import type { AssignedVfStatus } from './adapters/adapter-calls.ts'
import type { ClusterCalls } from './cluster/cluster-calls.ts'
import type { PortStatus, RemoteSwitchHost, RestoreReport } from './host.ts'

/** Milliseconds of one wait for the guest to stop. */
const WAIT_MS = 5_000
/** Milliseconds for the network to hear that the port is at the target. */
const NETWORK_MS = 5_000

export interface MigrationSteps {
  /**
   * The target is ready: its VMM can connect to `port`, and the guest can be migrated. `vf`: what the port has at the source still, which
   * the VMM takes out when it migrates the guest.
   */
  ready(port: PortStatus, vf: AssignedVfStatus | undefined): void
  /** True to give up waiting for the guest. */
  cancelled(): boolean
  /** The port goes on at the target though the network has not heard of it in time: it will when it can be reached. */
  unheard?(): void
}

/** A migration between hosts of one network. */
export interface MigrationNetwork {
  /** Name of the source. */
  readonly from: string
  readonly target: Pick<ClusterCalls, 'expectPort' | 'awaitPort' | 'forgetPort'>
}

const notHeard = { state: null }

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
  options: { readonly waitForStop: boolean; readonly network?: MigrationNetwork | undefined },
  steps: MigrationSteps,
): Promise<RestoreReport> {
  let saved: string | undefined
  let prepared = false
  let held = false
  const { network } = options
  let expected = false
  try {
    // The target is asked first: a guest does not lose its virtual function for a migration that is refused.
    const port = await target.prepareMigration(await source.save({ port: name })) // ES-491, ES-492
    prepared = true
    // From here on it is the target's in the network as soon as the source lets go of it.
    expected = network !== undefined && (await network.target.expectPort(name, network.from)).state !== null
    await source.holdPort(name)
    held = true
    steps.ready(
      port,
      (await source.vfs()).find((vf) => vf.port === name),
    )
    // Signs of life: without them the target lets go of what is prepared.
    const goesOn = async (): Promise<unknown> =>
      expected
        ? network!.target.expectPort(name, network!.from).catch(() => null)
        : target.stillMigrating(name, false).catch(() => null) // an older target does not know the word
    if (options.waitForStop) await goesOn()
    while (options.waitForStop && !(await source.awaitStop(name, WAIT_MS))) {
      await goesOn()
      if (steps.cancelled()) throw new MigrationCancelledError(`port "${name}" was not migrated: its guest did not stop`)
    }
    if (!expected && options.waitForStop) await target.stillMigrating(name, true).catch(() => null)
    saved = await source.handOver(name) // ES-493, ES-494
    const { state } = expected ? await network!.target.awaitPort(name, NETWORK_MS).catch(() => notHeard) : { state: 'held' }
    const report = await target.takeOver(saved) // ES-495
    if (state !== 'held') steps.unheard?.()
    if (expected) await network!.target.forgetPort(name).catch(() => undefined)
    return report
  } catch (error) {
    // The target's claims go first: the source's count again then.
    if (expected) await network!.target.forgetPort(name).catch(() => undefined)
    if (prepared) await target.abandonMigration(name).catch(() => undefined)
    if (saved !== undefined) await source.restore(saved)
    else if (held) await source.abandonMigration(name).catch(() => undefined)
    throw error
  }
}
