// What the tests with real guests share: the image, the accelerator, a run directory, and the reason when this machine can't.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type AcceleratorChoice, chooseAccelerator } from '../../src/lab/accelerator.ts'
import { ensureGuestImage, type GuestImage } from '../../src/lab/images.ts'
import { QEMU_PROGRAM, QemuGuest, type QemuGuestOptions } from '../../src/lab/qemu.ts'
import { findProgram } from '../../src/lab/run-program.ts'

const cacheDirectory = fileURLToPath(new URL('../../.cache', import.meta.url))

export type GuestTests =
  | { readonly skip: string }
  | { readonly skip: false; readonly image: GuestImage; readonly choice: AcceleratorChoice }

/** Everything guests need, or why this machine has none. `skip` fits the option of node:test. */
export async function prepareGuestTests(): Promise<GuestTests> {
  if ((await findProgram(QEMU_PROGRAM)) === null)
    return { skip: `${QEMU_PROGRAM} is not installed: apt-get install qemu-system-x86` }
  try {
    const progress = (line: string) => process.stderr.write(`guests: ${line}\n`)
    const image = await ensureGuestImage({ cacheDirectory }, { progress })
    const choice = await chooseAccelerator({ cacheDirectory, image, override: process.env.VMSWITCH_ACCELERATOR }, { progress })
    return { skip: false, image, choice }
  } catch (error) {
    return { skip: `no guest image: ${(error as Error).message}` }
  }
}

/** A short-named folder of one test; removed, with its guests stopped, by `close`. */
export class GuestBench {
  readonly directory: string
  readonly #image: GuestImage
  readonly #choice: AcceleratorChoice
  readonly #guests: QemuGuest[] = []

  private constructor(directory: string, image: GuestImage, choice: AcceleratorChoice) {
    this.directory = directory
    this.#image = image
    this.#choice = choice
  }

  static async open(tests: GuestTests): Promise<GuestBench> {
    if (tests.skip !== false) throw new Error(`a test that must be skipped runs: ${tests.skip}`)
    return new GuestBench(await mkdtemp(join(tmpdir(), 'vmt-')), tests.image, tests.choice)
  }

  /** A guest that is not started yet. */
  guest(options: Omit<QemuGuestOptions, 'image' | 'runDirectory' | 'accelerator'>): QemuGuest {
    const guest = new QemuGuest({
      ...options,
      image: this.#image,
      runDirectory: this.directory,
      accelerator: this.#choice.accelerator,
    })
    this.#guests.push(guest)
    return guest
  }

  async close(): Promise<void> {
    await Promise.all(this.#guests.map((guest) => guest.stop()))
    await rm(this.directory, { recursive: true, force: true })
  }
}
