import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wireFrame } from '../../../test/support/adapter-harness.ts'
import { type AdapterLab, withLab } from '../../../test/support/adapter-lab.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const D = '02:00:00:00:00:0d'
const PEER = '02:00:00:00:00:99'
const VLAN = 7

const access = (accessVlanId: number) => ({ type: 'vlan', value: { mode: 'access', accessVlanId } }) as const
const codesOf = (lab: AdapterLab, source: string): string[] =>
  lab.events.filter((event) => event.startsWith(`${source}: `)).map((event) => event.split(': ')[1]!)
const tciOf = (frame: Buffer): number => (frame.readUInt16BE(12) === 0x8100 ? frame.readUInt16BE(14) & 0xfff : 0)

test("the VLAN of a VM's port is the VLAN of its VF: untagged in the guest, tagged on the wire, out of reach for others", async () => {
  const vms = [
    { name: 'a', mac: A, iov: { weight: 1 }, properties: [access(VLAN)] },
    { name: 'b', mac: B, iov: { weight: 1 } },
    { name: 'c', mac: C, properties: [access(VLAN)] },
  ]
  await withLab({ vms }, async (lab) => {
    const [a, b] = [await lab.virtio('a'), await lab.virtio('b')]
    const [c, wire] = [lab.synthetic('c'), lab.wire()]
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    assert.equal(lab.running.adapters.list()[0]!.shown[0]!.vlan, VLAN)
    a.send(wireFrame(PEER, A, 'out'))
    const out: Buffer[] = []
    await lab.until(() => out.push(...wire.receive()) > 0, 'the wire')
    assert.equal(tciOf(out[0]!), VLAN)
    a.send(wireFrame(C, A, 'same VLAN'))
    assert.deepEqual(await lab.texts(c, 1), ['same VLAN'])
    c.send(wireFrame(A, C, 'back'))
    assert.deepEqual(await lab.texts(a, 1), ['back'])
    b.send(wireFrame(A, B, 'other VLAN'))
    wire.send(wireFrame(A, PEER, 'in', VLAN))
    assert.deepEqual(await lab.texts(a, 1), ['in'])
  })
})

test('a policy that a VF can not carry out takes it away, and it comes back when the policy goes (SR-256)', async () => {
  await withLab(
    {
      vms: [
        { name: 'a', mac: A, iov: { weight: 1 } },
        { name: 'c', mac: C },
      ],
    },
    async (lab) => {
      const { running } = lab
      const a = await lab.virtio('a')
      const port = running.portId('a')
      const trunk = { type: 'vlan', value: { mode: 'trunk', nativeVlanId: 0, trunkVlanIds: '10-20' } } as const
      const { propertyInstanceId } = await running.policies.add(port, trunk)
      await lab.until(() => lab.assigned('a') === undefined, 'the VF to be taken away')
      assert.ok(await a.guest.closes())
      await lab.until(() => codesOf(lab, 'port a').includes('vf-not-assigned'), 'the reason')
      assert.match(lab.events.find((event) => event.includes('vf-policy'))!, /trunk/)
      const [synthetic, c] = [lab.synthetic('a'), lab.synthetic('c')]
      c.send(wireFrame(A, C, 'through the switch'))
      await lab.until(() => synthetic.receive().some((frame) => frame.includes('through the switch')), 'the port')

      await running.policies.delete(port, { type: 'vlan', instance: propertyInstanceId })
      await lab.until(() => lab.assigned('a') !== undefined, 'the VF to be given again')
      const again = await lab.virtio('a')
      c.send(wireFrame(A, C, 'vf'))
      assert.deepEqual(await lab.texts(again, 1), ['vf'])

      await running.policies.add(port, { type: 'protection', value: { dhcpGuard: false } })
      assert.notEqual(lab.assigned('a'), undefined, 'guards that are off are no policy')
      await running.policies.update(port, { type: 'protection', value: { dhcpGuard: true } })
      await lab.until(() => lab.assigned('a') === undefined, 'the VF to be taken away for a guard')
    },
  )
})

test("what a port may send holds for its VF: at once, when it changes, and not for the VF's next VM", async () => {
  const vms = [
    { name: 'a', mac: A, iov: {}, properties: [{ type: 'bandwidth', value: { maximumBandwidth: '20500kbit' } } as const] },
    { name: 'b', mac: B, iov: {} },
  ]
  await withLab({ vms }, async (lab) => {
    const { adapters, policies } = lab.running
    const rates = (): number[] => {
      const [vf] = adapters.list()[0]!.shown
      return [vf!.max_tx_rate, vf!.min_tx_rate]
    }
    await adapters.assign('a')
    assert.deepEqual(rates(), [20, 0])
    const port = lab.running.portId('a')
    await policies.update(port, { type: 'bandwidth', value: { maximumBandwidth: '50mbit', minimumBandwidthAbsolute: '5mbit' } })
    await lab.until(() => rates()[0] === 50, 'the new rates')
    assert.deepEqual(rates(), [50, 5])
    await adapters.remove('a')
    assert.equal((await adapters.assign('b')).vf, 0)
    assert.deepEqual(rates(), [0, 0])
  })
})

