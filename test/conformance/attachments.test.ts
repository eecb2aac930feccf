import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { NicType, Oid, PortType } from '../../src/ndis/oids.ts'
import { SwitchControlError } from '../../src/switch/control.ts'
import { ControlUnderTest, memory, script } from './control-under-test.ts'
import { macOf, portConfig, SwitchUnderTest, use } from './switch-under-test.ts'

test('the adapters of one VM have a port each, on one switch or on several (ES-006)', async (t) => {
  const shows = ['NIC_CREATE']
  const one = await ControlUnderTest.start(t, { extensions: [script('C1', { shows })] })
  const two = await ControlUnderTest.start(t, { extensions: [script('C1', { shows })] })
  await one.sut.switch.addPort(portConfig(2, { vm: 'web' }))
  await one.sut.switch.addPort(portConfig(3, { vm: 'web' }))
  await two.sut.switch.addPort(portConfig(2, { vm: 'web' }))
  const nics = (cut: ControlUnderTest) =>
    cut
      .payloads('C1', 'NIC_CREATE')
      .filter(({ vmName }) => vmName === 'web')
      .map(({ portId, nicName }) => [portId, nicName])
  assert.deepEqual(nics(one), [
    [2, 'p2'],
    [3, 'p3'],
  ])
  assert.deepEqual(nics(two), [[2, 'p2']])
  await one.sut.switch.removePort('p2')
  await one.sut.send(3, 1, 'from the other adapter')
  assert.deepEqual(await one.sut.receive(1, 1), ['from the other adapter'])
})

test('packets of all kinds of adapters take the same way down and up the stack (ES-007)', async (t) => {
  const names = ['C', 'F', 'X'] as const
  const classes = { C: 'capturing', F: 'filtering', X: 'forwarding' } as const
  const sut = await SwitchUnderTest.start(t, {
    type: 'external',
    ports: 2,
    extensions: names.map((name) => use({ name, class: classes[name], trace: true, ...(name === 'X' ? { to: [2] } : {}) })),
  })
  await sut.switch.addPort(portConfig(3, { name: 'p3', mac: null, learning: true, adapters: [] }))
  await sut.switch.addPort(portConfig(4, { name: 'p4', managementOS: true }))
  await sut.until(() => sut.switch.ports().every(({ connected }) => connected), 'all adapters')
  sut.said()
  const way = async (from: number): Promise<string[]> => {
    await sut.send(from, 2, 'x')
    await sut.receive(2, 1)
    return sut.said().map((line) => line.replace(/ from.*/, ''))
  }
  const expected = ['C: ingress x', 'F: ingress x', 'X: ingress x', 'X: egress x', 'F: egress x', 'C: egress x']
  for (const from of [1, 3, 4]) assert.deepEqual(await way(from), expected, `from port ${from}`)
})

test('a port takes the adapter that its type is for: the host’s port no physical one (ES-010)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('C1', { shows: ['PORT_CREATE', 'NIC_CREATE'] })] })
  const { switch: running } = cut.sut
  await assert.rejects(
    running.addPort(portConfig(2, { managementOS: true, adapters: [memory] })),
    (error) =>
      error instanceof SwitchControlError &&
      error.code === 'WRONG_TYPE' &&
      /internal adapter, not for a external/.test(error.message),
  )
  assert.deepEqual(cut.oids('C1', 'p2'), [])
  await running.addPort(portConfig(2, { managementOS: true }))
  await running.addPort(portConfig(3, { mac: null, learning: true, adapters: [memory] }))
  const ports = cut.payloads('C1', 'PORT_CREATE').map(({ portType }) => portType)
  const nics = cut.payloads('C1', 'NIC_CREATE').map(({ nicType }) => nicType)
  assert.deepEqual(ports, [PortType.emulated, PortType.internal, PortType.external])
  assert.deepEqual(nics, [NicType.emulated, NicType.internal, NicType.external, NicType.external, NicType.external])
})

test('an adapter that is no VM’s has no address of a VM, whatever is known of it (ES-222)', async (t) => {
  const cut = await ControlUnderTest.start(t, {
    extensions: [script('C1', { shows: ['NIC_CREATE', 'NIC_CONNECT', 'NIC_UPDATED'] })],
  })
  const { switch: running } = cut.sut
  await running.addPort(portConfig(2, { managementOS: true }))
  await cut.sut.until(() => running.ports()[1]!.connected, 'the host')
  await running.updateNic('p2', { mtu: 1400, vmMacAddress: macOf(9) })
  const shown = ['NIC_CREATE', 'NIC_CONNECT', 'NIC_UPDATED'].flatMap((oid) => cut.payloads('C1', oid))
  assert.deepEqual(
    shown
      .filter(({ nicName }) => nicName === 'p2')
      .map(({ permanentMacAddress, vmMacAddress }) => [permanentMacAddress, vmMacAddress]),
    [
      [macOf(2), ''],
      [macOf(2), ''],
      [macOf(2), ''],
    ],
  )
  assert.equal(shown.find(({ nicName }) => nicName === 'p1')!.vmMacAddress, macOf(1))
})

test('built-in policies change without a word to extensions: link, mirroring (ES-253)', async (t) => {
  const cut = await ControlUnderTest.start(t, { ports: 3, extensions: [script('C1'), script('X1', { enabled: false })] })
  const { switch: running } = cut.sut
  await cut.tell('C1')
  const before = cut.sut.log.length
  await running.setLink('p1', false)
  await running.setLink('p1', true)
  await running.setPort('p3', { portMirroring: 'destination', monitorSession: 4 })
  await running.setPort('p1', { portMirroring: 'source', monitorSession: 4 })
  await cut.sut.send(1, 2, 'mirrored')
  assert.deepEqual(await cut.sut.receive(3, 1), ['mirrored'], 'the policy is in force')
  await cut.tell('C1')
  const heard = cut.sut.log.slice(before).map(({ message }) => message)
  assert.deepEqual(heard, ['oid PORT_UPDATED p1', 'done PORT_UPDATED p1 0'], 'only what it was told last')
})

test('CS-05 an extension has the handlers of a switch from its attach to one, and nowhere else (ES-025)', async (t) => {
  const file = fileURLToPath(new URL('./extensions/script-filtering.ts', import.meta.url))
  const { default: definition } = (await import(file)) as { default: Record<string, unknown> }
  assert.ok(!('handle' in definition), 'outside of a switch there is a definition and nothing to call')
  const cut = await ControlUnderTest.start(t, { extensions: [script('F1')] })
  await cut.tell(
    'F1',
    { do: 'query', oid: Oid.switchParameters },
    { do: 'referencePort', port: 1 },
    { do: 'dereferencePort', port: 1 },
    { do: 'referenceNic', port: 1 },
    { do: 'pretend', port: 1 },
    { do: 'dereferenceNic', port: 1 },
  )
  await cut.line('F1', 'dereferenceNic 0')
  await cut.sut.heard(
    ({ message }) => message.startsWith('query 0 {"switchName":"under-test"'),
    'the switch that it is attached to',
  )
  assert.deepEqual(cut.breaches('F1'), [])
})
