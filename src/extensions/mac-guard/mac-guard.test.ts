import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
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
