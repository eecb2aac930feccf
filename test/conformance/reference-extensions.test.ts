// The extensions of examples/ as acceptance tests of the contract: they are written against the public API only.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import { verifyExtension } from '../../src/lab/verify/verify-extension.ts'
import { NdisStatus } from '../../src/ndis/status.ts'
import { SwitchControlError } from '../../src/switch/control.ts'
import { PropertyError } from '../../src/switch/policies/property.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'
import { portConfig, SwitchUnderTest, use } from './switch-under-test.ts'

const fileOf = (name: string): string => fileURLToPath(new URL(`../../examples/extensions/${name}`, import.meta.url))
const example = (name: string, file: string): ExtensionEntry => ({
  name,
  file: fileOf(file),
  enabled: true,
  onFailure: 'closed',
  options: {},
})
const passthrough = example('passthrough', 'passthrough.ts')
const policyForward = example('policy-forward', 'policy-forward/index.ts')
const group = (number: number) => ({ type: 'custom', id: 'policy-forward-group', value: { group: number } }) as const

test('the passthrough passes packets, requests and vetoes on, and sees each at its entry point (ES-115, ES-116, ES-117, ES-184, ES-185, ES-249, ES-251, ES-304, ES-343, ES-353)', async (t) => {
  const veto = use({ name: 'veto', class: 'filtering', veto: { NIC_CREATE: NdisStatus.dataNotAccepted } })
  const sut = await SwitchUnderTest.start(t, { verify: true, extensions: [passthrough, { ...veto, enabled: false }] })
  await sut.send(1, 2, 'a', 'b')
  assert.deepEqual(await sut.receive(2, 2), ['a', 'b'])
  await sut.send(1, 9, 'nobody')
  await sut.until(() => sut.drops(1)['no-destination'] === 1, 'the drop')
  await sut.switch.setExtension('veto', true)
  await assert.rejects(sut.switch.addPort(portConfig(3, { name: 'bad' })), SwitchControlError)
  const { counters, breaches, state } = await sut.extension('passthrough')
  assert.deepEqual([counters.ingress, counters.egress, counters.sendComplete, counters.returned], [3, 2, 3, 2])
  assert.equal(counters.filtered, 1)
  assert.equal(counters.vetoedBelow, 1)
  assert.ok(counters.requests! >= 8)
  assert.deepEqual([breaches, state], [0, 'running'])
  assert.ok(sut.log.some(({ message }) => message === 'running on "under-test"'))
})

test('policy-forward directs frames by address, and ports talk within their group only (ES-316, ES-317, ES-505, ES-513)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { verify: true, ports: 4, extensions: [policyForward] })
  await sut.switch.policies.add(1, group(7))
  await sut.switch.policies.add(2, group(7))
  await sut.send(1, 2, 'within')
  await sut.send(1, 3, 'across')
  await sut.send(1, 9, 'unknown')
  await sut.send(1, 0, 'all')
  assert.deepEqual(await sut.receive(2, 2), ['within', 'all'])
  await sut.silence(1, 3, 4)
  assert.deepEqual(sut.drops(1), { 'policy-forward: other group': 1, 'policy-forward: no destination': 1 })
  await sut.switch.policies.update(1, group(0))
  await sut.send(1, 3, 'now')
  assert.deepEqual(await sut.receive(3, 1), ['now'])
  assert.equal((await sut.extension('policy-forward')).breaches, 0)
})

test('policy-forward refuses what it cannot serve: bad values, VLANs, an address in use (ES-110, ES-179, ES-499, ES-508)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { verify: true, extensions: [policyForward] })
  await assert.rejects(sut.switch.policies.add(1, { ...group(0), value: { group: 'red' } }), /write \{ group: N \}/)
  await assert.rejects(
    sut.switch.policies.add(1, { type: 'vlan', value: { mode: 'access', accessVlanId: 5 } }),
    (error) => error instanceof PropertyError && error.code === 'PROPERTY_VETOED' && error.status === NdisStatus.dataNotAccepted,
  )
  assert.deepEqual(sut.switch.policies.list(1), [])
  await assert.rejects(
    sut.switch.addPort(portConfig(3, { mac: '02:00:00:00:00:02' })),
    (error) => error instanceof SwitchControlError && error.code === 'VETOED',
  )
  assert.equal(sut.switch.ports().length, 2)
  assert.equal((await sut.extension('policy-forward')).breaches, 0)
})

test('policy-forward takes a connection and its run-time data along to another port id (ES-464, ES-480, ES-481, ES-483)', async (t) => {
  const source = await SwitchUnderTest.start(t, { verify: true, ports: 3, extensions: [policyForward] })
  await source.switch.policies.add(3, group(9))
  await source.switch.policies.add(1, group(9))
  await source.send(3, 1, 'x', 'y', 'z')
  await source.receive(1, 3)
  const [port] = (await source.switch.moves.save('p3')).ports
  assert.deepEqual([...port!.blocks[0]!.saveData], [0, 0, 0, 3])

  const target = await SwitchUnderTest.start(t, { verify: true, ports: 1, extensions: [policyForward] })
  await target.switch.moves.restore(port!, portConfig(3))
  assert.equal(target.switch.portId('p3'), 2)
  await target.until(() => target.switch.ports().every(({ connected }) => connected), 'the port to be connected')
  await target.send(3, 1, 'across')
  await target.until(() => target.drops(3)['policy-forward: other group'] === 1, 'the group to have come along')
  const [again] = (await target.switch.moves.save('p3')).ports
  assert.deepEqual([...again!.blocks[0]!.saveData], [0, 0, 0, 4])
  assert.equal((await target.extension('policy-forward')).breaches, 0)
})

test('policy-forward finds the groups of ports that are older than itself (ES-073, ES-078, ES-141, ES-142)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { verify: true, ports: 3, extensions: [policyForward] })
  await sut.switch.policies.add(1, group(4))
  await sut.switch.setExtension('policy-forward', false)
  await sut.switch.setExtension('policy-forward', true)
  await sut.send(1, 2, 'across')
  await sut.until(() => sut.drops(1)['policy-forward: other group'] === 1, 'the drop')
  await sut.send(2, 3, 'without')
  assert.deepEqual(await sut.receive(3, 1), ['without'])
  assert.equal((await sut.extension('policy-forward')).breaches, 0)
})

test('policy-forward never directs to a connection that is gone (ES-129, ES-199, ES-320)', async (t) => {
  const sut = await SwitchUnderTest.start(t, { verify: true, ports: 3, extensions: [policyForward] })
  sut.unplug(2)
  await sut.switch.removePort('p2')
  await sut.send(1, 2, 'lost')
  await sut.send(1, 0, 'rest')
  assert.deepEqual(await sut.receive(3, 1), ['rest'])
  assert.deepEqual(sut.drops(1), { 'policy-forward: no destination': 1 })
})

for (const file of ['passthrough.ts', 'policy-forward/index.ts', 'block-telnet.ts', 'learning-switch.ts', 'limiter.ts'])
  test(`the example ${file} keeps the contract under verification`, async () => {
    const options = {
      file: fileOf(file),
      shown: file,
      options: {},
      seed: 3,
      steps: 80,
      seconds: 30,
      directory: temporaryDirectory(),
    }
    const { passed, breaches, faults } = await verifyExtension(options)
    assert.deepEqual([breaches, faults], [[], []])
    assert.ok(passed)
  })
