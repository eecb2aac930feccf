import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionReader } from '../ndis/module-options.ts'
import { compileAcls } from '../switch/acl/acl-plan.ts'
import { parseExtendedAcl } from '../switch/acl/extended-acl-options.ts'
import { AclMemory, bytesOf } from './acl-memory.ts'

const extendedAcl = parseExtendedAcl(
  new OptionReader({ rules: [{ action: 'deny', direction: 'outbound', protocol: 'tcp', remotePort: 25 }] }),
)
const arena = (room: number) => {
  let left = room
  return {
    buffer: new SharedArrayBuffer(131072),
    allocate(bytes: number): number {
      if (bytes > left) throw new Error('full')
      left -= bytes
      return 64 + left
    },
    free(_at: number, bytes: number): void {
      left += bytes
    },
  }
}
const compile = (memory: AclMemory) => compileAcls(1, { extendedAcl }, 1, undefined, memory.place)!

test('programs that find no room in linear memory lie in memory of their own, and are counted there', () => {
  const all = bytesOf(compile(new AclMemory(arena(65536)))).linear
  for (const memory of [new AclMemory(arena(65536), all - 4), new AclMemory(arena(all - 4))]) {
    const plan = compile(memory)
    const { linear, own } = bytesOf(plan)
    assert.equal(linear + own, all)
    assert.ok(own > 0 && linear > 0)
    assert.equal(memory.taken, linear)
    memory.release(plan)
    assert.equal(memory.taken, 0)
  }
})
