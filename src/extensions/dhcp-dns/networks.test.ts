import assert from 'node:assert/strict'
import { test } from 'node:test'
import { A, asks, B, comesUp, dhcp, lab, named, requested, says, told } from '../../../test/support/dhcp-lab.ts'
import { ExtensionHost } from '../../../test/support/extension-host.ts'
import { Oid } from '../../ndis/oids.ts'
import { PortPropertyType } from '../../ndis/properties.ts'
import { arpRequestFrame, BROADCAST_MAC, etherFrame } from '../../packet/build.ts'
import { DnsType } from '../../packet/dns.ts'
import { DhcpType } from './dhcp4-message.ts'
import dhcpDns, { LabCounter } from './index.ts'
import { parseDhcpDnsOptions } from './options.ts'

const tags = (id: number) => [{ protocol: 0x8100, id, priority: 0, dropEligible: false }]
const tagged = (frame: Uint8Array, id: number): Uint8Array =>
  etherFrame(BROADCAST_MAC, A, (frame[12]! << 8) | frame[13]!, frame.subarray(14), tags(id))
const tagOf = (frame: Uint8Array | undefined): number | undefined =>
  frame && frame[12] === 0x81 ? ((frame[14]! << 8) | frame[15]!) & 0xfff : 0
const untagged = (frame: Uint8Array): Uint8Array => Uint8Array.from([...frame.subarray(0, 12), ...frame.subarray(16)])

const networks = [
  { vlan: 10, ipv4: { address: '10.10.0.1/24', pool: '10.10.0.100-10.10.0.109' }, ipv6: { address: 'fd10::1/64' } },
  { vlan: 20, ipv4: { address: '10.20.0.1/24', pool: '10.20.0.100-10.20.0.109' } },
]

async function vlanLab(options: object) {
  const host = new ExtensionHost([{ definition: dhcpDns, options }])
  await host.addPorts({ name: 'alpha', mac: A }, { name: 'beta', mac: B })
  host.advance(1)
  const set = (port: string, property: object): void => {
    const payload = { portId: host.id(port), propertyType: PortPropertyType.vlan, property }
    host.modules[0]!.module.handlers.oidComplete?.({ oid: Oid.portPropertyAdd, type: 'set', payload }, { status: 0 })
  }
  const take = (port: string): Uint8Array[] => host.delivered(port)
  const asksFor = (frame: Uint8Array): { vlan: number | undefined; address: string | undefined } => {
    take('alpha')
    host.send('alpha', frame)
    const [answer] = take('alpha')
    const vlan = tagOf(answer)
    return { vlan, address: told(answer && vlan !== 0 ? untagged(answer) : answer)?.address }
  }
  return { host, set, take, asksFor }
}

test('a guest without tags is answered in the VLAN of its port, whatever the port does with VLANs', async () => {
  const { set, asksFor } = await vlanLab({ ipv4: { address: '10.77.0.1/24', pool: '10.77.0.100-10.77.0.199' } })
  const discover = dhcp(A, DhcpType.discover)
  assert.equal(asksFor(discover).vlan, 0)
  set('alpha', { mode: 'access', accessVlanId: 10 })
  assert.equal(asksFor(discover).vlan, 10)
  set('alpha', { mode: 'trunk', nativeVlanId: 5, trunkVlanIds: [[10, 20]], pruneVlanIds: [] })
  assert.equal(asksFor(discover).vlan, 5)
  assert.equal(asksFor(tagged(discover, 12)).vlan, 12)
  set('alpha', { mode: 'private', pvlanMode: 'isolated', primaryVlanId: 100, secondaryVlanId: 101 })
  assert.equal(asksFor(discover).vlan, 100)
})

