// What is left to each class where the switch cannot decide in its place, and what holds whatever an extension does.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { frame } from '../support/data-path-harness.ts'
import { capturing, directTo, filtering, forwarding, stackOf } from './handlers.ts'
import { policy } from './policy-support.ts'
import { SwitchUnderTest, frame as testFrame, use } from './switch-under-test.ts'

test('on ingress a filtering extension finds data and source, and no trace of where the packet or an earlier one goes (ES-303, ES-312)', () => {
  for (const shortCut of [true, false])
    for (const parts of [[], [directTo(2, 3)]]) {
      const seen: unknown[] = []
      const { harness } = stackOf(
        3,
        [
          filtering({
            ingress(batch) {
              for (let i = 0; i < batch.length; i++)
                seen.push([
                  batch.sourcePortId(i),
                  batch.sourceNicIndex(i),
                  batch.u8(i, 14),
                  batch.destinationCount(i),
                  ...[0, 1, 2].map((k) => batch.destinationPortId(i, k) + batch.destinationNicIndex(i, k)),
                ])
            },
          }),
          ...parts,
        ],
        shortCut,
      )
      // The second burst takes the slots in which the first one had its destinations.
      harness.send(1, frame(0xff, 1, 'a'), frame(0xff, 1, 'b'))
      harness.send(1, frame(2, 1, 'c'), frame(3, 1, 'd'))
      assert.deepEqual(
        seen,
        [97, 98, 99, 100].map((text) => [1, 0, text, 0, 0, 0, 0]),
      )
      assert.ok(harness.got(2).includes('a') && harness.got(3).includes('b'))
    }
})

test("standard port policies are not a filtering extension's to take over: what it claims to handle the switch enforces all the same (ES-313, ES-332, ES-512)", async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    ports: 3,
    extensions: [policy({ name: 'F', class: 'filtering', completes: true }), use({ name: 'G', class: 'filtering' })],
  })
  const { policies } = sut.switch
  await policies.add(1, { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } })
  await policies.add(1, { type: 'security', value: { allowMacSpoofing: false } })
  await policies.add(2, { type: 'vlan', value: { mode: 'access', accessVlanId: 10 } })
  await sut.heard(({ source, code }) => source === 'extension F' && code === 'ES-512', 'the report')
  sut.peer(1).send(testFrame(2, 9, 'forged'))
  await sut.send(1, 0, 'all of VLAN 10')
  assert.deepEqual(await sut.receive(2, 1), ['all of VLAN 10'])
  await sut.silence(3)
  assert.deepEqual(sut.drops(1), { 'mac-spoofing': 1 })
})

test('a packet that a forwarding extension gave a destination goes down to the miniport edge and up to each of them (ES-318, ES-352)', () => {
  let completed = 0
  const up: number[] = []
  const { harness } = stackOf(3, [
    filtering({ egress: (batch) => void up.push(batch.destinationCount(0)) }),
    forwarding({
      name: 'X',
      ingress(batch) {
        for (const port of [2, 3]) assert.ok(batch.addDestination(0, port))
      },
      sendComplete: (batch) => {
        completed += batch.length
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual([harness.got(2), harness.got(3), up, completed], [['x'], ['x'], [2], 1])
})

test('in checking mode a forwarding extension that drops what it has given a destination is reported (ES-318)', async (t) => {
  const sut = await SwitchUnderTest.start(t, {
    verify: true,
    extensions: [use({ name: 'X', class: 'forwarding', to: [2], ingress: 'direct-and-drop', match: 'd' })],
  })
  await sut.send(1, 2, 'x', 'd')
  assert.deepEqual(await sut.receive(2, 1), ['x'])
  await sut.heard(({ source, code }) => source === 'extension X' && code === 'ES-318', 'the report')
})

test('a clone that a forwarding extension indicates on egress has its destinations; without them it is refused (ES-387, ES-390)', () => {
  const answers: boolean[] = []
  const { harness, broken } = stackOf(2, [
    capturing({}),
    forwarding({
      name: 'X',
      ingress: (batch) => void batch.addDestination(0, 2),
      egress(batch, sw) {
        for (const withDestinations of [false, true]) {
          const clone = batch.clone(0, withDestinations)
          answers.push(sw.indicate(clone) === 0)
          if (!withDestinations) sw.release(clone)
        }
      },
    }),
  ])
  harness.send(1, frame(2, 1, 'x'))
  assert.deepEqual(answers, [false, true])
  assert.deepEqual(harness.got(2), ['x', 'x'])
  assert.deepEqual(broken(), ['ES-390'])
})

test('the learning forwarder drops what the security property that it accepted forbids, also one older than itself, and refuses what it does not enforce (ES-319, ES-498)', async (t) => {
  const file = fileURLToPath(new URL('../../src/extensions/learning-forward/index.ts', import.meta.url))
  const sut = await SwitchUnderTest.start(t, {
    verify: true,
    extensions: [{ name: 'forward', file, enabled: false, onFailure: 'closed', options: {} }],
  })
  const { policies } = sut.switch
  const forged = (text: string) => sut.peer(1).send(testFrame(2, 9, text))
  const reason = 'learning-forward: source address not allowed'
  await policies.add(1, { type: 'security', value: { allowMacSpoofing: false } })
  await sut.switch.setExtension('forward', true)
  forged('older')
  await sut.send(1, 2, 'own')
  assert.deepEqual(await sut.receive(2, 1), ['own'])
  assert.deepEqual(sut.drops(1), { [reason]: 1 })
  await policies.update(1, { type: 'security', value: { allowMacSpoofing: true } })
  forged('allowed')
  assert.deepEqual(await sut.receive(2, 1), ['allowed'])
  await policies.update(1, { type: 'security', value: { allowMacSpoofing: false } })
  forged('forbidden')
  await sut.until(() => sut.drops(1)[reason] === 2, 'the drop')
  const instance = policies.list(1)[0]!.propertyInstanceId
  await policies.delete(1, { type: 'security', instance })
  forged('without')
  assert.deepEqual(await sut.receive(2, 1), ['without'])
  for (const value of [{ allowTeaming: true }, { allowTeaming: true, allowMacSpoofing: true }])
    await assert.rejects(policies.add(1, { type: 'security', value }), /DATA_NOT_ACCEPTED/)
  assert.equal((await sut.extension('forward')).breaches, 0)
})
