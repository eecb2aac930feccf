// A processor of rss-table.test.ts as a thread: looks entries up while another thread changes the table, and counts what it may not see.
import { workerData } from 'node:worker_threads'
import { RssTable } from '../../src/adapter/rss/rss-table.ts'

const { buffer, results, good } = workerData
const counts = new Int32Array(results)
const table = new RssTable(buffer, 0, 2)
const allowed: readonly number[] = good
Atomics.store(counts, 0, 1)
for (let hash = 0; Atomics.load(counts, 1) === 0; hash = (Math.imul(hash, 1103515245) + 12345) >>> 0) {
  const types = table.types(1)
  const processor = types === 0 ? table.primary(1) : table.entry(1, hash >>> 8)
  if (!allowed.includes(processor)) Atomics.add(counts, 2, 1)
  Atomics.add(counts, 3, 1)
}
