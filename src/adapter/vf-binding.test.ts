import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterHarness, MAC, wireFrame } from '../../test/support/adapter-harness.ts'
import type { VfFilterState } from './igbvf/owner.ts'
import { AdapterOid } from './oids.ts'
import { type BoundFunction, deviceOf, ownerOf } from './vf-binding.ts'

const octets = (mac: string): Uint8Array => Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16))

function recordingFunction(): { fn: BoundFunction; calls: string[]; space: Uint8Array } {
  const calls: string[] = []
  const space = new Uint8Array(4096)
  const fn: BoundFunction = {
    readConfig(offset, target) {
      target.set(space.subarray(offset, offset + target.length))
      return true
    },
    writeConfig(offset, data) {
      space.set(data, offset)
      return true
    },
    reset: (cause) => void calls.push(`reset ${cause}`),
    setPowerState: (state) => void calls.push(state),
    setLink: (up) => void calls.push(up ? 'up' : 'down'),
  }
  return { fn, calls, space }
}

test("OIDs act on the function's own registers: configuration space, reset, power, link (SR-265, SR-266, SR-297, SR-299)", async () => {
  const harness = await AdapterHarness.start()
  const { vf: vfId } = await harness.vm(MAC.a)
  const { fn, calls, space } = recordingFunction()
  harness.software.pf.attachDevice(vfId, deviceOf(fn))
  space.set([0x86, 0x80], 0)
  assert.deepEqual(
    await harness.output(AdapterOid.sriovReadVfConfigSpace, 'method', { vfId, offset: 0, length: 2, room: 2 }),
    new Uint8Array([0x86, 0x80]),
  )
  await harness.request(AdapterOid.sriovWriteVfConfigSpace, 'set', { vfId, offset: 4, data: new Uint8Array([6]) })
  assert.equal(space[4], 6)
  await harness.request(AdapterOid.sriovResetVf, 'set', { vfId })
  await harness.request(AdapterOid.sriovSetVfPowerState, 'set', { vfId, powerState: 4, wakeEnable: false })
  harness.software.pf.setWire(true, false)
  assert.deepEqual(calls, ['up', 'reset owner', 'D3', 'down'])
})

test('what a guest asks of its function is judged by its VPort and its trust', async () => {
  const harness = await AdapterHarness.start()
  const { vf: vfId, vport } = await harness.vm(MAC.a, 5)
  const { pf } = harness.software
  const owner = ownerOf(pf, vfId, 1500)
  assert.deepEqual([owner.mac, owner.linkUp, owner.trusted, owner.maxFrameBytes], [octets(MAC.a), true, false, 1522])
  assert.deepEqual([owner.allowsMac(octets(MAC.a)), owner.allowsMac(octets(MAC.b))], [true, false])
  assert.deepEqual([owner.allowsVlan(5), owner.allowsVlan(6), owner.allowsVlan(0)], [true, false, false])
  await harness.filter(vport, MAC.b, 6)
  assert.deepEqual([owner.allowsMac(octets(MAC.b)), owner.allowsVlan(6)], [true, true])

  const wants = (unicast: boolean): VfFilterState => ({
    addresses: [],
    vlans: [],
    multicastHashes: 1,
    promiscuous: { unicast, multicast: false },
    maxFrameBytes: 1522,
  })
  const heard = (): string[] => {
    harness.send(harness.wire, wireFrame('01:00:5e:00:00:09', MAC.peer, 'group', 5), wireFrame(MAC.c, MAC.peer, 'other', 5))
    return harness.got(vport)
  }
  assert.deepEqual(heard(), [])
  owner.filtersChanged(wants(true))
  assert.deepEqual(heard(), ['group'])
  pf.configure(vfId, { trust: true })
  owner.filtersChanged(wants(true))
  assert.deepEqual(heard(), ['group', 'other'])
  owner.wasReset('driver')
  assert.deepEqual(heard(), [])
})

test('a VF that is not allocated is nobody', async () => {
  const harness = await AdapterHarness.start()
  const owner = ownerOf(harness.software.pf, 3, 1500)
  assert.deepEqual(
    [owner.mac, owner.linkUp, owner.trusted, owner.allowsMac(octets(MAC.a)), owner.allowsVlan(0)],
    [null, false, false, false, false],
  )
  owner.wasReset('device')
})
