// A switch in the user's own process: the objects, calls and errors of the control API, without a socket between.
//
// The rule it must not break: whatever it started is stopped by `close`, and when the start fails.
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryEndpoint } from '../endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../endpoints/memory/memory-peer.ts'
import { checkSource } from './config/load.ts'
import { type ResolveComponents, systemComponents } from './config/resolve.ts'
import type { Config, ResolvedConfig } from './config/types.ts'
import { ControlError } from './control/control-errors.ts'
import { announcedHost } from './events/announced-host.ts'
import { EventBus, type NumberedEvent } from './events/event-bus.ts'
import { watchSwitch } from './events/monitor.ts'
import type { RemoteSwitchHost } from './host.ts'
import { collectMetrics } from './metrics/collect.ts'
import type { MetricsFormat } from './metrics/open-metrics.ts'
import { type StartedSwitch, startSwitch } from './start-switch.ts'
import { packageVersion } from './switch-host.ts'

/** How long a port may take to be connected, and how often that is looked at. */
const CONNECT_MAX_MS = 10_000
const CONNECT_POLL_MS = 5

export interface EmbeddedOptions {
  /** Called with each event, from the first one on. It must not throw. */
  readonly onEvent?: (event: NumberedEvent) => void
  /** The switch can't go on: a processor died. `close` gives back what is left. */
  readonly onFatal?: (error: Error) => void
}

export interface EventsQuery {
  /** Kept events with larger numbers come first; without it, from now on. */
  readonly after?: number
  /** Events of these kinds only. */
  readonly kinds?: readonly string[]
  /** Ends it. */
  readonly signal?: AbortSignal
}

/** A running switch. Its calls are those of the control API; they fail with its errors, which have a stable `code`. */
export interface EmbeddedSwitch extends RemoteSwitchHost, AsyncDisposable {
  /** As it was started: all defaults filled in, all paths absolute. */
  readonly config: ResolvedConfig
  /**
   * The other side of a port of kind `memory`, when the port is connected: sends frames into the switch and receives those for the port,
   * in this thread. One at a time for each port. Throws ControlError `no-such-port`, `wrong-endpoint`, `not-connected`.
   */
  peer(port: string): Promise<MemoryPeer>
  /** What happens, as it happens, until the signal aborts or the switch is closed. Throws ControlError `too-many-listeners`. */
  events(query?: EventsQuery): AsyncGenerator<NumberedEvent, void>
  /** Text for those who collect metrics. */
  metrics(format?: MetricsFormat): Promise<string>
  /** Serves the control API at its control socket, for the command line and the console. Throws what startControlServer throws. */
  serve(): Promise<string>
  close(): Promise<void>
}

const isResolved = (config: Config | ResolvedConfig): config is ResolvedConfig => 'file' in config

function resolved(config: Config | ResolvedConfig, components: ResolveComponents): ResolvedConfig {
  if (isResolved(config)) return config
  const file = `${components.cwd}/vmswitch-configuration`
  const source = { file: 'configuration', lines: [], data: config, placeOfValue: () => null, placeOfKey: () => null }
  return checkSource(source, file, components)
}

/**
 * Starts a switch from a configuration: an object as a file would have it (relative paths start in the working directory), or what
 * `loadConfig` read. Its `guests` and listeners are not started. Throws ConfigError, and what the start throws.
 */
export async function createSwitch(
  config: Config | ResolvedConfig,
  { onEvent, onFatal }: EmbeddedOptions = {},
): Promise<EmbeddedSwitch> {
  const wanted = resolved(config, systemComponents())
  const bus = new EventBus()
  const closed = new AbortController()
  if (onEvent !== undefined) void deliver(bus, onEvent, closed.signal)
  let started: StartedSwitch
  try {
    started = await startSwitch(wanted, { log: bus.publish, fatal: (error) => onFatal?.(error) })
  } catch (error) {
    closed.abort()
    throw error
  }
  const { running } = started
  const host = announcedHost(started.host, bus.publish)
  const stops: (() => Promise<void> | void)[] = [() => started.close(), watchSwitch(() => running, bus.publish)]
  const metrics = (format: MetricsFormat = 'openmetrics'): Promise<string> =>
    collectMetrics(started, { version: packageVersion(), revision: null }, format)
  // One of each endpoint: two that listen at the same rings would take each other's frames.
  const peers = new Map<MemoryEndpoint, MemoryPeer>()
  let serving: Promise<string> | undefined
  let closing: Promise<void> | undefined

  const serve = async (): Promise<string> => {
    const { startControlServer } = await import('./control/control-server.ts')
    const components = { host, log: bus.publish, events: bus, metrics }
    const server = await startControlServer({ path: wanted.runtime.control }, components)
    stops.push(() => server.close())
    return server.path
  }
  const close = async (): Promise<void> => {
    await serving?.catch(() => undefined)
    for (const peer of peers.values()) peer.close()
    for (const stop of stops.toReversed()) await stop()
    closed.abort()
  }
  const more = {
    config: wanted,
    peer: async (port: string): Promise<MemoryPeer> => {
      const find = () => running.ports().find(({ name }) => name === port)
      if (find() === undefined) throw new ControlError('no-such-port', `switch "${wanted.switch.name}" has no port "${port}"`)
      const endpoint = running.endpoint(port)
      if (!(endpoint instanceof MemoryEndpoint))
        throw new ControlError(
          'wrong-endpoint',
          `port "${port}" leads elsewhere: this process is behind ports of kind memory only`,
        )
      for (let waitedMs = 0; find()?.connected !== true; waitedMs += CONNECT_POLL_MS) {
        if (waitedMs >= CONNECT_MAX_MS || closing !== undefined)
          throw new ControlError('not-connected', `port "${port}" was not connected within ${CONNECT_MAX_MS} ms`)
        await sleep(CONNECT_POLL_MS)
      }
      const peer = peers.get(endpoint) ?? endpoint.peer()
      peers.set(endpoint, peer)
      return peer
    },
    events: (query: EventsQuery = {}) => streamOf(bus, query, closed.signal),
    metrics,
    serve: () => (serving ??= serve()),
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  }
  return new Proxy(more, {
    get: (own, key) => (Object.hasOwn(own, key) ? own[key as keyof typeof own] : host[key as keyof RemoteSwitchHost]),
  }) as unknown as EmbeddedSwitch
}

async function deliver(bus: EventBus, onEvent: (event: NumberedEvent) => void, signal: AbortSignal): Promise<void> {
  for await (const event of streamOf(bus, { after: 0 }, signal)) onEvent(event)
}

/** Listens from the call on, and not only from the first event that is asked for. */
function streamOf(
  bus: EventBus,
  { after, kinds, signal }: EventsQuery,
  closed: AbortSignal,
): AsyncGenerator<NumberedEvent, void> {
  const listener = bus.listen({ after, kinds: kinds === undefined ? undefined : new Set(kinds) })
  if (listener === null) throw new ControlError('too-many-listeners', 'too many listen to events already: end one of them')
  const ends = signal === undefined ? closed : AbortSignal.any([closed, signal])
  ends.addEventListener('abort', () => listener.close(), { once: true })
  if (ends.aborted) listener.close()
  return (async function* () {
    try {
      for (let event = await listener.next(); event !== null; event = await listener.next()) yield event
    } finally {
      listener.close()
    }
  })()
}
