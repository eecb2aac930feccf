// Extensions of the switch and VFs: policy that a VF passes by, a VF that is taken back for the sake of policy, and a VF that is refused.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { AdapterOid } from '../../src/adapter/oids.ts'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { InnerOid } from '../../src/ndis/inner-oids.ts'
import { type NicStatusIndication, StatusIndication } from '../../src/ndis/oids.ts'
import { wireFrame } from '../support/adapter-harness.ts'
import { AdapterLab, type LabOptions } from '../support/adapter-lab.ts'
import { script } from './control-under-test.ts'
import type { Command } from './extensions/script.ts'

const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const C = '02:00:00:00:00:0c'
const VETO = 0xc000021b
const acl = (port: string): ExtensionEntry => ({
  name: 'acl',
  file: fileURLToPath(new URL('../../src/extensions/acl/index.ts', import.meta.url)),
  options: { rules: [{ action: 'deny', port, etherType: 0x88b5 }], default: 'allow' },
  enabled: true,
  onFailure: 'closed',
})
/** Port ids: 1 is the external port, then the VMs in order. */
const PORT_A = 2
const PORT_C = 3
const indicate = (given: Partial<NicStatusIndication>): Command => ({
  do: 'indicate',
  indication: {
    sourcePortId: 0,
    sourceNicIndex: 0,
    destinationPortId: 0,
    destinationNicIndex: 0,
    statusIndication: { statusCode: StatusIndication.switchPortRemoveVf, statusBuffer: null },
    ...given,
  },
})

class Stage {
  readonly lab: AdapterLab
  #told = 0
  #read = 0

  constructor(lab: AdapterLab) {
    this.lab = lab
  }

