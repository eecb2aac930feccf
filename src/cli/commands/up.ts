// `vmswitch up FILE`: starts the switch, its control socket and the guests of the lab, and stops all of it at Ctrl-C.
//
// The rule it must not break: whatever it started is stopped when it returns, however it returns.
import { fileURLToPath } from 'node:url'
import type { RunningSwitch } from '../../engine/host.ts'
import type { LabPlan } from '../../lab/plan.ts'
import { loadConfig } from '../../manage/config/load.ts'
import type { ResolvedConfig } from '../../manage/config/types.ts'
import { claimSocketPath } from '../../manage/control/socket-path.ts'
import { announcedHost } from '../../manage/events/announced-host.ts'
import { EventBus } from '../../manage/events/event-bus.ts'
import { watchSwitch } from '../../manage/events/monitor.ts'
import type { EventLog, SwitchHost } from '../../manage/host.ts'
import type { MetricsFormat } from '../../manage/metrics/open-metrics.ts'
import { auditLog } from '../audit-log.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import { portPlace } from './ports.ts'

export interface UpOptions {
  /** Return when the lab has shown what it shows, or at once where there are no guests. */
  readonly once: boolean
  readonly guests: boolean
  /** Where the console is served: HOST:PORT, or true for the usual place. */
  readonly console?: string | true
  readonly consoleReadOnly?: boolean
}

const cacheDirectory = fileURLToPath(new URL('../../../.cache', import.meta.url))

/** Returns the exit code. */
export async function up(context: CommandContext, file: string, options: UpOptions): Promise<number> {
  const { terminal } = context
  const { checkConsole } = await import('../console.ts')
  await checkConsole(options)
  const written = await loadConfig(file)
  if (written.cluster !== undefined)
    terminal.note('cluster: is for services, and left out here: vmswitch serve --apply FILE joins the network')
  await claimSocketPath(written.runtime.control)
  const { catchInterrupts, processInterrupts } = await import('../../lab/interrupt.ts')
  const interrupt = catchInterrupts(processInterrupts((line) => terminal.note(line)))
  try {
    const plan = options.guests && written.guests.length > 0 ? await makePlan(written, context) : null
    if (interrupt.signal.aborted) return ExitCode.interrupted
    return await runSwitch(plan?.config ?? written, plan, options, terminal, interrupt.signal)
  } finally {
    interrupt.release()
  }
}

async function makePlan(config: ResolvedConfig, { terminal, env }: CommandContext): Promise<LabPlan> {
  const { planLab, systemQemuGround } = await import('../../lab/plan.ts')
  const progress = (line: string): void => say(terminal, line)
  return planLab(config, {
    progress,
    qemuGround: (wanted) => systemQemuGround({ cacheDirectory, accelerator: env.VMSWITCH_ACCELERATOR, ...wanted }, { progress }),
  })
}

async function runSwitch(
  config: ResolvedConfig,
  plan: LabPlan | null,
  options: UpOptions,
  terminal: Terminal,
  interrupt: AbortSignal,
): Promise<number> {
  const events = new EventBus()
  const log: EventLog = ({ source, code, message }) => {
    events.publish({ source, code, message })
    if (terminal.json) say(terminal, message, { source, code })
    else terminal.note(`${source}: ${message} (${code})`)
  }
  const lost = Promise.withResolvers<never>()
  lost.promise.catch(() => {})
  const { startSwitch } = await import('../../manage/start-switch.ts')
  const stops: (() => Promise<void> | void)[] = []
  try {
    const started = await startSwitch(config, { log, fatal: (error) => lost.reject(error) })
    const { running, host } = started
    stops.unshift(() => started.close())
    stops.unshift(watchSwitch(() => running, events.publish))
    const { startControlServer } = await import('../../manage/control/control-server.ts')
    const { collectMetrics } = await import('../../manage/metrics/collect.ts')
    const { packageVersion } = await import('../../manage/switch-host.ts')
    const metrics = (format: MetricsFormat) => collectMetrics(started, { version: packageVersion(), revision: null }, format)
    const { consoleDirectory, startConsole } = await import('../console.ts')
    const components = {
      host: announcedHost(host, events.publish),
      log,
      events,
      metrics,
      audit: auditLog(terminal),
      console: consoleDirectory,
    }
    const server = await startControlServer({ path: config.runtime.control }, components)
    stops.unshift(() => server.close())
    const { listen } = config.runtime
    if (listen !== undefined) {
      const { startListener } = await import('../network-listener.ts')
      const listener = await startListener(listen, config.runtime.directory, components)
      stops.unshift(() => listener.close())
      say(terminal, `the API is served at ${listener.url}`)
    }
    const page = await startConsole(options, components, config.runtime.console)
    if (page !== null) stops.unshift(() => page.close())
    announce(terminal, config, page?.url ?? null)
    const work = plan === null ? hold(options, interrupt) : runPlan(plan, { options, terminal, interrupt, running, host, config })
    return await Promise.race([work, lost.promise])
  } finally {
    for (const stop of stops) await stop()
  }
}

