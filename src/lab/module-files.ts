// The module files of an unpacked kernel package, whatever a distribution compresses them with.
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { LabError } from './errors.ts'
import { canonicalModuleName, type ModuleSource } from './kernel-modules.ts'

const MODULE_MAX_BYTES = 64 * 1024 * 1024

/** The modules of the kernel `release` below `root`, where its package was unpacked. */
export async function moduleSource(root: string, release: string): Promise<ModuleSource> {
  const files = new Map<string, string>()
  for (const path of globSync(`{usr/,}lib/modules/${release}/kernel/**/*.ko{,.xz,.zst,.gz}`, { cwd: root }))
    files.set(canonicalModuleName(basename(path).replace(/\.ko(\..*)?$/, '')), join(root, path))
  const builtin = new Set<string>()
  for (const list of globSync(`{usr/,}lib/modules/${release}/modules.builtin`, { cwd: root }))
    for (const line of (await readFile(join(root, list), 'utf8')).split('\n'))
      builtin.add(canonicalModuleName(basename(line.trim()).replace(/\.ko$/, '')))
  return {
    read: (name) => {
      const path = files.get(name)
      return path === undefined ? null : decompressed(path)
    },
    builtin: (name) => builtin.has(name),
  }
}

function decompressed(path: string): Uint8Array {
  const data = readFileSync(path)
  if (path.endsWith('.gz')) return gunzipSync(data)
  if (path.endsWith('.zst')) return zstdDecompressSync(data)
  if (!path.endsWith('.xz')) return data
  for (const [program, args] of [
    ['xz', ['-dc']],
    ['busybox', ['xzcat']],
  ] as const) {
    const done = spawnSync(program, args, { input: data, maxBuffer: MODULE_MAX_BYTES })
    if (done.status === 0) return done.stdout
  }
  throw new LabError('program-missing', `${basename(path)} is compressed with xz; install xz-utils`)
}
