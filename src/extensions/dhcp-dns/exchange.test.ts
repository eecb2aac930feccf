import assert from 'node:assert/strict'
import { test } from 'node:test'
import { A, B, bootp, comesUp, dhcp, ipv4, lab, named, requested, says } from '../../../test/support/dhcp-lab.ts'
import { Oid } from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { arpRequestFrame, ipBytes, tcpFrame, udpFrame } from '../../packet/build.ts'
import { dnsNameBytes } from '../../packet/dns.ts'
import { DhcpOption, DhcpType, readDhcp } from './dhcp4-message.ts'
import dhcpDns from './index.ts'
import { LabCounter } from './lab-counters.ts'
import { parseDhcpDnsOptions } from './options.ts'

const text = (bytes: readonly number[] | undefined): string => Buffer.from(bytes ?? []).toString('latin1')
const asks = (more: readonly number[]): Uint8Array => dhcp(A, DhcpType.discover, more)

test('a client that is not known keeps the address that it has, if nobody else has it and it is one to give', async () => {
  const one = await lab({ statics: [{ port: 'beta', address: '10.77.0.7' }] })
  const init = (mac: string, address: string) => dhcp(mac, DhcpType.request, requested(address))
  assert.equal(says(one, 'alpha', init(A, '10.77.0.102'))?.address, '10.77.0.102')
  assert.equal(says(one, 'many', init('02:00:00:00:00:09', '10.77.0.102'))?.type, DhcpType.nak)
  const renews = (mac: string, address: string) => dhcp(mac, DhcpType.request, [], address)
  assert.equal(says(one, 'many', renews('02:00:00:00:00:09', '10.77.0.103'))?.type, DhcpType.ack)
  assert.equal(says(one, 'many', init('02:00:00:00:00:08', '10.77.0.200'))?.type, DhcpType.nak, 'not of the pool')
  assert.equal(says(one, 'beta', init(B, '10.77.0.101'))?.type, DhcpType.nak, 'another one is set aside for it')
  assert.equal(says(one, 'beta', init(B, '10.77.0.7'))?.type, DhcpType.ack)
})

test('who says what it calls itself is told it again, and a rapid one gets its address at once', async () => {
  const one = await lab()
  const id = [0xff, 1, 2, 3, 4, 0, 1]
  const offer = says(one, 'alpha', asks([61, id.length, ...id]))!
  assert.deepEqual(offer.options.get(DhcpOption.clientId), id)
  const nak = says(one, 'alpha', dhcp(A, DhcpType.request, [61, id.length, ...id, ...requested('10.1.1.1')]))!
  assert.deepEqual([nak.type, nak.options.get(DhcpOption.clientId)], [DhcpType.nak, id])
  const ack = says(one, 'beta', dhcp(B, DhcpType.discover, [80, 0]))!
  assert.deepEqual([ack.type, ack.options.get(DhcpOption.rapidCommit)], [DhcpType.ack, []])
  assert.equal(comesUp(one, 'beta', B), ack.address)
  assert.equal(says(one, 'alpha', asks([]))?.options.has(DhcpOption.rapidCommit), false)
})

test('firmware is told its file: by architecture, by user class, over HTTP', async () => {
  const boot = [
    { userClass: 'iPXE', file: 'http://10.77.0.2/boot.ipxe' },
    { architecture: 'http', file: 'http://10.77.0.2/boot.efi' },
    { architecture: 'uefi', file: 'ipxe.efi', server: '10.77.0.2' },
    { architecture: 'bios', file: 'undionly.kpxe', server: '10.77.0.2' },
  ]
  const one = await lab({ ipv4: { ...ipv4, boot } })
  const file = (...more: readonly number[]) => {
    const offer = says(one, 'alpha', asks(more))!
    return [text(offer.options.get(DhcpOption.file)), text(offer.options.get(DhcpOption.serverName))]
  }
  assert.deepEqual(file(93, 2, 0, 0), ['undionly.kpxe', '10.77.0.2'])
  assert.deepEqual(file(93, 2, 0, 7), ['ipxe.efi', '10.77.0.2'])
  assert.deepEqual(file(93, 2, 0, 0, 77, 4, ...Buffer.from('iPXE')), ['http://10.77.0.2/boot.ipxe', ''])
  assert.equal(text(says(one, 'alpha', asks([93, 2, 0, 16]))!.options.get(DhcpOption.vendorClass)), 'HTTPClient')
  assert.deepEqual(file(), ['', ''], 'who does not boot is told nothing')
  one.host.send('alpha', asks([93, 2, 0, 0]))
  const message = one.take('alpha')[0]!.subarray(42)
  assert.deepEqual([...message.subarray(20, 24)], [10, 77, 0, 2])
  assert.equal(Buffer.from(message.subarray(108, 121)).toString(), 'undionly.kpxe')
})

