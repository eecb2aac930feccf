import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { type AdapterLab, withLab } from '../../../test/support/adapter-lab.ts'
import { AdapterOid } from '../../adapter/oids.ts'
import { NdisStatus } from '../../ndis/status.ts'
import { SwitchAdapterError } from './errors.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const PEER = '02:00:00:00:00:99'

const isActive = (lab: AdapterLab, name: string) => () => lab.assigned(name)?.state === 'active'
const isWaiting = (lab: AdapterLab, name: string) => () => lab.assigned(name)?.state === 'waiting'
const hasCode = (code: string) => (error: unknown) => error instanceof SwitchAdapterError && error.code === code
const codesOf = (lab: AdapterLab, source: string): string[] =>
  lab.events.filter((event) => event.startsWith(`${source}: `)).map((event) => event.split(': ')[1]!)

test("traffic follows the guest's driver: to its PCI function, back to the port at once, and to the function again (PD-10, SR-252)", async () => {
  const vms = [
    { name: 'a', mac: A, iov: { form: 'vfio-user' as const } },
    { name: 'c', mac: C },
  ]
  await withLab({ vms }, async (lab) => {
    const { adapters } = lab.running
    const given = await adapters.assign('a')
    assert.deepEqual([given.state, given.form, given.vf, given.switchovers], ['waiting', 'vfio-user', 0, 0])
    const [synthetic, c, wire] = [lab.synthetic('a'), lab.synthetic('c'), lab.wire()]
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    c.send(wireFrame(A, C, 'before'))
    wire.send(wireFrame(A, PEER, 'before too'))
    assert.deepEqual((await lab.texts(synthetic, 2)).sort(), ['before', 'before too'])

    const a = await lab.igbvf('a')
    c.send(wireFrame(A, C, 'vf'))
    wire.send(wireFrame(A, PEER, 'vf too'))
    assert.deepEqual((await lab.texts(a, 2)).sort(), ['vf', 'vf too'])
    a.send(wireFrame(C, A, 'from vf'))
    assert.deepEqual(await lab.texts(c, 1), ['from vf'])
    synthetic.send(wireFrame(C, A, 'standby still sends'))
    assert.deepEqual(await lab.texts(c, 1), ['standby still sends'])

    a.guest.write(0, 1 << 26) // CTRL.RST: the driver lets go
    await lab.until(isWaiting(lab, 'a'), 'the driver to be gone')
    c.send(wireFrame(A, C, 'back'))
    wire.send(wireFrame(A, PEER, 'back too'))
    assert.deepEqual((await lab.texts(synthetic, 2)).sort(), ['back', 'back too'])

    await a.guest.startRings({ maxFrame: 1518 })
    await lab.until(isActive(lab, 'a'), 'the driver to be back')
    c.send(wireFrame(A, C, 'again'))
    assert.deepEqual(await lab.texts(a, 1), ['again'])
    assert.equal(lab.assigned('a')!.switchovers, 3)
    assert.deepEqual(codesOf(lab, 'port a'), ['vf-assigned', 'vf-active', 'vf-inactive', 'vf-active'])
  })
})

test('removal asks the guest first and takes the VF when it has let go; a guest that does not is not waited for forever (PD-14, SR-246)', async () => {
  const vms = [
    { name: 'a', mac: A, iov: { form: 'vfio-user' as const } },
    { name: 'c', mac: C },
  ]
  await withLab({ vms }, async (lab) => {
    const { adapters } = lab.running
    await adapters.assign('a')
    const a = await lab.igbvf('a')
    const removal = adapters.remove('a')
    await lab.until(() => lab.assigned('a')?.state === 'removing', 'the request')
    while (((await a.guest.read(8)) & 2) !== 0) await sleep(1) // the link goes down: the driver should go
    a.guest.write(0, 1 << 26)
    await removal
    assert.equal(lab.assigned('a'), undefined)
    assert.equal(adapters.list()[0]!.vfs.allocated, 0)
    const [synthetic, c] = [lab.synthetic('a'), lab.synthetic('c')]
    c.send(wireFrame(A, C, 'synthetic'))
    await lab.until(() => synthetic.receive().some((frame) => frame.includes('synthetic')), 'the port')

    const again = await adapters.assign('a')
    assert.deepEqual([again.serialNumber, again.state], [2, 'waiting'])
    await a.guest.startRings({ maxFrame: 1518 })
    await lab.until(isActive(lab, 'a'), 'the same connection to be used again')
    await adapters.remove('a', true)
    c.send(wireFrame(A, C, 'torn out'))
    await lab.until(() => synthetic.receive().some((frame) => frame.includes('torn out')), 'the port again')
    await assert.rejects(adapters.remove('a'), hasCode('NO_VF'))
  })
})

test('a virtio VF that is taken away disconnects its device, and the next assignment listens again', async () => {
  await withLab(
    {
      vms: [
        { name: 'a', mac: A, iov: {} },
        { name: 'c', mac: C },
      ],
    },
    async (lab) => {
      const { adapters } = lab.running
      await adapters.assign('a')
      const a = await lab.virtio('a')
      await adapters.remove('a')
      assert.ok(await a.guest.closes())
      const [synthetic, c] = [lab.synthetic('a'), lab.synthetic('c')]
      c.send(wireFrame(A, C, 'port'))
      await lab.until(() => synthetic.receive().some((frame) => frame.includes('port')), 'the port')
      await adapters.assign('a')
      const again = await lab.virtio('a')
      c.send(wireFrame(A, C, 'vf'))
      assert.deepEqual(await lab.texts(again, 1), ['vf'])
      again.guest.disconnect()
      await lab.until(isWaiting(lab, 'a'), 'the dead guest to be noticed')
      c.send(wireFrame(A, C, 'still'))
      await lab.until(() => synthetic.receive().some((frame) => frame.includes('still')), 'the port again')
    },
  )
})

