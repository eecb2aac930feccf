// The image that a guest in a browser tab boots (docs/browser-guests.md): SeaBIOS, the distribution's own 32-bit kernel, and an initial
// file system of busybox, a few modules and our init. Fetched once into the cache folder, from the distribution's packages.
//
// The rule it must not break: a half-made image is never used. It is made beside its place and renamed into it.
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { browserInit } from './browser-init.ts'
import { type CpioEntry, writeCpio } from './cpio.ts'
import { LabError } from './errors.ts'
import { openForeignPackages } from './foreign-packages.ts'
import { guestDhcp } from './guest-init.ts'
import { type ChosenModule, chooseModules, modulesDep } from './kernel-modules.ts'
import { dependsOf, unpackPackages } from './kernel-package.ts'
import { moduleSource } from './module-files.ts'

/** What v86 emulates is a 32-bit processor. */
const ARCHITECTURE = 'i386'
/** Packages that always depend on the newest kernel: the one without PAE first, which is smaller. */
const metaPackages = ['linux-image-686', 'linux-image-686-pae'] as const
const programs = ['busybox-static', 'seabios'] as const
const modulesWanted = { required: ['virtio_pci', 'virtio_net'], optional: ['ne2k_pci', '8021q'] } as const

/** The files of an image, as they are named in its folder. */
export const browserFiles = { bios: 'bios.bin', kernel: 'vmlinuz', initrd: 'initrd.gz' } as const

/** What the folder of an image says of itself, in image.json. */
export interface BrowserImage {
  /** Of the init in it: another one makes the image anew. */
  readonly revision: string
  /** What `uname -r` says in the guest. */
  readonly release: string
  readonly packages: readonly string[]
  /** SHA-256 of each file, in hex. */
  readonly sha256: Readonly<Record<keyof typeof browserFiles, string>>
}

/** Where in the project's cache folder the image is. */
export const browserImageFolder = (cacheDirectory: string): string => join(cacheDirectory, 'guest-browser')

const hashOf = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')
/** Of what this version makes an image of. */
export const imageRevision = hashOf(JSON.stringify([browserInit, guestDhcp, modulesWanted])).slice(0, 16)

/** The image in `folder`, or null if there is none that fits this version. */
export function readBrowserImage(folder: string): BrowserImage | null {
  const file = join(folder, 'image.json')
  if (!existsSync(file)) return null
  const image = JSON.parse(readFileSync(file, 'utf8')) as BrowserImage
  return image.revision === imageRevision ? image : null
}

/**
 * The image, fetched if the cache folder does not hold it yet. `progress` gets a line before each step that takes seconds. Throws
 * LabError `kernel-package-missing`, `image-incomplete`.
 */
export async function ensureBrowserImage(
  { cacheDirectory }: { cacheDirectory: string },
  { progress }: { progress: (line: string) => void },
): Promise<{ readonly folder: string; readonly image: BrowserImage }> {
  const folder = browserImageFolder(cacheDirectory)
  const stored = readBrowserImage(folder)
  if (stored !== null) return { folder, image: stored }
  await mkdir(cacheDirectory, { recursive: true })
  const work = await mkdtemp(join(cacheDirectory, 'guest-browser-fetch-'))
  try {
    const made = join(work, 'image')
    await mkdir(made)
    const image = await makeImage(work, made, progress)
    await rm(folder, { recursive: true, force: true })
    await rename(made, folder)
    return { folder, image }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function makeImage(work: string, made: string, progress: (line: string) => void): Promise<BrowserImage> {
  progress(`fetching the lists of ${ARCHITECTURE} packages`)
  const apt = await openForeignPackages(join(work, 'apt'), ARCHITECTURE)
  const packages = [await findKernel(apt), ...programs]
  progress(`fetching what guests in browsers boot: ${packages.join(', ')}`)
  const download = join(work, 'download')
  await mkdir(download)
  const root = await unpackPackages(packages, download, apt)
  const one = (what: string, pattern: string): string => {
    const [found] = globSync(pattern, { cwd: root })
    if (found === undefined) throw new LabError('image-incomplete', `${packages.join(', ')}: no ${what} (${pattern})`)
    return join(root, found)
  }
  const kernel = one('kernel', 'boot/vmlinuz-*')
  const release = basename(kernel).slice('vmlinuz-'.length)
  const { modules, missing } = chooseModules(await moduleSource(root, release), [], modulesWanted)
  if (missing.length > 0) throw new LabError('image-incomplete', `the kernel ${release} has no ${missing.join(', ')}`)
  const busybox = await readFile(one('busybox', '{usr/,}bin/busybox'))
  const files = {
    bios: join(made, browserFiles.bios),
    kernel: join(made, browserFiles.kernel),
    initrd: join(made, browserFiles.initrd),
  }
  await copyFile(one('BIOS', 'usr/share/seabios/bios.bin'), files.bios)
  await copyFile(kernel, files.kernel)
  await writeFile(files.initrd, gzipSync(writeCpio(entriesOf(release, modules, busybox)), { level: 1 }))
  const image: BrowserImage = {
    revision: imageRevision,
    release,
    packages: globSync('*.deb', { cwd: download }).map((file) => decodeURIComponent(basename(file, '.deb'))),
    sha256: {
      bios: hashOf(await readFile(files.bios)),
      kernel: hashOf(await readFile(files.kernel)),
      initrd: hashOf(await readFile(files.initrd)),
    },
  }
  await writeFile(join(made, 'image.json'), `${JSON.stringify(image, null, 2)}\n`)
  return image
}

async function findKernel(apt: readonly string[]): Promise<string> {
  for (const meta of metaPackages) {
    const kernel = (await dependsOf(meta, apt)).find((name) => /^linux-image-\d/.test(name))
    if (kernel !== undefined) return kernel
  }
  throw new LabError(
    'kernel-package-missing',
    `the sources of apt have no ${metaPackages.join(' or ')} for ${ARCHITECTURE}: Debian has such kernels up to version 12; or they can't be reached`,
  )
}

function entriesOf(release: string, modules: readonly ChosenModule[], busybox: Buffer): CpioEntry[] {
  const place = `lib/modules/${release}`
  const folders = ['bin', 'dev', 'proc', 'sys', 'tmp', 'etc', 'etc/udhcpc', 'lib', 'lib/modules', place]
  const text = (path: string, data: string, mode: number): CpioEntry => ({ kind: 'file', path, data: Buffer.from(data), mode })
  const atBoot = modules.filter((module) => module.atBoot).map((module) => `${module.name}\n`)
  return [
    ...folders.map((path): CpioEntry => ({ kind: 'directory', path })),
    // The kernel opens its console before init has mounted anything.
    { kind: 'device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'device', path: 'dev/null', major: 1, minor: 3, mode: 0o666 },
    { kind: 'file', path: 'bin/busybox', data: busybox, mode: 0o755 },
    text('init', browserInit, 0o755),
    text('etc/udhcpc/default.script', guestDhcp, 0o755),
    text('etc/passwd', 'root::0:0:root:/:/bin/sh\n', 0o644),
    ...modules.map((module): CpioEntry => ({ kind: 'file', path: `${place}/${module.name}.ko`, data: module.data })),
    text(`${place}/modules.dep`, modulesDep(modules), 0o644),
    text(`${place}/at-boot`, atBoot.join(''), 0o644),
  ]
}
