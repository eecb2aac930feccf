// Brings a switch that has just started, or was made another, to what its operators had done to it.
//
// The rule it must not break: what can't be had again is told, and holds up nothing: a guest may not be there yet, an adapter be smaller.
import type { EventLog, SwitchHost } from '../host.ts'
import type { KeptState } from '../store/kept.ts'

/** Does what `kept` says and `host` does not have. */
export async function placeKept(kept: KeptState, host: SwitchHost, log: EventLog): Promise<void> {
  const attempt = async (source: string, work: () => unknown): Promise<void> => {
    try {
      await work()
    } catch (error) {
      log({ source, code: 'not-kept', message: `as it was before can't be had again: ${(error as Error).message}` })
    }
  }
  if (kept.paused.length > 0) {
    const paused = new Set((await host.extensions()).flatMap(({ name, state }) => (state === 'paused' ? [name] : [])))
    for (const name of kept.paused)
      if (!paused.has(name)) await attempt(`extension ${name}`, () => host.pauseExtension({ name, paused: true }))
  }
  if (kept.assigned.length > 0) {
    const having = new Set((await host.vfs()).map(({ port }) => port))
    // Those that have none make room for those that have one.
    for (const { port, vf } of kept.assigned)
      if (!vf && having.has(port)) await attempt(`port ${port}`, () => host.removeVf({ port, surprise: true }))
    for (const { port, vf } of kept.assigned)
      if (vf && !having.has(port)) await attempt(`port ${port}`, () => host.assignVf(port))
  }
  for (const { port, processor } of kept.queues) await attempt(`port ${port}`, () => host.setQueue({ port, processor }))
}