test('each VLAN has its own network: addresses, advertisements and the way back', async () => {
  const { host, set, take, asksFor } = await vlanLab({
    networks,
    ipv4: { address: '10.77.0.1/24', pool: '10.77.0.100-10.77.0.199' },
  })
  const discover = dhcp(A, DhcpType.discover)
  assert.match(asksFor(discover).address!, /^10\.77\.0\.1\d\d$/)
  assert.match(asksFor(tagged(discover, 10)).address!, /^10\.10\.0\.10\d$/)
  assert.match(asksFor(tagged(discover, 20)).address!, /^10\.20\.0\.10\d$/)
  assert.match(asksFor(tagged(discover, 30)).address!, /^10\.77\.0\.1\d\d$/, 'one that no network is for')
  set('alpha', { mode: 'access', accessVlanId: 20 })
  assert.deepEqual(asksFor(discover).vlan, 20)
  assert.match(asksFor(discover).address!, /^10\.20\.0\.10\d$/)
  take('alpha')
  host.send('alpha', arpRequestFrame(A, '10.20.0.100', '10.10.0.1'))
  assert.deepEqual(take('alpha'), [], 'the address of another network is not here')
  set('alpha', { mode: 'trunk', nativeVlanId: 20, trunkVlanIds: [[10, 19]], pruneVlanIds: [] })
  take('beta')
  host.advance(60_000)
  assert.deepEqual(take('alpha').map(tagOf), [10], 'advertised in a VLAN that its trunk carries')
  assert.deepEqual(take('beta'), [])
})

test('without a network for all others, guests of other VLANs are not served', async () => {
  const { asksFor } = await vlanLab({ networks })
  assert.equal(asksFor(dhcp(A, DhcpType.discover)).address, undefined)
  assert.match(asksFor(tagged(dhcp(A, DhcpType.discover), 10)).address!, /^10\.10\./)
})

test('networks that are the same, or in none, are refused with their place', () => {
  const wrong: readonly (readonly [networks: readonly object[], message: RegExp])[] = [
    [[{ ipv4: { address: '10.1.0.1/24' } }], /networks\[0\]\.vlan: is missing/],
    [[networks[0]!, { vlan: 10, ipv4: { address: '10.1.0.1/24' } }], /networks\[1\]\.vlan: 10 has a network already/],
    [
      [networks[0]!, { vlan: 11, ipv4: { address: '10.10.0.65/26' } }],
      /networks\[1\]\.ipv4\.address: lies in the network of another/,
    ],
    [[{ vlan: 4095, ipv4: { address: '10.1.0.1/24' } }], /4095 is not a whole number from 1 to 4094/],
    [[{ vlan: 7 }], /networks\[0\]: has neither ipv4 nor ipv6/],
    [[], /there is neither ipv4 nor ipv6/],
  ]
  for (const [list, message] of wrong) assert.throws(() => parseDhcpDnsOptions({ networks: list }), message)
})

test('an address that was set by hand is known by the name of its VM, and given to nobody else', async () => {
  const one = await lab()
  one.host.send('alpha', arpRequestFrame(A, '10.77.0.101', '10.77.0.9'))
  one.host.send('alpha', arpRequestFrame(A, '10.78.0.5', '10.77.0.9'), arpRequestFrame(A, '10.77.0.254', '10.77.0.9'))
  assert.deepEqual(asks(one, 'alpha.lab.test', DnsType.a)?.text, ['10.77.0.101'])
  assert.equal(one.counters[LabCounter.learned], 1, 'none of another network, nor that of the router')
  assert.equal(says(one, 'beta', dhcp(B, DhcpType.request, requested('10.77.0.101')))?.type, DhcpType.nak)
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.request, requested('10.77.0.101')))?.type, DhcpType.ack, 'its own')
  assert.deepEqual(asks(one, 'alpha.lab.test', DnsType.a)?.text, ['10.77.0.101'], 'once')
  one.host.send('beta', arpRequestFrame(B, '10.77.0.101', '10.77.0.9'))
  assert.deepEqual(asks(one, 'beta.lab.test', DnsType.a)?.text, [], 'not what another one has')
})

test('what a guest tells of itself costs it its rate and its share, nobody else theirs', async () => {
  const one = await lab({ answersPerSecond: 10, leasesPerPort: 4 })
  for (let n = 2; n < 100; n++) one.host.send('many', arpRequestFrame('02:00:00:00:00:03', `10.77.0.${n}`, '10.77.0.9'))
  assert.equal(one.counters[LabCounter.learned], 4)
  assert.match(comesUp(one, 'alpha', A), /^10\.77\.0\.10/)
})

