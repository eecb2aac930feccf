import assert from 'node:assert/strict'
import { test } from 'node:test'
import { A, asks, B, comesUp, icmp6, isSummed, lab, named, SERVER } from '../../../test/support/dhcp-lab.ts'
import { formatMac } from '../../packet/addresses.ts'
import { arpRequestFrame, BROADCAST_MAC, echoFrame, etherFrame, ipBytes, udpFrame } from '../../packet/build.ts'
import { DnsType } from '../../packet/dns.ts'

test('ARP, neighbour solicitations and pings for its address are answered', async () => {
  const { host, take } = await lab()
  host.send('alpha', arpRequestFrame(A, '10.77.0.100', '10.77.0.1'))
  const [reply] = take('alpha')
  assert.equal(reply!.length, 60)
  assert.deepEqual([formatMac(reply!, 22), reply![21]], [SERVER, 2])
  const pair = { sourceMac: A, destinationMac: SERVER }
  host.send('alpha', echoFrame({ ...pair, source: '10.77.0.100', destination: '10.77.0.1' }, false, 7, 9, Uint8Array.of(1, 2, 3)))
  const [echo] = take('alpha')
  assert.deepEqual([...echo!.subarray(34, 36), ...echo!.subarray(38, 45)], [0, 0, 0, 7, 0, 9, 1, 2, 3])
  const solicit = Uint8Array.from([135, 0, 0, 0, 0, 0, 0, 0, ...ipBytes('fd77::1')])
  host.send('alpha', icmp6('fe80::1', 'ff02::1:ff00:1', solicit))
  const [advert] = take('alpha')
  assert.ok(isSummed(advert!, 58))
  assert.deepEqual([advert![54], advert![58], formatMac(advert!, 80)], [136, 0x60, SERVER])
  host.send('alpha', echoFrame({ ...pair, source: 'fd77::100', destination: 'fd77::1' }, false, 7, 9))
  assert.ok(isSummed(take('alpha')[0]!, 58))
  host.send('alpha', arpRequestFrame(A, '10.77.0.100', '10.77.0.2'))
  assert.equal(take('alpha').length, 0)
  assert.equal(take('beta').length, 3, 'what is asked of all goes on to all')
})

test('what is asked in a VLAN is answered in it', async () => {
  const { host, take } = await lab()
  const tags = [{ protocol: 0x8100, id: 7, priority: 0, dropEligible: false }]
  host.send('alpha', etherFrame(BROADCAST_MAC, A, 0x0806, arpRequestFrame(A, '10.77.0.100', '10.77.0.1').subarray(14), tags))
  const [reply] = take('alpha')
  assert.deepEqual([...reply!.subarray(12, 18)], [0x81, 0, 0, 7, 8, 6])
  assert.equal(reply![25], 2)
})

test('VMs are known by the names of their ports and by what they call themselves, forwards and backwards', async () => {
  const one = await lab({ names: [{ name: 'printer', addresses: ['10.77.0.9', 'fd77::9'] }] })
  const alpha = comesUp(one, 'alpha', A, named('Web-1.example'))
  assert.deepEqual(asks(one, 'alpha.lab.test', DnsType.a)?.text, [alpha])
  assert.deepEqual(asks(one, 'alpha', DnsType.a)?.text, [alpha])
  const mixed = asks(one, 'wEb-1.LAB.tesT', DnsType.a)!
  assert.deepEqual([mixed.text, mixed.asked.slice(1)], [[alpha], 'wEb-1\x03LAB\x04tesT'.slice(0, mixed.asked.length - 1)])
  assert.deepEqual(asks(one, 'printer.lab.test', DnsType.aaaa)?.text, ['fd77::9'])
  assert.deepEqual(asks(one, 'gateway.lab.test', DnsType.a)?.text, ['10.77.0.1'])
  const last = alpha.split('.').reverse().join('.')
  assert.deepEqual(asks(one, `${last}.in-addr.arpa`, DnsType.ptr)?.text, ['web-1.lab.test'])
  const six = `9${'.0'.repeat(23)}.0.0.0.0.7.7.d.f.ip6.arpa`
  assert.deepEqual(asks(one, six, DnsType.ptr)?.text, ['printer.lab.test'])
  assert.deepEqual([asks(one, 'alpha.lab.test', DnsType.aaaa)?.code, asks(one, 'nobody.lab.test', DnsType.a)?.code], [0, 3])
  assert.deepEqual([asks(one, 'example.org', DnsType.a)?.code, asks(one, '1.0.0.10.in-addr.arpa', DnsType.ptr)?.code], [5, 5])
})

test('no guest gets the name of another, of the server or of the configuration', async () => {
  const one = await lab({ names: [{ name: 'printer', addresses: ['10.77.0.9'] }] })
  const alpha = comesUp(one, 'alpha', A, named('first'))
  for (const name of ['alpha', 'first', 'gateway', 'PRINTER', '-', '..', 'al\u0000pha']) comesUp(one, 'beta', B, named(name))
  assert.deepEqual(asks(one, 'alpha.lab.test', DnsType.a)?.text, [alpha])
  assert.deepEqual(asks(one, 'first.lab.test', DnsType.a)?.text, [alpha])
  assert.deepEqual(asks(one, 'gateway.lab.test', DnsType.a)?.text, ['10.77.0.1'])
  assert.deepEqual(asks(one, 'printer.lab.test', DnsType.a)?.text, ['10.77.0.9'])
})

test('an address that a guest makes itself is known by its name, and nobody takes it from it', async () => {
  const one = await lab()
  const probe = (mac: string, address: string) =>
    icmp6('::', 'ff02::1:ff00:1', Uint8Array.from([135, 0, 0, 0, 0, 0, 0, 0, ...ipBytes(address)]), mac)
  one.host.send('alpha', probe(A, 'fd77::abcd'), probe(A, 'fd99::1'))
  one.host.send('beta', probe(B, 'fd77::abcd'))
  assert.deepEqual(asks(one, 'alpha.lab.test', DnsType.aaaa)?.text, ['fd77::abcd'])
  assert.deepEqual(asks(one, 'beta.lab.test', DnsType.aaaa)?.text, [])
})

test('extended DNS is answered in kind, another version refused, nonsense not answered', async () => {
  const one = await lab()
  const opt = (version: number): number[] => [0, 0, 41, 4, 208, 0, version, 0, 0, 0, 0]
  assert.equal(asks(one, 'gateway.lab.test', DnsType.a, opt(0))?.code, 0)
  assert.equal(asks(one, 'gateway.lab.test', DnsType.a, opt(1))?.text.length, 0)
  one.host.send(
    'alpha',
    udpFrame(
      { sourceMac: A, destinationMac: SERVER, source: '10.77.0.100', destination: '10.77.0.1' },
      4000,
      53,
      new Uint8Array(12),
    ),
  )
  assert.equal(one.take('alpha').length, 0)
})
