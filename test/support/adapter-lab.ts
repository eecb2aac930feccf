// A running switch with one SR-IOV adapter, for tests: VMs whose ports are memory endpoints and whose VFs are fake guests', an uplink that
// is a memory endpoint too, and an extension that counts what it sees.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { MemoryEndpoint } from '../../src/endpoints/memory/memory-endpoint.ts'
import type { MemoryPeer } from '../../src/endpoints/memory/memory-peer.ts'
import type { AdapterConfig, AssignedVfStatus, IovConfig } from '../../src/engine/adapter-config.ts'
import type { VfPlug } from '../../src/engine/adapters/switch-adapters.ts'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import type { PortConfig } from '../../src/engine/switch-config.ts'
import { IgbvfDriver } from './igbvf-driver.ts'
import { FrontEnd } from './vhost-front-end.ts'

const counters = fileURLToPath(new URL('../../src/extensions/counters/index.ts', import.meta.url))
const WAIT_MS = 30_000
const REVERSE_ARP = 0x8035

/** A VM of the lab. */
export interface LabVm {
  readonly name: string
  readonly mac: string
  readonly iov?: Partial<IovConfig>
  readonly vmqWeight?: number
  readonly properties?: PortConfig['properties']
}

export interface LabOptions {
  readonly vms: readonly LabVm[]
  readonly adapter?: Partial<AdapterConfig>
  readonly processors?: number
  readonly plug?: VfPlug
  /** Extensions below the one that counts. */
  readonly extensions?: readonly ExtensionEntry[]
}

/** Anything that frames come from and go to. */
export interface Station {
  send(frame: Uint8Array): boolean
  /** Frames since the last call. */
  receive(): Buffer[]
}

export class AdapterLab {
  readonly running: RunningSwitch
  readonly events: string[]
  readonly #directory: string
  readonly #closers: (() => void)[] = []

  private constructor(running: RunningSwitch, directory: string, events: string[]) {
    this.running = running
    this.#directory = directory
    this.events = events
  }

  static async open({ vms, adapter = {}, processors = 1, plug, extensions = [] }: LabOptions): Promise<AdapterLab> {
    const directory = mkdtempSync(join(tmpdir(), 'vma-'))
    const events: string[] = []
    const plain = { macSpoofing: 'off', learning: false, link: 'up', endpoint: { kind: 'memory' } } as const
    const iovOf = ({ name, iov }: LabVm): IovConfig => ({
      weight: 0,
      form: 'vhost-user',
      path: join(directory, `${name}.vf`),
      queuePairs: 1,
      trusted: false,
      requireSeals: true,
      ...iov,
    })
    try {
      const running = await createSwitch(
        {
          name: 'lab',
          type: 'external',
          processors,
          extensions: [{ name: 'counters', file: counters, options: {}, enabled: true, onFailure: 'open' }, ...extensions],
          ports: [
            { ...plain, name: 'up', mac: null, learning: true, endpoint: { kind: 'adapter', adapter: 'nic' } },
            ...vms.map(
              (vm): PortConfig => ({
                ...plain,
                name: vm.name,
                mac: vm.mac,
                ...(vm.iov ? { iov: iovOf(vm) } : {}),
                ...(vm.vmqWeight === undefined ? {} : { vmqWeight: vm.vmqWeight }),
                ...(vm.properties ? { properties: vm.properties } : {}),
              }),
            ),
          ],
          adapters: [
            {
              name: 'nic',
              mac: '02:00:00:00:00:f0',
              uplink: { kind: 'memory' },
              vfs: 4,
              mtu: 1500,
              speedMbps: 0,
              order: 'deferred',
              ...adapter,
            },
          ],
          macTable: { entries: 256, ageingSeconds: 300 },
          directory,
        },
        { log: ({ source, code, message }) => events.push(`${source}: ${code}: ${message}`), ...(plug ? { plug } : {}) },
      )
      return new AdapterLab(running, directory, events)
    } catch (error) {
      rmSync(directory, { recursive: true })
      throw error
    }
  }

