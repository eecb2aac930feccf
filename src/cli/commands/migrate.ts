// `vmswitch migrate`: a port on its way to another running switch, on this machine or on another host.
//
// The rule it must not break: between hosts of one network the port never leaves that network's sight.
import { resolve } from 'node:path'
import type { NetworkStatus } from '../../manage/cluster/cluster-calls.ts'
import { connectCluster } from '../../manage/cluster/cluster-client.ts'
import { connectControl } from '../../manage/control/control-client.ts'
import type { ControlPlace } from '../../manage/control/control-place.ts'
import { MigrationCancelledError, type MigrationNetwork, migratePort } from '../../manage/migrate.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import { findPlace } from '../find-place.ts'
import { networkAt } from './follow.ts'
import { endpointPlace } from './ports.ts'
import { report } from './save.ts'

export interface MigrateOptions {
  readonly to?: string
  readonly toHost?: string
  readonly toTokenFile?: string
  readonly toCa?: string
  readonly now?: boolean
}

/** What a full switch with large tables may take; the other calls are quick. */
const TIMEOUT_MS = 120_000

/** Returns the exit code. */
export async function migrate(context: CommandContext, port: string, options: MigrateOptions): Promise<number> {
  const { terminal, connect, control } = context
  const source = await connect()
  const here = await networkAt(await control())
  const there = await targetPlace(context, options, here)
  const target = connectControl(there, TIMEOUT_MS)
  const now = options.now === true
  let cancelled = false
  const cancel = (): void => {
    cancelled = true
  }
  process.once('SIGINT', cancel)
  try {
    const answer = await migratePort(
      source,
      target,
      port,
      { waitForStop: !now, network: sharedNetwork(here, await networkAt(there), there) },
      {
        ready: (prepared, vf) => {
          const place = endpointPlace(prepared.endpoint)
          if (now) return
          terminal.note(`port "${port}" is prepared at ${place}: start the VMM there, and migrate the guest; waiting for it`)
          if (vf) terminal.note(`the VMM takes VF ${vf.vf} of adapter "${vf.adapter}" out of the guest when it migrates it`)
        },
        cancelled: () => cancelled,
        unheard: () =>
          terminal.note(`the network has not heard yet that port "${port}" moved; vmswitch network says when it has`),
      },
    )
    report(terminal, answer)
    const vf = (await target.vfs()).find((one) => one.port === port)
    if (vf) terminal.note(`port "${port}" has VF ${vf.vf} of adapter "${vf.adapter}" now`)
    return ExitCode.ok
  } catch (error) {
    if (error instanceof MigrationCancelledError && cancelled) return ExitCode.interrupted
    throw error
  } finally {
    process.off('SIGINT', cancel)
  }
}

/** Where the target is asked. Throws CliError `bad-arguments`, `no-api`, and what findPlace does. */
async function targetPlace(
  { env, cwd }: CommandContext,
  { to, toHost, toTokenFile, toCa }: MigrateOptions,
  here: NetworkStatus | null,
): Promise<ControlPlace> {
  if ((to === undefined) === (toHost === undefined))
    throw new CliError(
      'bad-arguments',
      'one of --to and --to-host says where the port goes',
      '--to SOCKET is a switch of this machine, --to-host HOST one on another',
      ExitCode.usage,
    )
  if (to !== undefined) return resolve(cwd, to)
  const member = here?.hosts.find(({ name }) => name === toHost)
  if (member?.api === null)
    throw new CliError(
      'no-api',
      `host ${toHost} serves its control API on no network`,
      'start its service with --listen HOST:PORT, a certificate and --token-file',
    )
  return findPlace(
    {
      host: member?.api ?? toHost!,
      ...(toTokenFile === undefined ? {} : { tokenFile: toTokenFile }),
      ...(toCa === undefined ? {} : { ca: toCa }),
    },
    { env, cwd },
  )
}

/** What both are in; undefined: the network, if there is one, is told by each of them for itself. */
const sharedNetwork = (
  here: NetworkStatus | null,
  there: NetworkStatus | null,
  place: ControlPlace,
): MigrationNetwork | undefined =>
  here?.host == null || here.network !== there?.network ? undefined : { from: here.host, target: connectCluster(place) }
