import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { portConfig, SwitchUnderTest, use } from './switch-under-test.ts'

const ROUNDS = 200
const descriptors = (): number => readdirSync('/proc/self/fd').length

for (const processors of [1, 2])
  test(`${ROUNDS} ports that come and go leave descriptors and memory as before (${processors} processors)`, async (t) => {
    const sut = await SwitchUnderTest.start(t, { processors, extensions: [use({ name: 'F', class: 'filtering' })] })
    const cycle = async (): Promise<void> => {
      await sut.switch.addPort(portConfig(3))
      await sut.switch.removePort('p3')
    }
    await cycle()
    const before = { ...sut.switch.memory(), descriptors: descriptors(), fdb: sut.switch.fdbStatistics().used }
    for (let i = 0; i < ROUNDS; i++) await cycle()
    assert.deepEqual({ ...sut.switch.memory(), descriptors: descriptors(), fdb: sut.switch.fdbStatistics().used }, before)
    await sut.send(1, 2, 'x')
    assert.deepEqual(await sut.receive(2, 1), ['x'])
  })

test('ports that are refused leave nothing behind', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'F', class: 'filtering', veto: { PORT_CREATE: 0xc000021b } }),
      use({ name: 'X', class: 'filtering', veto: { NIC_CREATE: 0xc000021b } }),
    ],
  })
  const before = { ...sut.switch.memory(), descriptors: descriptors() }
  for (let i = 0; i < 50; i++) {
    await assert.rejects(sut.switch.addPort(portConfig(3, { name: 'bad' })))
    await assert.rejects(sut.switch.addPort(portConfig(1)))
    await assert.rejects(sut.switch.addPort(portConfig(3, { endpoint: { kind: 'unix-dgram', path: '/nowhere/at/all/socket' } })))
  }
  assert.deepEqual({ ...sut.switch.memory(), descriptors: descriptors() }, before)
})

test('extensions that are enabled, reloaded, refused and disabled leave memory as before', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    extensions: [
      use({ name: 'F', class: 'filtering', beatMs: 1 }),
      use({ name: 'bad', class: 'filtering', enabled: false, throwIn: 'attach' }),
    ],
  })
  const before = { ...sut.switch.memory(), descriptors: descriptors() }
  for (let i = 0; i < 20; i++) {
    await sut.switch.reloadExtension('F')
    await sut.switch.setExtension('F', false)
    await assert.rejects(sut.switch.setExtension('bad', true))
    await sut.switch.setExtension('F', true)
  }
  assert.deepEqual({ ...sut.switch.memory(), descriptors: descriptors() }, before)
})

test('switches that start and stop leave descriptors as before', async (t) => {
  const run = async (): Promise<void> => {
    const sut = await SwitchUnderTest.start(t, { processors: 2, extensions: [use({ name: 'F', class: 'filtering' })] })
    await sut.send(1, 2, 'x')
    await sut.receive(2, 1, false)
    await sut.close()
    assert.deepEqual(
      sut.log.filter(({ code }) => code === 'processor-lost'),
      [],
    )
  }
  await run()
  await run()
  const before = descriptors()
  for (let i = 0; i < 5; i++) await run()
  // What the runtime opens once for itself may come late, and what an ended thread had goes when the runtime gets to it; a leak of ours
  // would show five times, and stay.
  for (const end = Date.now() + 10_000; descriptors() > before + 2 && Date.now() < end; )
    await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok(descriptors() <= before + 2, `${descriptors()} descriptors, ${before} before`)
})
