// `vmswitch verify`: runs an extension in a switch that makes trouble on purpose, in checking mode, and gathers what it did wrong.
//
// The rules it must not break: the seed alone decides what is done, in which order; and the verification ends, whatever the extension
// does: its code runs in a thread of its own.
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MemoryEndpoint } from '../../endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../../endpoints/memory/memory-peer.ts'
import type { ExtensionEntry } from '../../engine/extension-manager.ts'
import { createSwitch, type PortConfig, type RunningSwitch } from '../../engine/host.ts'
import { anyFrame } from './frame-shapes.ts'
import { Random } from './random.ts'
import { Findings, STUCK, type VerifyReport } from './report.ts'

export interface VerifyOptions {
  /** Absolute path of the extension's module, and what to call it in the report. */
  readonly file: string
  readonly shown: string
  readonly options: unknown
  readonly seed: number
  /** Steps to take; the run ends sooner when the seconds are over. */
  readonly steps: number
  readonly seconds: number
  /** Directory for files that the extension writes. */
  readonly directory: string
}

const PORTS_START = 4
const PORTS_MAX = 12
const BURST_FRAMES_MAX = 80
/** The switch must answer by then, or the extension's thread is stuck: long, since a busy machine is no fault of the extension. */
const ANSWER_LIMIT_MS = 15_000
const START_LIMIT_MS = 60_000
/** The switch's own patience with the extension: short, since this one tries it. */
const LIMITS = { oidMs: 3000, drainMs: 1000, pauseMs: 1000 }
/** Long enough for what the troublemaker holds to come back. */
const REST_MS = 100
const faultFile = fileURLToPath(new URL('./fault-extension.ts', import.meta.url))
const SUBJECT = 'subject'

/** The extension's thread does not answer any more. */
class StuckError extends Error {
  override readonly name = 'StuckError'
}

async function within<T>(work: Promise<T>, what: string, limitMs = ANSWER_LIMIT_MS): Promise<T> {
  const limit = new AbortController()
  const late = sleep(limitMs, undefined, { signal: limit.signal }).then(() => {
    throw new StuckError(`${what} did not end within ${limitMs} ms: the extension does not return`)
  })
  late.catch(() => {}) // ended early
  try {
    return await Promise.race([work, late])
  } finally {
    limit.abort()
  }
}

/** One run. Throws ExtensionError if the extension can't be loaded. */
class Verification {
  readonly #options: VerifyOptions
  readonly #random: Random
  readonly #findings = new Findings()
  readonly #peers = new Map<string, MemoryPeer>()
  #switch: RunningSwitch | undefined
  #extension = { name: '', version: '', class: '' }
  #names = 0
  #frames = 0
  #steps = 0

  constructor(options: VerifyOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
  }

  async run(): Promise<VerifyReport> {
    const { shown, seed, steps, seconds } = this.#options
    const started = performance.now()
    const elapsed = (): number => (performance.now() - started) / 1000
    try {
      await this.#start()
      while (this.#steps < steps && elapsed() < seconds) {
        this.#findings.step = ++this.#steps
        await this.#step()
        await this.#revive()
      }
      await this.#stop()
    } catch (error) {
      if (!(error instanceof StuckError)) {
        await this.#switch?.close()
        throw error
      }
      this.#findings.add(STUCK, error.message) // its thread is left behind: nothing can stop it from here
    }
    const { breaches, faults, slow } = this.#findings
    return {
      file: shown,
      extension: this.#extension,
      seed,
      steps: this.#steps,
      frames: this.#frames,
      seconds: elapsed(),
      passed: breaches.length === 0 && faults.length === 0,
      breaches,
      faults,
      slow,
    }
  }

  async #start(): Promise<void> {
    const { file, options, seed, directory } = this.#options
    const subject: ExtensionEntry = { name: SUBJECT, file, enabled: true, onFailure: 'open', options }
    const fault = (name: string): ExtensionEntry => ({ ...subject, name, file: faultFile, options: { seed: seed ^ name.length } })
    const { default: definition } = (await import(file)) as { default: { class?: string } }
    const stack = {
      capturing: [subject, fault('below')],
      forwarding: [fault('above!'), subject],
    }[definition?.class ?? ''] ?? [fault('above!'), subject, fault('below')]
    this.#switch = await within(
      createSwitch(
        {
          name: 'verify',
          type: 'private',
          processors: 1,
          verify: true,
          limits: LIMITS,
          extensions: stack,
          ports: [],
          macTable: { entries: 64, ageingSeconds: 1 },
          directory,
        },
        { log: (event) => this.#hear(event) },
      ),
      'loading the extension',
      START_LIMIT_MS,
    )
    const found = (await this.#running.extensions()).find(({ name }) => name === SUBJECT)!
    this.#extension = { name: (definition as { name?: string }).name ?? '', version: found.version, class: found.class }
    while (this.#peers.size < PORTS_START) await this.#addPort()
  }

  get #running(): RunningSwitch {
    return this.#switch!
  }

