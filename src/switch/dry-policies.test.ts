// Every policy of the switch appears in the trace of a frame that it concerns, with what decided; and no trace changes anything of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type DataPathHarness, mac } from '../../test/support/data-path-harness.ts'
import { ipv4, udp } from '../../test/support/guard-frames.ts'
import { ACK, address, policyCases as all, guards, policyWorld, UPLINK, web } from '../../test/support/policy-cases.ts'
import { meaningOfReason } from '../ndis/drop-reason-meanings.ts'
import { dropReasonNames } from '../ndis/drop-reasons.ts'
import { arpRequestFrame } from '../packet/build.ts'
import { DATA_PATH_LIST_BYTES } from './data-path.ts'
import { deliveryListBytes } from './delivery.ts'
import { dryRun } from './dry-run.ts'

const PORTS = 16
const LIST = 4096
const spareBytes = LIST + deliveryListBytes(PORTS) + DATA_PATH_LIST_BYTES
const world = (): DataPathHarness => policyWorld({ spareBytes })

/** The steps of a frame: stage, text, reason, rule. */
function trace(harness: DataPathHarness, port: number, bytes: Uint8Array): string {
  const { spare } = harness
  const steps = dryRun(
    { port, nicIndex: 0, frame: bytes, list: spare, deliveryList: spare + LIST },
    { ...harness, nowMs: () => harness.nowMs, portName: (id) => `p${id}` },
  )
  return steps!.map(({ stage, text, why = '', rule = '' }) => `${stage}: ${text} | ${why} | ${rule}`).join('\n')
}

for (const [name, { set, port, bytes, says }] of all)
  test(`the trace tells what decided: ${name}`, () => {
    const harness = world()
    set(harness)
    assert.match(trace(harness, port, bytes), says)
  })

test('every reason for which the switch drops has a meaning in words', () => {
  for (const name of dropReasonNames) assert.ok((meaningOfReason(name)?.length ?? 0) > 10, name)
  assert.equal(meaningOfReason('acl: no-udp'), undefined)
})

/** All that a trace might change: tables in shared memory, counters, connections, the pool. */
function everything(harness: DataPathHarness): unknown {
  const { ports, macs, counters, pool, acls: table, injections } = harness
  return structuredClone({
    ports: ports.words,
    macs: macs.words,
    counters: counters.values,
    acls: table.counters,
    connections: table.connections?.store.words,
    free: pool.freeSlots,
    pending: injections.pending,
    modules: harness.dataPath.stack.modules.map(({ handle, state, faults }) => [handle.counters.slice(), state, faults]),
    sent: harness.totals(),
  })
}

test('a trace changes nothing, whatever the policies, ports and frames', () => {
  const frames = [
    ...all.map(([, { bytes }]) => bytes),
    arpRequestFrame(mac(1), '10.0.0.1', '10.0.0.2'),
    ipv4({ ...address, source: '10.0.0.5' }, udp(1, 2, 3)),
    web(80, ACK),
  ]
  const port = fc.constantFrom(1, 2, 3, UPLINK)
  const step = fc.record({ port, frame: fc.constantFrom(...frames), at: fc.nat(5000) })
  const policies = fc.uniqueArray(fc.constantFrom(...all.map(([name]) => name)), { maxLength: 5 })
  fc.assert(
    fc.property(policies, fc.array(step, { minLength: 1, maxLength: 6 }), (names, steps) => {
      const harness = world()
      for (const [name, { set }] of all) if (names.includes(name)) set(harness)
      for (const { port, frame: bytes, at } of steps) {
        harness.nowMs += at
        harness.send(port, bytes)
        const before = everything(harness)
        const told = trace(harness, port, bytes)
        assert.deepEqual(everything(harness), before)
        assert.equal(trace(harness, port, bytes), told)
      }
    }),
    { numRuns: 60 },
  )
})

test('prefixes of a source guard and what was learned are told', () => {
  const harness = world()
  const prefixes = [{ address: [10, 1, 0, 0], bits: 16 }]
  guards(harness, 1, { sourceGuard: { prefixes, learned: true } })
  harness.ports.setIpLimit(1, 1)
  harness.send(1, ipv4({ ...address, source: '10.0.0.7' }, udp(1, 2, 3)))
  assert.match(
    trace(harness, 1, ipv4({ ...address, source: '10.0.0.9' }, udp(1, 2, 3))),
    /it speaks for 10\.0\.0\.9; p1 may for 10\.1\.0\.0\/16, what was learned of it \(10\.0\.0\.7\)/,
  )
})
