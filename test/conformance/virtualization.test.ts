import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { NicParameters, SwitchHandle } from 'vmswitch/extension'
import learningForward from '../../src/extensions/learning-forward/index.ts'
import type { NativeForwarding } from '../../src/switch/switch-edge.ts'
import { frame } from '../support/data-path-harness.ts'
import { filtering, forwarding, stackOf } from './handlers.ts'
import { SwitchUnderTest } from './switch-under-test.ts'

const TEXT = 14

// Stands for network virtualization: packets of ports with a virtual subnet get an outer text and go to port 3.
const encapsulation = ({ pool }: ReturnType<typeof stackOf>['harness']): NativeForwarding => ({
  claims: (batch, i) => batch.virtualSubnetId(i) !== 0,
  forward(batch, i, direct) {
    const slot = batch.slots[i]!
    pool.header8[slot * 256 + pool.headerOffset[slot]! + TEXT] = 0x4f // outer
    direct(3)
  },
})

test('a packet of a VM with a virtual subnet is encapsulated after ingress: going down it is as the VM sent it, going up in its outer form (ES-571)', () => {
  const seen: string[] = []
  const note = (where: string, batch: Parameters<NonNullable<Parameters<typeof filtering>[0]['ingress']>>[0]): void => {
    for (let i = 0; i < batch.length; i++)
      seen.push(`${where} ${String.fromCharCode(batch.u8(i, TEXT))} ${batch.virtualSubnetId(i)}`)
  }
  const { harness, broken } = stackOf(3, [
    filtering({ ingress: (batch) => note('F down', batch), egress: (batch) => note('F up', batch) }),
    forwarding({ ingress: (batch) => note('X down', batch), egress: (batch) => note('X up', batch) }),
  ])
  harness.dataPath.setHooks(undefined, encapsulation(harness))
  harness.ports.setSubnet(1, 5001)
  harness.send(1, frame(2, 1, 'inner'))
  assert.deepEqual(seen, ['F down i 5001', 'X down i 5001', 'X up O 5001', 'F up O 5001'])
  assert.deepEqual([harness.got(2), harness.got(3)], [[], ['Onner']])
  assert.deepEqual(broken(), [])
})

test('a forwarding extension works beside native forwarding: the one in the box directs the other packets and leaves those alone (ES-030)', () => {
  const options = learningForward.parseOptions!({}) as Parameters<typeof learningForward.attach>[1]
  const memory = new Map(
    Object.entries(learningForward.shared!(options)).map(([name, bytes]) => [name, new Int32Array(bytes >> 2)]),
  )
  const nics = [1, 2, 3].map((portId) => ({ portId, nicIndex: 0, nicType: 2, nicState: 2 }) as NicParameters)
  const given: Record<string, unknown> = {
    shared: (name: string) => memory.get(name),
    nics: () => nics,
    counters: new Float64Array(8),
  }
  const { harness, broken } = stackOf(3, [])
  harness.install([
    { class: 'forwarding', name: 'learning-forward' },
    (sw: SwitchHandle) =>
      learningForward.attach(
        new Proxy(sw, {
          get: (target, key) => {
            const value = given[String(key)] ?? Reflect.get(target, key)
            return typeof value === 'function' && !(String(key) in given) ? value.bind(target) : value
          },
        }),
        options,
      ),
  ])
  harness.dataPath.setHooks(undefined, encapsulation(harness))
  harness.ports.setSubnet(1, 5001)
  harness.send(2, frame(1, 2, 'plain'))
  assert.deepEqual([harness.got(1), harness.got(3)], [['plain'], ['plain']], 'directed by the extension: flooded')
  harness.send(1, frame(2, 1, 'native'))
  assert.deepEqual([harness.got(2), harness.got(3)], [[], ['plain', 'Oative']], 'directed by the component')
  assert.deepEqual(broken(), [])
})

test('an extension forgets what it knew of a port that is torn down: frames to its addresses are unknown again (ES-133)', async (t) => {
  const file = fileURLToPath(new URL('../../src/extensions/learning-forward/index.ts', import.meta.url))
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [{ name: 'learning-forward', file, enabled: true, onFailure: 'closed', options: {} }],
  })
  await sut.send(2, 1, 'here I am')
  assert.deepEqual(await sut.receive(1, 1), ['here I am'])
  sut.take(3)
  await sut.send(1, 2, 'known')
  assert.deepEqual(await sut.receive(2, 1), ['known'])
  await sut.silence(3)
  sut.unplug(2)
  await sut.switch.removePort('p2')
  await sut.send(1, 2, 'unknown')
  assert.deepEqual(await sut.receive(3, 1), ['unknown'])
  assert.equal(sut.drops(1)['learning-forward: destination not connected'], undefined)
})
