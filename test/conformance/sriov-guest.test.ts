// The guest's half of a VF: where its driver starts, what it may call, what it is told, and how it ends; configuration blocks as vendors
// and drivers agree on them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterError, vfAttributes } from '../../src/adapter/capabilities.ts'
import {
  ABILITIES_BYTES,
  Block,
  DIAGNOSTICS_BYTES,
  IDENTITY_BYTES,
  LINK_BYTES,
  STATISTICS_BYTES,
} from '../../src/adapter/config-blocks.ts'
import { GuestNdis, NETVSC, type VfDriver, type VfServices } from '../../src/adapter/guest/guest-ndis.ts'
import { SoftwareVfDriver } from '../../src/adapter/guest/software-vf-driver.ts'
import { INVALIDATABLE_BLOCKS, PartitionType } from '../../src/adapter/identifiers.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { igbvfIdentity } from '../../src/adapter/vf-device.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, MAC, overriding } from '../support/adapter-harness.ts'
import { GuestFunction } from '../support/guest-function.ts'

const { success, failure, invalidParameter, notSupported } = NdisStatus
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A guest's NDIS with a driver at an allocated VF. */
function guestOf(harness: AdapterHarness, vfId: number, driver: VfDriver = new SoftwareVfDriver(), serialNumber = 1) {
  const channel = harness.software.channel(vfId)
  return new GuestNdis({ partition: PartitionType.child, serialNumber }, { channel, driver })
}

test('a VF driver starts in a child partition alone, and reports SR-IOV and no switch, filters or queues (SR-020, SR-036, SR-037, SR-091)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  const channel = harness.software.channel(vfId)
  for (const partition of [PartitionType.parent, PartitionType.unknown]) {
    const ndis = new GuestNdis({ partition, serialNumber: 1 }, { channel, driver: new SoftwareVfDriver() })
    await assert.rejects(ndis.start(), (error) => error instanceof AdapterError && error.rule === 'SR-025')
    assert.equal(ndis.running, false)
  }
  const reads = harness.software.registry.reads.length
  const ndis = guestOf(harness, vfId)
  assert.deepEqual(await ndis.start(), vfAttributes())
  assert.equal(harness.software.registry.reads.length, reads, 'no keyword is read for a VF')
  await ndis.stop()
  const full = harness.software.adapter.attributes
  let halted = false
  const wrong: VfDriver = {
    supportedOids: [],
    initialize: async () => ({ ...vfAttributes(), hardwareNicSwitch: full.hardwareNicSwitch! }),
    invalidated() {},
    halt: async () => {
      halted = true
    },
  }
  await assert.rejects(guestOf(harness, vfId, wrong).start(), (error) => error instanceof AdapterError && error.rule === 'SR-036')
  assert.equal(halted, true)
})

test('NetVSC alone binds to a VF, once that has initialized (SR-019, SR-243)', async () => {
  const harness = await AdapterHarness.start()
  const { vfId } = await harness.allocate(MAC.a)
  const ndis = guestOf(harness, vfId)
  assert.throws(() => ndis.bind(NETVSC), /has not initialized/)
  await ndis.start()
  for (const protocol of ['tcpip', 'ndiswan', ''])
    assert.throws(
      () => ndis.bind(protocol),
      (error) => error instanceof AdapterError && error.rule === 'SR-019',
    )
  ndis.bind(NETVSC)
  assert.equal(ndis.bound, true)
})

test('a VF driver lists the invalidation request, gets it from NDIS alone, and reads anew what is stale (SR-077, SR-293, SR-296)', async () => {
  const harness = await AdapterHarness.start()
  const { vf } = await harness.vm(MAC.a)
  const driver = new SoftwareVfDriver()
  assert.deepEqual(driver.supportedOids, [AdapterOid.sriovVfInvalidateConfigBlock])
  let services: VfServices | undefined
  const spying: VfDriver = {
    supportedOids: driver.supportedOids,
    initialize: (given) => {
      services = given
      return driver.initialize(given)
    },
    invalidated: (mask) => driver.invalidated(mask),
    halt: () => driver.halt(),
  }
  const ndis = guestOf(harness, vf, spying)
  await ndis.start()
  assert.deepEqual(Object.keys(services!).sort(), ['getBusData', 'readConfigBlock', 'setBusData', 'writeConfigBlock'])
  const request = { oid: AdapterOid.sriovVfInvalidateConfigBlock, type: 'method' } as const
  assert.equal(ndis.request(request).status, notSupported)
  const link = await driver.block(Block.linkState, LINK_BYTES)
  assert.equal(link[0], 1)
  assert.equal(await driver.block(Block.linkState, LINK_BYTES), link, 'as it was read')
  for (const up of [false, true, false]) {
    harness.software.pf.setWire(true, up)
    await turn()
    assert.equal((await driver.block(Block.linkState, LINK_BYTES))[0], up ? 1 : 0)
  }
  const identity = await driver.block(Block.identity, IDENTITY_BYTES)
  harness.software.pf.invalidations.invalidate(vf, 2n)
  await turn()
  assert.equal(await driver.block(Block.identity, IDENTITY_BYTES), identity, 'only what was named is stale')
  await ndis.stop()
  // Nobody waits any more: what changes now is pending for the next driver.
  harness.software.pf.setWire(true, true)
  assert.equal(await harness.software.channel(vf).invalidated(), 3n)
})

