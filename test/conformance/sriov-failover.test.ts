// From the synthetic path to a VF and back, as a VM's network adapter sees it: one path at a time, nothing lost that need not be, and
// what happens to a VM that migrates.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GuestNdis, NETVSC } from '../../src/adapter/guest/guest-ndis.ts'
import { SoftwareVfDriver } from '../../src/adapter/guest/software-vf-driver.ts'
import { GuestPathWord, VmNetworkAdapter } from '../../src/adapter/guest/vm-network-adapter.ts'
import { PartitionType } from '../../src/adapter/identifiers.ts'
import { AdapterOid } from '../../src/adapter/oids.ts'
import { type AssignedVf, VfAssignment, VfAssignmentError, type VfExposure } from '../../src/adapter/sequences.ts'
import { sriovKeywords } from '../../src/adapter/software-adapter.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { AdapterHarness, BROADCAST, MAC, overriding, wireFrame } from '../support/adapter-harness.ts'
import { GuestFunction } from '../support/guest-function.ts'

const vmOf = (vmName: string, mac: string) => ({ vmName, nicName: `${vmName}-nic`, mac, vlan: 0, queuePairs: 1 })
const textOf = (frame: Uint8Array): string => Buffer.from(frame).subarray(14).toString('latin1').replace(/\0+$/, '')

/**
 * A VM with NetVSC over an adapter: its stack's network adapter, a VF driver while there is a VF, and the host's side of both. Frames wait
 * in the rings (the sinks of the adapter) until `poll`.
 */
class Vm {
  readonly adapter: VmNetworkAdapter
  readonly heard: string[] = []
  readonly stack: VfAssignment
  readonly order: string[] = []
  vf: AssignedVf | undefined
  ndis: GuestNdis | undefined
  readonly #harness: AdapterHarness
  readonly #mac: string

  constructor(harness: AdapterHarness, mac: string, change: Partial<VfExposure> = {}, quiesced = async (): Promise<void> => {}) {
    this.#harness = harness
    this.#mac = mac
    const synthetic = { send: (frame: Uint8Array) => harness.send(0, frame) === 1 }
    this.adapter = new VmNetworkAdapter({ mac, serialNumber: 1 }, synthetic, (frame) => this.heard.push(textOf(frame)))
    const exposure: VfExposure = {
      expose: async (vf) => {
        this.vf = vf
        await this.plug(vf)
      },
      withdraw: async () => this.unplug(),
      surprise: async () => this.unplug(),
      drain: async () => this.poll(),
      ...change,
    }
    const components = { adapter: harness.software.adapter, exposure, wait: () => new Promise<void>(() => {}), quiesced }
    this.stack = new VfAssignment({}, components)
  }

