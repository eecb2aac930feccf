import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { defineExtension, PACKET_HEADER_STRIDE } from '../../extension.ts'
import { PortType } from '../../ndis/oids.ts'
import { etherFrame } from '../../packet/build.ts'
import { ADDRESSES_PER_PORT, AddressTable, ALLOWED, REFUSED, TABLE_BYTES, TABLE_PORTS, UNKNOWN } from './address-table.ts'
import guard, { GuardCounter } from './index.ts'
import { parseMacGuardOptions } from './options.ts'

const a = '02:00:00:00:00:01'
const b = '02:00:00:00:00:02'
const other = '02:00:00:00:00:99'
const frameFrom = (source: string): Uint8Array => etherFrame(b, source, 0x0800, new Uint8Array(46))

async function hostOf(options: object = {}): Promise<ExtensionHost> {
  const host = new ExtensionHost([{ definition: guard, options }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b }, 'open', { name: 'up', type: PortType.external })
  return host
}

test('a frame passes from its own address and is dropped from any other', async () => {
  const host = await hostOf()
  host.send('a', frameFrom(a), frameFrom(other), frameFrom(b), frameFrom('03:00:00:00:00:01'), frameFrom('00:00:00:00:00:00'))
  assert.equal(host.delivered('b').length, 1)
  assert.equal(host.dropped('a', 'mac-guard: wrong source address'), 2)
  assert.equal(host.dropped('a', 'mac-guard: group address as source'), 1)
  assert.equal(host.dropped('a', 'mac-guard: source address zero'), 1)
  const { counters } = host.modules[0]!
  assert.equal(counters[GuardCounter.checked], 5)
  assert.equal(counters[GuardCounter.wrongSource], 2)
})

test('ports without an address and the external port follow the options, but never send from a group address', async () => {
  const host = await hostOf()
  for (const port of ['open', 'up']) host.send(port, frameFrom(other), frameFrom('ff:ff:ff:ff:ff:ff'))
  assert.equal(host.delivered('b').length, 2)
  const strict = await hostOf({ unknown: 'drop' })
  for (const port of ['open', 'up']) strict.send(port, frameFrom(other))
  assert.equal(strict.delivered('b').length, 1)
  assert.equal(strict.dropped('open', 'mac-guard: port without addresses'), 1)
})

// The port "open" has no address of its own, so that the switch's check of sources stays out of the way.
test('more addresses can be allowed, and ports exempted', async () => {
  const host = await hostOf({ allow: { open: [other] } })
  host.send('open', frameFrom(other), frameFrom('02:00:00:00:00:98'))
  assert.equal(host.delivered('b').length, 1)
  const exempt = await hostOf({ allow: { open: [other] }, exempt: ['open'] })
  exempt.send('open', frameFrom('02:00:00:00:00:98'))
  assert.equal(exempt.delivered('b').length, 1)
})

test('a deleted port leaves nothing behind for the next one with its id', async () => {
  const host = await hostOf({ unknown: 'drop' })
  const id = host.id('a')
  const words = host.modules[0]!.shared.get('addresses')!
  assert.equal(new AddressTable(words).check(id, 0x0200, 1), ALLOWED)
  await host.control.deletePort(id)
  assert.equal(new AddressTable(words).check(id, 0x0200, 1), UNKNOWN)
})

test('the table keeps to its bounds', () => {
  const table = new AddressTable(new Int32Array(TABLE_BYTES / 4))
  const macs = Array.from({ length: 40 }, (_, i) => Uint8Array.of(2, 0, 0xff, 0, 0, i))
  table.guard(TABLE_PORTS - 1, macs)
  assert.equal(table.check(TABLE_PORTS - 1, 0x0200, 0xff000000 + ADDRESSES_PER_PORT - 1), ALLOWED)
  assert.equal(table.check(TABLE_PORTS - 1, 0x0200, 0xff000000 + ADDRESSES_PER_PORT), REFUSED)
  table.guard(TABLE_PORTS, macs)
  assert.equal(table.check(TABLE_PORTS, 0x0200, 0xff000000), UNKNOWN)
  assert.equal(table.check(TABLE_PORTS - 2, 0x0200, 0xff000000), UNKNOWN)
})

test('options are checked', () => {
  assert.throws(() => parseMacGuardOptions({ allow: { a: ['02:00'] } }), { message: /"02:00" is not a MAC address/ })
  assert.throws(() => parseMacGuardOptions({ allow: { a: ['03:00:00:00:00:01'] } }), {
    message: 'allow.a[0]: "03:00:00:00:00:01" is a group address: no frame may come from one',
  })
  assert.throws(() => parseMacGuardOptions({ allow: { a: [20000000001] } }), { message: /write it in quotes/ })
  assert.throws(() => parseMacGuardOptions({ alow: {} }), { code: 'bad-option' })
})

test('each frame of a burst is checked, whatever passed before it', async () => {
  const host = await hostOf({ allow: { a: [other] } })
  const wrong = '02:00:00:00:00:77'
  const sameEnd = '02:01:00:00:00:01' // all but its second byte is the own address
  const sources = [a, a, wrong, a, other, other, sameEnd, a, wrong, wrong, other, sameEnd, a]
  host.send('a', ...sources.map(frameFrom))
  const { counters } = host.modules[0]!
  assert.equal(counters[GuardCounter.checked], sources.length)
  assert.equal(counters[GuardCounter.wrongSource], 5)
  assert.equal(host.dropped('a', 'mac-guard: wrong source address'), 5)
})

test('an address that passed at one port is checked anew at another, and frames of extensions are not', async () => {
  let ports: readonly number[] = []
  const mixer = defineExtension({
    id: '00000000-0000-0000-0000-000000000006',
    name: 'mixer',
    version: '1.0.0',
    class: 'capturing',
    attach: () => ({
      ingress(batch) {
        batch.oneSource = false
        for (let i = 0; i < batch.length; i++) batch.pool.sourcePort[batch.slots[i]!] = ports[i]!
      },
    }),
  })
  const host = new ExtensionHost([{ definition: mixer }, { definition: guard, options: {} }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b })
  const [fromA, fromB] = [host.id('a'), host.id('b')]
  ports = [fromA, fromA, fromB, 0, fromA, fromB]
  host.send('a', ...ports.map(() => frameFrom(a)))
  const { counters } = host.modules[1]!
  assert.deepEqual([counters[GuardCounter.checked], counters[GuardCounter.wrongSource]], [5, 2])
  assert.equal(host.dropped('b', 'mac-guard: wrong source address'), 2)
})

test('frames whose copy begins at an odd place are checked as well', async () => {
  const shifter = defineExtension({
    id: '00000000-0000-0000-0000-000000000007',
    name: 'shifter',
    version: '1.0.0',
    class: 'capturing',
    attach: () => ({
      ingress({ length, pool, slots }) {
        for (let i = 0; i < length; i++) {
          const at = slots[i]! * PACKET_HEADER_STRIDE + pool.headerOffset[slots[i]!]!
          pool.header8.copyWithin(at - (i % 4), at, at + pool.headerLength[slots[i]!]!)
          pool.headerOffset[slots[i]!] = pool.headerOffset[slots[i]!]! - (i % 4)
        }
      },
    }),
  })
  const host = new ExtensionHost([{ definition: shifter }, { definition: guard, options: {} }])
  await host.addPorts({ name: 'a', mac: a }, { name: 'b', mac: b })
  host.send('a', ...[a, a, a, a, other, other, other, other].map(frameFrom))
  const { counters } = host.modules[1]!
  assert.deepEqual([counters[GuardCounter.checked], counters[GuardCounter.wrongSource]], [8, 4])
})
