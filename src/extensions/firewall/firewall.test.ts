import assert from 'node:assert/strict'
import { test } from 'node:test'
import { back, DB, lab, OUT, toOut, VM, v4, v6 } from '../../../test/support/firewall-lab.ts'
import { arpRequestFrame, BROADCAST_MAC, echoFrame, etherFrame, ipFrame, tcpFrame, udpFrame } from '../../packet/build.ts'
import { FirewallCounter } from './index.ts'

for (const [family, pair] of Object.entries({ IPv4: v4, IPv6: v6 })) {
  const away = toOut(pair)
  test(`over ${family} a VM reaches what its rules name, gets the answers, and nothing else passes`, async () => {
    const { host, passes, counters } = await lab()
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 443, 4000, { flags: 18 })), 0, 'an answer to nothing')
    assert.equal(passes('web1', 'out', tcpFrame(away, 4000, 443)), 1)
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 443, 4000, { flags: 18 })), 1)
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 443, 4001, { flags: 18 })), 0, 'another port')
    assert.equal(passes('web1', 'out', tcpFrame(away, 4000, 444)), 0, 'a port without a rule')
    assert.equal(passes('web1', 'out', udpFrame(away, 4000, 443)), 0, 'a protocol without a rule')
    const elsewhere = { ...away, destination: family === 'IPv4' ? '203.0.113.1' : '2001:db8:2::1' }
    assert.equal(passes('web1', 'out', tcpFrame(elsewhere, 4000, 443)), 0)
    assert.equal(passes('out', 'web1', tcpFrame(back(away), 5000, 22)), 1, 'an ingress rule')
    assert.equal(passes('web1', 'out', tcpFrame(away, 22, 5000, { flags: 18 })), 1, 'and its answers')
    assert.equal(passes('web1', 'out', echoFrame(away, false, 7, 1)), 1)
    assert.equal(passes('out', 'web1', echoFrame(back(away), true, 7, 1)), 1)
    assert.equal(passes('out', 'web1', echoFrame(back(away), true, 8, 1)), 0)
    assert.equal(host.dropped('web1', 'firewall'), 3 + 3)
    assert.equal(counters[FirewallCounter.denied], 6)
  })

  test(`over ${family} members of groups reach each other as far as rules say, whatever else has the address`, async () => {
    const { passes } = await lab()
    const there = { ...away, destinationMac: DB, destination: family === 'IPv4' ? '10.0.0.9' : '2001:db8:5::9' }
    assert.equal(passes('web1', 'db', tcpFrame(there, 4000, 5433)), 0)
    assert.equal(passes('web1', 'out', tcpFrame({ ...there, destinationMac: OUT }, 4000, 5432)), 0, 'not a member')
    assert.equal(passes('web1', 'db', tcpFrame(there, 4000, 5432)), 1)
    assert.equal(passes('db', 'web1', tcpFrame(back(there), 5432, 4000, { flags: 18 })), 1)
    assert.equal(passes('web1', 'out', tcpFrame({ ...there, destinationMac: OUT }, 4000, 5432)), 0, 'bound to the member')
    assert.equal(passes('db', 'web1', tcpFrame(back(there), 5432, 22)), 0, 'db may not begin')
  })
}

test('a group without rules neither begins nor is reached; what is in no group is left alone', async () => {
  const { passes } = await lab()
  const fromDb = { ...toOut(v4), sourceMac: DB }
  assert.equal(passes('db', 'out', tcpFrame(fromDb, 1, 443)), 0)
  assert.equal(passes('out', 'db', tcpFrame(back(fromDb), 1, 443)), 0)
  assert.equal(passes('out', 'out', tcpFrame(back(fromDb), 1, 443)), 0)
  const { host, passes: pass } = await lab()
  await host.addPorts({ name: 'free', mac: '02:00:00:00:00:0a' })
  assert.equal(pass('free', 'out', udpFrame({ ...toOut(v4), sourceMac: '02:00:00:00:00:0a' }, 1, 9)), 1)
})

test('ARP, neighbour discovery and DHCP pass, in no other guise', async () => {
  const { passes } = await lab()
  const solicit = (destination: string, hops: number, bytes = 32): Uint8Array => {
    const body = new Uint8Array(bytes)
    body[0] = 135
    return ipFrame({ ...toOut({ source: 'fe80::1', destination }), hops }, 58, body, 2)
  }
  const all = { ...toOut({ source: '0.0.0.0', destination: '255.255.255.255' }), destinationMac: BROADCAST_MAC }
  assert.equal(passes('web1', 'out', arpRequestFrame(VM, '10.0.0.5', '10.0.0.1')), 1)
  assert.equal(passes('web1', 'out', udpFrame(all, 68, 67, new Uint8Array(240))), 1)
  assert.equal(passes('web1', 'out', udpFrame({ ...all, destination: '203.0.113.9' }, 68, 67, new Uint8Array(240))), 0)
  assert.equal(passes('out', 'web1', udpFrame(back(toOut(v4)), 67, 68, new Uint8Array(240))), 1)
  assert.equal(passes('web1', 'out', solicit('ff02::1:ff00:1', 255)), 1)
  assert.equal(passes('web1', 'out', solicit('2001:db8:9::1', 255)), 0, 'to a stranger')
  assert.equal(passes('web1', 'out', solicit('2001:db8:9::1', 64)), 0, 'a forged one')
  assert.equal(passes('web1', 'out', solicit('2001:db8:9::1', 255, 200)), 0, 'with a load')
  assert.equal(passes('web1', 'out', etherFrame(OUT, VM, 0x88b5, new Uint8Array(60))), 0)
  const advert = new Uint8Array(16)
  advert[0] = 134
  assert.equal(
    passes('web1', 'out', ipFrame({ ...toOut({ source: 'fe80::1', destination: 'ff02::1' }), hops: 255 }, 58, advert, 2)),
    0,
  )
})

const neighbour = '2001:db8:5::9'
const solicitation = (from: string, sourceMac: string, destination: string, destinationMac: string, hops = 255): Uint8Array => {
  const body = new Uint8Array(32)
  body[0] = 135
  return ipFrame({ source: from, destination, sourceMac, destinationMac, hops }, 58, body)
}

test('a neighbour that has spoken with 255 hops may be asked whether it is there, and only where it is', async () => {
  const { host, passes } = await lab()
  const beside = '02:00:00:00:00:0b'
  await host.addPorts({ name: 'beside', mac: beside })
  const probe = (mac: string): Uint8Array => solicitation(v6.source, VM, neighbour, mac)
  assert.equal(passes('web1', 'beside', probe(beside)), 0)
  passes('beside', 'web1', solicitation(neighbour, beside, v6.source, VM, 64))
  assert.equal(passes('web1', 'beside', probe(beside)), 0, 'a router may have carried it')
  assert.equal(passes('beside', 'web1', solicitation(neighbour, beside, v6.source, VM)), 1)
  assert.equal(passes('web1', 'beside', probe(beside)), 1)
  assert.equal(passes('web1', 'out', probe(OUT)), 0, 'by the gateway, in the guise of a neighbour')
  host.advance(3_600_000)
  assert.equal(passes('web1', 'beside', probe(beside)), 0)
})
