// Looks at a running switch once a second and tells what nobody else does: connections that came and went, and bursts of drops.
//
// The rule it must not break: it reads counters and flags in shared memory only, and keeps nobody waiting.
import type { EventLog } from '../host.ts'

/** What it looks at. */
export interface Watched {
  ports(): readonly { readonly name: string; readonly connected: boolean }[]
  drops(): readonly { readonly port: string; readonly reasons: Readonly<Record<string, number>> }[]
}

const PERIOD_MS = 1000
/** Drops of one port for one reason within a period that are a burst. */
export const BURST_MIN_FRAMES = 100

/** One look after the other; `look` is called once a period. */
export class SwitchMonitor {
  readonly #log: EventLog
  #connected: ReadonlyMap<string, boolean> = new Map()
  #drops: ReadonlyMap<string, number> | undefined
  /** Bursts that go on, and the frames that they have dropped. */
  readonly #bursts = new Map<string, number>()

  constructor(log: EventLog) {
    this.#log = log
  }

  look(watched: Watched): void {
    const connected = new Map(watched.ports().map((port) => [port.name, port.connected]))
    for (const [name, is] of connected) {
      const was = this.#connected.get(name) ?? false
      if (is !== was)
        this.#log({
          source: `port ${name}`,
          code: is ? 'nic-connected' : 'nic-disconnected',
          message: is ? 'its peer is there and ready' : 'its peer is gone',
        })
    }
    this.#connected = connected
    this.#lookAtDrops(watched)
  }

  #lookAtDrops(watched: Watched): void {
    const drops = new Map<string, number>()
    for (const { port, reasons } of watched.drops())
      for (const [reason, frames] of Object.entries(reasons)) {
        const key = `${port} ${reason}`
        drops.set(key, frames)
        if (this.#drops === undefined) continue
        const more = frames - (this.#drops.get(key) ?? 0)
        const source = port === 'extensions' ? 'switch' : `port ${port}`
        const burst = this.#bursts.get(key)
        if (more >= BURST_MIN_FRAMES) {
          if (burst === undefined)
            this.#log({ source, code: 'drop-burst', message: `${more} frames were dropped within a second: ${reason}` })
          this.#bursts.set(key, (burst ?? 0) + more)
        } else if (burst !== undefined) {
          this.#bursts.delete(key)
          this.#log({ source, code: 'drop-burst-ended', message: `${burst} frames were dropped: ${reason}` })
        }
      }
    this.#drops = drops
  }
}

/** Looks once a second at the switch that runs then. Returns what ends it. */
export function watchSwitch(current: () => Watched | null, log: EventLog): () => void {
  const monitor = new SwitchMonitor(log)
  const timer = setInterval(() => {
    const watched = current()
    if (watched !== null) monitor.look(watched)
  }, PERIOD_MS)
  timer.unref()
  return () => clearInterval(timer)
}
