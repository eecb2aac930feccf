// What tests with virtual functions in guests need besides: a QEMU that speaks vfio-user, and a kernel with igbvf.
import { fileURLToPath } from 'node:url'
import { ensureGuestImage } from '../../src/lab/images.ts'
import { ensureNewQemu } from '../../src/lab/new-qemu.ts'
import type { GuestTests } from './qemu.ts'

const cacheDirectory = fileURLToPath(new URL('../../.cache', import.meta.url))

export type VfGround = { readonly tests: GuestTests; readonly program: string } | { readonly skip: string }

/** Fetches both once; says why where that can't be done. */
export async function prepareVfGuests(): Promise<VfGround> {
  try {
    const progress = (line: string) => process.stderr.write(`guests: ${line}\n`)
    const program = await ensureNewQemu({ cacheDirectory }, { progress })
    const image = await ensureGuestImage({ cacheDirectory, kernel: 'full' }, { progress })
    // The accelerator was tried with the machine's own QEMU, if at all: emulation works with any.
    return { program, tests: { skip: false, image, choice: { accelerator: 'tcg', reason: 'it works everywhere' } } }
  } catch (error) {
    return { skip: `no QEMU with vfio-user, or no kernel with igbvf: ${(error as Error).message}` }
  }
}
