import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { SharedMemory } from './shared-memory.ts'

// The flags of the mapping that holds `address`.
function flagsOf(address: number): readonly string[] {
  let holds = false
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line)
    if (range) holds = Number.parseInt(range[1]!, 16) <= address && address < Number.parseInt(range[2]!, 16)
    else if (holds && line.startsWith('VmFlags:')) return line.slice('VmFlags:'.length).trim().split(' ')
  }
  return []
}

const hugePages = existsSync('/sys/kernel/mm/transparent_hugepage/enabled')

test('control memory asks for huge pages, guests keep the pages of their files', {
  skip: hugePages ? false : 'the kernel has no transparent huge pages',
}, () => {
  const memory = SharedMemory.create()
  const at = memory.allocate(8 << 20)
  assert.ok(flagsOf(memory.base + at + (4 << 20)).includes('hg'))
  assert.ok(!flagsOf(memory.base + memory.reserveGuest(1)).includes('hg'))
})
