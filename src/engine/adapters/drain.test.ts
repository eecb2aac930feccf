import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { withLab } from '../../../test/support/adapter-lab.ts'
import { RXDCTL, TXDCTL } from '../../adapter/igbvf/registers.ts'

const A = '02:00:00:00:00:0a'
const C = '02:00:00:00:00:0c'
const PEER = '02:00:00:00:00:99'
const COUNT = 60

for (const processors of [1, 2])
  test(`a planned removal loses nothing: what comes between the driver's stop and its leave goes through the switch, in order; ${processors} processors (PD-11, SR-251)`, async () => {
    const asked = Promise.withResolvers<void>()
    const left = Promise.withResolvers<void>()
    const plug = {
      plug: async () => {},
      unplug: () => {
        asked.resolve()
        return left.promise
      },
    }
    const vms = [
      { name: 'a', mac: A, iov: { form: 'vfio-user' as const, qmp: 'given' } },
      { name: 'c', mac: C },
    ]
    await withLab({ vms, plug, processors }, async (lab) => {
      const { adapters } = lab.running
      await adapters.assign('a')
      const a = await lab.igbvf('a')
      const [synthetic, c, wire] = [lab.synthetic('a'), lab.synthetic('c'), lab.wire()]
      await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
      wire.send(wireFrame(A, PEER, 'on the VF'))
      assert.deepEqual(await lab.texts(a, 1), ['on the VF'])

      const removal = adapters.remove('a')
      await asked.promise
      for (let i = 0; i < COUNT; i++) a.guest.send(wireFrame(C, A, `last ${i}`))
      a.guest.write(RXDCTL, 0)
      a.guest.write(TXDCTL, 0)
      await a.guest.read(8) // as the driver does, to see the writes done
      assert.deepEqual(
        await lab.texts(c, COUNT),
        Array.from({ length: COUNT }, (_, i) => `last ${i}`),
        'what the driver had queued was sent',
      )
      for (let i = 0; i < COUNT; i++) assert.ok(wire.send(wireFrame(A, PEER, `in ${i}`)))
      const long = wireFrame(A, PEER, `long ${'x'.repeat(1400)}`)
      assert.ok(wire.send(long))
      const sent = () => adapters.list()[0]!.vports[1]!.counters.sentFrames
      await lab.until(() => sent() >= COUNT + 2, 'the frames to be parked')
      assert.deepEqual(synthetic.receive(), [])
      left.resolve()
      await removal
      const heard = await lab.texts(synthetic, COUNT + 1)
      assert.deepEqual(
        heard.slice(0, COUNT),
        Array.from({ length: COUNT }, (_, i) => `in ${i}`),
      )
      assert.equal(heard[COUNT]!.length, long.length - 14)
      assert.match(lab.events.find((event) => event.includes('vf-drained'))!, new RegExp(`: ${COUNT + 1} frames`))
      wire.send(wireFrame(A, PEER, 'after'))
      assert.deepEqual(await lab.texts(synthetic, 1), ['after'])
    })
  })

test('what comes for a virtio function between the stop of its rings and its leave goes through the switch, in order (PD-11, SR-251)', async () => {
  const asked = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const plug = {
    plug: async () => {},
    unplug: () => {
      asked.resolve()
      return left.promise
    },
  }
  const vms = [{ name: 'a', mac: A, iov: { form: 'vhost-user' as const, qmp: 'given' } }]
  await withLab({ vms, plug }, async (lab) => {
    const { adapters } = lab.running
    await adapters.assign('a')
    const a = await lab.virtio('a')
    const [synthetic, wire] = [lab.synthetic('a'), lab.wire()]
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    const removal = adapters.remove('a')
    await asked.promise
    wire.send(wireFrame(A, PEER, 'on the VF'))
    assert.deepEqual(await lab.texts(a, 1), ['on the VF'])
    for (const ring of a.guest.rings) await a.guest.stop(ring)
    for (let i = 0; i < COUNT; i++) assert.ok(wire.send(wireFrame(A, PEER, `in ${i}`)))
    await lab.until(() => adapters.list()[0]!.vports[1]!.counters.sentFrames >= COUNT + 1, 'the frames to be parked')
    assert.deepEqual(synthetic.receive(), [])
    left.resolve()
    await removal
    assert.deepEqual(
      await lab.texts(synthetic, COUNT),
      Array.from({ length: COUNT }, (_, i) => `in ${i}`),
    )
  })
})

test('what is left of a VF that was torn out is unplugged from its guest, before the guest gets another one (SR-246, SR-307)', async () => {
  const steps: string[] = []
  const unplugged = Promise.withResolvers<void>()
  const plug = {
    plug: async () => void steps.push('plug'),
    unplug: async () => {
      steps.push('unplug')
      await unplugged.promise
      steps.push('unplugged')
    },
  }
  const vms = [{ name: 'a', mac: A, iov: { weight: 1, form: 'vfio-user' as const, qmp: 'given' } }]
  await withLab({ vms, plug }, async (lab) => {
    const { adapters } = lab.running
    await lab.igbvf('a')
    await adapters.remove('a', true)
    const assigning = adapters.assign('a')
    await lab.until(() => steps.includes('unplug'), 'the unplugging')
    unplugged.resolve()
    await assigning
    await adapters.pull('nic')
    await lab.until(() => steps.length === 6, 'the second unplugging')
  })
  assert.deepEqual(steps, ['plug', 'unplug', 'unplugged', 'plug', 'unplug', 'unplugged'])
})

test('the parking place is given back when a VF can not be unplugged and is torn out', async () => {
  const plug = { plug: async () => {}, unplug: () => Promise.reject(new Error('no')) }
  const vms = [{ name: 'a', mac: A, iov: { form: 'vfio-user' as const, qmp: 'given' } }]
  await withLab({ vms, plug }, async (lab) => {
    const { adapters } = lab.running
    await adapters.assign('a')
    const a = await lab.igbvf('a')
    const before = lab.running.memory().controlBytesAvailable
    for (let i = 0; i < 3; i++) {
      await adapters.remove('a')
      await adapters.assign('a')
      await a.guest.startRings({ maxFrame: 1518 })
      await lab.until(() => lab.assigned('a')?.state === 'active', 'the VF')
    }
    assert.equal(lab.running.memory().controlBytesAvailable, before)
  })
})
