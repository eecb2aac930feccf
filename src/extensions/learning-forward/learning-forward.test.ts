import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { PortType } from '../../ndis/oids.ts'
import { BROADCAST_MAC, etherFrame } from '../../packet/build.ts'
import { AddressTable, addressTableBytes } from './address-table.ts'
import forward, { ForwardCounter } from './index.ts'
import { parseLearningForwardOptions } from './options.ts'

const mac = (n: number): string => `02:00:00:00:00:${n.toString(16).padStart(2, '0')}`
const frame = (source: number, destination: number | string, vlan?: number): Uint8Array =>
  etherFrame(
    typeof destination === 'string' ? destination : mac(destination),
    mac(source),
    0x0800,
    new Uint8Array(46),
    vlan === undefined ? [] : [{ protocol: 0x8100, priority: 0, dropEligible: false, id: vlan }],
  )

async function hostOf(options: object = {}): Promise<ExtensionHost> {
  const host = new ExtensionHost([{ definition: forward, options }])
  await host.addPorts('a', 'b', 'c')
  return host
}

const reached = (host: ExtensionHost): string => ['a', 'b', 'c'].filter((port) => host.delivered(port).length > 0).join('')

test('unknown and group addresses are flooded to all but the source, known ones go to one port', async () => {
  const host = await hostOf()
  host.send('a', frame(1, 2))
  assert.equal(reached(host), 'bc')
  host.send('b', frame(2, 1))
  assert.equal(reached(host), 'a')
  host.send('a', frame(1, 2))
  assert.equal(reached(host), 'b')
  host.send('a', frame(1, BROADCAST_MAC))
  assert.equal(reached(host), 'bc')
  const { counters } = host.modules[0]!
  assert.deepEqual([counters[ForwardCounter.forwarded], counters[ForwardCounter.flooded]], [2, 2])
  assert.deepEqual(host.reports, [])
})

test('the second use of a slot carries nothing over from the first', async () => {
  const host = await hostOf()
  for (let turn = 0; turn < 3; turn++) {
    host.send('a', frame(1, 2), frame(1, BROADCAST_MAC), frame(1, 3))
    assert.deepEqual(
      ['a', 'b', 'c'].map((port) => host.delivered(port).length),
      [0, 3, 3],
    )
  }
  host.send('b', frame(2, 1))
  host.delivered('a')
  host.send('a', frame(1, 2), frame(1, 2), frame(1, BROADCAST_MAC))
  assert.deepEqual(
    ['a', 'b', 'c'].map((port) => host.delivered(port).length),
    [0, 3, 1],
  )
})

test('addresses are learned per VLAN', async () => {
  const host = await hostOf()
  host.send('b', frame(2, BROADCAST_MAC, 10))
  reached(host)
  host.send('a', frame(1, 2, 10))
  assert.equal(reached(host), 'b')
  host.send('a', frame(1, 2, 11))
  assert.equal(reached(host), 'bc')
})

test('an address moves with its sender and is forgotten when it ages', async () => {
  const host = await hostOf({ ageingSeconds: 10 })
  host.send('b', frame(2, 1))
  host.send('c', frame(2, 1))
  reached(host)
  host.send('a', frame(1, 2))
  assert.equal(reached(host), 'c')
  host.advance(11_000)
  host.send('a', frame(1, 2))
  assert.equal(reached(host), 'bc')
})

test('a frame for its own port, or for nobody, is dropped with its reason', async () => {
  const host = await hostOf()
  host.send('a', frame(1, 5))
  reached(host)
  host.send('a', frame(6, 1))
  assert.equal(reached(host), '')
  assert.equal(host.dropped('a', 'learning-forward: destination is the source'), 1)
  await host.control.disconnect(host.id('b'))
  await host.control.disconnect(host.id('c'))
  host.send('a', frame(1, BROADCAST_MAC))
  assert.equal(host.dropped('a', 'learning-forward: no destination'), 1)
})

