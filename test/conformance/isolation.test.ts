import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InnerStatusIndication } from '../../src/ndis/oids.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import {
  ISOLATION_ENTRY_BYTES,
  ISOLATION_PARAMETERS_BYTES,
  ISOLATION_PARAMETERS_CHANGE,
  OID_GEN_ISOLATION_PARAMETERS,
  ROUTING_DOMAIN_ENTRY_BYTES,
} from '../../src/switch/policies/isolation-parameters.ts'
import { frame, SwitchUnderTest, use } from './switch-under-test.ts'

const DOMAIN = '0d3c1f9f-0020-4c56-9b7e-7b0b6d0e5f20'
const isolation = (value: object) => ({ type: 'isolation', value }) as const
const domain = (...ids: number[]) =>
  ({
    type: 'routing-domain',
    value: {
      routingDomainId: DOMAIN,
      routingDomainName: 'tenant',
      isolationIds: ids.map((isolationId) => ({ isolationId, name: `id ${isolationId}` })),
    },
  }) as const

const tagged = (vlan: number, text: string): Buffer => {
  const plain = frame(0, 1, text)
  return Buffer.concat([plain.subarray(0, 12), Buffer.from([0x81, 0, vlan >> 8, vlan & 0xff]), plain.subarray(12)])
}

test('untagged traffic of a port that is isolated by VLAN gets the default id where it is allowed, and is dropped where not (ES-541)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 4 })
  const { policies } = sut.switch
  const access = (vlan: number) => ({ type: 'vlan', value: { mode: 'access', accessVlanId: vlan } }) as const
  await policies.add(2, access(10))
  await policies.add(3, access(20))
  await policies.add(1, isolation({ mode: 'vlan', allowUntaggedTraffic: true, defaultIsolationId: 10 }))
  await sut.send(1, 0, 'untagged')
  assert.deepEqual(await sut.receive(2, 1), ['untagged'], 'of VLAN 10')
  await sut.silence(3, 4)
  assert.ok(sut.peer(1).send(tagged(20, 'tagged')))
  assert.deepEqual(await sut.receive(3, 1), ['tagged'])
  await sut.silence(2, 4)
  await policies.update(1, isolation({ mode: 'vlan' }))
  await sut.send(1, 0, 'untagged no more')
  await sut.until(() => sut.drops(1)['vlan-not-allowed'] === 1, 'the drop')
  assert.ok(sut.peer(1).send(tagged(10, 'still tagged')))
  assert.deepEqual(await sut.receive(2, 1), ['still tagged'])
  await policies.add(1, domain(20))
  assert.ok(sut.peer(1).send(tagged(10, 'of no domain')))
  await sut.until(() => sut.drops(1)['vlan-not-allowed'] === 2, 'the drop of an id that is in no routing domain')
  await sut.silence(2, 3, 4)
  await assert.rejects(
    policies.update(1, isolation({ mode: 'vlan', defaultIsolationId: 5000 })),
    /defaultIsolationId: 5000 is not/,
  )
})

test('packets of a port that is isolated by subnet carry its id, or the default one where untagged traffic is allowed; else they are dropped (ES-541)', async (t) => {
  const { file } = use({ name: 'F', class: 'filtering' })
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      { name: 'S', file: file.replace('filtering.ts', 'subnet-reader.ts'), enabled: true, onFailure: 'open', options: {} },
    ],
  })
  const { policies } = sut.switch
  const seen = async (text: string): Promise<string[]> => {
    sut.said()
    await sut.send(1, 2, text)
    await sut.receive(2, 1)
    return sut.said()
  }
  assert.deepEqual(await seen('a'), ['S: subnet 0'])
  // The receiver is in the same virtual subnet each time: nobody else would get anything.
  const untagged = isolation({ mode: 'native-virtual-subnet', allowUntaggedTraffic: true, defaultIsolationId: 7001 })
  for (const port of [1, 2]) await policies.add(port, untagged)
  assert.deepEqual(await seen('b'), ['S: subnet 7001'])
  for (const port of [1, 2]) await policies.add(port, { type: 'security', value: { virtualSubnetId: 5001 } })
  assert.deepEqual(await seen('c'), ['S: subnet 5001'])
  await policies.update(1, isolation({ mode: 'native-virtual-subnet' }))
  assert.deepEqual(await seen('d'), ['S: subnet 5001'], 'it has an id')
  await policies.delete(1, { type: 'security' })
  await sut.send(1, 2, 'e')
  await sut.until(() => sut.drops(1)['vlan-not-allowed'] === 1, 'the drop')
  await sut.silence(2)
})

test('the guest’s adapter answers for the isolation of its port, if there is some, and there is room (ES-543, ES-544)', async (t) => {
  const sut = await SwitchUnderTest.start(t)
  const { policies } = sut.switch
  const ask = (room?: number) =>
    policies.guestRequest(1, { oid: OID_GEN_ISOLATION_PARAMETERS, type: 'query', ...(room === undefined ? {} : { room }) })
  assert.deepEqual(ask(0), { status: NdisStatus.success, bytesWritten: 0 }, 'nothing is written, not even into no room')
  await policies.add(1, isolation({ mode: 'native-virtual-subnet', allowUntaggedTraffic: true }))
  await policies.add(1, domain(5001, 5002))
  const needed = ISOLATION_PARAMETERS_BYTES + ROUTING_DOMAIN_ENTRY_BYTES + 2 * ISOLATION_ENTRY_BYTES
  assert.deepEqual(ask(needed - 1), { status: NdisStatus.invalidLength, bytesNeeded: needed, bytesWritten: 0 })
  const { status, output, bytesWritten } = ask(needed)
  assert.deepEqual([status, bytesWritten], [NdisStatus.success, needed])
  assert.deepEqual(output, {
    isolationMode: 'native-virtual-subnet',
    allowUntaggedTraffic: true,
    routingDomains: [domain(5001, 5002).value],
  })
  assert.equal(policies.guestRequest(1, { oid: 1, type: 'query' }).status, NdisStatus.notSupported)
  assert.equal(
    policies.guestRequest(2, { oid: OID_GEN_ISOLATION_PARAMETERS, type: 'query' }).bytesWritten,
    0,
    'the other port has none',
  )
})

test('a guest is told when the routing domains of its port change, without a buffer (ES-545)', async (t) => {
  const told: [number, InnerStatusIndication][] = []
  const sut = await SwitchUnderTest.start(t, { edge: { adapterIndicated: (portId, status) => told.push([portId, status]) } })
  const { policies } = sut.switch
  await policies.add(1, { type: 'security', value: {} })
  assert.deepEqual(told, [])
  const { propertyInstanceId: instance } = await policies.add(2, domain(5001))
  await policies.update(2, { ...domain(5002), instance })
  await policies.delete(2, { type: 'routing-domain' })
  const change = [2, { statusCode: ISOLATION_PARAMETERS_CHANGE, statusBuffer: null }]
  assert.deepEqual(told, [change, change, change])
})
