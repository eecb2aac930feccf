import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SwitchUnderTest } from '../../test/conformance/switch-under-test.ts'

test('what a mirrored port sends and gets also goes to the destination of its session, until mirroring is turned off', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 4 })
  await sut.switch.setPort('p2', { portMirroring: 'source', monitorSession: 7 })
  await sut.switch.setPort('p3', { portMirroring: 'destination', monitorSession: 7 })
  await sut.switch.setPort('p4', { portMirroring: 'destination', monitorSession: 8 })
  await sut.send(1, 2, 'to the mirrored port')
  await sut.send(2, 1, 'from the mirrored port')
  assert.deepEqual(await sut.receive(3, 2), ['to the mirrored port', 'from the mirrored port'])
  await sut.switch.setPort('p2', { portMirroring: 'none' })
  await sut.send(1, 2, 'unseen')
  await sut.silence(3)
  await sut.silence(4)
  const [, p2, p3] = sut.switch.ports()
  assert.deepEqual([p2?.portMirroring, p3?.portMirroring, p3?.monitorSession], ['none', 'destination', 7])
})

test('frames longer than the MTU of a port are not delivered to it', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 2 })
  await sut.switch.setPort('p2', { mtu: 100 })
  await sut.send(1, 2, 'x'.repeat(101), 'x'.repeat(100))
  assert.deepEqual(await sut.receive(2, 1), ['x'.repeat(100)])
  await sut.silence(2)
  assert.equal(sut.switch.ports()[1]?.mtu, 100)
})

test('a port has a name for people, which is its own name without one, and is saved with it', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 1 })
  assert.equal(sut.switch.ports()[0]?.friendlyName, 'p1')
  await sut.switch.setPort('p1', { friendlyName: 'reception desk' })
  assert.equal(sut.switch.ports()[0]?.friendlyName, 'reception desk')
  assert.equal((await sut.switch.moves.save('p1')).ports[0]?.config.friendlyName, 'reception desk')
  await assert.rejects(sut.switch.setPort('p9', { mtu: 100 }), /no port "p9"/)
})
