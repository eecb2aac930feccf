import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { InnerOid } from '../../src/ndis/inner-oids.ts'
import { type NicOidRequest, Oid, type OidRequest } from '../../src/ndis/oids.ts'
import { type ControlOptions, ControlUnderTest, memory, script } from './control-under-test.ts'
import type { Command, OwnRequest } from './extensions/script.ts'
import { portConfig } from './switch-under-test.ts'

const VENDOR = 0xff123456
const inner = (oid: number, type: OidRequest['type'] = 'set'): OidRequest => ({ oid, type, payload: { of: 'test' } })
const wrapped = (given: Partial<NicOidRequest>): Command => ({
  do: 'request',
  request: {
    oid: Oid.nicRequest,
    type: 'method',
    payload: {
      sourcePortId: 0,
      sourceNicIndex: 0,
      destinationPortId: 2,
      destinationNicIndex: 1,
      oidRequest: inner(VENDOR, 'query'),
      ...given,
    },
  },
})

// A switch with port 1 and the external port 2 over two adapters that carry out everything and note it.
async function external(t: TestContext, options: ControlOptions) {
  const done: string[] = []
  const cut = await ControlUnderTest.start(t, {
    limits: { drainMs: 50 }, // references are left behind
    ...options,
    edge: {
      adapterRequest: (port, nic, { oid, type }) => {
        done.push(`${port}/${nic} ${type} ${oid.toString(16)}`)
        return { status: oid === InnerOid.receiveFilterSetFilter ? 0xc000009a : 0 }
      },
    },
  })
  await cut.sut.switch.addPort(portConfig(2, { name: 'up', mac: null, learning: true, adapters: [memory] }))
  await cut.sut.until(() => cut.oids('C1', 'up').includes('NIC_CONNECT 2'), 'the adapters')
  await cut.sut.switch.updatePort('p1', 'after them') // which are connected for the switch too, then
  return {
    cut,
    done,
    seen: (module: string) =>
      cut.sut.log
        .filter(({ source, message }) => source === `extension ${module}` && message.startsWith('oid NIC_REQUEST'))
        .map(({ message }) => message.slice(16)),
  }
}

test('CS-84 a multicast request of a guest is shown to the extensions, with its source and for nobody else (ES-257, ES-258, ES-259)', async (t) => {
  const { cut, done, seen } = await external(t, {
    extensions: [script('C1'), script('X1', { replies: { NIC_REQUEST: { status: 0xc0000001 } } })],
  })
  const { status } = await cut.sut.switch.nicRequest(inner(InnerOid.addMulticastAddress), 'p1')
  assert.equal(status, 0)
  assert.deepEqual(seen('C1'), ['1/0 to 0/0'])
  assert.deepEqual(done, [])
  assert.deepEqual(cut.breaches('X1'), ['ES-257'])
  await assert.rejects(cut.sut.switch.nicRequest(inner(InnerOid.addMulticastAddress)), /has an adapter as its source/)
})

test('an offload request from above goes to the external adapter, with its source, and completes as it does there (ES-255, ES-256, ES-260, ES-262, ES-280)', async (t) => {
  const { cut, done, seen } = await external(t, { extensions: [script('C1'), script('X1')] })
  assert.equal((await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterAllocateQueue), 'p1')).status, 0)
  assert.equal((await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterSetFilter))).status, 0xc000009a)
  assert.deepEqual(seen('X1'), ['1/0 to 2/0', '0/0 to 2/0'])
  assert.deepEqual(done, ['2/0 set 10223', '2/0 set 10227'])
  await assert.rejects(cut.sut.switch.nicRequest(inner(VENDOR)), /no hardware-offload request/)
})

test('CS-85 a forwarding extension redirects a request to a team member under a reference; the source stays (ES-261, ES-264, ES-267, ES-272)', async (t) => {
  const { cut, done, seen } = await external(t, {
    extensions: [script('C1'), script('X1', { replies: { NIC_REQUEST: { member: 2 } } })],
  })
  await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterAllocateQueue), 'p1')
  assert.deepEqual(cut.breaches('X1'), ['ES-272'], 'without a reference')
  await cut.tell('X1', { do: 'referenceNic', port: 2, nic: 2 })
  assert.equal(await cut.line('X1', 'referenceNic'), 'referenceNic 0')
  await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterAllocateQueue), 'p1')
  await cut.tell('X1', { do: 'dereferenceNic', port: 2, nic: 2 })
  assert.deepEqual(done, ['2/0 set 10223', '2/2 set 10223'])
  assert.deepEqual(seen('X1'), ['1/0 to 2/0', '1/0 to 2/0'])
})

test('a redirected request keeps its source: one that names another is a breach and goes where it went (ES-261)', async (t) => {
  const { cut, done, seen } = await external(t, {
    extensions: [script('X1', { replies: { NIC_REQUEST: { member: 2, forge: true } } }), script('C1')].reverse(),
  })
  await cut.tell('X1', { do: 'referenceNic', port: 2, nic: 2 })
  await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterAllocateQueue), 'p1')
  assert.deepEqual(cut.breaches('X1'), ['ES-261'])
  assert.deepEqual(done, ['2/0 set 10223'])
  assert.deepEqual(seen('X1'), ['1/0 to 2/0'])
})

test('an encapsulated request is forwarded from within the call; one that is kept and forwarded later is a breach (ES-274)', async (t) => {
  const late = { replies: { NIC_REQUEST: { pending: true } }, answerAfterMs: 10 }
  const { cut, done } = await external(t, { extensions: [script('C1'), script('F1', late)] })
  assert.equal((await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterAllocateQueue), 'p1')).status, 0)
  assert.deepEqual(done, ['2/0 set 10223'])
  assert.deepEqual(cut.breaches('F1'), ['ES-274'])
  assert.deepEqual(cut.breaches('C1'), [], 'at once is right')
})

