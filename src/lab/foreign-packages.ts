// Packages of another processor than the machine's own, from the sources that its apt knows: with package lists of their own, in a
// folder that goes away.
//
// The rule it must not break: the machine's apt and dpkg are the same afterwards; the signatures of the sources are checked as ever.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './run-program.ts'

/**
 * Fetches the package lists of `architecture` ("i386") into `folder`, which must be empty. Returns the options with which apt-get and
 * apt-cache use them. A source that can't be reached or does not have the architecture is left out, as apt does: that a package is
 * missing shows when it is asked for.
 */
export async function openForeignPackages(folder: string, architecture: string): Promise<string[]> {
  const [lists, cache, status] = ['lists', 'cache', 'status'].map((name) => join(folder, name)) as [string, string, string]
  await mkdir(join(lists, 'partial'), { recursive: true })
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true })
  await writeFile(status, '')
  const options = {
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'Dir::State::status': status,
    'Dir::State::lists': lists,
    'Dir::Cache': cache,
    'Acquire::Languages': 'none',
    // The folder is this user's alone: apt's own user could not write to it.
    'APT::Sandbox::User': '',
  }
  const apt = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  await runProgram('apt-get', [...apt, '--quiet', 'update'])
  return apt
}