/** Without guests: until Ctrl-C, or not at all. */
function hold({ once }: UpOptions, interrupt: AbortSignal): Promise<number> {
  if (once || interrupt.aborted) return Promise.resolve(ExitCode.ok)
  return new Promise((resolve) => {
    const alive = setInterval(() => {}, 60_000)
    interrupt.addEventListener('abort', () => {
      clearInterval(alive)
      resolve(ExitCode.ok)
    })
  })
}

interface PlanParts {
  readonly options: UpOptions
  readonly terminal: Terminal
  readonly interrupt: AbortSignal
  readonly running: RunningSwitch
  readonly host: SwitchHost
  readonly config: ResolvedConfig
}

async function runPlan(plan: LabPlan, { options, terminal, interrupt, running, host, config }: PlanParts): Promise<number> {
  const { runLab } = await import('../../lab/lab.ts')
  const captures = (await host.extensions()).flatMap(({ sinks }) => sinks.map(({ path }) => path))
  const switchUnderLab = {
    portSocket: (name: string): string => {
      const endpoint = running.ports().find((port) => port.name === name)?.endpoint
      if (endpoint === undefined || !('path' in endpoint)) throw new CliError('no-such-port', `port "${name}" has no socket`)
      return endpoint.path
    },
    describe: () => ({ name: config.switch.name, controlSocket: config.runtime.control, captures }),
    counters: () =>
      running.ports().map(({ name, counters }) => ({
        port: name,
        receivedFrames: counters.receivedFrames,
        sentFrames: counters.sentFrames,
        droppedFrames: counters.receivedDropped + counters.sendDropped,
      })),
  }
  const { exitCode, reason } = await runLab(
    plan,
    { once: options.once },
    { switchUnderLab, write: (line) => say(terminal, line), interrupt },
  )
  if (reason !== null) say(terminal, reason)
  return exitCode
}

/** A line of what happens: text for a person; with --json, one object per line. */
function say(terminal: Terminal, message: string, more: Readonly<Record<string, unknown>> = {}): void {
  terminal.line(terminal.json ? JSON.stringify({ event: 'message', message, ...more }) : message)
}

function announce(terminal: Terminal, config: ResolvedConfig, page: string | null): void {
  const { name, type, processors, ports } = config.switch
  if (terminal.json) {
    const sockets = ports.map(({ name: of, endpoint, iov }) => ({ name: of, endpoint, ...(iov === undefined ? {} : { iov }) }))
    const more = page === null ? {} : { console: page }
    terminal.line(JSON.stringify({ event: 'ready', switch: name, control: config.runtime.control, ports: sockets, ...more }))
    return
  }
  terminal.line(`switch ${name} (${type}) runs on ${processors} ${processors === 1 ? 'processor' : 'processors'}`)
  const rows = [
    ['control', 'HTTP', config.runtime.control],
    ...(page === null ? [] : [['console', 'HTTP', page]]),
    ...ports.flatMap(({ name: of, endpoint, adapters = [], iov }) => [
      [of, endpoint.kind, portPlace(endpoint, adapters)],
      ...(iov === undefined || iov.weight === 0 ? [] : [[`${of} (VF)`, iov.form, iov.path]]),
    ]),
  ]
  const widths = [0, 1].map((i) => Math.max(...rows.map((row) => row[i]!.length)))
  for (const [first, second, third] of rows)
    terminal.line(`  ${first!.padEnd(widths[0]!)}  ${second!.padEnd(widths[1]!)}  ${third}`.trimEnd())
}