test('for a partition a forwarding extension issues in the name of its connection, under references on both ends until the end (ES-269, ES-270, ES-272, ES-273)', async (t) => {
  const issue = async (own: OwnRequest): Promise<{ breaches: string[]; done: string[]; status: number }> => {
    const { cut, done } = await external(t, { extensions: [script('C1'), script('X1', { replies: { NIC_REQUEST: { own } } })] })
    const { status } = await cut.sut.switch.nicRequest(inner(InnerOid.receiveFilterAllocateQueue), 'p1')
    return { breaches: cut.breaches('X1'), done, status }
  }
  assert.deepEqual(await issue({ nic: 2, source: [1, 0] }), { breaches: [], done: ['2/2 set 10223'], status: 0 })
  const wrong = await issue({ nic: 2, source: [1, 1], unreferenced: true })
  assert.deepEqual([wrong.breaches, wrong.done], [['ES-269'], []])
  const unreferenced = await issue({ nic: 2, source: [1, 0], unreferenced: true })
  assert.deepEqual([unreferenced.breaches, unreferenced.done], [['ES-273'], []])
  const early = await issue({ nic: 2, source: [1, 0], early: true })
  assert.deepEqual([early.breaches, early.done], [['ES-273', 'ES-272'], ['2/2 set 10223']])
})

test('a forwarding extension frees what it allocated and nothing else (ES-271)', async (t) => {
  const { cut, done } = await external(t, {
    extensions: [script('C1'), script('X1', { replies: { NIC_REQUEST: { own: { nic: 2 } } } })],
  })
  const status = async (oid: number): Promise<number> => (await cut.sut.switch.nicRequest(inner(oid), 'p1')).status
  const { receiveFilterAllocateQueue: allocate, receiveFilterFreeQueue: free, receiveFilterClearFilter: clear } = InnerOid
  await status(free)
  assert.deepEqual([cut.breaches('X1'), done], [['ES-271', 'ES-279'], ['2/0 set 10224']], 'it goes on to whom it was for')
  assert.equal(await status(allocate), 0)
  assert.equal(await status(free), 0)
  assert.deepEqual(done.slice(1), ['2/2 set 10223', '2/2 set 10224'])
  await status(free)
  await status(clear)
  assert.deepEqual(cut.breaches('X1').slice(2), ['ES-271', 'ES-279', 'ES-271', 'ES-279'])
})

test('only a forwarding extension may fail an encapsulated request, and only those that ask for resources (ES-270, ES-275, ES-276, ES-277, ES-278, ES-279)', async (t) => {
  const veto = { replies: { NIC_REQUEST: { status: 0xc000021b } } }
  const { cut, done } = await external(t, { extensions: [script('C1'), script('F1', veto), script('X1', veto)] })
  const status = async (oid: number): Promise<number> => (await cut.sut.switch.nicRequest(inner(oid), 'p1')).status
  for (const oid of [
    InnerOid.receiveFilterAllocateQueue,
    InnerOid.receiveFilterSetFilter,
    InnerOid.nicSwitchAllocateVf,
    InnerOid.nicSwitchCreateVport,
  ])
    assert.equal(await status(oid), 0xc000021b)
  assert.deepEqual(done, [])
  const never = [
    InnerOid.receiveFilterFreeQueue,
    InnerOid.receiveFilterClearFilter,
    InnerOid.nicSwitchFreeVf,
    InnerOid.nicSwitchDeleteVport,
    InnerOid.receiveFilterMoveFilter,
    InnerOid.ipsecOffloadAddSa,
  ]
  for (const oid of never) assert.equal(await status(oid), 0)
  assert.equal(done.length, never.length)
  assert.deepEqual(cut.breaches('X1'), ['ES-279', 'ES-279', 'ES-279', 'ES-279', 'ES-276', 'ES-275'])
  assert.deepEqual([...new Set(cut.breaches('F1'))], ['ES-249'])
})

test('extensions originate private requests for physical adapters by their class, under a reference (ES-263, ES-265, ES-266, ES-268, ES-272, ES-221)', async (t) => {
  const { cut, done } = await external(t, { extensions: [script('C1'), script('F1'), script('X1')] })
  await cut.tell('F1', wrapped({}))
  assert.match(await cut.line('F1', 'request'), /^request c0000001/)
  await cut.tell(
    'F1',
    { do: 'referenceNic', port: 2, nic: 1 },
    wrapped({}),
    wrapped({ oidRequest: inner(VENDOR) }),
    wrapped({ destinationNicIndex: 0 }),
    wrapped({ sourcePortId: 1 }),
  )
  await cut.line('F1', 'request 0')
  await cut.sut.until(() => cut.sut.log.filter(({ message }) => message.startsWith('request ')).length === 5, 'the answers')
  assert.deepEqual(cut.breaches('F1'), ['ES-272', 'ES-265', 'ES-267', 'ES-268'])
  await cut.tell(
    'X1',
    { do: 'referenceNic', port: 2, nic: 2 },
    wrapped({ destinationNicIndex: 2, oidRequest: inner(VENDOR) }),
    wrapped({ destinationNicIndex: 2, oidRequest: inner(InnerOid.receiveFilterAllocateQueue) }),
    wrapped({ destinationNicIndex: 2, oidRequest: inner(InnerOid.receiveFilterFreeQueue) }),
  )
  await cut.line('X1', 'request 0')
  assert.deepEqual(done, ['2/1 query ff123456', '2/2 set ff123456'])
  assert.deepEqual(cut.breaches('X1'), ['ES-270', 'ES-271'])
})