test('a VF driver that does not list the request is not told', async () => {
  const harness = await AdapterHarness.start()
  const { vf } = await harness.vm(MAC.a)
  const masks: bigint[] = []
  const driver: VfDriver = {
    supportedOids: [],
    initialize: async () => vfAttributes(),
    invalidated: (mask) => void masks.push(mask),
    halt: async () => {},
  }
  await guestOf(harness, vf, driver).start()
  harness.software.pf.invalidations.invalidate(vf, 1n)
  await turn()
  assert.deepEqual(masks, [])
})

test('configuration space is reached through requests to the PF, of the own VF only (SR-264)', async () => {
  const asked: string[] = []
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, {
        readConfigSpace: (vfId, offset, length) => {
          asked.push(`read ${vfId} ${offset} ${length}`)
          return pf.readConfigSpace(vfId, offset, length)
        },
        writeConfigSpace: (vfId, offset, data) => {
          asked.push(`write ${vfId} ${offset} ${Buffer.from(data).toString('hex')}`)
          return vfId === 1 ? failure : pf.writeConfigSpace(vfId, offset, data)
        },
      }),
  })
  const a = await harness.vm(MAC.a)
  const b = await harness.vm(MAC.b)
  let services: VfServices | undefined
  const driver: VfDriver = {
    supportedOids: [],
    initialize: async (given) => {
      services = given
      return vfAttributes()
    },
    invalidated() {},
    halt: async () => {},
  }
  await guestOf(harness, a.vf, driver).start()
  assert.equal(await services!.setBusData(4, Uint8Array.of(6, 0)), success)
  assert.deepEqual([...(await services!.getBusData(4, 2))], [4, 0])
  assert.deepEqual([...(await services!.getBusData(4094, 4))], [], 'nothing on failure')
  assert.equal(await services!.setBusData(4094, new Uint8Array(4)), invalidParameter)
  assert.deepEqual(asked, ['write 0 4 0600', 'read 0 4 2'])
  await guestOf(harness, b.vf, driver).start()
  assert.equal(await services!.setBusData(4, Uint8Array.of(6, 0)), failure, "the PF's status is the guest's")
})

test('reads may be answered from what the miniport remembers of earlier reads and writes (SR-270)', async () => {
  const cache = new Map<number, number>()
  let misses = 0
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, {
        readConfigSpace: (vfId, offset, length) => {
          const known = Array.from({ length }, (_, i) => cache.get(offset + i))
          if (known.every((byte) => byte !== undefined)) return { status: success, value: Uint8Array.from(known as number[]) }
          misses++
          const outcome = pf.readConfigSpace(vfId, offset, length)
          for (const [i, byte] of outcome.value!.entries()) cache.set(offset + i, byte)
          return outcome
        },
      }),
  })
  const { vf } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  const first = await channel.readConfig(0, 16)
  assert.deepEqual([await channel.readConfig(0, 16), misses], [first, 1])
})

test("with a vendor's bus driver the miniport asks that, and NDIS's services are not used (SR-271)", async () => {
  const asked: string[] = []
  const space = new Uint8Array(4096).fill(0x5a)
  const harness = await AdapterHarness.start({
    busDriver: {
      read: (vfId, offset, length) => {
        asked.push(`read ${vfId} ${offset}`)
        return offset === 64 ? undefined : space.slice(offset, offset + length)
      },
      write: (vfId, offset, data) => {
        asked.push(`write ${vfId} ${offset}`)
        if (offset === 64) return false
        space.set(data, offset)
        return true
      },
    },
  })
  const { vf } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  assert.equal(await channel.writeConfig(8, Uint8Array.of(1, 2)), success)
  assert.deepEqual([...(await channel.readConfig(8, 3))], [1, 2, 0x5a])
  assert.deepEqual([...(await channel.readConfig(64, 4))], [])
  assert.equal(await channel.writeConfig(64, Uint8Array.of(0)), failure)
  assert.deepEqual(asked, ['write 0 8', 'read 0 8', 'read 0 64', 'write 0 64'])
  const own = new Uint8Array(4)
  assert.deepEqual([harness.software.pf.bus.read(vf, 8, own), own[0]], [4, 0], "the function's own registers were left alone")
})

