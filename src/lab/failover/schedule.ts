// What a failover lab does to its guests, and when: steps as a person writes them, laid out in time. Pure.

/** What can be done. `surprise`: the function is torn out without asking; `exhaust`: all that the adapter has left is taken, then given back. */
export const failoverActions = ['remove', 'assign', 'surprise', 'reset', 'pull', 'plug', 'exhaust'] as const
export type FailoverAction = (typeof failoverActions)[number]

/** Actions on an adapter; the others are on a port. */
const adapterActions: ReadonlySet<FailoverAction> = new Set(['pull', 'plug', 'exhaust'])
export const isAdapterAction = (action: FailoverAction): boolean => adapterActions.has(action)

/** One action, or one that comes again and again. */
export interface FailoverStep {
  readonly action: FailoverAction
  /** Seconds from the start of the load to the first time. */
  readonly at: number
  /** Seconds from one time to the next; absent: once. */
  readonly every?: number | undefined
  /** How often; absent: to the end. */
  readonly times?: number | undefined
  /** Port or adapter that it is done to; absent: the lab's. */
  readonly port?: string | undefined
  readonly adapter?: string | undefined
}

export interface PlannedAction {
  readonly action: FailoverAction
  readonly atMs: number
  /** Name of a port, or of an adapter. */
  readonly target: string
}

/** The actions in the order of time; those of one moment as they are written. Nothing happens at `seconds` or later. */
export function layOut(
  steps: readonly FailoverStep[],
  { seconds, port, adapter }: { readonly seconds: number; readonly port: string; readonly adapter: string },
): PlannedAction[] {
  const actions: PlannedAction[] = []
  for (const step of steps) {
    const target = isAdapterAction(step.action) ? (step.adapter ?? adapter) : (step.port ?? port)
    const times = step.every === undefined ? 1 : (step.times ?? Number.POSITIVE_INFINITY)
    for (let i = 0; i < times; i++) {
      const at = step.at + i * (step.every ?? 0)
      if (at >= seconds) break
      actions.push({ action: step.action, atMs: Math.round(at * 1000), target })
    }
  }
  return actions.sort((a, b) => a.atMs - b.atMs)
}
