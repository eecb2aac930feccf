import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { type AdapterLab, type LabOptions, textOf, withLab } from '../../../test/support/adapter-lab.ts'
import type { QueueStatus } from '../queue-config.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const PEER = '02:00:00:00:00:99'

const vmq = (given: object = {}): NonNullable<LabOptions['adapter']> => ({
  mode: 'vmq',
  vfs: 0,
  queues: 4,
  rebalanceSeconds: 0,
  ...given,
})
const vms = [
  { name: 'a', mac: A },
  { name: 'b', mac: B },
]

async function inVmqMode(options: Partial<LabOptions>, work: (lab: AdapterLab) => Promise<void>): Promise<void> {
  await withLab({ vms, adapter: vmq(), ...options }, async (lab) => {
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    await work(lab)
  })
}

const queueOf = (lab: AdapterLab, port: string | null): QueueStatus => {
  const found = lab.running.adapters.queues.list().find((queue) => queue.port === port)
  assert.ok(found, `port ${port} has no queue: ${lab.describe()}`)
  return found
}

test('VMs get queues with their addresses as filters, and their frames come by them through the stack of extensions (VQ-034, VQ-047, VQ-236)', async () => {
  await inVmqMode({}, async (lab) => {
    const [a, b, wire] = [lab.synthetic('a'), lab.synthetic('b'), lab.wire()]
    const before = await lab.seen()
    for (let i = 0; i < 100; i++) {
      assert.ok(wire.send(wireFrame(A, PEER, `a${i}`)))
      assert.ok(wire.send(wireFrame(B, PEER, `b${i}`)))
    }
    assert.deepEqual(
      await lab.texts(a, 100),
      Array.from({ length: 100 }, (_, i) => `a${i}`),
    )
    assert.deepEqual(
      await lab.texts(b, 100),
      Array.from({ length: 100 }, (_, i) => `b${i}`),
    )
    assert.equal(await lab.seen(), before + 200)
    for (const [port, mac] of [
      ['a', A],
      ['b', B],
    ] as const) {
      const { queue, state, filter, counters, steering } = queueOf(lab, port)
      assert.ok(queue > 0)
      assert.deepEqual([state, filter?.mac, filter?.vlan, counters.receivedFrames], ['running', mac, null, 100])
      assert.deepEqual([counters.handedOver, counters.dropped, steering], [0, 0, 'one-ring'])
    }
    wire.send(wireFrame('ff:ff:ff:ff:ff:ff', PEER, 'all'))
    assert.deepEqual([await lab.texts(a, 1), await lab.texts(b, 1)], [['all'], ['all']])
    assert.equal(queueOf(lab, null).counters.receivedFrames, 1)
    a.send(wireFrame(PEER, A, 'out'))
    assert.deepEqual(await lab.texts(wire, 1), ['out'])
    const [lookUps] = lab.running.processors().map(({ counters }) => counters.lookUps!)
    assert.ok(lookUps! < 20, `${lookUps} look-ups for 200 frames that queues brought`)
  })
})

test('queues go by weight; the others are served by the default queue, and get one when it comes free', async () => {
  const three = [
    { name: 'low', mac: A, vmqWeight: 1 },
    { name: 'high', mac: B, vmqWeight: 90 },
    { name: 'none', mac: C, vmqWeight: 0 },
  ]
  await inVmqMode({ vms: three, adapter: vmq({ queues: 1 }) }, async (lab) => {
    assert.equal(queueOf(lab, 'high').weight, 90)
    assert.deepEqual(
      queueOf(lab, null).serves.map(({ port, reason }) => [port, reason.slice(0, 30)]),
      [
        ['low', 'no queue: NDIS_STATUS_RESOURCE'],
        ['none', 'its vmqWeight is 0'],
      ],
    )
    const [low, none, wire] = [lab.synthetic('low'), lab.synthetic('none'), lab.wire()]
    wire.send(wireFrame(A, PEER, 'to low'))
    wire.send(wireFrame(C, PEER, 'to none'))
    assert.deepEqual([await lab.texts(low, 1), await lab.texts(none, 1)], [['to low'], ['to none']])
    await lab.running.removePort('high')
    await lab.until(() => lab.running.adapters.queues.list().some(({ port }) => port === 'low'), 'the queue to come free')
    wire.send(wireFrame(A, PEER, 'by its own'))
    assert.deepEqual(await lab.texts(low, 1), ['by its own'])
    assert.equal(queueOf(lab, 'low').counters.receivedFrames, 1)
    await assert.rejects(lab.running.adapters.queues.setProcessor('none', 0), { code: 'NO_QUEUE', message: /vmqWeight is 0/ })
    await assert.rejects(lab.running.adapters.queues.setProcessor('nobody', 0), { code: 'NO_SUCH_PORT' })
  })
})

