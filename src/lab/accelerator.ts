// Decides whether guests run on KVM or on an emulated processor. That /dev/kvm opens proves little (in nested and sandboxed
// machines it opens and guests hang), so a guest is booted on it once; the answer is kept until the machine's next boot.
import { constants, readFileSync } from 'node:fs'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LabError } from './errors.ts'
import { type GuestImage, guestFolder } from './images.ts'
import { QemuGuest, qemuMajor } from './qemu.ts'
import type { Accelerator } from './qemu-arguments.ts'

/** On working KVM the guest is up in about one second. */
const PROBE_TIMEOUT_MS = 6_000
const DEVICE = '/dev/kvm'

export interface AcceleratorChoice {
  readonly accelerator: Accelerator
  /** Why, for a person. */
  readonly reason: string
}

/** The accelerator to use. `VMSWITCH_ACCELERATOR=kvm|tcg` in the environment overrides the probe. */
export async function chooseAccelerator(
  options: { cacheDirectory: string; image: GuestImage; override?: string | undefined },
  components: { progress: (line: string) => void },
): Promise<AcceleratorChoice> {
  const { override } = options
  if (override === 'kvm' || override === 'tcg') return { accelerator: override, reason: 'chosen by VMSWITCH_ACCELERATOR' }
  if (override !== undefined && override !== '')
    throw new LabError('check-failed', `VMSWITCH_ACCELERATOR=${override}: it can be kvm or tcg; unset it to let the lab find out`)
  try {
    await access(DEVICE, constants.R_OK | constants.W_OK)
  } catch {
    return { accelerator: 'tcg', reason: `${DEVICE} is missing or not open to this user` }
  }
  const file = join(guestFolder(options.cacheDirectory), 'kvm.json')
  const key = [readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(), options.image.release, await qemuMajor()].join(' ')
  const known = await readKnown(file, key)
  if (known !== null) return describe(known)
  components.progress(`trying ${DEVICE} with a guest (once per boot of this machine)`)
  const works = await guestBoots(options.image)
  await writeFile(file, `${JSON.stringify({ key, works })}\n`)
  return describe(works)
}

const describe = (works: boolean): AcceleratorChoice =>
  works
    ? { accelerator: 'kvm', reason: `${DEVICE} works` }
    : { accelerator: 'tcg', reason: `${DEVICE} is there, but a guest does not boot on it` }

async function readKnown(file: string, key: string): Promise<boolean | null> {
  try {
    const known = JSON.parse(await readFile(file, 'utf8')) as { key?: unknown; works?: unknown }
    return known.key === key && typeof known.works === 'boolean' ? known.works : null
  } catch {
    return null
  }
}

async function guestBoots(image: GuestImage): Promise<boolean> {
  const runDirectory = await mkdtemp(join(tmpdir(), 'vmswitch-kvm-'))
  const guest = new QemuGuest({
    name: 'probe',
    image,
    runDirectory,
    nics: [],
    accelerator: 'kvm',
    bootTimeoutMs: PROBE_TIMEOUT_MS,
  })
  try {
    await guest.start()
    await guest.ready()
    return true
  } catch {
    return false
  } finally {
    await guest.stop()
    await rm(runDirectory, { recursive: true, force: true })
  }
}
