// A directory of its own for a test's sockets and files, short enough for socket paths, removed when the process ends.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A fresh directory. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-'))
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }))
  return directory
}
