// Follows a traced frame through the tunnels that it would leave by: the hosts behind them are asked what their switches would do with it.
//
// The rule it must not break: nothing is sent but questions; a host that does not answer ends its own tunnel's way, and nobody else's.
import { parseMac } from '../../packet/addresses.ts'
import type { RemoteSwitchHost } from '../host.ts'
import type { TraceReport, TraceTunnel } from './diagnosis-calls.ts'

/** Tunnels of one report that are followed, and hosts in a row. */
export const FOLLOWED_TUNNELS_MAX = 64
export const FOLLOWED_HOSTS_MAX = 4

/** What becomes of a frame behind a tunnel. */
export interface FollowedTunnel {
  /** Which packet of the report it is. */
  readonly packet: number
  readonly provider: string
  /** Null: the host is not known by name. */
  readonly host: string | null
  /** The trace from the other host's uplink on; null: see `problem`. */
  readonly report: TraceReport | null
  /** Why it is not known. */
  readonly problem: { readonly code: string; readonly message: string } | null
  /** Where it goes from there. */
  readonly followed: readonly FollowedTunnel[]
}

/** Another host, as it can be asked. */
export interface ReachedHost {
  readonly name: string | null
  /** Throws an error with a `code`, whose message says why it can't be asked. */
  readonly connect: () => Promise<Pick<RemoteSwitchHost, 'trace' | 'overlay'>>
}

/**
 * Finds the hosts that a tunnel leads to: one, or of a group all that it may reach. Throws an error with a `code`, whose message says why none
 * can be asked.
 */
export type Reach = (tunnel: TraceTunnel) => Promise<readonly ReachedHost[]>

/** A tunnel whose way can't be followed. */
export class FollowError extends Error {
  override readonly name = 'FollowError'
  readonly code: 'no-overlay' | 'no-uplink' | 'too-many-tunnels' | 'too-many-hosts'

  constructor(code: FollowError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** The ways of all tunnels of `report`, one after the other. Never throws: what is not known says why. */
export async function followTrace(report: TraceReport, reach: Reach, depth = 1): Promise<readonly FollowedTunnel[]> {
  const ways: FollowedTunnel[] = []
  for (const tunnel of report.tunnels) {
    try {
      if (ways.length >= FOLLOWED_TUNNELS_MAX) throw tooMany()
      if (depth > FOLLOWED_HOSTS_MAX)
        throw new FollowError('too-many-hosts', `it has passed ${FOLLOWED_HOSTS_MAX} hosts, and is followed no further`)
      for (const reached of await reach(tunnel)) {
        if (ways.length >= FOLLOWED_TUNNELS_MAX) throw tooMany()
        ways.push(await followTo(reached, tunnel, reach, depth))
      }
    } catch (error) {
      ways.push(unknownWay(tunnel, tunnel.host, error))
    }
  }
  return ways
}

const tooMany = (): FollowError =>
  new FollowError('too-many-tunnels', `${FOLLOWED_TUNNELS_MAX} tunnels are followed, and this is one more`)

async function followTo(reached: ReachedHost, tunnel: TraceTunnel, reach: Reach, depth: number): Promise<FollowedTunnel> {
  const { packet, provider } = tunnel
  const host = reached.name ?? tunnel.host
  try {
    const report = await traceAt(reached, tunnel)
    return { packet, provider, host, report, problem: null, followed: await followTrace(report, reach, depth + 1) }
  } catch (error) {
    return unknownWay(tunnel, host, error)
  }
}

function unknownWay({ packet, provider }: TraceTunnel, host: string | null, error: unknown): FollowedTunnel {
  const { code, message } = error as { readonly code?: unknown; readonly message: string }
  return { packet, provider, host, report: null, problem: { code: String(code ?? 'internal'), message }, followed: [] }
}

async function traceAt({ name, connect }: ReachedHost, { provider, frame }: TraceTunnel): Promise<TraceReport> {
  const host = await connect()
  const overlay = await host.overlay()
  const who = name === null ? `the host of ${provider}` : `host ${name}`
  if (overlay === null) throw new FollowError('no-overlay', `the switch of ${who} has no overlay`)
  if (overlay.uplink === null) throw new FollowError('no-uplink', `the switch of ${who} has no connected uplink`)
  return host.trace({ port: overlay.uplink, frame: arriving(frame, overlay.providerMac) })
}

// The frame as it arrives: routers on the way address it to the host itself. One for a group stays so.
function arriving(frame: string, providerMac: string): string {
  const bytes = Buffer.from(frame, 'hex')
  if ((bytes[0]! & 1) === 0) bytes.set(parseMac(providerMac))
  return bytes.toString('hex')
}