test('VFs go to the highest weights, and to the next when one comes free; who lost it on purpose waits (SR-053, SR-253, SR-254)', async () => {
  const vm = (name: string, mac: string, weight: number) => ({ name, mac, iov: { weight } })
  await withLab({ vms: [vm('a', A, 10), vm('b', B, 50), vm('c', C, 30)], adapter: { vfs: 2 } }, async (lab) => {
    const { adapters } = lab.running
    const having = (): string[] => adapters.list()[0]!.assigned.map(({ port }) => port)
    assert.deepEqual(having().sort(), ['b', 'c'])
    assert.match(lab.events.find((event) => event.startsWith('port a: vf-not-assigned'))!, /no VF left/)
    await assert.rejects(adapters.assign('a'), hasCode('NO_VF_LEFT'))
    await assert.rejects(adapters.assign('b'), hasCode('VF_ASSIGNED'))
    await adapters.remove('b')
    assert.deepEqual(having().sort(), ['a', 'c'])
    await lab.running.removePort('c')
    assert.deepEqual(having(), ['a'], 'b was told to do without')
    await adapters.assign('b')
    assert.deepEqual(having().sort(), ['a', 'b'])
  })
})

test('a pulled adapter takes its VFs and the external connection along; put back, it gives them again (SR-307, SR-308)', async () => {
  const vms = [
    { name: 'a', mac: A, iov: { weight: 1 } },
    { name: 'b', mac: B, iov: { weight: 1, form: 'vfio-user' as const } },
    { name: 'c', mac: C },
  ]
  await withLab({ vms, processors: 2 }, async (lab) => {
    const { adapters } = lab.running
    const [a, b] = [await lab.virtio('a'), await lab.igbvf('b')]
    a.send(wireFrame(B, A, 'between VFs'))
    assert.deepEqual(await lab.texts(b, 1), ['between VFs'])
    await adapters.pull('nic')
    assert.deepEqual([adapters.list()[0]!.state, adapters.list()[0]!.assigned], ['removed', []])
    await lab.until(() => !lab.running.ports().find(({ name }) => name === 'up')!.connected, 'the external connection to go')
    await assert.rejects(adapters.assign('a'), hasCode('ADAPTER_REMOVED'))
    await assert.rejects(adapters.pull('nic'), hasCode('ADAPTER_REMOVED'))
    const [sa, sb, c] = [lab.synthetic('a'), lab.synthetic('b'), lab.synthetic('c')]
    c.send(wireFrame(A, C, 'a without'))
    c.send(wireFrame(B, C, 'b without'))
    await lab.until(() => sa.receive().some((frame) => frame.includes('a without')), 'port a')
    await lab.until(() => sb.receive().some((frame) => frame.includes('b without')), 'port b')

    await adapters.plug('nic')
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'the external connection')
    assert.equal(adapters.list()[0]!.assigned.length, 2)
    const again = await lab.virtio('a')
    await b.guest.startRings({ maxFrame: 1518 })
    await lab.until(isActive(lab, 'b'), 'the function to be used again')
    again.send(wireFrame(B, A, 'between VFs again'))
    assert.deepEqual(await lab.texts(b, 1), ['between VFs again'])
    const wire = lab.wire()
    c.send(wireFrame(PEER, C, 'out'))
    await lab.until(() => wire.receive().some((frame) => frame.includes('out')), 'the wire')
  })
})

test('OIDs, Linux words, reset and indications reach the adapter; what is wrong has a code', async () => {
  await withLab(
    {
      vms: [
        { name: 'a', mac: A, iov: {} },
        { name: 'c', mac: C },
      ],
    },
    async (lab) => {
      const { adapters } = lab.running
      await assert.rejects(adapters.assign('c'), hasCode('NO_IOV'))
      await assert.rejects(adapters.assign('nobody'), { code: 'NO_SUCH_PORT' })
      await assert.rejects(adapters.reset('a'), hasCode('NO_VF'))
      await assert.rejects(adapters.set('other', 0, {}), hasCode('NO_SUCH_ADAPTER'))
      await assert.rejects(adapters.set('nic', 0, { max_tx_rate: -1 }), hasCode('BAD_VF_SETTING'))
      await assert.rejects(adapters.set('nic', 99, { trust: true }), hasCode('BAD_VF_SETTING'))
      await adapters.assign('a')
      const shown = await adapters.set('nic', 0, { max_tx_rate: 100, trust: true, spoofchk: false })
      assert.deepEqual([shown.mac, shown.max_tx_rate, shown.trust, shown.spoofchk], [A, 100, true, false])
      const vfs = await adapters.request('nic', { oid: AdapterOid.nicSwitchEnumVfs, type: 'query' })
      assert.equal(vfs.status, NdisStatus.success)
      assert.equal((vfs.output as unknown[]).length, 1)
      const refused = await adapters.request('nic', { oid: AdapterOid.nicSwitchFreeVf, type: 'set', payload: { vfId: 0 } })
      assert.notEqual(refused.status, NdisStatus.success)
      const guest = await lab.virtio('a')
      await adapters.reset('a')
      assert.ok(guest.send(wireFrame(C, A, 'on')))
      await sleep(0)
      JSON.stringify(adapters.list())
    },
  )
})
