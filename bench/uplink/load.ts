// The load of the uplink benchmark, as its user sees it; `load-process.ts` is the other side.
import { fileURLToPath } from 'node:url'
import { Child } from '../support/child.ts'
import type { Scope } from '../support/scope.ts'
import type { LoadOptions } from './load-process.ts'

const START_MS = 20_000
const ANSWER_MS = 10_000
const uplinkProgram = fileURLToPath(new URL('./load-process.ts', import.meta.url))

/** What the guest had got at a moment. */
export interface Count {
  readonly frames: number
  readonly lastBytes: number
  readonly atMs: number
}

export class Load {
  readonly child: Child

  private constructor(child: Child) {
    this.child = child
  }

  /** Starts it on `processor`; it sends nothing yet. `program`: another one that takes the same commands, with options of its own. */
  static async start<Options = LoadOptions>(
    name: string,
    options: Options,
    processor: number,
    scope: Scope,
    program = uplinkProgram,
  ): Promise<Load> {
    const child = new Child(
      { name: `load for ${name}`, program: process.execPath, args: [program, JSON.stringify(options)], processor },
      scope,
    )
    await child.until('"ready"', START_MS, (output) => (output.includes('"ready"') ? true : undefined))
    return new Load(child)
  }

  /** Starts sending frames of `bytes`, without FCS. */
  send(bytes: number): void {
    this.child.tell(`start ${bytes}`)
  }

  stop(): void {
    this.child.tell('stop')
  }

  /** What the vhost-user guest has got. */
  async count(): Promise<Count> {
    this.child.forget()
    this.child.tell('count')
    const line = await this.child.until('count', ANSWER_MS, (output) => /^\{"count".*\}\n/m.exec(output)?.[0])
    return (JSON.parse(line) as { count: Count }).count
  }
}
