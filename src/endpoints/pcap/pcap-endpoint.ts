// A capture file as an endpoint: sends the frames of one again, and records what the switch sends to the port.
//
// The rule it must not break: a port that replays never holds up the control thread, and one that can't write any more goes on without
// recording.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { FRAME_MAX } from '../../kernels/layout.ts'
import { PcapngWriter } from '../../packet/pcapng-writer.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import { MemoryEndpoint } from '../memory/memory-endpoint.ts'
import type { MemoryPeer } from '../memory/memory-peer.ts'
import { type CapturedFrame, readCapture } from './capture-file.ts'

const RING_BYTES = 1024 * 1024
const TICK_MS = 1
const FRAMES_PER_TICK = 4096
const OUTBOUND = 2 // pcapng's direction flag
const FILE_MODE = 0o600

export interface PcapOptions extends EndpointOptions {
  /** File whose frames are sent to the switch: pcap or pcapng. */
  readonly replay?: string | undefined
  /** File that frames from the switch are recorded to, as pcapng; one that exists is replaced. */
  readonly record?: string | undefined
  /** original (default): with the times of the capture; fastest: as fast as the switch takes them; or frames per second. */
  readonly speed?: 'original' | 'fastest' | number
  /** Begins anew at the end of the file (default: no). */
  readonly loop?: boolean
  /** Milliseconds before the first frame, so that other ports can come up (default 1000). */
  readonly delayMs?: number
}

export class PcapEndpoint implements EndpointControl {
  readonly kind = 'pcap'
  readonly #options: PcapOptions
  readonly #components: EndpointComponents
  readonly #memory: MemoryEndpoint
  readonly #writer = new PcapngWriter(FRAME_MAX)
  #peer: MemoryPeer | null = null
  #frames: readonly CapturedFrame[] = []
  #file = -1
  #timer: NodeJS.Timeout | undefined
  #sent = 0
  #recorded = 0
  #rounds = 0

  constructor(options: PcapOptions, components: EndpointComponents) {
    this.#options = options
    this.#components = components
    this.#memory = new MemoryEndpoint({ port: options.port, ringBytes: RING_BYTES }, components)
  }

  async open(): Promise<void> {
    if (this.#peer !== null) return
    const { replay, record, delayMs = 1000 } = this.#options
    const { events } = this.#components
    try {
      if (replay !== undefined) {
        const { frames, leftOut } = readCapture(readFileSync(replay))
        this.#frames = frames.filter(({ data }) => data.length <= FRAME_MAX)
        if (leftOut > 0)
          events.event('frames-left-out', `${replay}: ${leftOut} frames are cut or not Ethernet and are not sent again`)
      }
      if (record !== undefined) {
        this.#file = openSync(record, 'w', FILE_MODE)
        this.#write(this.#writer.section('vmswitch'))
        this.#write(this.#writer.interface(`port ${this.#options.port}`, ''))
      }
      await this.#memory.open()
    } catch (error) {
      await this.close()
      throw error
    }
    this.#sent = 0
    this.#recorded = 0
    this.#rounds = 0
    const peer = this.#memory.peer()
    this.#peer = peer
    peer.onFrame((frame) => this.#record(frame))
    if (this.#frames.length > 0) this.#timer = setTimeout(() => this.#replay(peer, performance.now(), 0), delayMs)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#peer?.close()
    this.#peer = null
    await this.#memory.close()
    if (this.#file >= 0) closeSync(this.#file)
    this.#file = -1
  }

  describe(): Record<string, unknown> {
    const { replay = '', record = '', speed = 'original', loop = false } = this.#options
    return {
      replay,
      record,
      speed,
      loop,
      frames: this.#frames.length,
      sent: this.#sent,
      rounds: this.#rounds,
      recorded: this.#recorded,
    }
  }

  /** Sends what is due, from frame `next` on, of a round that began at `startMs`. */
  #replay(peer: MemoryPeer, startMs: number, next: number): void {
    const { speed = 'original', loop = false } = this.#options
    const frames = this.#frames
    const end = Math.min(frames.length, next + FRAMES_PER_TICK)
    const passedMs = performance.now() - startMs
    let at = next
    for (; at < end; at++) {
      const dueMs = speed === 'fastest' ? 0 : speed === 'original' ? frames[at]!.timeMs : (at * 1000) / speed
      if (dueMs > passedMs || !peer.send(frames[at]!.data)) break
      this.#sent++
    }
    const over = at === frames.length
    if (over) {
      this.#rounds++
      if (!loop) {
        this.#components.events.event('replay-ended', `all ${frames.length} frames of ${this.#options.replay} were sent`)
        return
      }
    }
    this.#timer = setTimeout(() => this.#replay(peer, over ? performance.now() : startMs, over ? 0 : at), TICK_MS)
  }

  #record(frame: Uint8Array): void {
    if (this.#file < 0) return
    const now = performance.timeOrigin + performance.now()
    const writer = this.#writer
    writer.setTime(Math.floor(now / 1000), Math.floor((now % 1000) * 1e6))
    writer.bytes.set(frame, writer.dataOffset)
    this.#recorded++
    this.#write(writer.packet(0, frame.length, frame.length, OUTBOUND, this.#recorded, -1))
  }

  #write(length: number): void {
    try {
      writeSync(this.#file, this.#writer.bytes, 0, length)
    } catch (error) {
      closeSync(this.#file)
      this.#file = -1
      this.#components.events.event('record-failed', `${this.#options.record}: ${(error as Error).message}; recording ends`)
    }
  }
}
