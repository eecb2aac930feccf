// The switch under test as a process of its own, started by `../switch-process.ts`.
import { fileURLToPath } from 'node:url'
import type { HeapAnswer } from '../alloc/heap-question.ts'
import type { StackName, SwitchProcessOptions } from '../switch-process.ts'
import { Child } from './child.ts'
import type { ProcessorPair } from './processors.ts'
import type { Scope } from './scope.ts'

const START_MS = 15_000
const ANSWER_MS = 15_000
const program = fileURLToPath(new URL('../switch-process.ts', import.meta.url))

export interface OwnSwitchOptions {
  readonly name: string
  readonly stack: StackName
  readonly sockets: readonly [string, string]
  /** The left port is an uplink, and not a vhost-user port. */
  readonly uplink?: SwitchProcessOptions['uplink']
  readonly processors: ProcessorPair
  /** Addresses that the ports' guests send from; without them, that of the generator's made-up frames. */
  readonly macs?: readonly [string, string] | undefined
  /** The left port follows connections, both ways. */
  readonly stateful?: boolean
  /** Extended rules at each port, for what it sends. */
  readonly rules?: number
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
    ...(options.uplink ? { uplink: options.uplink } : {}),
    ...(options.macs ? { macs: options.macs } : {}),
    ...(options.stateful ? { stateful: true } : {}),
    ...(options.rules === undefined ? {} : { rules: options.rules }),
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

/** Counters of a running switch, as `switch-process.ts` sends them. */
export interface SwitchFigures {
  readonly processors: readonly { readonly counters: Readonly<Record<'frames' | 'bursts' | 'sleeps', number>> }[]
}

async function ask<T>(child: Child, command: string, member: string): Promise<T> {
  child.forget()
  child.tell(command)
  const line = await child.until(member, ANSWER_MS, (output) => new RegExp(`^\\{"${member}".*\\}\\n`, 'm').exec(output)?.[0])
  return (JSON.parse(line) as Record<string, T>)[member]!
}

/** Asks a running switch for its counters. */
export const askCounters = (child: Child): Promise<SwitchFigures> => ask(child, 'counters', 'counters')

/** Asks for the heap of a switch's processor, after a collection or as it is. It runs with `alloc/heap-hook.ts`. */
export const askHeap = (child: Child, collect: boolean): Promise<HeapAnswer> => ask(child, collect ? 'collect' : 'heap', 'heap')