test('names below a name, and the name of the VM beside that of its port', async () => {
  const names = [
    { name: '*.apps', addresses: ['10.77.0.5'] },
    { name: 'www.shop', addresses: ['10.77.0.6'] },
  ]
  const one = await lab({ names })
  assert.deepEqual(asks(one, 'a.b.apps.lab.test', DnsType.a)?.text, ['10.77.0.5'])
  assert.deepEqual(asks(one, 'www.shop.lab.test', DnsType.a)?.text, ['10.77.0.6'])
  assert.deepEqual(
    ['shop', 'apps', 'x.shop', 'x'].map((name) => asks(one, `${name}.lab.test`, DnsType.a)?.code),
    [0, 0, 3, 3],
  )
  assert.throws(
    () => parseDhcpDnsOptions({ ipv6: { address: 'fd00::1/64' }, names: [{ name: 'a.*', addresses: ['::1'] }] }),
    /"a\.\*"/,
  )
})

test('leases stay when the module is loaded anew, as far as its new options allow', async () => {
  const old = await lab()
  const address = comesUp(old, 'alpha', A, named('web'))
  old.host.advance(600_000)
  const state = structuredClone(old.module.handlers.handOver?.())
  const next = await lab()
  next.module.handlers.takeOver?.(state)
  assert.deepEqual(asks(next, 'web.lab.test', DnsType.a)?.text, [address])
  assert.equal(says(next, 'beta', dhcp(B, DhcpType.request, requested(address)))?.type, DhcpType.nak)
  next.host.advance(3_001_000)
  assert.equal(asks(next, 'web.lab.test', DnsType.a)?.code, 3, 'it ends when it would have')
  const other = await lab({ ipv4: { address: '10.99.0.1/24', pool: '10.99.0.2-10.99.0.9' } })
  other.module.handlers.takeOver?.(state)
  for (const wrong of [null, 5, { version: 2, leases: [] }, { version: 1, leases: [{ state: 2 }] }, { version: 1, leases: 'x' }])
    other.module.handlers.takeOver?.(wrong)
  assert.deepEqual((other.module.handlers.handOver?.() as { leases: readonly unknown[] }).leases, [])
})

test('the leases of a port go along when it is saved and restored elsewhere (ES-463, ES-465, ES-469, ES-482, ES-483)', async () => {
  const { nicSave, nicRestore, nicSaveComplete } = Oid
  const here = await lab()
  const mac = '02:00:00:00:00:0c'
  const address = comesUp(here, 'many', mac, named('web'))
  comesUp(here, 'beta', B)
  const answer = { complete: () => {}, forward: () => {} }
  const save = (saveDataSize: number) =>
    here.module.handlers.oid?.(
      { oid: nicSave, type: 'method', payload: { portId: here.host.id('many'), saveDataSize } },
      answer,
    ) as { status: number; bytesNeeded?: number; output?: { extensionId: string; saveData: Uint8Array } } | undefined
  assert.ok(save(4)!.bytesNeeded! > 100)
  const { output } = save(65_535)!
  assert.equal(save(65_535), undefined, 'there is no more')
  here.module.handlers.oid?.({ oid: nicSaveComplete, type: 'method', payload: { portId: here.host.id('many') } }, answer)
  assert.ok(save(65_535)?.output, 'asked anew, it is there again')

  const there = await lab()
  const restore = (extensionId: string, saveData: Uint8Array) =>
    there.module.handlers.oid?.(
      { oid: nicRestore, type: 'set', payload: { portId: there.host.id('many'), extensionId, saveData } },
      answer,
    )
  assert.equal(restore('00000000-0000-0000-0000-000000000001', output!.saveData), undefined)
  assert.deepEqual(restore(output!.extensionId, Uint8Array.of(1, 2, 3)), { status: 0 })
  assert.deepEqual(restore(output!.extensionId, output!.saveData), { status: 0 })
  assert.deepEqual(asks(there, 'web.lab.test', DnsType.a)?.text, [address])
  assert.deepEqual(asks(there, 'many.lab.test', DnsType.a)?.text, [address], 'of the port that it came to')
  assert.equal(says(there, 'many', dhcp(mac, DhcpType.request, [], address))?.address, address)
})