test("NDIS's services say how many bytes they moved, from when virtualization is enabled, allocated or not (SR-272)", async () => {
  const harness = await AdapterHarness.start()
  const { bus } = harness.software.pf
  const four = new Uint8Array(4)
  assert.deepEqual([bus.read(3, 0, four), [...four]], [4, [255, 255, 255, 255]])
  assert.deepEqual([bus.write(3, 4, Uint8Array.of(0xff, 0xff)), bus.read(3, 4, four), four[0]], [2, 4, 4])
  for (const [vfId, offset, length] of [
    [4, 0, 4],
    [-1, 0, 4],
    [0.5, 0, 4],
    [0, 4093, 4],
    [0, -1, 4],
    [0, 0, 0],
  ] as const) {
    assert.equal(bus.read(vfId, offset, new Uint8Array(length)), 0, `${vfId} ${offset} ${length}`)
    assert.equal(bus.write(vfId, offset, new Uint8Array(length)), 0)
  }
  assert.equal(await harness.status(AdapterOid.nicSwitchDeleteSwitch, 'set', { switchId: 0 }, 'ndis'), success)
  assert.equal(bus.read(0, 0, four), 0, 'there are no VFs any more')
})

test('the ids that the PF tells are those that the guest enumerates; without a guest those of the adapter (SR-273, SR-274)', async () => {
  const identity = { ...igbvfIdentity, vendorId: 0x1234, deviceId: 0x5678 }
  const harness = await AdapterHarness.start({ identity })
  const { vf } = await harness.vm(MAC.a)
  const told = () => harness.output(AdapterOid.sriovVfVendorDeviceId, 'method', { vfId: vf })
  assert.deepEqual(await told(), { vfId: vf, vendorId: 0x1234, deviceId: 0x5678 })
  const guest = new GuestFunction(harness, vf)
  const ids = new Uint8Array(4)
  guest.function.readConfig(0, ids)
  const view = new DataView(ids.buffer)
  assert.deepEqual(await told(), { vfId: vf, vendorId: view.getUint16(0, true), deviceId: view.getUint16(2, true) })
})

test('a VF adapter is known by its serial number, not by its address (SR-281)', async () => {
  const harness = await AdapterHarness.start()
  const serials = new Map<number, number>()
  for (const [mac, serial] of [
    [MAC.a, 11],
    [MAC.b, 12],
  ] as const) {
    const { vfId } = await harness.allocate(mac)
    const ndis = guestOf(harness, vfId, new SoftwareVfDriver(), serial)
    assert.equal(ndis.request({ oid: AdapterOid.sriovVfSerialNumber, type: 'query' }).status, failure)
    await ndis.start()
    const { output } = ndis.request({ oid: AdapterOid.sriovVfSerialNumber, type: 'query' })
    serials.set((output as { serialNumber: number }).serialNumber, vfId)
    assert.equal(ndis.request({ oid: AdapterOid.sriovVfSerialNumber, type: 'set' }).status, notSupported)
  }
  assert.deepEqual(
    [...serials],
    [
      [11, 0],
      [12, 1],
    ],
  )
})

test('blocks pass NDIS as they are: nobody between PF and VF reads them (SR-282)', async () => {
  const written: [number, string][] = []
  const noise = Uint8Array.from({ length: 128 }, (_, i) => (i * 37) & 255)
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, {
        readConfigBlock: (_vf, blockId, length) => ({ status: success, value: noise.slice(blockId, blockId + length) }),
        writeConfigBlock: (_vf, blockId, data) => {
          written.push([blockId, Buffer.from(data).toString('hex')])
          return success
        },
      }),
  })
  const { vf } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  for (const blockId of [0, 2, 63, 64, 77, 0xffff_ffff]) {
    assert.equal(await channel.write(blockId, noise), success)
    assert.deepEqual(written.pop(), [blockId, Buffer.from(noise).toString('hex')])
  }
  assert.deepEqual((await channel.read(5, 100)).data, noise.slice(5, 105))
})