  /** What the VM sends and gets through its port of the switch. */
  synthetic(name: string): Station {
    return this.#station(this.running.endpoint(name))
  }

  /** The other end of the adapter's wire. */
  wire(): Station {
    return this.#station(this.running.adapters.uplink('nic'))
  }

  #station(endpoint: unknown): Station {
    assert.ok(endpoint instanceof MemoryEndpoint)
    const peer: MemoryPeer = endpoint.peer()
    this.#closers.push(() => peer.close())
    return {
      send: (frame) => peer.send(frame),
      receive() {
        const frames: Buffer[] = []
        for (let frame = peer.receive(); frame; frame = peer.receive()) frames.push(Buffer.from(frame))
        return frames
      },
    }
  }

  /** A guest that drives the VF of a VM as a virtio-net device; it is up when this settles. */
  async virtio(name: string): Promise<Station & { readonly guest: FrontEnd }> {
    const guest = FrontEnd.connect(this.assigned(name)!.path)
    this.#closers.push(() => guest.close())
    await guest.setUp()
    await this.until(() => this.assigned(name)?.state === 'active', `VF of ${name} active`)
    return { guest, send: (frame) => guest.send(frame), receive: () => guest.receive() }
  }

  /** A guest that drives it as an Intel VF. */
  async igbvf(name: string): Promise<Station & { readonly guest: IgbvfDriver }> {
    const guest = IgbvfDriver.connect(this.assigned(name)!.path)
    this.#closers.push(() => guest.close())
    await guest.setUp({ maxFrame: 1518 })
    await this.until(() => this.assigned(name)?.state === 'active', `VF of ${name} active`)
    return {
      guest,
      send: (frame) => guest.send(frame),
      receive() {
        const frames: Buffer[] = []
        for (let got = guest.receive(); got; got = guest.receive()) frames.push(got.frame)
        return frames
      },
    }
  }

  assigned(name: string): AssignedVfStatus | undefined {
    return this.running.adapters.list()[0]?.assigned.find(({ port }) => port === name)
  }

  /** Frames (of no well-known protocol, as `wireFrame` makes them) that the extension saw on ingress so far. */
  async seen(): Promise<number> {
    const [extension] = await this.running.extensions()
    return extension!.counters['ingress.other.frames']!
  }

  async until(done: () => boolean, what: string): Promise<void> {
    for (const end = performance.now() + WAIT_MS; !done(); await sleep(1))
      assert.ok(performance.now() < end, `waited for ${what}\n${this.describe()}`)
  }

  /** Texts of the frames that a station gets, announcements left out, once there are `count` of them. */
  async texts(station: Station, count: number): Promise<string[]> {
    const found: string[] = []
    await this.until(() => {
      found.push(
        ...station
          .receive()
          .filter((frame) => frame.readUInt16BE(12) !== REVERSE_ARP)
          .map(textOf),
      )
      return found.length >= count
    }, `${count} frames, got ${found.length}`)
    return found
  }

  describe(): string {
    const { running, events } = this
    return JSON.stringify({ events, adapters: running.adapters.list(), ports: running.ports(), drops: running.drops() }, null, 1)
  }

  async close(): Promise<void> {
    for (const close of this.#closers) close()
    await this.running.close()
    rmSync(this.#directory, { recursive: true })
  }
}

/** The text of a frame made by `wireFrame`. */
export const textOf = (frame: Uint8Array): string => Buffer.from(frame.subarray(14)).toString('latin1').replace(/\0+$/, '')

/** Runs `work` with a lab and closes it afterwards. */
export async function withLab(options: LabOptions, work: (lab: AdapterLab) => Promise<void>): Promise<void> {
  const lab = await AdapterLab.open(options)
  try {
    await work(lab)
  } finally {
    await lab.close()
  }
}
