// The file behind a sink: records are appended as they come; it is cut between records and renamed when it is full.
//
// The rules it must not break: a file that can't be written (a full disk) loses records and nothing else, counts them, and goes on behind its
// last whole record when there is room again; a file that is to be kept is never emptied.
import {
  closeSync,
  createWriteStream,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  type WriteStream,
} from 'node:fs'
import { dirname } from 'node:path'
import type { SinkDeclaration } from '../extension.ts'

/** Milliseconds after which a file that failed is tried again. */
const RETRY_MS = 5000

/** Where the records of one ring go. */
export interface RecordTarget {
  /** Records that it did not take. */
  readonly lost: number
  write(record: Uint8Array, preamble: boolean): void
  close(): Promise<void>
}

const isPlainFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false

export class SinkFile implements RecordTarget {
  readonly #declaration: SinkDeclaration
  readonly #path: string
  readonly #retryMs: number
  #stream: WriteStream | NodeJS.WriteStream
  /** Bytes of the file with all that was given to it, and with what it took. */
  #written = 0
  #kept = 0
  #failedAt: number | undefined
  /** Records that the file did not take. */
  lost = 0
  readonly #preamble: Uint8Array[] = []

  /** `retryMs`: after so many milliseconds a file that failed is tried again. Throws what the system says if it can't be opened. */
  constructor(declaration: SinkDeclaration, path: string, retryMs = RETRY_MS) {
    this.#declaration = declaration
    this.#path = path
    this.#retryMs = retryMs
    this.#stream = this.#open(declaration.append === true)
  }

  #open(append: boolean): WriteStream | NodeJS.WriteStream {
    if (this.#path === '-') return process.stdout
    mkdirSync(dirname(this.#path), { recursive: true })
    // A new file, not the old one emptied: while an extension is reloaded its predecessor still writes there.
    if (!append && isPlainFile(this.#path)) rmSync(this.#path)
    // Opened at once: a file that is cut again before it is open would be written by two streams.
    const fd = openSync(this.#path, append ? 'a' : 'w', 0o600)
    this.#kept = fstatSync(fd).size
    this.#written = this.#kept
    return this.#streamOf(fd)
  }

  #streamOf(fd: number): WriteStream {
    const stream = createWriteStream(this.#path, { fd })
    stream.on('error', () => {
      if (stream === this.#stream) this.#failedAt ??= performance.now()
    })
    return stream
  }

  write(record: Uint8Array, preamble: boolean): void {
    if (this.#failedAt !== undefined && performance.now() - this.#failedAt >= this.#retryMs) this.#again()
    const limit = this.#declaration.rotateBytes ?? 0
    if (limit > 0 && this.#path !== '-' && !preamble && this.#written + record.length > limit) this.#rotate()
    if (preamble) this.#preamble.push(record)
    if (this.#failedAt !== undefined) this.lost++
    else this.#append(record)
  }

  #append(record: Uint8Array): void {
    const stream = this.#stream
    this.#written += record.length
    stream.write(record, (error) => {
      if (error) this.lost++
      else if (stream === this.#stream) this.#kept += record.length
    })
  }

  // A record that was written in part is taken off the file, which goes on behind the last whole one.
  #again(): void {
    const size = this.#kept
    try {
      const fd = openSync(this.#path, 'a', 0o600)
      try {
        if (fstatSync(fd).isFile()) ftruncateSync(fd, Math.min(size, fstatSync(fd).size))
        this.#kept = fstatSync(fd).size
      } catch (error) {
        closeSync(fd)
        throw error
      }
      this.#written = this.#kept
      this.#stream = this.#streamOf(fd)
      this.#failedAt = undefined
      if (this.#kept === 0) for (const record of this.#preamble) this.#append(record)
    } catch {
      this.#failedAt = performance.now()
    }
  }

  #rotate(): void {
    this.#stream.end()
    try {
      for (let i = (this.#declaration.rotateFiles ?? 1) - 1; i >= 0; i--) {
        const from = i === 0 ? this.#path : `${this.#path}.${i}`
        if (existsSync(from)) renameSync(from, `${this.#path}.${i + 1}`)
      }
      this.#stream = this.#open(false)
    } catch {
      this.#failedAt ??= performance.now()
      return
    }
    this.#failedAt = undefined // a file that failed may have been the cause: the next one is tried
    for (const record of this.#preamble) this.#append(record)
  }

  close(): Promise<void> {
    if (this.#stream === process.stdout || this.#stream.destroyed) return Promise.resolve()
    return new Promise((done) => this.#stream.end(done))
  }
}
