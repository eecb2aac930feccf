// The switch of `npm run bench -- igbvf` as a process of its own, and what it counts of its functions' registers.
import { fileURLToPath } from 'node:url'
import { Child } from '../support/child.ts'
import { askCounters } from '../support/own-switch.ts'
import type { Scope } from '../support/scope.ts'
import { linkNamed, type Sockets } from './links.ts'
import type { IgbvfProcessOptions } from './switch-process.ts'

const START_MS = 30_000
const program = fileURLToPath(new URL('switch-process.ts', import.meta.url))

/** What both functions counted since their clients connected: the sender's first. */
export interface RegisterUse {
  /** Frames that passed between them, in both directions: a super-frame counts as the frames that it was cut into. */
  readonly frames: number
  readonly superFrames: number
  readonly messages: readonly [number, number]
  readonly interrupts: readonly [number, number]
}

interface FunctionDetail {
  readonly messages: { readonly reads: number; readonly writes: number }
  readonly counters: { readonly framesOut: number; readonly superFrames: number; readonly interrupts: number }
}

export class IgbvfSwitch {
  readonly #child: Child

  private constructor(child: Child) {
    this.#child = child
  }

  static async start({ sockets, directory }: { sockets: Sockets; directory: string }, scope: Scope): Promise<IgbvfSwitch> {
    const options: IgbvfProcessOptions = {
      functions: sockets.functions,
      devices: sockets.devices,
      functionMacs: linkNamed('igbvf').macs,
      deviceMacs: linkNamed('virtio').macs,
      directory,
    }
    const child = new Child({ name: 'vmswitch', program: process.execPath, args: [program, JSON.stringify(options)] }, scope)
    await child.until('"listening"', START_MS, (output) => (output.includes('"listening"') ? true : undefined))
    return new IgbvfSwitch(child)
  }

  get pid(): number {
    return this.#child.pid
  }

  async registerUse(): Promise<RegisterUse> {
    const { functions } = (await askCounters(this.#child)) as unknown as {
      functions: readonly { readonly detail: FunctionDetail }[]
    }
    const [sender, receiver] = functions.map(({ detail }) => detail) as [FunctionDetail, FunctionDetail]
    const messages = ({ messages: { reads, writes } }: FunctionDetail): number => reads + writes
    return {
      frames: sender.counters.framesOut + receiver.counters.framesOut,
      superFrames: sender.counters.superFrames,
      messages: [messages(sender), messages(receiver)],
      interrupts: [sender.counters.interrupts, receiver.counters.interrupts],
    }
  }
}