  #hear({ source, code, message }: { source: string; code: string; message: string }): void {
    if (code === 'log' || !/^extension (subject|code)$/.test(source)) return
    this.#findings.add(code, message)
  }

  // ---- steps -----------------------------------------------------------------------------------------------------------------

  async #step(): Promise<void> {
    const choice = this.#random.below(32)
    if (choice < 22) await this.#burst()
    else if (choice < 24) await this.#addPort()
    else if (choice < 26) await this.#underLoad('removing a port', () => this.#removePort())
    else if (choice < 28) await this.#underLoad('a change of a link', () => this.#changeLink())
    else if (choice < 30) await this.#underLoad('pausing or restarting the extension', () => this.#toggle())
    else if (choice < 31) await this.#underLoad('reloading the extension', () => this.#running.reloadExtension(SUBJECT))
    else await sleep(20 + this.#random.below(60)) // timers only
  }

  async #burst(): Promise<void> {
    this.#send()
    await sleep(1)
    this.#drain()
  }

  #send(): void {
    const names = [...this.#peers.keys()]
    const from = this.#random.pick(names)
    const to = this.#random.pick(names)
    for (let n = 1 + this.#random.below(BURST_FRAMES_MAX); n > 0; n--) {
      const addresses = { sourceMac: macOf(from), destinationMac: macOf(to), source: '10.0.0.1', destination: '10.0.0.2' }
      const frame = anyFrame(addresses, this.#random)
      if (this.#peers.get(from)!.send(frame)) this.#frames++
    }
  }

  #drain(): void {
    for (const peer of this.#peers.values()) while (peer.receive() !== null);
  }

  // Does `work` while frames come.
  async #underLoad(what: string, work: () => Promise<void>): Promise<void> {
    this.#send()
    const working = work()
    working.catch(() => {}) // awaited below
    for (let n = 1 + this.#random.below(3); n > 0 && this.#peers.size > 0; n--) {
      this.#send()
      await sleep(0)
    }
    try {
      await within(working, what)
    } catch (error) {
      if (error instanceof StuckError) throw error
      this.#findings.add('refused', `${what} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
    this.#drain()
  }

  async #addPort(): Promise<void> {
    if (this.#peers.size >= PORTS_MAX) return this.#burst()
    const name = `port${++this.#names}`
    try {
      await within(this.#running.addPort(portConfig(name, this.#random)), 'adding a port')
    } catch (error) {
      // Creations are vetoed on purpose, and the extension may veto them too.
      if (error instanceof StuckError) throw error
      return
    }
    const endpoint = this.#running.endpoint(name)
    if (endpoint instanceof MemoryEndpoint) this.#peers.set(name, endpoint.peer())
  }

  async #removePort(): Promise<void> {
    if (this.#peers.size <= 2) return
    const name = this.#random.pick([...this.#peers.keys()])
    this.#peers.get(name)!.close()
    this.#peers.delete(name)
    await this.#running.removePort(name)
  }

  async #changeLink(): Promise<void> {
    const name = this.#random.pick([...this.#peers.keys()])
    await this.#running.setLink(name, this.#random.below(3) !== 0)
  }

  async #toggle(): Promise<void> {
    await this.#running.setExtension(SUBJECT, false)
    this.#send()
    await this.#running.setExtension(SUBJECT, true)
  }

  // A module that failed is loaded anew, so that the rest of the run has something to look at.
  async #revive(): Promise<void> {
    const status = (await within(this.#running.extensions(), 'an answer of the switch')).find(({ name }) => name === SUBJECT)
    if (status?.state !== 'failed') return
    await within(this.#running.reloadExtension(SUBJECT), 'reloading the extension')
  }

  // Whatever the extension still keeps at the end is told when it pauses and is detached.
  async #stop(): Promise<void> {
    this.#findings.step = this.#steps
    await sleep(REST_MS)
    await within(this.#running.setExtension(SUBJECT, false), 'detaching the extension')
    for (const peer of this.#peers.values()) peer.close()
    await within(this.#running.close(), 'stopping the switch')
  }
}

const macOf = (port: string): string => `02:00:00:00:00:${Number(port.slice(4)).toString(16).padStart(4, '0').slice(2)}`

// Ports with an address and ports that learn.
const portConfig = (name: string, random: Random): PortConfig => {
  const learns = random.below(3) === 0
  return {
    name,
    mac: learns ? null : macOf(name),
    macSpoofing: 'off',
    learning: learns,
    link: 'up',
    endpoint: { kind: 'memory' },
  }
}

/** Verifies one extension. */
export const verifyExtension = (options: VerifyOptions): Promise<VerifyReport> => new Verification(options).run()
