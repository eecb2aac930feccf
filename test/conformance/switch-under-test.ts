// A whole switch for conformance tests: processors in threads, memory endpoints as connections, extensions of ./extensions, and what
// they logged. Test names carry the numbers of the rules they prove (ES-nnn): scripts count them.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MemoryEndpoint } from '../../src/endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../../src/endpoints/memory/memory-peer.ts'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { createSwitch, type PortConfig, type RunningSwitch, type SwitchConfig } from '../../src/engine/host.ts'
import type { EdgeComponents } from '../../src/switch/control.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import type { Behaviour } from './extensions/behaviour.ts'

const WAIT_MS = 20_000 // only a failing test waits that long
/** Long enough for a frame that must not come to have come. */
const QUIET_MS = 30
const TEST_TYPE = 0x88b5

export interface UseOptions extends Behaviour {
  readonly name: string
  readonly class: 'capturing' | 'filtering' | 'forwarding'
  readonly enabled?: boolean
  readonly onFailure?: 'open' | 'closed'
  readonly required?: boolean
}

/** An extension entry of the configuration. */
export function use({
  name,
  class: extensionClass,
  enabled = true,
  onFailure = 'open',
  required = true,
  ...options
}: UseOptions): ExtensionEntry {
  const file = fileURLToPath(new URL(`./extensions/${extensionClass}.ts`, import.meta.url))
  return { name, file, enabled, onFailure, required, options }
}

export interface UnderTestOptions {
  readonly type?: SwitchConfig['type']
  readonly limits?: SwitchConfig['limits']
  readonly edge?: EdgeComponents
  readonly extensions?: readonly ExtensionEntry[]
  readonly ports?: number
  readonly processors?: number
  readonly isolateTenants?: boolean
  /** The checking mode. */
  readonly verify?: boolean
}

/** A port number's MAC address; ports are called p1, p2 … and made in this order, so that their ids are 1, 2 …. */
export const macOf = (port: number): string => `02:00:00:00:00:${port.toString(16).padStart(2, '0')}`

export const portConfig = (port: number, given: Partial<PortConfig> = {}): PortConfig => ({
  name: `p${port}`,
  mac: macOf(port),
  macSpoofing: 'off',
  learning: false,
  link: 'up',
  endpoint: { kind: 'memory' },
  ...given,
})

/** A test frame with a text; `to` 0 = broadcast. */
export function frame(to: number, from: number, text: string): Buffer {
  const bytes = Buffer.alloc(Math.max(60, 14 + text.length))
  bytes.set(to === 0 ? [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] : [2, 0, 0, 0, 0, to], 0)
  bytes.set([2, 0, 0, 0, 0, from], 6)
  bytes.writeUInt16BE(TEST_TYPE, 12)
  bytes.write(text, 14, 'latin1')
  return bytes
}

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).subarray(14).toString('latin1').replace(/\0+$/, '')

export class SwitchUnderTest {
  readonly switch: RunningSwitch
  readonly log: { source: string; code: string; message: string }[]
  readonly #peers = new Map<number, MemoryPeer>()
  #read = 0

  private constructor(running: RunningSwitch, log: SwitchUnderTest['log']) {
    this.switch = running
    this.log = log
  }

  /** A running switch whose ports are connected; closed when the test ends. */
  static async start(t: TestContext, options: UnderTestOptions = {}): Promise<SwitchUnderTest> {
    const { extensions = [], ports = 2, processors = 1, verify = false, type = 'private', limits = {}, edge = {} } = options
    const { isolateTenants = false } = options
    const log: SwitchUnderTest['log'] = []
    const running = await createSwitch(
      {
        name: 'under-test',
        type,
        limits,
        processors,
        verify,
        isolateTenants,
        extensions,
        ports: Array.from({ length: ports }, (_, i) => portConfig(i + 1)),
        macTable: { entries: 1024, ageingSeconds: 300 },
        directory: temporaryDirectory(),
      },
      { log: (event) => log.push(event), edge },
    )
    const underTest = new SwitchUnderTest(running, log)
    t.after(() => underTest.close())
    await underTest.until(() => running.ports().every((port) => port.connected), 'all ports to be connected')
    underTest.said() // what was logged at start is of no interest, unless asked for
    return underTest
  }

  /** The connection of port `pN`. */
  peer(port: number): MemoryPeer {
    let peer = this.#peers.get(port)
    if (!peer) {
      const endpoint = this.switch.endpoint(`p${port}`)
      assert.ok(endpoint instanceof MemoryEndpoint)
      peer = endpoint.peer()
      this.#peers.set(port, peer)
    }
    return peer
  }

  /** Forgets the peer of a port that is going to be removed. */
  unplug(port: number): void {
    this.#peers.get(port)?.close()
    this.#peers.delete(port)
  }

  /** Sends frames from a port, waiting where its ring is full. */
  async send(from: number, to: number, ...texts: string[]): Promise<void> {
    for (const text of texts) {
      const bytes = frame(to, from, text)
      const end = performance.now() + WAIT_MS
      while (!this.peer(from).send(bytes)) {
        assert.ok(performance.now() < end, `port ${from} could not send`)
        await sleep(1)
      }
    }
  }

  /** Texts of the frames that wait at a port. */
  take(port: number): string[] {
    const texts: string[] = []
    const peer = this.peer(port)
    for (let bytes = peer.receive(); bytes; bytes = peer.receive()) texts.push(textOf(bytes))
    return texts
  }

  /** Waits until a port got `count` frames and returns their texts; then looks that no more come, if `exactly`. */
  async receive(port: number, count: number, exactly = true): Promise<string[]> {
    const texts: string[] = []
    await this.until(
      () => texts.push(...this.take(port)) >= count || texts.length >= count,
      () => `${count} frames at port ${port}, not ${texts.length}: ${texts.slice(-5).join(', ')}`,
    )
    if (exactly) {
      await sleep(QUIET_MS)
      texts.push(...this.take(port))
      assert.equal(texts.length, count, `port ${port} got more: ${texts.join(', ')}`)
    }
    return texts
  }

  /** Asserts that nothing comes at a port. */
  async silence(...ports: number[]): Promise<void> {
    await sleep(QUIET_MS)
    for (const port of ports) assert.deepEqual(this.take(port), [], `port ${port}`)
  }

  async until(done: () => boolean, what: string | (() => string)): Promise<void> {
    const end = performance.now() + WAIT_MS
    for (let ms = 0; !done(); ms = Math.min(ms + 1, 10)) {
      if (performance.now() > end) throw new Error(`waited ${WAIT_MS} ms for ${typeof what === 'string' ? what : what()}`)
      await sleep(ms)
    }
  }

  /** What extensions logged since the last call: "name: text". */
  said(): string[] {
    const fresh = this.log.slice(this.#read)
    this.#read = this.log.length
    return fresh
      .filter(({ code }) => code === 'log')
      .map(({ source, message }) => `${source.replace('extension ', '')}: ${message}`)
  }

  /** Waits until something was logged that `matches`. */
  async heard(matches: (event: SwitchUnderTest['log'][number]) => boolean, what: string): Promise<void> {
    await this.until(() => this.log.some(matches), what)
  }

  /** Drops of a port by reason. */
  drops(port: number): Record<string, number> {
    return this.switch.drops().find((drop) => drop.port === `p${port}`)?.reasons ?? {}
  }

  async extension(name: string) {
    const found = (await this.switch.extensions()).find((extension) => extension.name === name)
    assert.ok(found, `extension ${name}`)
    return found
  }

  async close(): Promise<void> {
    for (const port of [...this.#peers.keys()]) this.unplug(port)
    await this.switch.close()
  }
}
