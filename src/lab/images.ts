// The image that lab guests boot: the distribution's own kernel, and an initial file system of busybox, a few modules and our
// init. Fetched once into the cache folder; after that nothing needs a network, the package manager or root.
//
// The rule it must not break: a half-made image is never used. Everything is made beside its place and renamed into it.
import { createHash } from 'node:crypto'
import { existsSync, globSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type CpioEntry, writeCpio } from './cpio.ts'
import { LabError } from './errors.ts'
import { guestAgent, guestDhcp, guestInit, guestReceive, guestSink } from './guest-init.ts'
import { type ChosenModule, cardModules, chooseModules, modulesDep, optionalModules, requiredModules } from './kernel-modules.ts'
import { findKernelPackages, type KernelVariant, unpackPackages } from './kernel-package.ts'
import { moduleSource } from './module-files.ts'
import { findProgram } from './run-program.ts'

/** Where in the project's cache folder the guests' things are. */
export const guestFolder = (cacheDirectory: string, variant: KernelVariant = 'small'): string =>
  join(cacheDirectory, variant === 'small' ? 'guest' : 'guest-full')

export interface GuestImage {
  /** Path of the kernel (bzImage). */
  readonly kernel: string
  /** Path of the initial file system (newc, gzip). */
  readonly initrd: string
  /** What `uname -r` says in the guest. */
  readonly release: string
}

/** What is kept of a kernel package. */
interface StoredKernel {
  readonly release: string
  readonly packages: readonly string[]
  /** Which modules were looked for: a longer list in a later version of this file fetches anew. */
  readonly wanted: readonly string[]
  readonly modules: readonly { name: string; needs: readonly string[]; atBoot: boolean }[]
}

const moreModules: Readonly<Record<KernelVariant, readonly string[]>> = { small: [], full: cardModules }
const wantedModules = (variant: KernelVariant): string[] => [...requiredModules, ...optionalModules, ...moreModules[variant]]
const ELF_MAGIC = 0x7f454c46
const PT_INTERP = 3

/**
 * The image, made if the project's cache folder does not hold it yet; `kernel: 'full'` is one with drivers of PCI network cards.
 * `progress` gets a line before each step that takes seconds.
 */
export async function ensureGuestImage(
  options: { cacheDirectory: string; kernel?: KernelVariant },
  components: { progress: (line: string) => void },
): Promise<GuestImage> {
  const variant = options.kernel ?? 'small'
  const folder = guestFolder(options.cacheDirectory, variant)
  await mkdir(folder, { recursive: true })
  const kernelFolder = join(folder, 'kernel')
  let stored = await readStored(kernelFolder, variant)
  if (stored === null) stored = await fetchKernel(folder, kernelFolder, variant, components.progress)
  const busybox = await ensureBusybox(folder, components.progress)
  const initrd = await ensureInitrd(folder, kernelFolder, stored, busybox)
  return { kernel: join(kernelFolder, 'vmlinuz'), initrd, release: stored.release }
}

async function readStored(kernelFolder: string, variant: KernelVariant): Promise<StoredKernel | null> {
  const file = join(kernelFolder, 'kernel.json')
  if (!existsSync(file) || !existsSync(join(kernelFolder, 'vmlinuz'))) return null
  const stored = JSON.parse(await readFile(file, 'utf8')) as StoredKernel
  return wantedModules(variant).every((name) => stored.wanted.includes(name)) ? stored : null
}

