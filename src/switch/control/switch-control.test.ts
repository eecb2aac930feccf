import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type NicParameters,
  NicState,
  NicType,
  Oid,
  type OidCompletion,
  type OidRequest,
  oidName,
  type PortParameters,
  PortState,
  PortType,
} from '../../ndis/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { MacTable, macKey, macTableBytes } from '../mac-table.ts'
import { PortFlag, PortTable, portTableBytes } from '../port-table.ts'
import { SwitchControlError } from './errors.ts'
import type { PortOptions } from './records.ts'
import { PORT_ITSELF, ReferenceTable, referenceTableBytes } from './references.ts'
import { type ControlOptions, SwitchControl } from './switch-control.ts'
import type { ViewChange } from './view.ts'

const PORTS = 5

const options = (name: string, given: Partial<PortOptions> = {}): PortOptions => ({
  name,
  friendlyName: name,
  type: PortType.synthetic,
  nicType: NicType.synthetic,
  mac: undefined,
  macSpoofing: false,
  learning: false,
  linkUp: true,
  mtu: 1500,
  vmName: name,
  ...given,
})

// A control side with a channel that notes requests down and answers as told.
function bench(macEntries = 64, given: Partial<ControlOptions> = {}) {
  const issued: { oid: number; payload: PortParameters & NicParameters; connected: boolean }[] = []
  const changes: ViewChange[] = []
  const revoked: [number, number][] = []
  const answers = new Map<number, OidCompletion>()
  let inFlight = 0
  let overlapped = false
  const table = new PortTable(new SharedArrayBuffer(portTableBytes(PORTS)), 0, PORTS)
  const macs = new MacTable(new SharedArrayBuffer(macTableBytes(macEntries, PORTS)), 0, macEntries, PORTS)
  const references = new ReferenceTable(new SharedArrayBuffer(referenceTableBytes(PORTS)), 0, PORTS)
  const control = new SwitchControl(
    { name: 'sw', friendlyName: 'sw', ports: PORTS, ...given },
    {
      table,
      macs,
      references,
      after: (_ms, callback) => {
        setImmediate(callback)
        return () => {}
      },
      channel: {
        async issue(request: OidRequest) {
          overlapped ||= inFlight++ > 0
          const payload = request.payload as PortParameters & NicParameters
          issued.push({ oid: request.oid, payload, connected: table.connected(payload.portId) })
          await new Promise((resolve) => setImmediate(resolve))
          inFlight--
          return { completion: answers.get(request.oid) ?? { status: NdisStatus.success }, reached: payload }
        },
        publish: (change) => changes.push(change),
        activate: async () => {},
        indicate: async (indication) => indication,
        revoke: async (portId, nicIndex) => {
          revoked.push([portId, nicIndex])
        },
      },
    },
  )
  const names = (): string[] => issued.splice(0).map(({ oid }) => oidName(oid).replace('OID_SWITCH_', ''))
  return { control, table, macs, references, issued, changes, revoked, answers, names, overlapped: () => overlapped }
}

const veto = { status: NdisStatus.dataNotAccepted }
const rejects = (work: Promise<unknown>, code: string): Promise<void> =>
  assert.rejects(work, (error) => error instanceof SwitchControlError && error.code === code)

test('a connection starts and stops with seven OIDs in order (ES-166, ES-167, ES-107, ES-169, ES-209, ES-125, ES-135)', async () => {
  const { control, issued, names } = bench()
  const id = await control.createPort(options('a'))
  await control.connect(id)
  await control.deletePort(id)
  const states = issued.map(({ payload }) => [payload.portState ?? payload.nicState, payload.portId])
  assert.deepEqual(states, [
    [PortState.created, id],
    [NicState.created, id],
    [NicState.connected, id],
    [NicState.disconnected, id],
    [NicState.deleted, id],
    [PortState.teardown, id],
    [PortState.deleted, id],
  ])
  assert.deepEqual(names(), [
    'PORT_CREATE',
    'NIC_CREATE',
    'NIC_CONNECT',
    'NIC_DISCONNECT',
    'NIC_DELETE',
    'PORT_TEARDOWN',
    'PORT_DELETE',
  ])
})

