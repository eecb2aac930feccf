// The guest: an emulated PC with the fetched kernel, its serial line, and a card whose frames go through the cable.
//
// The rule it must not break: a machine that is stopped is gone, with its memory and its cable.
import { V86 } from 'v86'
import wasm from 'v86/build/v86.wasm?url'
import type { BrowserImage } from '../../../src/lab/browser-image.ts'
import { open } from '../state/api.ts'
import { askTicket, Cable, type CableCounters } from './cable.ts'
import { commandLine, type GuestSettings } from './settings.ts'

const MIB = 1024 * 1024
const VGA_BYTES = MIB

export interface MachineEvents {
  /** What is being done before the guest runs. */
  step(text: string): void
  serial(byte: number): void
  link(why: string | null): void
}

const isLoopback = (host: string): boolean => /^(127\.|\[::1\]$|localhost$)/.test(host)

/** What a person is told where the port can't be reached from this browser; null: it can. */
function unreachable(url: string): string | null {
  const { host, hostname } = new URL(url)
  if (!isLoopback(hostname) || isLoopback(location.hostname)) return null
  return `The port listens on the switch's own machine (${host}): open the console there, or through ssh -L with this port too.`
}

/** v86 has a bus between its devices and the page that its types do not name. */
type Emulator = V86 & { readonly bus: { send(name: string, value: Uint8Array): void } }

async function file(name: string): Promise<ArrayBuffer> {
  return (await open('GET', `/console/guest/image/${name}`)).arrayBuffer()
}

export class Machine {
  readonly #emulator: Emulator
  readonly #cable: Cable

  private constructor(emulator: Emulator, cable: Cable) {
    this.#emulator = emulator
    this.#cable = cable
  }

  /** Boots a guest at `port`. Throws ApiError: there is no image, no such port, or no right to it. */
  static async start(port: string, settings: GuestSettings, events: MachineEvents): Promise<Machine> {
    events.step('Fetching kernel and programs…')
    const image = (await (await open('GET', '/console/guest/image/image.json')).json()) as BrowserImage
    const [bios, kernel, initrd] = await Promise.all([file('bios.bin'), file('vmlinuz'), file('initrd.gz')])
    const ticket = await askTicket(port)
    const problem = unreachable(ticket.url)
    if (problem !== null) throw new Error(problem)
    events.step(`Starting Linux ${image.release}…`)
    const emulator = new V86({
      wasm_path: wasm,
      memory_size: settings.memoryMiB * MIB,
      vga_memory_size: VGA_BYTES,
      bios: { buffer: bios },
      bzimage: { buffer: kernel },
      initrd: { buffer: initrd },
      cmdline: commandLine(settings, ticket),
      net_device: { type: 'virtio' },
      disable_keyboard: true,
      disable_mouse: true,
      disable_speaker: true,
      autostart: true,
    }) as Emulator
    const cable = new Cable(port, { link: events.link, frame: (frame) => emulator.bus.send('net0-receive', frame) })
    emulator.add_listener('net0-send', (frame) => cable.send(new Uint8Array(frame)))
    emulator.add_listener('serial0-output-byte', events.serial)
    cable.open(ticket)
    return new Machine(emulator, cable)
  }

  get counters(): Readonly<CableCounters> {
    return this.#cable.counters
  }

  /** Types at the serial line. */
  type(text: string): void {
    this.#emulator.serial_send_bytes(0, new TextEncoder().encode(text))
  }

  async stop(): Promise<void> {
    this.#cable.close()
    await this.#emulator.destroy()
  }
}
