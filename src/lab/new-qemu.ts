// A QEMU that speaks vfio-user (10.1 or newer): the machine's own, or, where that is older, one that is fetched from a newer Debian with all
// the libraries it needs into the project's cache folder. Nothing is installed, nothing of the machine is changed, and root is not needed.
//
// The rule it must not break: a half-fetched QEMU is never used. Everything is made beside its place and renamed into it.
import { existsSync, globSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from './errors.ts'
import { QEMU_PROGRAM } from './qemu.ts'
import { findProgram, runOrThrow, runProgram } from './run-program.ts'

/** First QEMU with vfio-user-pci. */
export const VFIO_USER_SINCE = [10, 1] as const
const SUITE = 'trixie'
const PACKAGES = ['qemu-system-x86', 'seabios']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const LIBRARIES = 'usr/lib/x86_64-linux-gnu'
const DONE = 'qemu-system-x86_64'

/** Whether a QEMU of `version` ("11.1.3", "7.2.15 (Debian …)") has vfio-user-pci. */
export function speaksVfioUser(version: string): boolean {
  const match = /(\d+)\.(\d+)/.exec(version)
  if (match === null) return false
  const [major, minor] = [Number(match[1]), Number(match[2])]
  return major > VFIO_USER_SINCE[0] || (major === VFIO_USER_SINCE[0] && minor >= VFIO_USER_SINCE[1])
}

/** The program to start. Throws a LabError that says why there is none and what would help. `progress` gets a line before long steps. */
export async function ensureNewQemu(
  options: { cacheDirectory: string },
  components: { progress: (line: string) => void },
): Promise<string> {
  const own = await findProgram(QEMU_PROGRAM)
  if (own !== null && speaksVfioUser((await runOrThrow(own, ['--version'])).toString())) return own
  const target = join(options.cacheDirectory, 'qemu')
  const program = join(target, DONE)
  if (!existsSync(program)) await fetchQemu(options.cacheDirectory, target, components.progress)
  return program
}

async function fetchQemu(cacheDirectory: string, target: string, progress: (line: string) => void): Promise<void> {
  const mirror = await debianMirror()
  progress(`fetching a QEMU that speaks vfio-user from Debian ${SUITE} (40 MB)`)
  await mkdir(cacheDirectory, { recursive: true })
  const work = await mkdtemp(join(cacheDirectory, 'qemu-fetch-'))
  try {
    await download(work, mirror)
    const made = join(work, 'made')
    const root = join(made, 'root')
    await mkdir(made)
    for (const file of globSync('archives/*.deb', { cwd: work })) await runOrThrow('dpkg-deb', ['-x', join(work, file), root])
    await writeFile(join(made, DONE), startScript)
    await chmod(join(made, DONE), 0o755)
    const version = (await runOrThrow(join(made, DONE), ['--version'])).toString()
    if (!speaksVfioUser(version))
      throw new LabError('image-incomplete', `the QEMU that was fetched is too old: ${version.trim()}`)
    await rm(target, { recursive: true, force: true })
    await rename(made, target)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

// Its own loader and libraries: the machine's may be older. Paths are found from the script, so that the folder can be moved.
const startScript = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
root=$here/root
export QEMU_MODULE_DIR=$root/${LIBRARIES}/qemu
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/${LIBRARIES}" "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
`

/** Where this machine gets Debian packages from. */
async function debianMirror(): Promise<string> {
  const help = `install a QEMU of ${VFIO_USER_SINCE.join('.')} or newer by hand`
  if (!existsSync(KEYRING)) throw new LabError('program-missing', `there is no ${KEYRING} to check packages with: ${help}`)
  const { code, stdout } = await runProgram('apt-get', ['indextargets', '--format', '$(REPO_URI)|$(ORIGIN)|$(CODENAME)'])
  const lines = code === 0 ? stdout.toString().split('\n') : []
  for (const line of lines) {
    const [uri, origin, codename] = line.split('|')
    if (uri && origin === 'Debian' && codename && !codename.includes('-')) return uri
  }
  throw new LabError('program-missing', `apt on this machine knows no Debian archive to fetch a newer QEMU from: ${help}`)
}

/** Downloads QEMU with everything it depends on, as if nothing were installed, with package lists of its own. */
async function download(work: string, mirror: string): Promise<void> {
  for (const folder of ['lists/partial', 'archives/partial', 'parts']) await mkdir(join(work, folder), { recursive: true })
  await writeFile(join(work, 'status'), '')
  const source = (suite: string): string => `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`
  await writeFile(join(work, 'sources.list'), source(SUITE) + source(`${SUITE}-backports`))
  const settings = [
    `Dir::Etc::sourcelist=${join(work, 'sources.list')}`,
    `Dir::Etc::sourceparts=${join(work, 'parts')}`,
    `Dir::Etc::preferencesparts=${join(work, 'parts')}`,
    `Dir::State=${work}`,
    `Dir::State::lists=${join(work, 'lists')}`,
    `Dir::State::status=${join(work, 'status')}`,
    `Dir::Cache=${work}`,
    `Dir::Cache::archives=${join(work, 'archives')}`,
    'APT::Sandbox::User=',
    'Acquire::Languages=none',
    'Debug::NoLocking=1',
  ].flatMap((setting) => ['-o', setting])
  try {
    await runOrThrow('apt-get', [...settings, 'update'])
    const install = ['install', '-y', '--download-only', '--no-install-recommends', '-t', `${SUITE}-backports`]
    await runOrThrow('apt-get', [...settings, ...install, ...PACKAGES])
  } catch (error) {
    throw new LabError('program-missing', `a newer QEMU can't be fetched: ${(error as Error).message}`, { cause: error })
  }
}
