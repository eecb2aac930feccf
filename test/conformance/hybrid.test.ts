import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NativeForwarding } from '../../src/switch/switch-edge.ts'
import { frame } from '../support/data-path-harness.ts'
import { directTo, filtering, forwarding, stackOf } from './handlers.ts'

const NVGRE = 0x6558

/** A stand-in for network virtualization: takes frames of a type, gives them another text, sends them to port 3. */
const virtualization = (harness: ReturnType<typeof stackOf>['harness']): NativeForwarding => ({
  claims: (batch, i) => batch.etherType(i) === NVGRE,
  forward(batch, i, direct) {
    const { pool } = harness
    const slot = batch.slots[i]!
    pool.header8[slot * 256 + pool.headerOffset[slot]! + 14] = 0x49 // decapsulated: the inner form
    if (batch.u8(i, 15) !== 0x30) assert.equal(direct(3), true)
    assert.equal(direct(9), false)
  },
})

test('CS-87 a claimed packet is marked before the forwarding extension, which may drop but not direct it; the switch directs the inner form (ES-438, ES-563, ES-564, ES-565, ES-566, ES-567, ES-568, ES-569, ES-570)', () => {
  const seen: string[] = []
  const note = (name: string, batch: Parameters<NonNullable<Parameters<typeof filtering>[0]['ingress']>>[0]) => {
    for (let i = 0; i < batch.length; i++)
      seen.push(`${name} ${String.fromCharCode(batch.u8(i, 14))} ${batch.isNativeForwardingRequired(i)}`)
  }
  const { harness, broken } = stackOf(4, [
    filtering({ ingress: (batch) => note('F down', batch) }),
    forwarding({
      ingress(batch) {
        note('X down', batch)
        for (let i = 0; i < batch.length; i++)
          if (batch.u8(i, 14) === 0x64) batch.drop(i, 'filtered')
          else assert.equal(batch.addDestination(i, 4), !batch.isNativeForwardingRequired(i))
      },
      egress: (batch) => note('X up', batch),
    }),
  ])
  harness.dataPath.setHooks(undefined, virtualization(harness))
  harness.send(1, frame(9, 1, 'outer', NVGRE), frame(9, 1, 'drop', NVGRE), frame(9, 1, 'plain'))
  assert.deepEqual(seen, [
    'F down o false',
    'F down d false',
    'F down p false',
    'X down o true',
    'X down d true',
    'X down p false',
    'X up I true',
    'X up p false',
  ])
  assert.deepEqual([harness.got(3), harness.got(4)], [['Iuter'], ['plain']])
  assert.deepEqual(broken(), ['ES-566'])
  harness.send(1, frame(9, 1, 'x0', NVGRE))
  assert.equal(harness.drops(1)['no-destination'], 1, 'virtualization found no destination')
})

test('without a forwarding extension the switch forwards all packets, claimed or not (ES-331, ES-573)', () => {
  const { harness } = stackOf(3, [])
  harness.send(1, frame(2, 1, 'outer', NVGRE), frame(2, 1, 'plain'))
  assert.deepEqual(harness.got(2), ['outer', 'plain'])
  harness.dataPath.setHooks(undefined, virtualization(harness))
  harness.send(1, frame(2, 1, 'outer', NVGRE), frame(2, 1, 'plain'))
  assert.deepEqual([harness.got(2), harness.got(3)], [['outer', 'plain', 'plain'], ['Iuter']])
})

test('CS-88 packets of an external virtual subnet carry its id, are not claimed, and may be rewritten on a clone (ES-302, ES-403, ES-529, ES-572)', () => {
  const seen: string[] = []
  const { harness } = stackOf(2, [
    filtering({
      ingress: (batch) => void seen.push(`${batch.virtualSubnetId(0)} ${batch.isNativeForwardingRequired(0)}`),
    }),
    forwarding({
      ingress(batch, sw) {
        seen.push(`${batch.virtualSubnetId(0)} ${batch.isNativeForwardingRequired(0)}`)
        const clone = batch.clone(0)
        sw.write(clone, 14, Uint8Array.of(0x21))
        sw.addDestination(clone, 2)
        sw.send(clone)
        batch.drop(0, 'rewritten')
      },
      egress: (batch) => void seen.push(`${batch.virtualSubnetId(0)}`),
    }),
  ])
  harness.dataPath.setHooks(undefined, virtualization(harness))
  harness.ports.setSubnet(1, 5001, true)
  harness.send(1, frame(2, 1, 'x', NVGRE))
  assert.deepEqual(seen, ['5001 false', '5001 false', '5001'])
  assert.deepEqual(harness.got(2), ['!'])
  harness.ports.setSubnet(1, 0)
  harness.send(1, frame(2, 1, 'y'))
  assert.equal(seen[3], '0 false')
})

test('CS-89 a built-in policy stands before the forwarding extension, or at the miniport edge; what it rejects never reaches egress (ES-333, ES-334, ES-335, ES-337)', () => {
  for (const [placement, sees] of [
    ['before-forwarding', []],
    ['miniport-edge', ['down']],
  ] as const) {
    const seen: string[] = []
    const { harness } = stackOf(2, [
      filtering({ egress: () => void seen.push('up') }),
      { ...directTo(2), ingress: (batch) => seen.push('down') > 0 && batch.addDestination(0, 2) },
    ])
    const acl = harness.reasons.number('acl')
    const ingress = (_: unknown, i: number): number => (i === 0 ? acl : 0)
    harness.dataPath.setHooks({ placement, ingress, egress: () => 0 }, undefined)
    harness.send(1, frame(2, 1, 'x'))
    assert.deepEqual(seen, sees)
    assert.deepEqual(harness.drops(1), { acl: 1 })
    assert.deepEqual(harness.got(2), [])
  }
})

test('built-in egress policies stand above the forwarding extension and below the filters, and pass packets of port 0 (ES-336, ES-341)', () => {
  const seen: number[] = []
  const { harness, handles } = stackOf(3, [
    filtering({ egress: (batch) => void seen.push(batch.length, batch.isExcluded(0, 0) ? 1 : 0) }),
    directTo(2, 3),
  ])
  const quota = harness.reasons.number('quota')
  const egress = (batch: { destinationPortId(i: number, k: number): number }, i: number, k: number): number =>
    batch.destinationPortId(i, k) === 2 ? quota : 0
  harness.dataPath.setHooks({ placement: 'before-forwarding', ingress: () => 0, egress }, undefined)
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([seen, harness.got(2), harness.got(3)], [[1, 1], [], ['x']])
  assert.deepEqual(harness.drops(2), { quota: 1 })
  handles[0]!.send(handles[0]!.originate(frame(2, 9, 'trusted')))
  harness.dataPath.flushInjections()
  assert.deepEqual(harness.got(2), ['trusted'])
})
