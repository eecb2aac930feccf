// Huge pages for DPDK's memory: as many as a benchmark needs, and afterwards as many as there were.
//
// The rule it must not break: a number that somebody else has set in the meantime is left alone.
import { readFileSync, writeFileSync } from 'node:fs'
import { BenchError } from '../benchmark.ts'

const COUNT = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages'
const FREE = '/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages'
/** What makes the kernel find pages in one piece, the gentlest first; neither loses anything. */
const MAKE_ROOM = [
  ['/proc/sys/vm/compact_memory', '1'],
  ['/proc/sys/vm/drop_caches', '1'],
  ['/proc/sys/vm/compact_memory', '1'],
] as const

/** Bytes of one page. */
export const HUGE_PAGE_BYTES = 2 * 1024 * 1024

const read = (path: string): number => Number(readFileSync(path, 'utf8'))

/** Makes sure that `pages` huge pages are free; the result gives them back. Throws `NEEDS_ROOT` or `NEEDS_MEMORY`. */
export function reserveHugePages(pages: number): () => void {
  const free = read(FREE)
  const before = read(COUNT)
  if (free >= pages) return () => {}
  const wanted = before + pages - free
  const command = `echo ${wanted} > ${COUNT}`
  try {
    writeFileSync(COUNT, String(wanted))
  } catch {
    throw new BenchError('NEEDS_ROOT', `DPDK needs ${pages} huge pages, ${free} are free; as root, run: ${command}`)
  }
  const restore = (): void => {
    if (read(COUNT) === wanted) writeFileSync(COUNT, String(before))
  }
  // Pages that hang together are scarce where files were read and written: first by moving pages, then by giving up what is only cached.
  for (const [path, value] of MAKE_ROOM) {
    if (read(FREE) >= pages) return restore
    writeFileSync(path, value)
    writeFileSync(COUNT, String(wanted))
  }
  if (read(FREE) >= pages) return restore
  const got = read(FREE)
  writeFileSync(COUNT, String(before))
  throw new BenchError(
    'NEEDS_MEMORY',
    `DPDK needs ${pages} free huge pages (${(pages * HUGE_PAGE_BYTES) / 2 ** 20} MiB), the kernel could give only ${got}; free memory and run again`,
  )
}
