// `vmswitch serve`: a long-running switch that keeps what it is told in its state directory, until SIGTERM or Ctrl-C.
//
// The rule it must not break: whatever it started is stopped when it returns, however it returns; it tells the service manager that it is
// ready only when the switch runs and the API answers.
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import type { ServiceManager } from '../../linux/service-manager.ts'
import type { StoredMembership } from '../../manage/cluster/stored-membership.ts'
import { runtimeRoots, systemComponents } from '../../manage/config/resolve.ts'
import { announcedHost } from '../../manage/events/announced-host.ts'
import { EventBus } from '../../manage/events/event-bus.ts'
import { watchSwitch } from '../../manage/events/monitor.ts'
import type { EventLog } from '../../manage/host.ts'
import { collectMetrics } from '../../manage/metrics/collect.ts'
import type { MetricsFormat } from '../../manage/metrics/open-metrics.ts'
import type { SwitchService } from '../../manage/service/switch-service.ts'
import { packageVersion } from '../../manage/switch-host.ts'
import { auditLog } from '../audit-log.ts'
import type { CommandContext } from '../command-context.ts'
import { ExitCode } from '../exit.ts'
import { type ListenWish, listenerWish, reachableUrl, startListener } from '../network-listener.ts'
import type { Terminal } from '../terminal.ts'
import { readRequest } from './apply.ts'

export interface ServeOptions extends ListenWish {
  readonly state?: string
  readonly control?: string
  readonly apply?: string
  /** Name or number of a group whose members may look through the control socket. */
  readonly readerGroup?: string
  /** Where the console is served: HOST:PORT, or true for the usual place. */
  readonly console?: string | true
  readonly consoleReadOnly?: boolean
}

const STATE_FILE = 'state.db'

/** Returns the exit code. */
export async function serve({ terminal, env, cwd }: CommandContext, options: ServeOptions): Promise<number> {
  const { catchInterrupts, processInterrupts } = await import('../../lab/interrupt.ts')
  const { claimStateDirectory, stateDirectory } = await import('../../manage/store/state-directory.ts')
  const { StateStore } = await import('../../manage/store/state-store.ts')
  const { SwitchService } = await import('../../manage/service/switch-service.ts')
  const { Membership } = await import('../../manage/cluster/membership.ts')
  const { serviceManager } = await import('../../linux/service-manager.ts')
  const { startControlServer } = await import('../../manage/control/control-server.ts')
  const { checkConsole, consoleDirectory, startConsole } = await import('../console.ts')
  await checkConsole(options)
  const network = listenerWish(options, cwd)
  const first = options.apply === undefined ? undefined : await readRequest(options.apply, cwd)

  const interrupt = catchInterrupts(processInterrupts((line) => terminal.note(line)))
  const stops: (() => Promise<void> | void)[] = [() => interrupt.release()]
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => {})
  try {
    const directory = stateDirectory(options.state, { env, cwd, uid: process.getuid?.() ?? 0 })
    const lock = claimStateDirectory(directory)
    stops.unshift(() => lock.release())
    const store = StateStore.open(join(directory, STATE_FILE))
    stops.unshift(() => store.close())
    const control = controlPath(options, cwd)
    const events = new EventBus()
    const log = eventLog(terminal, events)
    const manager = serviceManager(env, process.pid)
    const service = new SwitchService(
      { stateDirectory: directory, control },
      {
        store,
        log,
        fatal: (error) => lost.reject(error),
        changed: () => membership.configChanged(),
        imposed: () => membership.imposed(),
      },
    )
    const version = packageVersion()
    let api: string | null = null
    const membership = new Membership({
      load: () => store.membership() as StoredMembership | null,
      save: (joined) => store.setMembership(joined),
      config: () => service.stored,
      overlay: () => service.started?.running.overlay() ?? null,
      impose: async (policies) => service.started?.running.policies.impose(policies),
      imposedOn: (policy) => service.imposedOn(policy),
      port: (name) => service.portNow(name),
      abandon: async (name) => service.host.abandonMigration(name),
      api: () => api,
      log,
      software: version,
    })
    service.cluster = membership
    stops.unshift(() => service.close())
    stops.unshift(() => membership.close())
    if (first === undefined) await service.start()
    else await service.startWith(first)
    const metrics = (format: MetricsFormat) => collectMetrics(service.started, { version, revision: store.revision }, format)
    const components = {
      host: announcedHost(service.host, log),
      log,
      service,
      events,
      metrics,
      audit: auditLog(terminal),
      console: consoleDirectory,
    }
    stops.unshift(watchSwitch(() => service.started?.running ?? null, log))
    const server = await startControlServer({ path: control, readerGroup: options.readerGroup }, components)
    stops.unshift(() => server.close())
    let url: string | null = null
    if (network !== null) {
      const listener = await startListener(network, directory, components)
      stops.unshift(() => listener.close())
      service.listensAt(listener.address)
      url = listener.url
      api = reachableUrl(url, hostname())
    }
    membership.start()
    const page = await startConsole(options, components)
    if (page !== null) stops.unshift(() => page.close())
    stops.unshift(() => void manager.tell('STOPPING=1'))
    await announce(terminal, service, page?.url ?? null, url)
    log({ source: 'service', code: 'ready', message: `ready, process ${process.pid}` })
    manager.tell(`READY=1\nMAINPID=${process.pid}`)
    const stopWatch = keepAlive(manager, service)
    stops.unshift(stopWatch)
    return await Promise.race([untilInterrupted(interrupt.signal), lost.promise])
  } finally {
    for (const stop of stops) await stop()
  }
}