test('options without a name here are told as they are written, and more domains to look in', async () => {
  const options = [
    { code: 114, text: 'https://portal.lab' },
    { code: 43, hex: '01 04 0a' },
    { code: 2, number: -3600 },
    { code: 44, addresses: ['10.77.0.3', '10.77.0.4'] },
  ]
  const one = await lab({ search: ['corp.test'], ipv4: { ...ipv4, options } })
  const offer = says(one, 'alpha', asks([]))!
  assert.equal(text(offer.options.get(114)), 'https://portal.lab')
  assert.deepEqual(offer.options.get(43), [1, 4, 10])
  assert.deepEqual(offer.options.get(2), [255, 255, 0xf1, 0xf0])
  assert.deepEqual(offer.options.get(44), [10, 77, 0, 3, 10, 77, 0, 4])
  assert.deepEqual(offer.options.get(DhcpOption.search), [...dnsNameBytes('lab.test'), ...dnsNameBytes('corp.test')])
})

test('an answer is no longer than its client takes', async () => {
  const options = [1, 2, 3].map((n) => ({ code: 200 + n, text: 'x'.repeat(200) }))
  const one = await lab({ ipv4: { ...ipv4, options } })
  const told = (more: readonly number[]): number => {
    const offer = says(one, 'alpha', asks(more))!
    return [201, 202, 203].filter((code) => offer.options.has(code)).length
  }
  assert.equal(told([]), 1, 'with 576 bytes, the least that all take')
  assert.equal(told([57, 2, 5, 220]), 3)
})

test('options that stand in the fields of names, and those that come in pieces, are read', () => {
  const message = bootp(A, DhcpType.discover, [52, 1, 3, 12, 2, 97, 98, 12, 1, 99])
  message.set([50, 4, 10, 77, 0, 102, 255], 108) // file
  message.set([81, 6, 4, 0, 0, 2, 120, 121, 255], 44) // name of the server
  const request = readDhcp(message, 0, message.length)!
  assert.deepEqual([request.requested, request.hostName], [0x0a4d0066, 'abc'])
  const other = bootp(A, DhcpType.discover, [81, 6, 4, 0, 0, 2, 120, 121])
  assert.equal(readDhcp(other, 0, other.length)!.hostName, 'xy', 'the full name, where there is no other')
  message.set([50, 200], 108)
  assert.equal(readDhcp(message, 0, message.length), undefined, 'an option that leaves its field')
})

test('an operator hears that a pool is used up, seldom', async () => {
  const one = await lab({ ipv4: { ...ipv4, pool: '10.77.0.100-10.77.0.100' }, leasesPerPort: 1 })
  comesUp(one, 'alpha', A)
  for (let n = 0; n < 5; n++) assert.equal(says(one, 'beta', dhcp(B, DhcpType.discover)), undefined)
  const logged = () => one.host.reports.filter(({ code }) => code === 'log').map(({ message }) => message)
  assert.deepEqual(logged(), ['no address for a guest of port beta: the pool 10.77.0.100-10.77.0.100 is used up'])
  assert.equal(one.counters[LabCounter.shortages], 5)
  one.host.advance(61_000)
  says(one, 'beta', dhcp(B, DhcpType.discover))
  assert.equal(logged().length, 2)
})

