import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OptionReader } from '../ndis/module-options.ts'
import { type AclPlan, programsOf } from '../switch/acl/acl-plan.ts'
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
const compile = (memory: AclMemory, port = 1) => memory.compile(port, { extendedAcl }, 1)!

test('programs that find no room in linear memory lie in memory of their own, and are counted there', () => {
  const all = bytesOf(compile(new AclMemory(arena(65536)))).linear
  for (const memory of [new AclMemory(arena(65536), all - 4), new AclMemory(arena(all - 4))]) {
    const plan = compile(memory)
    const { linear, own } = bytesOf(plan)
    assert.equal(linear + own, all)
    assert.ok(own > 0 && linear > 0)
    assert.deepEqual(memory.figures(), { linear, own })
    memory.release(plan)
    assert.deepEqual(memory.figures(), { linear: 0, own: 0 })
  }
})

test('ports with equal lists have one program, which stays until the last of them is gone, and counters of their own', () => {
  const memory = new AclMemory(arena(65536))
  const plans = [1, 2, 3].map((port) => compile(memory, port))
  const [first, second, third] = plans as [AclPlan, AclPlan, AclPlan]
  assert.deepEqual(memory.figures(), bytesOf(first))
  for (const plan of plans) assert.deepEqual(programsOf(plan), programsOf(first))
  assert.notEqual(first.counters, second.counters)
  memory.release(first)
  memory.release(third)
  assert.deepEqual(memory.figures(), bytesOf(second))
  memory.release(second)
  assert.deepEqual(memory.figures(), { linear: 0, own: 0 })
})

test('a list that differs in anything that rules match has a program of its own, one that differs in actions alone has not', () => {
  const memory = new AclMemory(arena(65536))
  const of = (change: object) => {
    const rules = [{ action: 'deny', direction: 'outbound', protocol: 'tcp', remotePort: 25, ...change }]
    return memory.compile(1, { extendedAcl: parseExtendedAcl(new OptionReader({ rules })) }, 1)!.outbound!.extended!
  }
  const base = of({})
  for (const change of [{ remotePort: 26 }, { protocol: 'udp' }, { remoteIPAddress: '10.0.0.0/8' }, { localPort: 25 }])
    assert.notEqual(of(change).ipv4, base.ipv4, JSON.stringify(change))
  const allows = of({ action: 'allow' })
  assert.equal(allows.ipv4, base.ipv4)
  assert.deepEqual(
    [...allows.verdicts, ...base.verdicts].map((verdict) => verdict & 1),
    [0, 1],
  )
})

test('a list that found no room finds some for the next port that has it, once there is some', () => {
  const all = bytesOf(compile(new AclMemory(arena(65536)))).linear
  const memory = new AclMemory(arena(all))
  const others = parseExtendedAcl(new OptionReader({ rules: [{ action: 'deny', direction: 'inbound', protocol: 'udp' }] }))
  const before = memory.compile(1, { extendedAcl: others }, 1)!
  const crowded = compile(memory, 2)
  assert.ok(bytesOf(crowded).own > 0)
  memory.release(before)
  const roomy = compile(memory, 3)
  assert.ok(bytesOf(roomy).linear > bytesOf(crowded).linear)
  for (const plan of [crowded, roomy]) memory.release(plan)
  assert.deepEqual(memory.figures(), { linear: 0, own: 0 })
})
