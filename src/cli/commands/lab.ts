// `vmswitch lab failover FILE`: what the coming and going of a virtual function costs, measured at two guests under load.
import { mkdirSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FailoverPlan } from '../../lab/failover/plan-failover.ts'
import type { FailoverResult } from '../../lab/failover/run-failover.ts'
import type { SoftwareLabComponents } from '../../lab/failover/software-lab.ts'
import { loadConfig } from '../../manage/config/load.ts'
import type { EventLog } from '../../manage/host.ts'
import { engineConfig } from '../../manage/switch-host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Terminal } from '../terminal.ts'

export interface FailoverArguments {
  /** Path of an SVG file to write. */
  readonly plot?: string | undefined
  /** How long, in place of what the file says. */
  readonly seconds?: number | undefined
}

const cacheDirectory = fileURLToPath(new URL('../../../.cache', import.meta.url))
const DIRECTORY_MODE = 0o700
const STRIP_COLUMNS = 100

/** Returns the exit code: 1 if more was lost than must be, or a stream broke. */
export async function failoverLab(context: CommandContext, file: string, given: FailoverArguments): Promise<number> {
  const { terminal, cwd } = context
  const { planFailover } = await import('../../lab/failover/plan-failover.ts')
  const { catchInterrupts, processInterrupts } = await import('../../lab/interrupt.ts')
  const written = await loadConfig(file)
  const { failover } = written
  const load = failover && { ...failover.load, seconds: given.seconds ?? failover.load.seconds }
  const plan = planFailover(failover && load ? { ...written, failover: { ...failover, load } } : written)
  const interrupt = catchInterrupts(processInterrupts((line) => terminal.note(line)))
  const say = (line: string): void => terminal.note(line)
  const log: EventLog = ({ source, code, message }) => {
    if (/failed|not-plugged|not-assigned|lost|dropped/.test(code)) say(`${source}: ${message} (${code})`)
  }
  try {
    for (const note of plan.notes) say(note)
    const { port, peer, load: shown, actions } = plan.run
    say(`failover of ${port} under load from and to ${peer}: ${shown.seconds} s, ${actions.length} actions, ${plan.kind} guests`)
    mkdirSync(plan.config.runtime.directory, { recursive: true, mode: DIRECTORY_MODE })
    const { createSwitch } = await import('../../engine/host.ts')
    const components: SoftwareLabComponents = {
      log,
      write: say,
      interrupt: interrupt.signal,
      createSwitch: (plug, events) => createSwitch(engineConfig(plan.config), { log: events, plug }),
    }
    const result = await (plan.kind === 'qemu' ? withQemu(plan, components, context) : withSoftware(plan, components))
    await show(result, terminal)
    if (given.plot !== undefined) await writePlot(result, resolve(cwd, given.plot), terminal)
    if (interrupt.signal.aborted) return ExitCode.interrupted
    return result.problems.length === 0 ? ExitCode.ok : ExitCode.failed
  } finally {
    interrupt.release()
  }
}

async function withSoftware(plan: FailoverPlan, components: SoftwareLabComponents): Promise<FailoverResult> {
  const { runSoftwareLab } = await import('../../lab/failover/software-lab.ts')
  return runSoftwareLab(plan, components)
}

async function withQemu(plan: FailoverPlan, components: SoftwareLabComponents, { env }: CommandContext): Promise<FailoverResult> {
  const { systemQemuGround } = await import('../../lab/plan.ts')
  const { runQemuLab } = await import('../../lab/failover/qemu-lab.ts')
  const wanted = { cacheDirectory, accelerator: env.VMSWITCH_ACCELERATOR, functions: true }
  const { choice, functions } = await systemQemuGround(wanted, { progress: components.write })
  if (functions === undefined || 'missing' in functions)
    throw new CliError('no-qemu', `a guest of kind qemu needs a QEMU that speaks vfio-user: ${functions?.missing}`)
  const { program, image } = functions
  return runQemuLab(plan, { program, image, choice }, components)
}

async function show(result: FailoverResult, terminal: Terminal): Promise<void> {
  const { resultJson, summaryLines, TEXT_COLUMNS, transitionColumns, transitionRows } = await import(
    '../../lab/failover/failover-report.ts'
  )
  if (terminal.json) {
    terminal.data(resultJson(result))
    return
  }
  const columns = transitionColumns.map((title) => ({
    title,
    align: TEXT_COLUMNS.has(title) ? ('left' as const) : ('right' as const),
  }))
  terminal.table(columns, transitionRows(result), 'nothing was done')
  if (result.records.length > 0) {
    const { plotStrips } = await import('../../lab/failover/plot.ts')
    terminal.line('')
    for (const line of plotStrips(result, STRIP_COLUMNS)) terminal.line(line)
  }
  terminal.line('')
  for (const line of summaryLines(result)) terminal.line(line)
}

async function writePlot(result: FailoverResult, path: string, terminal: Terminal): Promise<void> {
  const { plotSvg } = await import('../../lab/failover/plot.ts')
  writeFileSync(path, plotSvg(result))
  terminal.note(`plot: ${path}`)
}