test('the data path may use a port from the completion of NIC_CONNECT to the start of NIC_DISCONNECT (ES-106, ES-320)', async () => {
  const { control, issued, table } = bench()
  const id = await control.createPort(options('a'))
  assert.equal(table.connected(id), false)
  await control.connect(id)
  assert.equal(table.connected(id), true)
  await control.disconnect(id)
  assert.deepEqual(
    issued.map(({ oid, connected }) => [oid, connected]),
    [
      [Oid.portCreate, false],
      [Oid.nicCreate, false],
      [Oid.nicConnect, false],
      [Oid.nicDisconnect, false],
    ],
  )
})

test('a connection that was never connected is deleted without NIC_DISCONNECT (ES-101)', async () => {
  const { control, names } = bench()
  const id = await control.createPort(options('a'))
  await control.deletePort(id)
  assert.deepEqual(names(), ['PORT_CREATE', 'NIC_CREATE', 'NIC_DELETE', 'PORT_TEARDOWN', 'PORT_DELETE'])
})

test('a connection that comes back is a new connection on the same port (ES-103)', async () => {
  const { control, names, table } = bench()
  const id = await control.createPort(options('a'))
  await control.connect(id)
  await control.disconnect(id)
  names()
  await control.connect(id)
  assert.deepEqual(names(), ['NIC_DELETE', 'NIC_CREATE', 'NIC_CONNECT'])
  assert.equal(table.connected(id), true)
})

test('connecting twice and disconnecting twice issue nothing the second time', async () => {
  const { control, names } = bench()
  const id = await control.createPort(options('a'))
  await control.connect(id)
  names()
  await control.connect(id)
  assert.deepEqual(names(), [])
  await control.disconnect(id)
  await control.disconnect(id)
  assert.deepEqual(names(), ['NIC_DISCONNECT'])
})

test('a vetoed port does not exist afterwards, whatever the error status (ES-111, ES-112)', async () => {
  for (const status of [NdisStatus.dataNotAccepted, NdisStatus.resources, NdisStatus.failure]) {
    const { control, answers, names, table } = bench()
    answers.set(Oid.portCreate, { status })
    await assert.rejects(
      control.createPort(options('a')),
      (error) => error instanceof SwitchControlError && error.code === 'VETOED' && error.status === status,
    )
    const attempts = status === NdisStatus.resources ? 3 : 1 // AMB-42
    assert.deepEqual(names(), Array(attempts).fill('PORT_CREATE'))
    assert.deepEqual(control.view.ports, [])
    assert.equal(table.connected(1), false)
    answers.clear()
    await control.createPort(options('a')) // ES-113: a retry may succeed
    assert.equal(control.view.ports.length, 1)
  }
})

test('a vetoed connection leaves no trace of itself, and its port goes (ES-183, ES-181)', async () => {
  const { control, answers, names, changes } = bench()
  answers.set(Oid.nicCreate, veto)
  changes.length = 0
  await rejects(control.createPort(options('a', { mac: '02:00:00:00:00:01' })), 'VETOED')
  assert.deepEqual(names(), ['PORT_CREATE', 'NIC_CREATE', 'PORT_TEARDOWN', 'PORT_DELETE'])
  assert.ok(
    changes.every((change) => !('nic' in change)),
    'no change shows the connection',
  )
  assert.deepEqual(control.view.ports, [])
})

test('a connection vetoed when it comes back does not exist, and may be tried again (ES-183, ES-181)', async () => {
  const { control, answers, names } = bench()
  const id = await control.createPort(options('a'))
  await control.connect(id)
  await control.disconnect(id)
  names()
  answers.set(Oid.nicCreate, veto)
  await rejects(control.connect(id), 'VETOED')
  assert.deepEqual(control.view.nics, [])
  await rejects(control.connect(id), 'VETOED')
  answers.clear()
  await control.connect(id)
  assert.deepEqual(names(), ['NIC_DELETE', 'NIC_CREATE', 'NIC_CREATE', 'NIC_CREATE', 'NIC_CONNECT'])
})

test('an error status of an OID that nobody may veto changes nothing (ES-248)', async () => {
  const { control, answers, table } = bench()
  for (const oid of [Oid.nicConnect, Oid.nicDisconnect, Oid.nicDelete, Oid.portTeardown, Oid.portDelete]) answers.set(oid, veto)
  const id = await control.createPort(options('a'))
  await control.connect(id)
  assert.equal(table.connected(id), true)
  await control.deletePort(id)
  assert.deepEqual(control.view.ports, [])
})

