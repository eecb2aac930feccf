// Hybrid forwarding with the switch's own overlay in the place of a network virtualization component.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExtensionHandlers } from '../../src/extension.ts'
import { frame } from '../support/data-path-harness.ts'
import { overlayHarness, UPLINK, VSID } from '../support/overlay-harness.ts'
import { tunnelled } from '../support/tunnelled.ts'

const REMOTE = '02:00:00:00:00:21'
const INNER = 0x88b5
const IPV4 = 0x0800
type Batch = Parameters<NonNullable<ExtensionHandlers['ingress']>>[0]

/** An overlay with an extension of each class, and what they saw: who, the EtherType, whether the mark is set, the virtual subnet. */
function bench(shortCut: boolean) {
  const made = overlayHarness(2, {}, shortCut)
  const { harness } = made
  const seen: string[] = []
  const directed: boolean[] = []
  const note = (who: string, batch: Batch): void => {
    for (let i = 0; i < batch.length; i++) {
      const form = batch.etherType(i) === INNER ? 'inner' : batch.etherType(i) === IPV4 ? 'tunnel' : 'other'
      seen.push(`${who} ${form} ${batch.isNativeForwardingRequired(i)} ${batch.virtualSubnetId(i)}`)
    }
  }
  harness.install(
    [
      { name: 'filter', class: 'filtering' },
      () => ({ ingress: (batch) => note('F down', batch), egress: (batch) => note('F up', batch) }),
    ],
    [
      { name: 'forward', class: 'forwarding' },
      () => ({
        ingress(batch) {
          note('X down', batch)
          for (let i = 0; i < batch.length; i++) directed.push(batch.addDestination(i, 2))
        },
        egress: (batch) => note('X up', batch),
      }),
    ],
  )
  return { ...made, seen, directed }
}

for (const shortCut of [false, true]) {
  const how = shortCut ? 'by kernels' : 'without kernels'
  test(`CS-87 ${how}: a guest's frame is marked before the forwarding extension, which does not direct it, and passes egress in the tunnel (ES-438, ES-563, ES-565, ES-566, ES-567, ES-569, ES-571)`, () => {
    const { harness, seen, directed } = bench(shortCut)
    harness.send(1, frame(REMOTE, 1, 'hello'))
    assert.deepEqual(seen, [
      `F down inner false ${VSID}`,
      `X down inner true ${VSID}`,
      `X up tunnel true ${VSID}`,
      `F up tunnel true ${VSID}`,
    ])
    assert.deepEqual(directed, [false])
    assert.equal(harness.sink(UPLINK).frames.length, 1)
    assert.deepEqual(harness.got(2), [])
  })

  test(`CS-87 ${how}: a tunnel packet passes ingress as it came and egress in the inner form, to its virtual subnet alone (ES-565, ES-569, ES-570)`, () => {
    const { harness, seen, directed } = bench(shortCut)
    harness.send(UPLINK, tunnelled(frame(1, REMOTE, 'hello')))
    assert.deepEqual(
      seen.map((line) => line.split(' ').slice(0, 4).join(' ')),
      ['F down tunnel false', 'X down tunnel true', 'X up inner true', 'F up inner true'],
    )
    assert.deepEqual(directed, [false])
    assert.deepEqual(harness.got(1), ['hello'])
    assert.deepEqual(harness.got(2), [])
  })

  test(`${how}: a port whose virtual subnet is external is not claimed: its frames are the forwarding extension's (ES-572)`, () => {
    const { harness, seen, directed } = bench(shortCut)
    harness.ports.setSubnet(1, VSID, true)
    harness.ports.setSubnet(2, 0)
    harness.send(1, frame(2, 1, 'hello'))
    assert.equal(seen[1], `X down inner false ${VSID}`)
    assert.deepEqual(directed, [true])
    assert.deepEqual(harness.got(2), ['hello'])
  })
}
