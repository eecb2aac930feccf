import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { CONTROL_BYTES, SharedMemory } from './shared-memory.ts'

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

test('a large table lies in huge pages beside what ports take; where guests have everything, there is no room for it', {
  skip: hugePages ? false : 'the kernel has no transparent huge pages',
}, () => {
  const memory = SharedMemory.create()
  const bytes = 18 << 20
  const at = memory.allocateTable(bytes)
  assert.ok(at >= CONTROL_BYTES)
  assert.equal((memory.base + at) % (2 << 20), 0)
  for (const offset of [0, bytes - 1]) assert.ok(flagsOf(memory.base + at + offset).includes('hg'))
  assert.equal(memory.u8[at + bytes - 1], 0)
  assert.ok(memory.allocateForPort(4096) >= CONTROL_BYTES)
  while (memory.reserveGuest(1) >= 0);
  assert.equal(memory.allocateTable(bytes), 0)
})

test('memory for a port is zeroed again when it was given back, costs pages only where it is used, and leaves the guests what it did not take', () => {
  const memory = SharedMemory.create()
  const guests = memory.guestBytesAvailable
  const control = memory.controlBytesAvailable
  const bytes = 600 * 1024 * 1024
  const resident = process.memoryUsage.rss()
  const at = memory.allocateForPort(bytes)
  assert.ok(at + bytes <= memory.u8.length)
  assert.ok(process.memoryUsage.rss() - resident < bytes / 4)
  assert.equal(memory.controlBytesAvailable, control)
  const guest = memory.reserveGuest(1 << 30)
  assert.ok(guest > at + bytes)
  for (const offset of [0, bytes / 2, bytes - 1]) memory.u8[at + offset] = 1
  memory.free(at, bytes)
  assert.equal(memory.allocateForPort(bytes), at)
  for (const offset of [0, bytes / 2, bytes - 1]) assert.equal(memory.u8[at + offset], 0)
  memory.free(at, bytes)
  memory.releaseGuest(guest, 1 << 30)
  assert.equal(memory.guestBytesAvailable, guests)
})

test('when guests have all of their memory, ports take theirs from the control memory, and guests find room again afterwards', () => {
  const memory = SharedMemory.create()
  const step = 64 << 20
  const guests: number[] = []
  for (let at = memory.reserveGuest(step); at >= 0; at = memory.reserveGuest(step)) guests.push(at)
  while (memory.reserveGuest(1) >= 0);
  // What lies beside whole huge pages, where the memory does not begin with one, is no guest's: less than a huge page.
  let at = memory.allocateForPort(4096)
  for (let left = 512; left > 0 && at >= CONTROL_BYTES; left--) at = memory.allocateForPort(4096)
  assert.ok(at < CONTROL_BYTES)
  memory.free(at, 4096)
  memory.releaseGuest(guests.at(-1)!, step) // the lowest
  const beside = memory.allocateForPort(4096)
  assert.ok(beside >= CONTROL_BYTES)
  memory.free(beside, 4096)
  assert.equal(memory.reserveGuest(step), guests.at(-1))
})
