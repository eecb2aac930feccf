// Where `vmswitch capture` writes: standard output, a file, or a ring of files, each of which is a capture of its own.
//
// The rule it must not break: a file is cut between blocks, and begins with what describes the packets in it.
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { parse } from 'node:path'
import { isPacketBlock } from '../../packet/pcapng-merge.ts'

const FILE_MODE = 0o600
const NUMBER_DIGITS = 5

export interface CaptureFileOptions {
  readonly file: string
  /** A file is full at so many bytes; undefined: never. */
  readonly maxBytes?: number | undefined
  /** A file ends after so many seconds; undefined: never. */
  readonly maxSeconds?: number | undefined
  /** So many files are kept; undefined: all. */
  readonly files?: number | undefined
}

/** Writes the blocks of one section to files. Throws what the file system throws. */
export class CaptureFiles {
  readonly #options: CaptureFileOptions
  readonly #nowMs: () => number
  readonly #rotates: boolean
  readonly #preamble: Uint8Array[] = []
  readonly #names: string[] = []
  #fd = -1
  #bytes = 0
  #packets = 0
  #openedMs = 0
  #number = 0

  constructor(options: CaptureFileOptions, nowMs: () => number) {
    this.#options = options
    this.#nowMs = nowMs
    this.#rotates = options.maxBytes !== undefined || options.maxSeconds !== undefined
    this.#open()
  }

  /** The files that are there now, oldest first. */
  get names(): readonly string[] {
    return this.#names
  }

  write(block: Uint8Array): void {
    const isPacket = isPacketBlock(block)
    if (isPacket && this.#isFull(block.length)) this.#rotate()
    if (isPacket) this.#packets++
    else if (this.#rotates) this.#preamble.push(block.slice())
    this.#put(block)
  }

  #isFull(more: number): boolean {
    const { maxBytes, maxSeconds } = this.#options
    if (this.#packets === 0) return false
    if (maxBytes !== undefined && this.#bytes + more > maxBytes) return true
    return maxSeconds !== undefined && this.#nowMs() - this.#openedMs >= maxSeconds * 1000
  }

  #put(block: Uint8Array): void {
    for (let at = 0; at < block.length; ) at += writeSync(this.#fd, block, at)
    this.#bytes += block.length
  }

  // lab.pcapng becomes lab-00001.pcapng, lab-00002.pcapng …
  #open(): void {
    const { file } = this.#options
    const { dir, name, ext } = parse(file)
    const number = String(++this.#number).padStart(NUMBER_DIGITS, '0')
    const path = this.#rotates ? `${dir === '' ? '' : `${dir}/`}${name}-${number}${ext}` : file
    this.#fd = openSync(path, 'w', FILE_MODE)
    this.#names.push(path)
    this.#bytes = 0
    this.#packets = 0
    this.#openedMs = this.#nowMs()
    for (const block of this.#preamble) this.#put(block)
  }

  #rotate(): void {
    this.close()
    this.#open()
    const { files } = this.#options
    while (files !== undefined && this.#names.length > files) rmSync(this.#names.shift()!, { force: true })
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }
}
