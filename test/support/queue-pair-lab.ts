// A running switch with software guests on vhost-user ports that have several queue pairs, for tests: flows of numbered frames, and what
// came of them by which queue pair.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PUBLISHED_HASH_KEY } from '../../src/adapter/rss/hash-types.ts'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import type { RssStatus } from '../../src/engine/rss/rss-config.ts'
import type { PortConfig, SwitchConfig } from '../../src/engine/switch-config.ts'
import { tcpFrame } from '../../src/packet/build.ts'
import { FrontEnd, type SetUpOptions } from './vhost-front-end.ts'

const WAIT_MS = 30_000
const MEMORY_BYTES = 160 * 2 ** 20 // for the buffers of four queue pairs
const NUMBER_AT = 54 // behind the headers of Ethernet, IPv4 and TCP
const SOURCE_PORT_AT = 34

export interface LabGuest extends Partial<Pick<PortConfig, 'vmmqEnabled' | 'vmmqQueuePairs'>> {
  readonly mac: string
  readonly queuePairs?: number
}

export interface QueuePairLabOptions extends Partial<Pick<SwitchConfig, 'processors' | 'adapters' | 'type' | 'rss'>> {
  readonly guests: Readonly<Record<string, LabGuest>>
  /** Further ports. */
  readonly ports?: readonly PortConfig[]
}

/** A frame of a flow, which is told by its source port; `number` counts its frames. */
export function numberedFrame(from: string, to: string, flow: number, number: number): Uint8Array {
  const addresses = { sourceMac: from, destinationMac: to, source: '10.0.0.1', destination: '10.0.0.2' }
  const payload = new Uint8Array(10)
  new DataView(payload.buffer).setUint32(0, number)
  return tcpFrame(addresses, flow, 80, { data: payload })
}

export class QueuePairLab {
  readonly running: RunningSwitch
  readonly events: string[]
  readonly #directory: string
  readonly #guests: FrontEnd[] = []

  private constructor(running: RunningSwitch, directory: string, events: string[]) {
    this.running = running
    this.#directory = directory
    this.events = events
  }

  static async open({ guests, ports = [], ...options }: QueuePairLabOptions): Promise<QueuePairLab> {
    const directory = mkdtempSync(join(tmpdir(), 'vmq-'))
    const events: string[] = []
    const guestPorts = Object.entries(guests).map(([name, { mac, queuePairs = 1, ...settings }]): PortConfig => {
      const endpoint = { kind: 'vhost-user', mode: 'server', mtu: 1500, requireSeals: false, queuePairs } as const
      const path = join(directory, `${name}.sock`)
      return { name, mac, macSpoofing: 'on', learning: false, link: 'up', endpoint: { ...endpoint, path }, ...settings }
    })
    try {
      const running = await createSwitch(
        {
          name: 'pairs',
          type: 'private',
          processors: 2,
          extensions: [],
          macTable: { entries: 64, ageingSeconds: 300 },
          directory,
          rss: { rebalanceSeconds: 0, hashKey: Buffer.from(PUBLISHED_HASH_KEY).toString('hex') },
          ...options,
          ports: [...ports, ...guestPorts],
        },
        { log: ({ source, code, message }) => events.push(`${source}: ${code}: ${message}`) },
      )
      return new QueuePairLab(running, directory, events)
    } catch (error) {
      rmSync(directory, { recursive: true })
      throw error
    }
  }

  /** The guest of a port, with its driver up. */
  async guest(name: string, options: SetUpOptions = {}): Promise<FrontEnd> {
    const guest = FrontEnd.connect(join(this.#directory, `${name}.sock`))
    this.#guests.push(guest)
    guest.addMemory(MEMORY_BYTES)
    await guest.setUp(options)
    await this.until(() => this.running.ports().some((port) => port.name === name && port.connected), `the connection of ${name}`)
    const { queuePairs = 1 } = options
    const receiving = (): number => this.running.adapters.rss.list().find(({ port }) => port === name)?.receiving ?? 1
    await this.until(() => receiving() === queuePairs, `${queuePairs} queue pairs of ${name}`)
    return guest
  }

  rss(name: string): RssStatus {
    const found = this.running.adapters.rss.list().find(({ port }) => port === name)
    assert.ok(found, `port ${name} has no table: ${this.events.join('\n')}`)
    return found
  }

  async until(done: () => boolean, what: string): Promise<void> {
    for (const end = performance.now() + WAIT_MS; !done(); await sleep(1))
      assert.ok(performance.now() < end, `waited for ${what}: ${JSON.stringify([this.events, this.running.drops()])}`)
  }

  async close(): Promise<void> {
    for (const guest of this.#guests) guest.close()
    await this.running.close()
    rmSync(this.#directory, { recursive: true })
  }
}

/** What a guest got, flow by flow. */
export class FlowRecord {
  /** Frames by queue pair. */
  readonly byPair: number[]
  /** Queue pairs that each flow came by. */
  readonly pairsOf = new Map<number, Set<number>>()
  count = 0
  readonly #guest: FrontEnd
  readonly #last = new Map<number, number>()

  constructor(guest: FrontEnd, queuePairs: number) {
    this.#guest = guest
    this.byPair = new Array(queuePairs).fill(0)
  }

  /** Takes what has come by the queue pairs, in this order. Fails where a frame comes behind a later one of its flow. */
  take(order: readonly number[] = [...this.byPair.keys()]): void {
    for (const pair of order)
      for (const frame of this.#guest.receive(pair)) {
        if (frame.length <= NUMBER_AT) continue
        const flow = frame.readUInt16BE(SOURCE_PORT_AT)
        const number = frame.readUInt32BE(NUMBER_AT)
        assert.equal(number, (this.#last.get(flow) ?? -1) + 1, `flow ${flow}, by queue pair ${pair}`)
        this.#last.set(flow, number)
        this.pairsOf.set(flow, (this.pairsOf.get(flow) ?? new Set()).add(pair))
        this.byPair[pair] = this.byPair[pair]! + 1
        this.count++
      }
  }
}
