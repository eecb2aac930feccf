// A switch with real guests on its ports, for tests: from configuration text to guests that answer, and everything gone afterwards.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import { nicBackendOf } from '../../src/lab/plan.ts'
import { QemuGuest } from '../../src/lab/qemu.ts'
import type { NicOptions } from '../../src/lab/qemu-arguments.ts'
import { loadConfig } from '../../src/manage/config/load.ts'
import type { ResolvedConfig } from '../../src/manage/config/types.ts'
import { engineConfig } from '../../src/manage/switch-host.ts'
import type { GuestTests } from './qemu.ts'

export interface GuestShape {
  readonly memoryMiB?: number
  readonly processors?: number
  readonly nic?: Partial<Pick<NicOptions, 'queues' | 'mtu' | 'properties'>>
  /** QEMU to start; the machine's own without it. */
  readonly program?: string | undefined
}

export class QemuLab {
  readonly config: ResolvedConfig
  readonly running: RunningSwitch
  /** What the switch reported so far: "port alpha: code: message". */
  readonly events: string[]
  readonly #tests: GuestTests
  readonly #directory: string
  readonly #guests: QemuGuest[] = []

  private constructor(tests: GuestTests, directory: string, config: ResolvedConfig, running: RunningSwitch, events: string[]) {
    this.#tests = tests
    this.#directory = directory
    this.config = config
    this.running = running
    this.events = events
  }

  /** Starts the switch that `yaml` describes, in a folder of its own. */
  static async open(tests: GuestTests, yaml: string): Promise<QemuLab> {
    const directory = await mkdtemp(join(tmpdir(), 'vml-'))
    const file = join(directory, 'lab.yaml')
    await writeFile(file, yaml)
    const loaded = await loadConfig(file)
    const own = { env: { XDG_RUNTIME_DIR: directory }, cwd: directory, canWrite: () => true }
    const config = loaded.runtime.directory.startsWith(directory) ? loaded : await loadConfig(file, own)
    await mkdir(config.runtime.directory, { recursive: true })
    const events: string[] = []
    const log = (event: { source: string; code: string; message: string }) =>
      events.push(`${event.source}: ${event.code}: ${event.message}`)
    try {
      return new QemuLab(tests, directory, config, await createSwitch(engineConfig(config), { log }), events)
    } catch (error) {
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  /** Makes a guest on a port; it is not started. Guest N of the lab has the address 10.77.0.N. */
  guest(portName: string, shape: GuestShape = {}): QemuGuest {
    if (this.#tests.skip !== false) throw new Error(`a test that must be skipped runs: ${this.#tests.skip}`)
    const index = this.config.switch.ports.findIndex((port) => port.name === portName)
    const port = this.config.switch.ports[index]
    const { image, choice } = this.#tests
    const guest = new QemuGuest({
      name: portName,
      image,
      runDirectory: this.#directory,
      accelerator: choice.accelerator,
      ...(shape.program === undefined ? {} : { program: shape.program }),
      memoryMiB: shape.memoryMiB ?? 192,
      processors: shape.processors ?? 1,
      nics: [
        {
          mac: port.mac ?? `52:54:00:77:01:0${index + 1}`,
          address: `10.77.0.${index + 1}/24`,
          backend: nicBackendOf(port.endpoint, portName),
          ...shape.nic,
        },
      ],
    })
    this.#guests.push(guest)
    return guest
  }

  /** Starts a guest on each of the ports, and waits until all are up. */
  async boot(shapes: Readonly<Record<string, GuestShape>>): Promise<QemuGuest[]> {
    const guests = Object.entries(shapes).map(([port, shape]) => this.guest(port, shape))
    await Promise.all(guests.map(async (guest) => guest.start().then(() => guest.ready())))
    return guests
  }

  async close(): Promise<void> {
    await Promise.all(this.#guests.map((guest) => guest.stop()))
    await this.running.close()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Sends random bytes from one guest to another's receive service. Returns both sides' length and hash. */
export async function transfer(from: QemuGuest, address: string, mebibytes: number) {
  await from.check(`dd if=/dev/urandom of=/tmp/payload bs=65536 count=${mebibytes * 16} 2>/dev/null`)
  const sent = (await from.check('sha256sum </tmp/payload')).split(' ')[0]
  const [bytes, , received] = (await from.check(`nc -w 10 ${address} 5001 </tmp/payload`, { timeoutMs: 60_000 })).split(' ')
  return { bytes: Number(bytes), sent, received }
}
