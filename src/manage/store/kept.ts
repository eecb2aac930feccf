// What operators did to a switch while it ran and no configuration says: extensions that they paused, virtual functions that they gave and
// took, processors that they chose for queues.
//
// The rule it must not break: everything here survives JSON, and nothing is kept of ports and extensions that are gone.
import type { ResolvedConfig } from '../config/types.ts'

export interface KeptState {
  /** Names of extensions. */
  readonly paused: readonly string[]
  /** Ports that were given a virtual function, or have none though their weight would give them one. */
  readonly assigned: readonly { readonly port: string; readonly vf: boolean }[]
  readonly queues: readonly { readonly port: string; readonly processor: number }[]
}

export const NOTHING_KEPT: KeptState = { paused: [], assigned: [], queues: [] }

/** With an extension paused, or not. */
export const keptPause = (kept: KeptState, name: string, paused: boolean): KeptState => ({
  ...kept,
  paused: [...kept.paused.filter((one) => one !== name), ...(paused ? [name] : [])],
})

/** With a virtual function given to a port, or taken from it. */
export const keptVf = (kept: KeptState, port: string, vf: boolean): KeptState => ({
  ...kept,
  assigned: [...kept.assigned.filter((one) => one.port !== port), { port, vf }],
})

/** With the processor of a port's queue; null: as the load has it. */
export const keptQueue = (kept: KeptState, port: string, processor: number | null): KeptState => ({
  ...kept,
  queues: [...kept.queues.filter((one) => one.port !== port), ...(processor === null ? [] : [{ port, processor }])],
})

/** What is left of it for a configuration. */
export function keptOf({ paused, assigned, queues }: KeptState, { switch: { extensions, ports } }: ResolvedConfig): KeptState {
  const isPort = ({ port }: { readonly port: string }): boolean => ports.some(({ name }) => name === port)
  return {
    paused: paused.filter((name) => extensions.some((one) => one.name === name)),
    assigned: assigned.filter(isPort),
    queues: queues.filter(isPort),
  }
}