  /** Has an extension do something; settles when it has said "dereferenceNic" or what `until` names. */
  async tell(module: string, until: string, ...commands: readonly Command[]): Promise<string[]> {
    await this.lab.running.updatePort('c', `${module}: ${JSON.stringify(commands)}${' '.repeat(++this.#told)}`)
    await this.lab.until(() => this.#fresh(module).some((line) => line.startsWith(until)), `${module} to say ${until}`)
    const lines = this.#fresh(module)
    this.#read = this.lab.events.length
    return lines
  }

  #fresh(module: string): string[] {
    return linesOf(this.lab.events.slice(this.#read), module)
  }

  breaches(module: string): string[] {
    return this.lab.events.flatMap((event) => new RegExp(`^extension ${module}: (ES-\\d+): `).exec(event)?.[1] ?? [])
  }

  /** VFAssigned of a VM's adapter, as an extension was told it, in order. */
  assignedOf(nic: string): boolean[] {
    return linesOf(this.lab.events, 'X1')
      .filter((line) => /^payload NIC_(CONNECT|CREATE|UPDATED) /.test(line))
      .map((line) => JSON.parse(line.slice(line.indexOf('{'))) as { nicName: string; vfAssigned: boolean })
      .filter(({ nicName }) => nicName === nic)
      .map(({ vfAssigned }) => vfAssigned)
  }
}

const linesOf = (events: readonly string[], module: string): string[] =>
  events.filter((event) => event.startsWith(`extension ${module}: log: `)).map((event) => event.slice(17 + module.length))

async function onStage(options: LabOptions, work: (stage: Stage) => Promise<void>): Promise<void> {
  const lab = await AdapterLab.open(options)
  try {
    await lab.until(() => lab.running.ports().every(({ connected }) => connected), 'all connected')
    await work(new Stage(lab))
  } finally {
    await lab.close()
  }
}

const shown = { shows: ['NIC_CREATE', 'NIC_CONNECT', 'NIC_UPDATED'] }
const vms = [
  { name: 'a', mac: A, iov: {} },
  { name: 'c', mac: C },
]

test('SR-CS-55: port policy does not reach a VM on its VF; an extension takes the VF away and then it does (SR-256, SR-257, SR-258, SR-261)', async () => {
  await onStage({ vms, extensions: [acl('a'), script('X1', { ...shown, to: [PORT_C] })] }, async (stage) => {
    const { lab } = stage
    await lab.running.adapters.assign('a')
    const vf = await lab.virtio('a')
    const c = lab.synthetic('c')
    const wire = lab.wire()
    vf.send(wireFrame(B, A, 'past the list'))
    assert.deepEqual((await lab.texts(wire, 1)).slice(-1), ['past the list'])
    assert.deepEqual(stage.assignedOf('a').slice(-1), [true])
    assert.ok(!stage.assignedOf('up').includes(true), 'the external adapter has none')

    const said = await stage.tell(
      'X1',
      'dereferenceNic',
      { do: 'referenceNic', port: PORT_A },
      indicate({
        destinationPortId: PORT_A,
        statusIndication: { statusCode: StatusIndication.switchPortRemoveVf, statusBuffer: 'x' },
      }),
      indicate({ destinationPortId: PORT_A, sourcePortId: 1 }),
      { do: 'dereferenceNic', port: PORT_A },
    )
    assert.ok(!said.includes('indicate 0'), said.join())
    assert.deepEqual(stage.breaches('X1'), ['ES-296', 'ES-296'])
    assert.ok(lab.assigned('a'), 'with a buffer or a source it is no such indication')

    const right = await stage.tell(
      'X1',
      'dereferenceNic',
      { do: 'referenceNic', port: PORT_A },
      indicate({ destinationPortId: PORT_A }),
      { do: 'dereferenceNic', port: PORT_A },
    )
    assert.ok(right.includes('indicate 0'), right.join())
    await lab.until(() => lab.assigned('a') === undefined, 'the VF to be taken')
    await lab.until(() => stage.assignedOf('a').at(-1) === false, 'VFAssigned FALSE')
    const a = lab.synthetic('a')
    a.send(wireFrame(C, A, 'stopped by the list'))
    const dropped = () => lab.running.drops().find(({ port }) => port === 'a')?.reasons ?? {}
    await lab.until(() => Object.keys(dropped()).length > 0, 'the drop')
    assert.deepEqual(dropped(), { 'acl: denied by rule': 1 })
    assert.ok(!c.receive().some((frame) => frame.includes('stopped by the list')))
    assert.equal(lab.running.adapters.list()[0]!.vfs.allocated, 0)
  })
})

test('REMOVE_VF is indicated under a reference, once for each VF, and not for a connection that is gone (SR-259, SR-260)', async () => {
  const three = [...vms, { name: 'b', mac: B, iov: {} }]
  await onStage({ vms: three, extensions: [script('X1', shown)] }, async (stage) => {
    const { lab } = stage
    const portB = 4
    await lab.running.adapters.assign('a')
    await lab.running.adapters.assign('b')
    const without = await stage.tell('X1', 'indicate', indicate({ destinationPortId: PORT_A }))
    assert.ok(!without.includes('indicate 0'))
    assert.deepEqual(stage.breaches('X1'), ['ES-294'])
    assert.ok(lab.assigned('a'))
    const remove = (port: number): Command[] => [
      { do: 'referenceNic', port },
      indicate({ destinationPortId: port }),
      { do: 'dereferenceNic', port },
    ]
    await stage.tell('X1', 'dereferenceNic', ...remove(PORT_A))
    await lab.until(() => lab.assigned('a') === undefined, "a's VF to be taken")
    assert.ok(lab.assigned('b'), 'one indication takes one VF')
    await stage.tell('X1', 'dereferenceNic', ...remove(portB))
    await lab.until(() => lab.assigned('b') === undefined, "b's VF to be taken")
    await lab.running.removePort('b')
    const gone = await stage.tell('X1', 'referenceNic', { do: 'referenceNic', port: portB })
    assert.ok(!gone.includes('referenceNic 0'), gone.join())
  })
})

test('SR-CS-57: a forwarding extension refuses a VF, and the VM stays on the synthetic path (SR-262)', async () => {
  await onStage(
    { vms, extensions: [script('X1', { replies: { NIC_REQUEST: { status: VETO } }, to: [PORT_A] })] },
    async (stage) => {
      const { lab } = stage
      await assert.rejects(lab.running.adapters.assign('a'), /ALLOCATE_VF/)
      assert.equal(lab.running.adapters.list()[0]!.vfs.allocated, 0)
      assert.deepEqual(stage.breaches('X1'), [])
      assert.ok(linesOf(lab.events, 'X1').includes(`oid NIC_REQUEST ${PORT_A}/0 to 1/0`), 'it is for a, at the external adapter')
      const [a, wire] = [lab.synthetic('a'), lab.wire()]
      wire.send(wireFrame(A, B, 'to the port'))
      assert.deepEqual(await lab.texts(a, 1), ['to the port'])
    },
  )
  // CREATE_VPORT too: then the VF is given back.
  const second = script('X1', { replies: { NIC_REQUEST: { status: VETO, after: 1, times: 1 } } })
  await onStage({ vms, extensions: [second] }, async ({ lab }) => {
    await assert.rejects(lab.running.adapters.assign('a'), /CREATE_V/)
    assert.equal(lab.running.adapters.list()[0]!.vfs.allocated, 0)
    assert.ok(await lab.running.adapters.assign('a'))
  })
})

test('SR-CS-57: what gives a VF back is carried out whatever an extension answers, which is a breach (SR-263)', async () => {
  const veto = script('X1', { replies: { NIC_REQUEST: { status: VETO, after: 2 } } })
  await onStage({ vms, extensions: [veto] }, async (stage) => {
    const { lab } = stage
    const { running } = lab
    await running.adapters.assign('a')
    await running.adapters.remove('a', true)
    assert.equal(running.adapters.list()[0]!.vfs.allocated, 0)
    assert.deepEqual(
      running.adapters.list()[0]!.vports.map(({ id }) => id),
      [0],
    )
    assert.deepEqual(stage.breaches('X1'), ['ES-279', 'ES-279'])
    const filter = running.adapters.list()[0]!.vports[0]!.filters.find(({ mac }) => mac === A)!.id
    const move = { filterId: filter, sourceQueueId: 0, sourceVPortId: 0, destQueueId: 0, destVPortId: 0 }
    assert.equal((await running.nicRequest({ oid: InnerOid.receiveFilterMoveFilter, type: 'set', payload: move }, 'a')).status, 0)
    const clear = { oid: InnerOid.receiveFilterClearFilter, type: 'set', payload: { queueId: 0, filterId: filter } } as const
    assert.equal((await running.nicRequest(clear, 'a')).status, 0)
    assert.deepEqual(stage.breaches('X1'), ['ES-279', 'ES-279', 'ES-276', 'ES-279'])
    const { output } = await running.adapters.request('nic', {
      oid: AdapterOid.receiveFilterEnumFilters,
      type: 'method',
      payload: { flags: 0, queueId: 0, vPortId: 0 },
    })
    assert.ok(!(output as { filterId: number }[]).some(({ filterId }) => filterId === filter))
  })
})