test('a disconnected connection is not used and its addresses are forgotten; a new one is used again', async () => {
  const host = await hostOf()
  host.send('b', frame(2, 1))
  reached(host)
  await host.control.disconnect(host.id('b'))
  host.send('a', frame(1, 2))
  assert.equal(reached(host), 'c')
  await host.control.connect(host.id('b'))
  host.send('a', frame(1, 2))
  assert.equal(reached(host), 'bc')
  assert.equal(host.modules[0]!.module.breaches, 0)
})

test('VLAN and priority are preserved where the options say so', async () => {
  const host = new ExtensionHost([
    {
      definition: {
        id: '00000000-0000-0000-0000-000000000002',
        name: 'spy',
        version: '1.0.0',
        class: 'capturing',
        attach: () => ({
          egress(batch: {
            destinationCount(i: number): number
            pool: { destinationOffset: Uint32Array; arena: Uint32Array }
            slots: Uint16Array
          }) {
            const at = batch.pool.destinationOffset[batch.slots[0]!]!
            entries = [...batch.pool.arena.slice(at, at + batch.destinationCount(0))]
          },
        }),
      },
    },
    { definition: forward, options: { preserveVlan: ['b'], preservePriority: ['c'] } },
  ])
  let entries: number[] = []
  await host.addPorts('a', 'b', 'c', 'd')
  host.send('a', frame(1, BROADCAST_MAC))
  assert.deepEqual(entries, [2 | (1 << 25), 3 | (1 << 26), 4])
})

test('a port with physical adapters is addressed by a connected one', async () => {
  const host = new ExtensionHost([{ definition: forward }])
  await host.addPorts({ name: 'up', type: PortType.external }, 'a')
  const { handlers, handle } = host.modules[0]!.module
  const nic = handle.nics()[0]!
  const words = host.modules[0]!.shared.get('connections')!
  handlers.oidComplete?.({ oid: 0x0001027b, type: 'set', payload: { ...nic, nicIndex: 1 } }, { status: 0 })
  assert.equal(words[1]! >> 8, 1)
  await handlers.oid?.(
    { oid: 0x0001027c, type: 'set', payload: { ...nic, nicIndex: 1 } },
    { complete: () => {}, forward: () => {} },
  )
  assert.equal(words[1]! >> 8, 0)
  assert.equal(words[1]! & 1, 1)
})

test('the table answers what was learned last, within its bounds', () => {
  const entries = 64
  const address = fc.nat(200)
  const step = fc.record({ address, port: fc.integer({ min: 1, max: 4 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const table = new AddressTable(new Int32Array(addressTableBytes(entries) / 4), entries, 1000)
      const last = new Map<number, number>()
      let held = 0
      for (const [now, { address: low, port }] of steps.entries()) {
        if (table.learn(0x0200, low, 0, port, now)) last.set(low, port)
        // A learned address is either forgotten (its place was needed) or at the port where it was last seen.
        const found = table.lookup(0x0200, low, 0, now)
        if (last.get(low) === port && found !== 0) assert.equal(found, port)
      }
      for (let port = 1; port <= 4; port++) {
        assert.ok(table.count(port) <= entries)
        held += table.count(port)
      }
      assert.ok(held <= entries)
      for (let port = 1; port <= 4; port++) {
        table.forget(port)
        assert.equal(table.count(port), 0)
      }
    }),
  )
})

test('a port that forges sources pushes out its own addresses only', () => {
  const entries = 64
  const table = new AddressTable(new Int32Array(addressTableBytes(entries) / 4), entries, 1000)
  for (let n = 0; n < 8; n++) table.learn(0x0200, n, 0, 1, 0)
  for (let n = 0; n < 10_000; n++) table.learn(0x0200, 0x100000 + n, 0, 2, 1)
  assert.ok(table.count(2) <= entries / 4)
  for (let n = 0; n < 8; n++) assert.equal(table.lookup(0x0200, n, 0, 1), 1)
})

test('options are checked', () => {
  assert.equal(parseLearningForwardOptions({}).entries, 4096)
  assert.throws(() => parseLearningForwardOptions({ entries: 1000 }), { message: /1000 is not a power of two/ })
  assert.throws(() => parseLearningForwardOptions({ ageingSeconds: 0 }), { code: 'bad-option' })
})