async function fetchKernel(
  folder: string,
  target: string,
  variant: KernelVariant,
  progress: (line: string) => void,
): Promise<StoredKernel> {
  const packages = await findKernelPackages(variant)
  progress(`fetching the guests' kernel: ${packages.join(', ')}`)
  const work = await mkdtemp(join(folder, 'fetch-'))
  try {
    const root = await unpackPackages(packages, work)
    const kernels = globSync('boot/vmlinuz-*', { cwd: root })
    if (kernels.length !== 1)
      throw new LabError('image-incomplete', `${packages.join(', ')}: expected one kernel under boot/, found ${kernels.length}`)
    const release = basename(kernels[0]).slice('vmlinuz-'.length)
    const { modules, missing } = chooseModules(await moduleSource(root, release), moreModules[variant])
    if (missing.length > 0)
      throw new LabError('image-incomplete', `${packages.join(', ')}: the kernel ${release} has no ${missing.join(', ')}`)
    const made = join(work, 'kernel')
    await mkdir(made)
    await copyFile(join(root, kernels[0]), join(made, 'vmlinuz'))
    for (const module of modules) await writeFile(join(made, `${module.name}.ko`), module.data)
    const stored: StoredKernel = {
      release,
      packages,
      wanted: wantedModules(variant),
      modules: modules.map(({ name, needs, atBoot }) => ({ name, needs, atBoot })),
    }
    await writeFile(join(made, 'kernel.json'), `${JSON.stringify(stored, null, 2)}\n`)
    await rm(target, { recursive: true, force: true })
    await rename(made, target)
    return stored
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** Is the file a program that needs no shared libraries (no PT_INTERP segment)? */
function isStatic(file: Buffer): boolean {
  if (file.length < 64 || file.readUInt32BE(0) !== ELF_MAGIC) return false
  const table = Number(file.readBigUInt64LE(32))
  const size = file.readUInt16LE(54)
  const count = file.readUInt16LE(56)
  for (let i = 0; i < count; i++) if (file.readUInt32LE(table + i * size) === PT_INTERP) return false
  return true
}

/** Path of a static busybox: the machine's own, or one fetched into the cache. */
async function ensureBusybox(folder: string, progress: (line: string) => void): Promise<string> {
  const cached = join(folder, 'busybox')
  if (existsSync(cached)) return cached
  let source = await findProgram('busybox')
  const work = await mkdtemp(join(folder, 'fetch-'))
  try {
    if (source === null || !isStatic(await readFile(source))) {
      progress("fetching the guests' programs: busybox-static")
      const root = await unpackPackages(['busybox-static'], work)
      source = globSync('{usr/,}bin/busybox', { cwd: root }).map((path) => join(root, path))[0] ?? null
      if (source === null) throw new LabError('image-incomplete', 'the package busybox-static holds no bin/busybox')
    }
    const copy = join(work, 'busybox')
    await copyFile(source, copy)
    await rename(copy, cached)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return cached
}

function entriesOf(stored: StoredKernel, modules: readonly ChosenModule[], busybox: Buffer): CpioEntry[] {
  const modulesFolder = `lib/modules/${stored.release}`
  const folders = ['bin', 'sbin', 'dev', 'proc', 'sys', 'tmp', 'etc', 'etc/udhcpc', 'lib', 'lib/modules', modulesFolder]
  const text = (path: string, data: string, mode: number): CpioEntry => ({ kind: 'file', path, data: Buffer.from(data), mode })
  const atBoot = modules.filter((module) => module.atBoot).map((module) => `${module.name}\n`)
  return [
    ...folders.map((path): CpioEntry => ({ kind: 'directory', path })),
    // The kernel opens its console before init has mounted anything.
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'device', path: 'dev/null', major: 1, minor: 3, mode: 0o666 },
    { kind: 'file', path: 'bin/busybox', data: busybox, mode: 0o755 },
    text('init', guestInit, 0o755),
    text('sbin/agent', guestAgent, 0o755),
    text('sbin/sink', guestSink, 0o755),
    text('sbin/receive', guestReceive, 0o755),
    text('etc/udhcpc/default.script', guestDhcp, 0o755),
    text('etc/passwd', 'root::0:0:root:/tmp:/bin/sh\n', 0o644),
    ...modules.map((module): CpioEntry => ({ kind: 'file', path: `${modulesFolder}/${module.name}.ko`, data: module.data })),
    text(`${modulesFolder}/modules.dep`, modulesDep(modules), 0o644),
    text(`${modulesFolder}/at-boot`, atBoot.join(''), 0o644),
  ]
}

async function ensureInitrd(folder: string, kernelFolder: string, stored: StoredKernel, busybox: string): Promise<string> {
  const modules: ChosenModule[] = []
  for (const module of stored.modules) modules.push({ ...module, data: await readFile(join(kernelFolder, `${module.name}.ko`)) })
  const archive = writeCpio(entriesOf(stored, modules, await readFile(busybox)))
  const hash = createHash('sha256').update(archive).digest('hex').slice(0, 16)
  const file = join(folder, `initrd-${hash}.gz`)
  if (existsSync(file)) return file
  const work = `${file}.${process.pid}`
  // Unpacking is the guest's work under emulation, and speed 1 unpacks as fast as any: size does not matter here.
  await writeFile(work, gzipSync(archive, { level: 1 }))
  await rename(work, file)
  for (const old of globSync('initrd-*.gz', { cwd: folder }))
    if (join(folder, old) !== file) await rm(join(folder, old), { force: true })
  return file
}