/** The control socket: the given one, else `service/control.sock` where runtime directories of switches are. */
function controlPath({ control }: ServeOptions, cwd: string): string {
  if (control !== undefined) return resolve(cwd, control)
  const components = systemComponents()
  const roots = runtimeRoots(components)
  const root = roots.find((candidate) => components.canWrite(candidate)) ?? roots[roots.length - 1]!
  return join(root, 'service', 'control.sock')
}

function eventLog(terminal: Terminal, events: EventBus): EventLog {
  return ({ source, code, message }) => {
    events.publish({ source, code, message })
    if (terminal.json) terminal.line(JSON.stringify({ event: 'message', message, source, code }))
    else terminal.note(`${source}: ${message} (${code})`)
  }
}

async function announce(terminal: Terminal, service: SwitchService, page: string | null, url: string | null): Promise<void> {
  const status = await service.service()
  if (terminal.json) terminal.line(JSON.stringify({ event: 'ready', ...status, ...(page === null ? {} : { console: page }) }))
  else {
    terminal.line(status.switch === null ? 'no switch yet: vmswitch apply FILE' : `switch ${status.switch} runs`)
    terminal.line(`  control  ${status.control}`)
    if (page !== null) terminal.line(`  console  ${page}`)
    if (url !== null) terminal.line(`  network  ${url}`)
    terminal.line(`  state    ${status.stateDirectory}, revision ${status.revision}`)
  }
}

/** Signs of life, as long as the processors of the switch answer. */
function keepAlive(manager: ServiceManager, service: SwitchService): () => void {
  if (manager.watchdogMs === 0) return () => {}
  const timer = setInterval(() => {
    Promise.resolve(service.started?.running.extensions()).then(
      () => manager.tell('WATCHDOG=1'),
      () => undefined,
    )
  }, manager.watchdogMs)
  return () => clearInterval(timer)
}

function untilInterrupted(interrupt: AbortSignal): Promise<number> {
  if (interrupt.aborted) return Promise.resolve(ExitCode.ok)
  return new Promise((done) => {
    const alive = setInterval(() => {}, 60_000)
    interrupt.addEventListener('abort', () => {
      clearInterval(alive)
      done(ExitCode.ok)
    })
  })
}
