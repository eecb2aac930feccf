// Finds a distribution's own kernel for the guests: which packages hold it, by the package manager's own word, and fetches them
// into a folder without installing anything and without root.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from './errors.ts'
import { runOrThrow, runProgram } from './run-program.ts'

/** Which of a distribution's kernels: the small one for virtual machines, or the one with drivers of all cards. */
export type KernelVariant = 'small' | 'full'

/** Packages that always depend on the newest kernel: the small ones for virtual machines first (Debian, then Ubuntu). */
const fullPackages = ['linux-image-amd64', 'linux-image-generic']
const metaPackages: Readonly<Record<KernelVariant, readonly string[]>> = {
  small: ['linux-image-cloud-amd64', 'linux-image-virtual', 'linux-image-kvm', ...fullPackages],
  full: fullPackages,
}

/** The packages that `apt-cache depends` names as dependencies (alternatives included, virtual ones left out). */
export function parseDepends(text: string): string[] {
  const names: string[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*\|?(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]*)\s*$/.exec(line)
    if (match !== null) names.push(match[1])
  }
  return names
}

/** What the package `name` depends on; none if it is not known. `apt`: options of apt. */
export async function dependsOf(name: string, apt: readonly string[] = []): Promise<string[]> {
  const { code, stdout } = await runProgram('apt-cache', [...apt, 'depends', '--important', name])
  return code === 0 ? parseDepends(stdout.toString()) : []
}

/** The packages that together hold the newest kernel and its modules. Throws `kernel-package-missing`. */
export async function findKernelPackages(variant: KernelVariant = 'small'): Promise<string[]> {
  for (const meta of metaPackages[variant]) {
    const depends = await dependsOf(meta)
    const kernel = depends.find((name) => /^linux-image-(unsigned-)?\d/.test(name))
    if (kernel === undefined) continue
    // Ubuntu keeps the modules in packages of their own.
    const modules = [...depends, ...(await dependsOf(kernel))].filter((name) => /^linux-modules-(extra-)?\d/.test(name))
    return [kernel, ...new Set(modules)]
  }
  throw new LabError(
    'kernel-package-missing',
    `none of ${metaPackages[variant].join(', ')} is known to apt on this machine; "apt-get update" fetches the package lists`,
  )
}

/**
 * Downloads packages into `folder` (which must be empty) and unpacks them there under `root/`. Returns that path. `apt`: options of apt,
 * which checks what it downloads against the signed package lists.
 */
export async function unpackPackages(names: readonly string[], folder: string, apt: readonly string[] = []): Promise<string> {
  const root = join(folder, 'root')
  try {
    await runOrThrow('apt-get', [...apt, 'download', ...names], { cwd: folder })
  } catch (error) {
    throw new LabError(
      'kernel-package-missing',
      `apt can't download ${names.join(', ')}; if its package lists are old, "apt-get update" renews them (${(error as Error).message})`,
      { cause: error },
    )
  }
  for (const file of await readdir(folder))
    if (file.endsWith('.deb')) await runOrThrow('dpkg-deb', ['-x', join(folder, file), root])
  return root
}