test('without room for its address a port is taken back whole, its connection included', async () => {
  const { control, macs, names } = bench(16)
  for (let n = 0; macs.statistics().used < 16; n++)
    macs.addStatic(`02:00:00:00:${(n >> 8).toString(16)}:${(n & 255).toString(16)}`, 0, 4)
  await rejects(control.createPort(options('a', { mac: '02:ff:00:00:00:01' })), 'FDB_FULL')
  assert.deepEqual(names(), ['PORT_CREATE', 'NIC_CREATE', 'NIC_DELETE', 'PORT_TEARDOWN', 'PORT_DELETE'])
  assert.deepEqual(control.view.ports, [])
})

test('an address that is none undoes port and connection (ES-101)', async () => {
  const { control, names } = bench()
  await assert.rejects(control.createPort(options('a', { mac: 'nonsense' })), /is not a MAC address/)
  assert.deepEqual(names(), ['PORT_CREATE', 'NIC_CREATE', 'NIC_DELETE', 'PORT_TEARDOWN', 'PORT_DELETE'])
  assert.deepEqual(control.view.ports, [])
})

test('names are unique, ids too, and neither is given out twice at once (ES-104, ES-009)', async () => {
  const { control } = bench()
  const a = await control.createPort(options('a'))
  await rejects(control.createPort(options('a')), 'NAME_IN_USE')
  const b = await control.createPort(options('b'))
  assert.ok(a > 0 && b > 0 && a !== b)
  await control.deletePort(a)
  const again = await control.createPort(options('a'))
  assert.notEqual(again, a, 'a freed id rests as long as others are free')
  const [c, d] = [await control.createPort(options('c')), await control.createPort(options('d'))]
  assert.deepEqual([again, b, c, d].sort(), [1, 2, 3, 4])
  await rejects(control.createPort(options('e')), 'TOO_MANY_PORTS')
})

test('operations wait for each other: no OID is issued while another is under way (ES-057)', async () => {
  const { control, overlapped, names } = bench()
  const made = Promise.all([control.createPort(options('a')), control.createPort(options('b'))])
  const [a, b] = await made
  await Promise.all([control.connect(a), control.connect(b), control.disconnect(a), control.deletePort(a), control.deletePort(b)])
  assert.equal(overlapped(), false)
  assert.equal(names().length, 14)
})

test('an operation that fails does not stop the next one', async () => {
  const { control, answers } = bench()
  answers.set(Oid.portCreate, veto)
  const refused = rejects(control.createPort(options('a')), 'VETOED')
  const missing = rejects(control.connect(3), 'NO_SUCH_PORT')
  await Promise.all([refused, missing])
  answers.clear()
  assert.equal(await control.createPort(options('a')), 2)
})

test('deleting a port takes its addresses, learned and configured', async () => {
  const { control, macs } = bench()
  const id = await control.createPort(options('a', { mac: '02:00:00:00:00:01' }))
  await control.connect(id)
  macs.learn(77, 2, 0, id, 0)
  await control.disconnect(id)
  assert.deepEqual(
    macs.entries(0).map((entry) => entry.static),
    [true],
    'learned ones go with the connection',
  )
  await control.deletePort(id)
  assert.deepEqual(macs.entries(0), [])
})

test('the flags of a port follow its options', async () => {
  const { control, table } = bench()
  const flagsOf = async (given: Partial<PortOptions>): Promise<number> => {
    const id = await control.createPort(options('x', given))
    const flags = table.flags(id)
    await control.deletePort(id)
    return flags
  }
  const mac = '02:00:00:00:00:01'
  assert.equal(await flagsOf({ mac }), PortFlag.checkSource)
  assert.equal(await flagsOf({}), PortFlag.learn | PortFlag.unknownUnicast)
  assert.equal(await flagsOf({ mac, macSpoofing: true }), PortFlag.learn | PortFlag.unknownUnicast)
  assert.equal(await flagsOf({ mac, learning: true }), PortFlag.learn | PortFlag.unknownUnicast)
  assert.equal(await flagsOf({ mac, linkUp: false }), PortFlag.checkSource | PortFlag.linkDown)
  const external = await flagsOf({ type: PortType.external, nicType: NicType.external })
  assert.equal(external, PortFlag.learn | PortFlag.unknownUnicast | PortFlag.external)
  const id = await control.createPort(options('guarded', { mac }))
  assert.deepEqual([table.macLow(id), table.macHigh(id)], [macKey(mac).low, macKey(mac).high])
})

