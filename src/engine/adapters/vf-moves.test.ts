import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { type AdapterLab, withLab } from '../../../test/support/adapter-lab.ts'
import { RXDCTL, TXDCTL } from '../../adapter/igbvf/registers.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const PEER = '02:00:00:00:00:99'

const stateOf = (lab: AdapterLab, name: string, state: string) => () => lab.assigned(name)?.state === state

/** A plug that notes what it is asked. */
function notingPlug() {
  const calls: string[] = []
  const note = (call: string) => async (port: string) => void calls.push(`${call} ${port}`)
  const plug = {
    plug: note('plug'),
    unplug: note('unplug'),
    leaving: note('leaving'),
    staying: note('staying'),
    gone: note('gone'),
  }
  return { calls, plug }
}

const function_ = (more = {}) => [
  { name: 'a', mac: A, iov: { form: 'vfio-user' as const, weight: 10, qmp: 'given', ...more } },
  { name: 'c', mac: C },
]

test('before a migration a PCI function is left to its VMM; its VF waits for it, and frames on their way go through the switch (SR-252, SR-255)', async () => {
  const { calls, plug } = notingPlug()
  await withLab({ vms: function_(), plug }, async (lab) => {
    const { adapters, moves } = lab.running
    const a = await lab.igbvf('a')
    const [synthetic, wire] = [lab.synthetic('a'), lab.wire()]
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    const before = lab.running.memory().controlBytesAvailable

    await moves.hold('a')
    assert.deepEqual(calls, ['plug a', 'leaving a'])
    wire.send(wireFrame(A, PEER, 'on the function still'))
    assert.deepEqual(await lab.texts(a, 1), ['on the function still'])
    await assert.rejects(adapters.remove('a'), { code: 'WRONG_STATE' })

    a.guest.write(RXDCTL, 0)
    a.guest.write(TXDCTL, 0)
    await a.guest.read(8)
    for (const text of ['one', 'two']) wire.send(wireFrame(A, PEER, text))
    a.guest.write(0, 1 << 26)
    await lab.until(stateOf(lab, 'a', 'waiting'), 'the function to be left')
    wire.send(wireFrame(A, PEER, 'three'))
    assert.deepEqual((await lab.texts(synthetic, 3)).sort(), ['one', 'three', 'two'])

    await a.guest.startRings({ maxFrame: 1518 }) // the VMM has called it off
    await lab.until(stateOf(lab, 'a', 'active'), 'the function to be used again')
    wire.send(wireFrame(A, PEER, 'back'))
    assert.deepEqual(await lab.texts(a, 1), ['back'])

    await moves.abandon('a')
    assert.deepEqual(calls.slice(2), ['plug a'])
    assert.equal(lab.running.memory().controlBytesAvailable, before, 'nothing is parked any more')
    wire.send(wireFrame(A, PEER, 'stays'))
    assert.deepEqual(await lab.texts(a, 1), ['stays'])
  })
})

test('a port that is handed over gives its VF back, and the next one gets it; its filters are gone (SR-248, SR-254)', async () => {
  const { calls, plug } = notingPlug()
  const vms = [...function_({ weight: 20 }), { name: 'b', mac: B, iov: { weight: 10 } }]
  await withLab({ vms, plug, adapter: { vfs: 1 } }, async (lab) => {
    const { adapters, moves } = lab.running
    const a = await lab.igbvf('a')
    assert.deepEqual([adapters.withoutVf('a'), adapters.withoutVf('c')], [null, null])
    assert.match(adapters.withoutVf('b')!, /no VF left/)
    await moves.hold('a')
    a.guest.write(0, 1 << 26)
    await lab.until(stateOf(lab, 'a', 'waiting'), 'the function to be left')
    const { path } = lab.assigned('a')!
    assert.ok(existsSync(`${path}.client`))
    const saved = await moves.handOver('a')
    assert.ok(!existsSync(`${path}.client`), 'a VMM whose guest has left is not missed')
    assert.equal((saved.ports[0]!.config.iov as { weight: number }).weight, 20)
    assert.equal(calls.at(-1), 'gone a')
    assert.deepEqual(
      adapters.list()[0]!.assigned.map(({ port }) => port),
      ['b'],
    )
    assert.ok(!adapters.list()[0]!.vports.some(({ filters }) => filters.some(({ mac }) => mac === A)))
  })
})

test('a virtio-net function is taken out before a migration, and given again when that comes to nothing (SR-255)', async () => {
  const { calls, plug } = notingPlug()
  for (const weight of [0, 10]) {
    calls.length = 0
    const vms = [
      { name: 'a', mac: A, iov: { weight, qmp: 'given' } },
      { name: 'c', mac: C },
    ]
    await withLab({ vms, plug }, async (lab) => {
      const { adapters, moves } = lab.running
      if (weight === 0) await adapters.assign('a')
      await moves.hold('a')
      assert.equal(lab.assigned('a'), undefined)
      await assert.rejects(adapters.assign('a'), { code: 'WRONG_STATE' })
      await moves.abandon('a')
      assert.ok(lab.assigned('a'))
      assert.deepEqual(calls, ['plug a', 'unplug a', 'plug a'])
    })
  }
})

test('a port without a VF goes and stays without one; what its plug let in is taken out again', async () => {
  const { calls, plug } = notingPlug()
  await withLab({ vms: function_(), plug }, async (lab) => {
    const { adapters, moves } = lab.running
    await adapters.remove('a', true)
    calls.length = 0
    await moves.hold('a')
    await moves.abandon('a')
    assert.deepEqual(calls, ['leaving a', 'staying a'])
    assert.equal(lab.assigned('a'), undefined, 'it was taken on purpose')
  })
})

test('a prepared port has neither VF nor filters until its guest arrives; then it has both', async () => {
  await withLab({ vms: function_() }, async (source) => {
    await withLab({ vms: [{ name: 'c', mac: C }] }, async (target) => {
      const { adapters, moves } = target.running
      const hasFilter = (): boolean => adapters.list()[0]!.vports.some(({ filters }) => filters.some(({ mac }) => mac === A))
      await source.running.moves.hold('a')
      const { ports } = await source.running.moves.handOver('a')
      const saved = ports[0]!
      const config = saved.config as unknown as Parameters<typeof moves.prepare>[0]
      await moves.prepare(config)
      assert.deepEqual([target.assigned('a'), hasFilter()], [undefined, false])
      await assert.rejects(adapters.assign('a'), { code: 'WRONG_STATE' })
      assert.equal((await moves.takeOver(saved)).withoutVf, null)
      assert.ok(target.assigned('a'))
      assert.ok(hasFilter())
    })
  })
})

test('a port that can not be made ready to leave stays, and may leave another time', async () => {
  const { plug } = notingPlug()
  let refusals = 1
  const refusing = { ...plug, leaving: () => (refusals-- > 0 ? Promise.reject(new Error('QEMU is busy')) : Promise.resolve()) }
  await withLab({ vms: function_(), plug: refusing }, async (lab) => {
    const { adapters, moves } = lab.running
    await assert.rejects(moves.hold('a'), /QEMU is busy/)
    await adapters.remove('a', true)
    await adapters.assign('a')
    await moves.hold('a')
    await moves.abandon('a')
    assert.ok(lab.assigned('a'))
  })
})
