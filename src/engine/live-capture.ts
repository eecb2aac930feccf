// Captures that come and go while the switch runs: the capture extension, attached for as long as somebody reads what it records.
//
// The rule it must not break: when nothing captures, nothing of it is on the data path; a reader that falls behind loses records, never
// frames, and never makes the switch's memory grow without end.
import { fileURLToPath } from 'node:url'
import { inBoxExtensionUrls } from '../extensions/catalog.ts'
import { isPacketBlock, PcapngMerger } from '../packet/pcapng-merge.ts'
import type { ExtensionEntry, ExtensionStatus } from './extension-manager.ts'

/** Bytes that may wait for a reader. */
const BACKLOG_BYTES_MAX = 32 << 20
/** Bytes that a reader is handed at a time. */
const CHUNK_BYTES = 256 << 10

/** What to capture: options of the capture extension. */
export interface LiveCaptureOptions {
  readonly ports?: readonly string[] | undefined
  readonly filter?: string | undefined
  readonly snapBytes?: number | undefined
  readonly direction?: 'inbound' | 'outbound' | 'both' | undefined
  readonly dropped?: boolean | undefined
}

export interface CaptureSummary {
  /** Records handed on, and their bytes. */
  readonly records: number
  readonly bytes: number
  /** Records lost because the reader was behind. */
  readonly lost: number
}

/** A capture that runs. */
export interface LiveCapture {
  /** Name of its extension. */
  readonly id: string
  /** The capture in pcapng, as it comes; ends after `stop`. Leaving the loop stops it. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** Takes the extension out of the stack. */
  stop(): Promise<CaptureSummary>
}

/** The switch as captures use it. */
export interface CapturedSwitch {
  installExtension(entry: ExtensionEntry): Promise<void>
  uninstallExtension(name: string): Promise<void>
  extensions(): Promise<readonly ExtensionStatus[]>
}

const runningCaptures = new WeakMap<CapturedSwitch, Set<string>>()

/** The lowest number that no extension of this switch has. */
async function nameFor(running: CapturedSwitch): Promise<string> {
  const installed = new Set((await running.extensions()).map(({ name }) => name))
  const taken = runningCaptures.get(running) ?? new Set()
  runningCaptures.set(running, taken)
  let number = 1
  while (taken.has(`capture-${number}`) || installed.has(`capture-${number}`)) number++
  taken.add(`capture-${number}`)
  return `capture-${number}`
}

/** Starts a capture on a running switch. Throws ExtensionError where the options can't be. */
export async function startCapture(running: CapturedSwitch, options: LiveCaptureOptions): Promise<LiveCapture> {
  const id = await nameFor(running)
  const stream = new CaptureStream()
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  try {
    await running.installExtension({
      name: id,
      file: fileURLToPath(inBoxExtensionUrls.capture),
      enabled: true,
      onFailure: 'open',
      options: given,
      consume: (processor, record) => stream.take(processor, record),
    })
  } catch (error) {
    runningCaptures.get(running)?.delete(id)
    throw error
  }
  let stopping: Promise<CaptureSummary> | undefined
  const stop = (): Promise<CaptureSummary> => {
    stopping ??= (async () => {
      const lost = (await running.extensions()).find(({ name }) => name === id)?.counters['lost-records'] ?? 0
      try {
        await running.uninstallExtension(id)
      } finally {
        stream.end()
        runningCaptures.get(running)?.delete(id)
      }
      return { records: stream.records, bytes: stream.bytes, lost: lost + stream.lost }
    })()
    return stopping
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      yield* stream.read()
    } finally {
      await stop()
    }
  }
  return { id, chunks: chunks(), stop }
}

/** What waits between the switch and a reader. */
class CaptureStream {
  readonly #merger = new PcapngMerger()
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #ended = false
  #wake: (() => void) | undefined
  records = 0
  bytes = 0
  lost = 0

  /** Takes a block; false if it is lost. What describes the packets is always taken: there is little of it. */
  take(processor: number, record: Uint8Array): boolean {
    const block = this.#merger.merge(processor, record)
    if (block === undefined) return true
    if (isPacketBlock(block)) {
      if (this.#waitingBytes + block.length > BACKLOG_BYTES_MAX) {
        this.lost++
        return false
      }
      this.records++
    }
    this.bytes += block.length
    this.#waiting.push(block)
    this.#waitingBytes += block.length
    this.#ring()
    return true
  }

  end(): void {
    this.#ended = true
    this.#ring()
  }

  #ring(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  async *read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.#waiting.length > 0) yield this.#chunk()
      if (this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #chunk(): Uint8Array {
    let count = 0
    let bytes = 0
    while (count < this.#waiting.length && (count === 0 || bytes < CHUNK_BYTES)) bytes += this.#waiting[count++]!.length
    const chunk = Buffer.concat(this.#waiting.splice(0, count))
    this.#waitingBytes -= bytes
    return chunk
  }
}
