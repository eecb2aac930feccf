import assert from 'node:assert/strict'
import { test } from 'node:test'
import { macOf, SwitchUnderTest } from './switch-under-test.ts'

const octets = (mac: string): number[] => mac.split(':').map((octet) => Number.parseInt(octet, 16))

// An ARP announcement of 10.0.0.`host`, from a port's address; tagged with a VLAN if there is one.
function announcement(port: number, host: number, vlan = 0): Buffer {
  const bytes = Buffer.alloc(60)
  const tag = vlan === 0 ? [] : [0x81, 0, 0, vlan]
  bytes.set([255, 255, 255, 255, 255, 255, ...octets(macOf(port)), ...tag, 8, 6])
  const sender = host === 0 ? [0, 0, 0, 0] : [10, 0, 0, host]
  bytes.set([0, 1, 8, 0, 6, 4, 0, 1, ...octets(macOf(port)), ...sender, 0, 0, 0, 0, 0, 0, 10, 0, 0, host], 14 + tag.length)
  return bytes
}

test('of a port as many dynamic IP addresses are learned as its limit says, from the next frame on (ES-530)', async (t) => {
  const sut = await SwitchUnderTest.start(t)
  const { policies } = sut.switch
  const announce = async (host: number, vlan = 0): Promise<void> => {
    assert.ok(sut.peer(1).send(announcement(1, host, vlan)))
    await sut.receive(2, 1)
  }
  const limit = (dynamicIpAddressLimit: number) => ({ type: 'security', value: { dynamicIpAddressLimit } }) as const
  await announce(1)
  assert.deepEqual(policies.ipAddresses(1), [], 'without a limit nothing is looked at')
  await policies.add(1, limit(2))
  await announce(0)
  await announce(5)
  await announce(5)
  await announce(6, 7)
  await announce(7)
  assert.deepEqual(policies.ipAddresses(1), ['10.0.0.5', '10.0.0.6'], 'a third one is not learned')
  assert.deepEqual(policies.ipAddresses(2), [])
  await policies.update(1, limit(3))
  for (const host of [7, 8, 9, 10]) await announce(host)
  assert.deepEqual(policies.ipAddresses(1), ['10.0.0.7', '10.0.0.8', '10.0.0.9'])
  await policies.delete(1, { type: 'security' })
  assert.deepEqual(policies.ipAddresses(1), [])
})