  async plug(vf: AssignedVf): Promise<void> {
    const channel = this.#harness.software.channel(vf.vfId)
    this.ndis = new GuestNdis({ partition: PartitionType.child, serialNumber: 1 }, { channel, driver: new SoftwareVfDriver() })
    await this.ndis.start()
    this.ndis.bind(NETVSC)
    this.adapter.vfReady(1, { send: (frame) => this.#harness.send(vf.vportId, frame) === 1 })
  }

  async unplug(): Promise<void> {
    this.adapter.vfGone()
    await this.ndis?.stop()
  }

  /** The guest takes what lies in its rings: the VF's, and those frames for it that the host has. */
  poll(): void {
    const rings: [number, GuestPathWord][] = [[0, GuestPathWord.synthetic]]
    if (this.vf) rings.unshift([this.vf.vportId, GuestPathWord.vf])
    for (const [vport, word] of rings)
      for (const { bytes } of this.#harness.sink(vport).frames.splice(0)) this.adapter.received(word, bytes)
  }

  say(text: string, to: string = MAC.peer): boolean {
    return this.adapter.send(wireFrame(to, this.#mac, text))
  }
}

test('a VM starts on the synthetic path, and its traffic changes over when the VF driver is up and bound (SR-018, SR-243)', async () => {
  const harness = await AdapterHarness.start()
  const steps: string[] = []
  const vm: Vm = new Vm(harness, MAC.a, {
    expose: async (vf) => {
      vm.vf = vf
      assert.equal(vm.adapter.path, GuestPathWord.synthetic)
      vm.say('before the driver')
      harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'to the host'))
      steps.push(`host ${harness.sink(0).frames.length}, vf ${harness.sink(vf.vportId).frames.length}`)
      vm.poll()
      await vm.plug(vf)
    },
  })
  await vm.stack.synthetic(vmOf('A', MAC.a))
  assert.ok(vm.say('first'))
  assert.equal(harness.data.portCounter(0, 'receivedFrames'), 1)
  const vf = await vm.stack.assign(vmOf('A', MAC.a))
  assert.deepEqual(steps, ['host 1, vf 0'])
  vm.say('after')
  assert.deepEqual(harness.got(harness.wire), ['first', 'before the driver', 'after'])
  assert.deepEqual(
    [harness.data.portCounter(0, 'receivedFrames'), harness.data.portCounter(vf.vportId, 'receivedFrames')],
    [2, 1],
  )
})

test('SR-CS-52: frames left in the ring of a VF come up before those that follow, in order (PD-11)', async () => {
  const harness = await AdapterHarness.start()
  const vm = new Vm(harness, MAC.a)
  await vm.stack.synthetic(vmOf('A', MAC.a))
  const { vfId, vportId } = await vm.stack.assign(vmOf('A', MAC.a))
  harness.send(harness.wire, ...['1', '2', '3'].map((text) => wireFrame(MAC.a, MAC.peer, text)))
  assert.equal(harness.sink(vportId).frames.length, 3)
  await vm.stack.remove(vfId)
  assert.equal(harness.sink(vportId).frames.length, 0, 'the ring went with the VF')
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, '4'))
  vm.poll()
  assert.deepEqual(vm.heard, ['1', '2', '3', '4'])
})

test('SR-CS-52: each frame takes one path, by one word that is read for it (PD-12)', async () => {
  const harness = await AdapterHarness.start()
  const vm = new Vm(harness, MAC.a)
  await vm.stack.synthetic(vmOf('A', MAC.a))
  const { vfId, vportId } = await vm.stack.assign(vmOf('A', MAC.a))
  const sent: string[] = []
  const say = (text: string): void => {
    sent.push(text)
    vm.say(text)
  }
  for (let i = 0; i < 10; i++) say(`vf ${i}`)
  vm.adapter.vfGone()
  for (let i = 0; i < 10; i++) say(`synthetic ${i}`)
  assert.deepEqual(harness.got(harness.wire), sent)
  assert.deepEqual(
    [0, vportId].map((vport) => harness.data.portCounter(vport, 'receivedFrames')),
    [10, 10],
  )
  assert.equal(vm.adapter.vfReady(2, { send: () => true }), false, 'the VF of another adapter') // SR-281
  await vm.stack.remove(vfId)
})

test('statistics of a VM network adapter are the sum of both paths, and outlive the VF (PD-13)', async () => {
  const harness = await AdapterHarness.start()
  const vm = new Vm(harness, MAC.a)
  await vm.stack.synthetic(vmOf('A', MAC.a))
  vm.say('one')
  const { vfId } = await vm.stack.assign(vmOf('A', MAC.a))
  vm.say('two')
  vm.say('three')
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'in'))
  vm.poll()
  await vm.stack.remove(vfId)
  vm.say('four')
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'again'))
  vm.poll()
  assert.deepEqual(vm.adapter.statistics(), { sentFrames: 4, sentBytes: 240, receivedFrames: 2, receivedBytes: 120 })
})

test('SR-CS-52: over fifty changes of path no frame is lost, doubled or out of order in either direction (SR-251, PD-11, PD-12)', async () => {
  const harness = await AdapterHarness.start()
  const vm = new Vm(harness, MAC.a)
  await vm.stack.synthetic(vmOf('A', MAC.a))
  let sent = 0
  let received = 0
  const exchange = (): void => {
    for (let i = 0; i < 5; i++) {
      vm.say(String(sent++))
      harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, String(received++)))
    }
  }
  for (let change = 0; change < 50; change++) {
    exchange()
    const assigning = vm.stack.assign(vmOf('A', MAC.a))
    exchange()
    const { vfId, vportId } = await assigning
    vm.poll()
    exchange()
    const removal = vm.stack.remove(vfId)
    exchange()
    await removal
    assert.equal(harness.sink(vportId).frames.length, 0)
    vm.poll()
  }
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))
  assert.deepEqual(harness.got(harness.wire), numbers(sent))
  assert.deepEqual(vm.heard, numbers(received))
  assert.equal(sent, 1000)
})

test('the filters of a VM leave its VF when nothing is on its way to the VF any more (SR-249, SR-252)', async () => {
  const harness = await AdapterHarness.start()
  const { promise: quiet, resolve: fallQuiet } = Promise.withResolvers<void>()
  const { promise: told, resolve: tell } = Promise.withResolvers<void>()
  const vm = new Vm(harness, MAC.a, {}, async () => {
    tell()
    await quiet
  })
  const vf = await vm.stack.assign(vmOf('a', MAC.a))
  await vm.stack.follow(vf.vfId, true)
  const { filters } = harness.software.adapter.nicSwitch!
  const removed = vm.stack.remove(vf.vfId)
  await Promise.race([told, removed])
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(filters.list(vf.vportId).length, 1, 'a frame that chose the adapter before finds the VF')
  fallQuiet()
  await removed
  assert.deepEqual([filters.list(vf.vportId).length, filters.list(0).length], [0, 1])
})