test('what is wrong in boot files and options is refused with its place', () => {
  const wrong: readonly (readonly [more: object, message: RegExp])[] = [
    [{ boot: [{ server: '10.77.0.2' }] }, /ipv4\.boot\[0\]\.file: is missing/],
    [{ boot: [{ file: 'pxe.0' }] }, /ipv4\.boot\[0\]\.server: is missing: who has pxe\.0/],
    [{ boot: [{ file: 'http://x/y', architecture: 'vax' }] }, /architecture: is none of bios, uefi, arm64, http/],
    [{ options: [{ code: 6, addresses: ['10.77.0.1'] }] }, /ipv4\.options\[0\]\.code: 6 is set otherwise: write dns/],
    [{ options: [{ code: 53, number: 1 }] }, /53 belongs to the exchange itself/],
    [{ options: [{ code: 43 }] }, /needs one value/],
    [{ options: [{ code: 43, hex: '0' }] }, /hex: "0" is not pairs/],
    [
      {
        options: [
          { code: 43, hex: '00' },
          { code: 43, hex: '01' },
        ],
      },
      /options\[1\]\.code: 43 is there twice/,
    ],
  ]
  for (const [more, message] of wrong) assert.throws(() => parseDhcpDnsOptions({ ipv4: { ...ipv4, ...more } }), message)
})

test('a name that a guest gives in full, or asks for at port 53 over TCP, is dealt with at once', async () => {
  const one = await lab()
  comesUp(one, 'alpha', A, [81, 7, 0, 0, 0, ...Buffer.from('web1')])
  const pair = { sourceMac: A, destinationMac: '02:76:6d:73:00:01', source: '10.77.0.100', destination: '10.77.0.1' }
  one.take('alpha')
  one.host.send('alpha', tcpFrame(pair, 4000, 53, { sequence: 77 }))
  const [reset] = one.take('alpha')
  assert.equal(reset![47], 0x14, 'nobody listens: RST and ACK')
  assert.equal(new DataView(reset!.buffer, reset!.byteOffset).getUint32(42), 78)
  one.host.send('alpha', tcpFrame(pair, 4000, 53, { flags: 4 }))
  assert.deepEqual(one.take('alpha'), [], 'a reset is not answered')
  one.host.send('alpha', udpFrame(pair, 4000, 5000, Uint8Array.from(ipBytes('1.2.3.4'))))
  assert.deepEqual(one.take('alpha'), [])
  assert.equal(says(one, 'alpha', dhcp(A, DhcpType.discover, named('x')))?.type, DhcpType.offer)
})

test('an operator is told who has which address, of the switch or of a port (ES-556, ES-557, ES-559, ES-560)', async () => {
  const one = await lab()
  const address = comesUp(one, 'alpha', A, named('web'))
  one.host.send('beta', arpRequestFrame(B, '10.77.0.5', '10.77.0.9'))
  const answer = { complete: () => {}, forward: () => {} }
  const asked = (oid: number, bufferLength = 4096, featureStatusId = dhcpDns.id) => {
    const payload = { featureStatusId, bufferLength, portId: one.host.id('beta') }
    return one.module.handlers.oid?.({ oid, type: 'method', payload }, answer) as
      | { status: number; bytesNeeded?: number; output?: { data: Uint8Array } }
      | undefined
  }
  const table = (oid: number): string => Buffer.from(asked(oid)!.output!.data).toString()
  assert.equal(
    table(Oid.switchFeatureStatusQuery),
    [
      '',
      'ADDRESS      MAC                PORT   NAME  STATE    SECONDS',
      '10.77.0.5    02:00:00:00:00:02  beta   beta  learned  3600',
      `${address}  02:00:00:00:00:01  alpha  web   bound    3600`,
    ].join('\n'),
  )
  assert.doesNotMatch(table(Oid.portFeatureStatusQuery), /web/)
  assert.deepEqual(asked(Oid.switchFeatureStatusQuery, 10), { status: NdisStatus.invalidLength, bytesNeeded: 180 })
  assert.equal(asked(Oid.switchFeatureStatusQuery, 4096, '00000000-0000-0000-0000-000000000001'), undefined)
})
