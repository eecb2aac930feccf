import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ControlUnderTest, memory, script } from './control-under-test.ts'
import { external, stackOf } from './handlers.ts'
import { frame, macOf, portConfig } from './switch-under-test.ts'

const teaming = { type: 'security', value: { allowTeaming: true } } as const

test('CS-67 an adapter goes on with the address of another one of its VM: frames from it pass, frames to it follow, extensions are told (ES-194, ES-225, ES-527)', async (t) => {
  const cut = await ControlUnderTest.start(t, { extensions: [script('C1', { shows: ['NIC_UPDATED'] })] })
  const { sut } = cut
  await sut.switch.addPort(portConfig(2, { vm: 'web' }))
  await sut.switch.addPort(portConfig(3, { vm: 'web' }))
  await sut.switch.addPort(portConfig(4, { vm: 'other' }))
  await sut.until(() => sut.switch.ports().every(({ connected }) => connected), 'the adapters')
  const told = () => cut.payloads('C1', 'NIC_UPDATED').map(({ nicName, currentMacAddress }) => `${nicName} ${currentMacAddress}`)
  const sends = (port: number, from: number, text: string): void => assert.ok(sut.peer(port).send(frame(1, from, text)))
  const spoofed = (port: number) => sut.drops(port)['mac-spoofing'] ?? 0
  sends(2, 3, 'not allowed yet')
  await sut.until(() => spoofed(2) === 1, 'the drop')
  await sut.switch.policies.add(sut.switch.portId('p2'), teaming)
  await sut.switch.policies.add(sut.switch.portId('p3'), teaming)
  sends(2, 3, 'failed over')
  assert.deepEqual(await sut.receive(1, 1), ['failed over'])
  await sut.until(() => told().length === 2, 'both adapters to be updated')
  assert.deepEqual(told(), [`p2 ${macOf(3)}`, `p3 ${macOf(2)}`])
  await sut.send(1, 3, 'follows')
  assert.deepEqual(await sut.receive(2, 1), ['follows'])
  sends(2, 9, 'of nobody')
  sends(2, 4, 'of another VM')
  await sut.until(() => spoofed(2) === 3, 'the drops of a third address and of another VM')
  sends(3, 3, 'failed back')
  assert.deepEqual(await sut.receive(1, 1), ['failed back'])
  await sut.until(() => told().length === 4, 'both adapters to be updated')
  assert.deepEqual(told().slice(2), [`p3 ${macOf(3)}`, `p2 ${macOf(2)}`])
  await sut.send(1, 3, 'back')
  assert.deepEqual(await sut.receive(3, 1), ['back'])
  await sut.silence(2)
})

test('an adapter of the VM that takes no part in teaming keeps its address when it fails back (ES-223, ES-527)', async (t) => {
  const { sut } = await ControlUnderTest.start(t)
  for (const port of [2, 3]) await sut.switch.addPort(portConfig(port, { vm: 'web' }))
  await sut.until(() => sut.switch.ports().every(({ connected }) => connected), 'the adapters')
  await sut.switch.policies.add(sut.switch.portId('p2'), teaming)
  assert.ok(sut.peer(2).send(frame(1, 3, 'over')))
  assert.deepEqual(await sut.receive(1, 1), ['over'])
  const port = (address: number) => sut.switch.fdb().find(({ mac }) => mac === macOf(address))?.port
  await sut.until(() => port(3) === 'p2', 'the address to follow')
  assert.ok(sut.peer(3).send(frame(1, 2, 'not allowed')))
  await sut.until(() => sut.drops(3)['mac-spoofing'] === 1, 'the drop')
  assert.ok(sut.peer(2).send(frame(1, 2, 'back')))
  assert.deepEqual(await sut.receive(1, 1), ['back'])
  await sut.until(() => port(3) === 'p3' && port(2) === 'p2', 'the addresses to be where they belong')
})

test('all 32 physical adapters of a team can be named by an extension, and no other (ES-159, ES-324)', async (t) => {
  const { harness, handles } = stackOf(1, [{ class: 'forwarding' }])
  external(harness, 2, 1, 31, 32)
  const named = [0, 1, 2, 31, 32, 33].filter((nic) => {
    const packet = handles[0]!.originate(frame(1, 1, 'x'))
    const added = handles[0]!.addDestination(packet, 2, nic)
    handles[0]!.release(packet)
    return added
  })
  assert.deepEqual(named, [1, 31, 32])
  const cut = await ControlUnderTest.start(t, { extensions: [script('X1')] })
  const adapters = Array.from({ length: 31 }, () => memory)
  await cut.sut.switch.addPort(portConfig(2, { mac: null, learning: true, adapters }))
  await cut.sut.until(() => cut.oids('X1', 'p2').includes('NIC_CONNECT 32'), 'the last adapter')
  await cut.tell('X1')
  await cut.tell(
    'X1',
    { do: 'referenceNic', port: 2, nic: 32 },
    { do: 'direct', port: 2, nic: 32 },
    { do: 'dereferenceNic', port: 2, nic: 32 },
  )
  const lines = await cut.lines('X1', 'dereferenceNic')
  assert.deepEqual(
    lines.filter((line) => /^(de)?reference|^direct/.test(line)),
    ['referenceNic 0', 'direct 0', 'dereferenceNic 0'],
  )
  await assert.rejects(
    cut.sut.switch.addPort(portConfig(3, { mac: null, learning: true, adapters: [...adapters, memory] })),
    /1 to 32 physical adapters/,
  )
})