test('a port of higher weight that comes later takes the queue of the one of the lowest weight, and no frame of either is lost', async () => {
  const two = [
    { name: 'low', mac: A, vmqWeight: 10 },
    { name: 'middle', mac: B, vmqWeight: 50 },
  ]
  await inVmqMode({ vms: two, adapter: vmq({ queues: 2 }) }, async (lab) => {
    const [low, middle, wire] = [lab.synthetic('low'), lab.synthetic('middle'), lab.wire()]
    const plain = { macSpoofing: 'off', learning: false, link: 'up', endpoint: { kind: 'memory' } } as const
    const has = (port: string): boolean => lab.running.adapters.queues.list().some((queue) => queue.port === port)
    const send = async (text: string): Promise<void> => {
      for (const mac of [A, B]) await lab.until(() => wire.send(wireFrame(mac, PEER, text)), 'room on the wire')
    }
    assert.ok(has('low') && has('middle'))
    for (let i = 0; i < 50; i++) await send(`${i}`)
    await lab.running.addPort({ ...plain, name: 'high', mac: C, vmqWeight: 90 })
    for (let i = 50; i < 200; i++) await send(`${i}`)
    await lab.until(() => has('high'), 'the queue of the higher weight')
    for (let i = 200; i < 250; i++) await send(`${i}`)
    assert.deepEqual([has('low'), has('middle')], [false, true])
    const refusal = (): string => queueOf(lab, null).serves.find(({ port }) => port === 'low')?.reason ?? ''
    await lab.until(() => refusal().includes('NDIS_STATUS_RESOURCES'), 'the refusal of the one that lost its queue')
    const all = Array.from({ length: 250 }, (_, i) => `${i}`)
    assert.deepEqual([await lab.texts(low, 250), await lab.texts(middle, 250)], [all, all])
    wire.send(wireFrame(C, PEER, 'by its own'))
    assert.deepEqual(await lab.texts(lab.synthetic('high'), 1), ['by its own'])
    assert.equal(queueOf(lab, 'high').counters.receivedFrames, 1)
    await lab.running.addPort({ ...plain, name: 'equal', mac: '02:00:00:00:00:0d', vmqWeight: 50 })
    await lab.until(
      () => queueOf(lab, null).serves.some(({ port, reason }) => port === 'equal' && reason.includes('NDIS_STATUS_RESOURCES')),
      'its refusal',
    )
    assert.deepEqual([has('middle'), has('high'), has('equal')], [true, true, false])
  })
})

test('a queue on another processor than the one that polls gets its frames in order, also while it moves (VQ-029, VQ-031, VQ-114)', async () => {
  await inVmqMode({ processors: 2 }, async (lab) => {
    const { queues } = lab.running.adapters
    assert.deepEqual(new Set([queueOf(lab, 'a').processor, queueOf(lab, 'b').processor]), new Set([0, 1]), 'one processor each')
    const [a, wire] = [lab.synthetic('a'), lab.wire()]
    const got: string[] = []
    for (let i = 0; i < 2000; i++) {
      await lab.until(() => wire.send(wireFrame(A, PEER, `${i}`)), 'room on the wire')
      if (i % 100 === 99) {
        await queues.setProcessor('a', (i + 1) % 200 === 0 ? 1 : 0)
        got.push(...a.receive().map(textOf))
      }
    }
    await lab.until(() => {
      got.push(...a.receive().map(textOf))
      return got.length >= 2000
    }, `2000 frames, got ${got.length}`)
    assert.deepEqual(
      got,
      Array.from({ length: 2000 }, (_, i) => `${i}`),
    )
    const { counters, pinned } = queueOf(lab, 'a')
    assert.ok(counters.handedOver > 100, `${counters.handedOver} handed over`)
    assert.ok(pinned)
    await assert.rejects(queues.setProcessor('a', 2), { code: 'NO_SUCH_PROCESSOR', message: /0, 1 do/ })
    assert.equal((await queues.setProcessor('a', null)).pinned, false)
    assert.ok(lab.running.processors().some(({ counters: { handedOver } }) => handedOver! > 100))
  })
})

test('a frame whose address an extension, or nobody, gave to another VM goes where the switch says', async () => {
  await inVmqMode({ processors: 1 }, async (lab) => {
    const [a, b, wire] = [lab.synthetic('a'), lab.synthetic('b'), lab.wire()]
    a.send(wireFrame(B, A, 'from a to b'))
    assert.deepEqual(await lab.texts(b, 1), ['from a to b'])
    wire.send(wireFrame('02:00:00:00:00:77', PEER, 'to nobody'))
    wire.send(wireFrame(A, PEER, 'behind it'))
    assert.deepEqual(await lab.texts(a, 1), ['behind it'])
    assert.deepEqual(b.receive(), [])
  })
})

test('an adapter in VMQ mode has no virtual functions and is listed with its mode (SR-129)', async () => {
  await inVmqMode({}, async (lab) => {
    const [nic] = lab.running.adapters.list()
    assert.deepEqual([nic!.name, nic!.mode, nic!.vfs.total], ['nic', 'vmq', 0])
    for (const call of [lab.running.adapters.pull('nic'), lab.running.adapters.set('nic', 0, { vlan: 1 })])
      await assert.rejects(call, { code: 'WRONG_MODE' })
  })
})

test('a port that comes later gets a queue on the processor with the fewest, and its VLAN follows its property', async () => {
  await inVmqMode({ processors: 2 }, async (lab) => {
    const plain = { macSpoofing: 'off', learning: false, link: 'up', endpoint: { kind: 'memory' } } as const
    await lab.running.addPort({ ...plain, name: 'c', mac: C })
    const has = (): boolean => lab.running.adapters.queues.list().some(({ port }) => port === 'c')
    await lab.until(has, 'the queue of c')
    assert.equal(queueOf(lab, 'c').processor, 0)
    const [c, wire] = [lab.synthetic('c'), lab.wire()]
    wire.send(wireFrame(C, PEER, 'to c'))
    assert.deepEqual(await lab.texts(c, 1), ['to c'])
    c.send(wireFrame(PEER, C, 'from c'))
    assert.deepEqual(await lab.texts(wire, 1), ['from c'])
    await lab.running.policies.add(lab.running.portId('c'), { type: 'vlan', value: { mode: 'access', accessVlanId: 7 } })
    await lab.until(() => has() && queueOf(lab, 'c').filter?.vlan === 7, 'its filter to have the VLAN')
    wire.send(wireFrame(C, PEER, 'in VLAN 7', 7))
    assert.deepEqual(await lab.texts(c, 1), ['in VLAN 7'])
    assert.equal(queueOf(lab, 'c').counters.receivedFrames, 1)
  })
})