test('taking the link down and up keeps the connection and issues no OID', async () => {
  const { control, table, names } = bench()
  const id = await control.createPort(options('a'))
  await control.connect(id)
  names()
  await control.setLink(id, false)
  assert.deepEqual([table.connected(id), control.linkUp(id)], [false, false])
  await control.setLink(id, true)
  assert.deepEqual([table.connected(id), control.linkUp(id)], [true, true])
  assert.deepEqual(names(), [])
})

test('NIC_UPDATED is issued for connected connections only, and only if something changed (ES-193, ES-194)', async () => {
  const { control, names } = bench()
  const id = await control.createPort(options('a'))
  names()
  await control.updateNic(id, { nicFriendlyName: 'one' })
  await control.connect(id)
  await control.updateNic(id, { nicFriendlyName: 'two' })
  await control.updateNic(id, { nicFriendlyName: 'two' })
  assert.equal(control.view.nics[0]!.nicFriendlyName, 'two')
  await control.disconnect(id)
  await control.updateNic(id, { nicFriendlyName: 'three' })
  assert.deepEqual(names(), ['NIC_CONNECT', 'NIC_UPDATED', 'NIC_DISCONNECT'])
})

test('a reference that nobody releases holds PORT_DELETE back until the limit, then it is taken away (ES-140, ES-135, ES-145)', async () => {
  const { control, names, references, revoked } = bench(64, { limits: { drainMs: 50 } })
  const id = await control.createPort(options('a'))
  assert.equal(references.take(id, PORT_ITSELF), NdisStatus.success)
  await control.deletePort(id)
  assert.deepEqual(revoked, [[id, PORT_ITSELF]])
  assert.equal(names().at(-1), 'PORT_DELETE')
  assert.equal(references.take(id, PORT_ITSELF), NdisStatus.invalidParameter)
})

test('a port costs as many announcements with many ports as with none', async () => {
  const { control, changes } = bench()
  const cost = async (name: string): Promise<number> => {
    const before = changes.length
    await control.connect(await control.createPort(options(name)))
    return changes.length - before
  }
  const first = await cost('a')
  await cost('b')
  await cost('c')
  assert.equal(await cost('d'), first)
})

test('ports do not wait for one whose deletion is held back', async () => {
  const { control, references } = bench()
  const held = await control.createPort(options('held'))
  references.take(held, PORT_ITSELF)
  let gone = false
  const deleting = control.deletePort(held).then(() => {
    gone = true
  })
  await control.createPort(options('other'))
  assert.equal(gone, false)
  references.give(held, PORT_ITSELF)
  await deleting
})

test('the view shows activation, ports and connections (ES-083, ES-084, ES-074)', async () => {
  const { control } = bench()
  const { view } = control
  assert.deepEqual(view.parameters, { switchName: 'sw', switchFriendlyName: 'sw', numSwitchPorts: 0, isActive: false })
  assert.deepEqual([view.ports, view.nics], [[], []])
  await control.activate()
  const id = await control.createPort(options('a', { mac: '02:00:00:00:00:01', mtu: 9000 }))
  await control.connect(id)
  const { parameters, ports, nics } = control.view
  assert.deepEqual([parameters.isActive, parameters.numSwitchPorts], [true, 1])
  assert.deepEqual([ports[0]!.portName, ports[0]!.portState], ['a', PortState.created])
  assert.deepEqual(
    [nics[0]!.portId, nics[0]!.nicIndex, nics[0]!.nicState, nics[0]!.mtu, nics[0]!.currentMacAddress],
    [id, 0, NicState.connected, 9000, '02:00:00:00:00:01'],
  )
  assert.equal(control.portName(id), 'a')
  assert.equal(control.portName(77), 'port 77')
})
