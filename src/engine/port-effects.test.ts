import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memory } from '../../test/conformance/control-under-test.ts'
import { portConfig, SwitchUnderTest } from '../../test/conformance/switch-under-test.ts'

test('ports of different tenants exchange nothing, guests without a tenant are among themselves, the external port is for all', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 4, type: 'external', isolateTenants: true })
  await sut.switch.addPort(portConfig(5, { mac: null, learning: true, adapters: [] }))
  await sut.until(() => sut.switch.ports().every(({ connected }) => connected), 'the external port')
  await sut.switch.setPort('p1', { tenant: 'shop' })
  await sut.switch.setPort('p2', { tenant: 'shop' })
  await sut.switch.setPort('p3', { tenant: 'bank' })
  await sut.send(1, 2, 'own')
  await sut.send(1, 3, 'of another')
  await sut.send(1, 4, "nobody's")
  await sut.send(5, 3, 'from outside')
  assert.deepEqual(await sut.receive(2, 1), ['own'])
  assert.deepEqual(await sut.receive(3, 1), ['from outside'])
  assert.equal(sut.drops(1)['tenant-isolation'], 2)
  await sut.switch.setPort('p3', { tenant: 'shop' })
  await sut.send(1, 3, 'taken over')
  assert.deepEqual(await sut.receive(3, 1), ['taken over'])
  await sut.switch.setPort('p1', { tenant: '' })
  await sut.send(1, 4, 'without one')
  assert.deepEqual(await sut.receive(4, 1), ['without one'])
  assert.deepEqual(
    sut.switch.ports().map(({ tenant }) => tenant),
    ['', 'shop', 'shop', '', ''],
  )
})

test('without isolateTenants a tenant is a name only', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 2 })
  await sut.switch.setPort('p1', { tenant: 'shop' })
  await sut.send(1, 2, 'free')
  assert.deepEqual(await sut.receive(2, 1), ['free'])
})

test('a team tells its members, follows its settings while it runs, and goes with its port', async (t) => {
  const sut = await SwitchUnderTest.start(t, { ports: 4, type: 'external' })
  const team = () => sut.switch.effects.team.status()
  assert.equal(team(), undefined)
  await sut.switch.addPort(
    portConfig(5, { mac: null, learning: true, adapters: [memory], teaming: { loadBalancing: 'Dynamic' } }),
  )
  await sut.until(() => team()?.members.every(({ active }) => active) === true, 'both members')
  assert.deepEqual([team()!.port, team()!.loadBalancing, team()!.teamingMode], ['p5', 'Dynamic', 'SwitchIndependent'])
  assert.deepEqual(
    team()!.members.map(({ name, role, designated, ports }) => [name, role, designated, ports]),
    [
      ['p5', 'active', true, ['p2', 'p4']],
      ['p5.2', 'active', false, ['p1', 'p3']],
    ],
  )
  await sut.switch.setPort('p5', { teaming: { standby: ['p5'] } })
  assert.deepEqual(
    team()!.members.map(({ role, active, ports }) => [role, active, ports]),
    [
      ['standby', false, []],
      ['active', true, ['p1', 'p2', 'p3', 'p4']],
    ],
  )
  await sut.send(2, 9, 'by the second')
  await sut.until(() => team()!.members[1]!.counters.sentFrames > 0, 'the frame')
  await sut.switch.removePort('p5')
  assert.equal(team(), undefined)
})
