// The switch under test as a process of its own, started by `../switch-process.ts`.
import { fileURLToPath } from 'node:url'
import type { StackName, SwitchProcessOptions } from '../switch-process.ts'
import { Child } from './child.ts'
import type { ProcessorPair } from './processors.ts'
import type { Scope } from './scope.ts'

const START_MS = 15_000
const ANSWER_MS = 5_000
const program = fileURLToPath(new URL('../switch-process.ts', import.meta.url))

export interface OwnSwitchOptions {
  readonly name: string
  readonly stack: StackName
  readonly sockets: readonly [string, string]
  readonly processors: ProcessorPair
  /** For the runtime, before the program. */
  readonly nodeArguments?: readonly string[]
  /** Directory that captures and the like are written to. */
  readonly directory: string
}

/** Starts the switch; it listens on both sockets when this settles. */
export async function startOwnSwitch(options: OwnSwitchOptions, scope: Scope): Promise<Child> {
  const settings: SwitchProcessOptions = {
    stack: options.stack,
    sockets: options.sockets,
    processor: options.processors.switch,
    directory: options.directory,
  }
  const child = new Child(
    {
      name: options.name,
      program: process.execPath,
      args: [...(options.nodeArguments ?? []), program, JSON.stringify(settings)],
      processor: options.processors.generator,
    },
    scope,
  )
  await child.until('"listening"', START_MS, (output) => (output.includes('"listening"') ? true : undefined))
  return child
}

/** Asks a running switch for its counters: see `switch-process.ts`. */
export async function askCounters(child: Child): Promise<Record<string, unknown>> {
  child.forget()
  child.tell('counters')
  const line = await child.until('counters', ANSWER_MS, (output) => /^\{"counters".*\}\n/m.exec(output)?.[0])
  return (JSON.parse(line) as { counters: Record<string, unknown> }).counters
}
