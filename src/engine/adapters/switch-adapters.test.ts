import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { withLab } from '../../../test/support/adapter-lab.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const PEER = '02:00:00:00:00:99'
const BROADCAST = 'ff:ff:ff:ff:ff:ff'

const two = [
  { name: 'a', mac: A, iov: {} },
  { name: 'b', mac: B, iov: {} },
  { name: 'c', mac: C },
]

test('two virtio VFs talk to each other and no extension sees a frame of theirs (SR-014, SR-238)', async () => {
  await withLab({ vms: two }, async (lab) => {
    await lab.running.adapters.assign('a')
    await lab.running.adapters.assign('b')
    const [a, b] = [await lab.virtio('a'), await lab.virtio('b')]
    const before = await lab.seen()
    for (let i = 0; i < 100; i++) assert.ok(a.send(wireFrame(B, A, `${i}`)))
    assert.deepEqual(
      await lab.texts(b, 100),
      Array.from({ length: 100 }, (_, i) => `${i}`),
    )
    b.send(wireFrame(A, B, 'back'))
    assert.deepEqual(await lab.texts(a, 1), ['back'])
    assert.equal(await lab.seen(), before)
    const [nic] = lab.running.adapters.list()
    assert.deepEqual(
      nic!.vports.filter(({ id }) => id > 0).map(({ counters }) => [counters.receivedFrames, counters.sentFrames]),
      [
        [100, 1],
        [1, 100],
      ],
    )
  })
})

test('a VF reaches VMs on the synthetic path and the wire, and is reached by them; broadcasts go everywhere once', async () => {
  await withLab({ vms: two }, async (lab) => {
    await lab.running.adapters.assign('a')
    const a = await lab.virtio('a')
    const [b, c, wire] = [lab.synthetic('b'), lab.synthetic('c'), lab.wire()]
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    const before = await lab.seen()
    a.send(wireFrame(C, A, 'to c'))
    assert.deepEqual(await lab.texts(c, 1), ['to c'])
    assert.equal(await lab.seen(), before + 1)
    c.send(wireFrame(A, C, 'to a'))
    assert.deepEqual(await lab.texts(a, 1), ['to a'])
    a.send(wireFrame(PEER, A, 'out'))
    assert.deepEqual(await lab.texts(wire, 1), ['out'])
    wire.send(wireFrame(A, PEER, 'in'))
    wire.send(wireFrame(B, PEER, 'in b'))
    assert.deepEqual(await lab.texts(a, 1), ['in'])
    assert.deepEqual(await lab.texts(b, 1), ['in b'])
    c.send(wireFrame(BROADCAST, C, 'all'))
    assert.deepEqual([await lab.texts(a, 1), await lab.texts(b, 1), await lab.texts(wire, 1)], [['all'], ['all'], ['all']])
    a.send(wireFrame(BROADCAST, A, 'mine'))
    assert.deepEqual([await lab.texts(b, 1), await lab.texts(c, 1), await lab.texts(wire, 1)], [['mine'], ['mine'], ['mine']])
    assert.deepEqual([a.receive(), b.receive(), c.receive(), wire.receive()], [[], [], [], []])
  })
})