test('each block has an id, a format and a length of its own (SR-283)', async () => {
  const harness = await AdapterHarness.start()
  const { vf, vport } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  const view = async (blockId: number, length: number): Promise<DataView> => {
    const { data } = await channel.read(blockId, 128)
    assert.ok(
      data?.subarray(length).every((byte) => byte === 0),
      `block ${blockId} is ${length} bytes long`,
    )
    return new DataView(data!.buffer)
  }
  const identity = await view(Block.identity, IDENTITY_BYTES)
  assert.deepEqual([identity.getUint16(8, true), identity.getUint16(10, true), identity.getUint16(18, true)], [1500, 1, 1])
  assert.equal((await view(Block.linkState, LINK_BYTES)).getUint32(0, true), 1)
  assert.equal((await view(Block.statistics, STATISTICS_BYTES)).getBigUint64(0, true), 0n)
  await view(Block.rss, ABILITIES_BYTES)
  await view(Block.offloads, ABILITIES_BYTES)
  const diagnostics = await view(Block.diagnostics, DIAGNOSTICS_BYTES)
  assert.deepEqual([diagnostics.getUint16(2, true), diagnostics.getUint32(4, true)], [vf, harness.software.capability.vfRid(vf)])
  assert.equal((await channel.read(Block.receiveMode, 4)).status, failure, 'is written only')
  assert.equal(new Set(Object.values(Block)).size, Object.values(Block).length)
  assert.ok(vport > 0)
})

test('what changes stands in the first 64 blocks, what never does above them (SR-295)', async () => {
  const harness = await AdapterHarness.start()
  const { vf } = await harness.vm(MAC.a)
  const channel = harness.software.channel(vf)
  const read = () => Promise.all(Object.values(Block).map(async (id) => [id, (await channel.read(id, 128)).data?.join()]))
  const before = await read()
  const changes: (() => unknown)[] = [
    () => harness.software.pf.setWire(true, false),
    () => harness.request(AdapterOid.sriovResetVf, 'set', { vfId: vf }),
    () => harness.software.pf.configure(vf, { linkMode: 'enable' }),
  ]
  let changed = 0n
  for (const change of changes) {
    await change()
    changed |= await channel.invalidated()
    const after = await read()
    for (const [i, [id, text]] of after.entries())
      if (text !== before[i]![1]) {
        assert.ok(Number(id) < INVALIDATABLE_BLOCKS)
        assert.notEqual(changed & (1n << BigInt(id!)), 0n, `block ${id} changed and was not said to have`)
      }
  }
})

test('the PF alone resets a function for the host, when it is asked to and at no other time (SR-298)', async () => {
  const harness = await AdapterHarness.start()
  const { vf, vport, filter } = await harness.vm(MAC.a)
  const guest = new GuestFunction(harness, vf)
  await guest.up()
  const before = guest.function.resets
  assert.equal(await harness.status(AdapterOid.sriovResetVf, 'set', { vfId: vf }), success)
  assert.equal(guest.function.resets, before + 1)
  await harness.request(AdapterOid.receiveFilterClearFilter, 'set', { queueId: 0, filterId: filter })
  await harness.request(AdapterOid.nicSwitchDeleteVPort, 'set', { vPortId: vport })
  await harness.request(AdapterOid.nicSwitchFreeVf, 'set', { vfId: vf })
  assert.equal(guest.function.resets, before + 1)
  const channel = harness.software.channel(vf) as unknown as Record<string, unknown>
  assert.equal(channel.reset, undefined)
  assert.equal(await harness.status(AdapterOid.sriovResetVf, 'set', { vfId: vf }), invalidParameter)
})

test('on removal NetVSC is unbound and the VF miniport halts, like any miniport (SR-247, SR-306)', async () => {
  const harness = await AdapterHarness.start()
  const { vf } = await harness.vm(MAC.a)
  const order: string[] = []
  let ndis: GuestNdis | undefined
  const driver: VfDriver = {
    supportedOids: [],
    initialize: async () => vfAttributes(),
    invalidated() {},
    halt: async () => void order.push(`halt, ${ndis?.bound ? 'bound' : 'unbound'}, ${ndis?.running ? 'running' : 'stopped'}`),
  }
  ndis = guestOf(harness, vf, driver)
  await ndis.start()
  ndis.bind(NETVSC)
  await ndis.stop()
  await ndis.stop()
  assert.deepEqual(order, ['halt, unbound, stopped'])
  assert.equal(ndis.request({ oid: AdapterOid.sriovVfSerialNumber, type: 'query' }).status, failure)
  await ndis.start()
  assert.equal(ndis.running, true)
  await ndis.stop()
})