test('the VPort of a VF is deleted when the VF driver has halted, not before (SR-188, SR-247)', async () => {
  const order: string[] = []
  const harness: AdapterHarness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, {
        deleteVPort: (vport) => {
          order.push(`DELETE_VPORT, driver ${guest?.function.isActive ? 'up' : 'halted'}`)
          return pf.deleteVPort(vport)
        },
      }),
  })
  let guest: GuestFunction | undefined
  const vm: Vm = new Vm(harness, MAC.a, {
    expose: async ({ vfId }) => {
      guest = new GuestFunction(harness, vfId, (active) => order.push(active ? 'driver up' : 'driver halted'))
      await guest.up()
    },
    withdraw: async () => {
      await new Promise((resolve) => setImmediate(resolve)) // the guest takes its time
      guest?.down()
    },
  })
  await vm.stack.synthetic(vmOf('A', MAC.a))
  const { vfId } = await vm.stack.assign(vmOf('A', MAC.a))
  await vm.stack.remove(vfId)
  assert.deepEqual(order, ['driver up', 'driver halted', 'DELETE_VPORT, driver halted'])
})

test('a serial number is made before the VF is asked for, and is no other of the VM (SR-280)', async () => {
  let refuse = true
  const harness = await AdapterHarness.start({
    wrap: (pf) =>
      overriding(pf, { allocateVf: (parameters) => (refuse ? { status: NdisStatus.resources } : pf.allocateVf(parameters)) }),
  })
  const vm = new Vm(harness, MAC.a)
  await assert.rejects(vm.stack.assign(vmOf('A', MAC.a)), VfAssignmentError)
  refuse = false
  const serials = [await vm.stack.assign(vmOf('A', MAC.a)), await vm.stack.assign(vmOf('A', MAC.b))].map((vf) => vf.serialNumber)
  assert.deepEqual(serials, [2, 3], 'the first one was made for the VF that was refused')
})

test('SR-CS-56: a VM migrates on the synthetic path, and stays there on a host without SR-IOV; its stream goes on (SR-251, SR-252, SR-255)', async () => {
  const source = await AdapterHarness.start()
  const target = await AdapterHarness.start({ keywords: { ...sriovKeywords(4), '*SRIOV': 0 } })
  const vm = new Vm(source, MAC.a)
  await vm.stack.synthetic(vmOf('A', MAC.a))
  const { vfId } = await vm.stack.assign(vmOf('A', MAC.a))
  vm.say('0')
  await vm.stack.remove(vfId)
  assert.equal(vm.adapter.path, GuestPathWord.synthetic)
  vm.say('1, while its memory is copied')
  await vm.stack.unbind()
  const { vfs, vports, filters } = source.software.adapter.nicSwitch!
  assert.deepEqual([vfs.size, vports.list().length, filters.list().length], [0, 1, 0])
  // On the other host: no VF to be had, nothing to be asked. The plain adapter carries the port of the extensible switch.
  const there = new Vm(target, MAC.a)
  await assert.rejects(there.stack.assign(vmOf('A', MAC.a)), (error) => {
    return error instanceof VfAssignmentError && error.status === NdisStatus.notSupported
  })
  assert.equal(there.adapter.path, GuestPathWord.synthetic)
  source.send(source.wire, wireFrame(MAC.a, MAC.peer, 'for nobody here'), wireFrame(BROADCAST, MAC.peer, 'all'))
  assert.deepEqual([source.got(0), source.got(source.wire)], [['all'], ['0', '1, while its memory is copied']])
})

test('SR-CS-64: the VF of a VM that was saved sleeps, and works again when it is woken (SR-299, SR-300, SR-301)', async () => {
  const harness = await AdapterHarness.start()
  const { vf, vport } = await harness.vm(MAC.a)
  const { vport: other } = await harness.vm(MAC.b)
  const guest = new GuestFunction(harness, vf)
  await guest.up()
  const power = (powerState: number, wakeEnable: boolean) =>
    harness.status(AdapterOid.sriovSetVfPowerState, 'set', { vfId: vf, powerState, wakeEnable })
  assert.equal(await power(4, false), NdisStatus.success)
  assert.deepEqual([guest.function.powerState, guest.function.isActive], ['D3', false])
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'asleep'), wireFrame(MAC.b, MAC.peer, 'awake'))
  assert.deepEqual([harness.got(vport), harness.got(other)], [[], ['awake']])
  assert.equal(await power(1, true), NdisStatus.invalidParameter)
  assert.equal(guest.function.powerState, 'D3')
  assert.equal(await power(1, false), NdisStatus.success)
  harness.send(harness.wire, wireFrame(MAC.a, MAC.peer, 'resumed'))
  assert.deepEqual([harness.got(vport), guest.function.powerState, guest.function.isActive], [['resumed'], 'D0', true])
})