test('a VF is not given, or is taken away, for limits that it has no means for, with the reason (SR-256)', async () => {
  await withLab({ vms: [{ name: 'a', mac: A, iov: { weight: 1 } }] }, async (lab) => {
    const { running } = lab
    const port = running.portId('a')
    const { propertyInstanceId } = await running.policies.add(port, { type: 'bandwidth', value: { maximumBandwidth: '10mbit' } })
    await lab.until(() => lab.assigned('a') !== undefined, 'a VF for a port with a maximum')
    for (const [value, reason] of [
      [{ maximumReceiveBandwidth: '10mbit' }, /maximumReceiveBandwidth/],
      [{ minimumBandwidthWeight: 5 }, /minimumBandwidthWeight/],
      [{ maximumBandwidth: '512kbit' }, /below 1 Mbit/],
    ] as const) {
      await running.policies.update(port, { type: 'bandwidth', value })
      await lab.until(() => lab.assigned('a') === undefined, 'the VF to be taken away')
      assert.match(lab.events.findLast((event) => event.includes('vf-policy'))!, reason)
      await assert.rejects(running.adapters.assign('a'), reason)
      await running.policies.update(port, { type: 'bandwidth', value: { maximumBandwidth: '10mbit' } })
      await lab.until(() => lab.assigned('a') !== undefined, 'the VF to be given again')
    }
    await running.policies.delete(port, { type: 'bandwidth', instance: propertyInstanceId })
    assert.notEqual(lab.assigned('a'), undefined)
  })
})

test('a port that takes part in mirroring loses its VF while that is on, and its frames are mirrored (SR-256)', async () => {
  const vms = [
    { name: 'a', mac: A, iov: { weight: 1 } },
    { name: 'c', mac: C },
    { name: 'd', mac: D },
  ]
  await withLab({ vms }, async (lab) => {
    const { running } = lab
    const a = await lab.virtio('a')
    await running.setPort('d', { portMirroring: 'destination' })
    assert.notEqual(lab.assigned('a'), undefined, 'mirroring of others is nothing to it')
    await running.setPort('a', { portMirroring: 'source' })
    await lab.until(() => lab.assigned('a') === undefined, 'the VF to be taken away')
    assert.ok(await a.guest.closes())
    assert.match(lab.events.find((event) => event.includes('vf-policy'))!, /port mirroring/)
    const [synthetic, d] = [lab.synthetic('a'), lab.synthetic('d')]
    synthetic.send(wireFrame(C, A, 'seen by the monitor'))
    assert.deepEqual(await lab.texts(d, 1), ['seen by the monitor'])
    await running.setPort('a', { portMirroring: 'none' })
    await lab.until(() => lab.assigned('a') !== undefined, 'the VF to be given again')
  })
})

test('in strict order the filters go to the VF before its guest drives it (PD-10, SR-240)', async () => {
  await withLab({ vms: [{ name: 'a', mac: A, iov: {} }], adapter: { order: 'strict' } }, async (lab) => {
    const { adapters } = lab.running
    await adapters.assign('a')
    const filtersOf = (id: number) =>
      adapters
        .list()[0]!
        .vports.find((vport) => vport.id === id)!
        .filters.map(({ mac }) => mac)
    assert.deepEqual([filtersOf(0), filtersOf(1)], [[], [A]])
    assert.equal(lab.assigned('a')!.state, 'active', 'traffic goes to it already')
    const a = await lab.virtio('a')
    // So nothing tells when the processors serve its rings; what comes before is lost in this order.
    const wire = lab.wire()
    const got: Buffer[] = []
    await lab.until(() => {
      wire.send(wireFrame(A, PEER, 'vf'))
      got.push(...a.receive())
      return got.length > 0
    }, 'a frame at the VF')
    assert.ok(got[0]!.includes('vf'))
    await adapters.remove('a')
    assert.deepEqual(filtersOf(0), [A])
  })
})

test('a VF that was trusted for one VM is not for the next', async () => {
  const vms = [
    { name: 'a', mac: A, iov: { trusted: true } },
    { name: 'b', mac: B, iov: {} },
  ]
  await withLab({ vms }, async (lab) => {
    const { adapters } = lab.running
    const trust = (): boolean => adapters.list()[0]!.shown[0]!.trust
    await adapters.assign('a')
    assert.equal(trust(), true)
    await adapters.remove('a')
    assert.equal((await adapters.assign('b')).vf, 0)
    assert.equal(trust(), false)
  })
})

test("after the host's reset a PCI function's driver finds that it must start anew, and does (SR-297)", async () => {
  await withLab(
    {
      vms: [
        { name: 'a', mac: A, iov: { form: 'vfio-user' } },
        { name: 'c', mac: C },
      ],
    },
    async (lab) => {
      const { adapters } = lab.running
      await adapters.assign('a')
      const a = await lab.igbvf('a')
      await adapters.reset('a')
      await lab.until(() => lab.assigned('a')!.state === 'waiting', 'the synthetic path')
      const [word] = [await a.guest.read(0x800)]
      assert.deepEqual([(word & (1 << 30)) !== 0, (word & (1 << 29)) !== 0], [true, false], 'refused, and not clear to send')
      await a.guest.startRings({ maxFrame: 1518 })
      await lab.until(() => lab.assigned('a')!.state === 'active', 'the VF')
      lab.synthetic('c').send(wireFrame(A, C, 'again'))
      assert.deepEqual(await lab.texts(a, 1), ['again'])
    },
  )
})
