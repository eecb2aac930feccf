import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAC, wireFrame } from '../../test/support/adapter-harness.ts'
import { mac, textOf } from '../../test/support/data-path-harness.ts'
import { EXTERNAL, JointHarness } from '../../test/support/joint-harness.ts'
import { OFFLOAD_TSO4, VNET_GSO_TCPV4, VNET_NEEDS_CSUM, VNET_STRIDE } from '../kernels/layout.ts'
import { tcpFrame } from '../packet/build.ts'
import { foldSum, pseudoSumIpv4 } from '../packet/checksum.ts'
import { VlanMode } from '../switch/port-table.ts'

const VLAN = 7
const BROADCAST = 'ff:ff:ff:ff:ff:ff'
const texts = (frames: readonly Buffer[]): string[] => frames.map(textOf)
const tciOf = (bytes: Buffer): number => (bytes.readUInt16BE(12) === 0x8100 ? bytes.readUInt16BE(14) : 0)

for (const shortCut of [false, true]) {
  const how = shortCut ? 'with the short cuts' : 'in TypeScript'

  test(`frames between VFs never reach the switch, those for its ports do, in order and once; ${how}`, async () => {
    const joint = await JointHarness.start(shortCut)
    const { data } = joint
    data.connect(2)
    const seen: number[] = []
    data.install(() => ({ ingress: (batch) => void seen.push(batch.length) }))
    const [a, b] = [await joint.vm(MAC.a), await joint.vm(MAC.b)]
    joint.send(
      a,
      wireFrame(MAC.b, MAC.a, 'vf 1'),
      wireFrame(mac(1), MAC.a, 'port 1'),
      wireFrame(MAC.b, MAC.a, 'vf 2'),
      wireFrame(mac(2), MAC.a, 'port 2'),
      wireFrame(mac(1), MAC.a, 'port 3'),
    )
    assert.deepEqual(texts(joint.got(b)), ['vf 1', 'vf 2'])
    assert.deepEqual([data.got(1), data.got(2)], [['port 1', 'port 3'], ['port 2']])
    assert.deepEqual(seen, [3])
    assert.equal(data.portCounter(EXTERNAL, 'receivedFrames'), 3)
    assert.equal(joint.counters.readPort(0, 2), 3, 'sent to the default VPort')
    joint.got(joint.wire)

    joint.send(a, wireFrame(MAC.b, MAC.a, 'vf 3'))
    assert.deepEqual(seen, [3])
    joint.send(joint.wire, wireFrame(mac(2), MAC.peer, 'in'), wireFrame(MAC.a, MAC.peer, 'vf'))
    assert.deepEqual([data.got(2), texts(joint.got(a))], [['port 2', 'in'], ['vf']])
    assert.equal(data.macs.lookup(0x99000000 | 0, 0x0002, 0), EXTERNAL, 'the station behind the wire was learned')
  })

  test(`what the switch sends to its external port goes to VFs and the wire, and the switch goes on undisturbed; ${how}`, async () => {
    const joint = await JointHarness.start(shortCut)
    const { data } = joint
    data.connect(2)
    const [a, b] = [await joint.vm(MAC.a), await joint.vm(MAC.b)]
    data.send(1, wireFrame(BROADCAST, mac(1), 'all'), wireFrame(MAC.a, mac(1), 'a'), wireFrame(MAC.peer, mac(1), 'out'))
    assert.deepEqual([texts(joint.got(a)), texts(joint.got(b))], [['all', 'a'], ['all']])
    assert.deepEqual([texts(joint.got(joint.wire)), data.got(2)], [['all', 'out'], ['all']])
    assert.equal(data.portCounter(EXTERNAL, 'sentFrames'), 3)
    assert.equal(joint.counters.readPort(0, 0), 3, 'received from the default VPort')

    joint.send(a, wireFrame(BROADCAST, MAC.a, 'mine'))
    assert.deepEqual([texts(joint.got(a)), texts(joint.got(b)), texts(joint.got(joint.wire))], [[], ['mine'], ['mine']])
    assert.deepEqual([data.got(1), data.got(2)], [['mine'], ['all', 'mine']])
  })

  test(`a frame has on each side the tag that belongs there; ${how}`, async () => {
    const joint = await JointHarness.start(shortCut)
    const { data } = joint
    data.connect(3)
    data.ports.setVlan(1, { mode: VlanMode.access, primary: VLAN })
    data.ports.setVlan(2, { mode: VlanMode.access, primary: VLAN })
    const [member, stranger] = [await joint.vm(MAC.a, VLAN), await joint.vm(MAC.b, VLAN + 1)]
    data.send(1, wireFrame(BROADCAST, mac(1), 'from an access port'))
    const [out] = joint.got(joint.wire)
    assert.equal(tciOf(out!), VLAN, 'tagged on the wire')
    const [got] = joint.got(member)
    assert.deepEqual([tciOf(got!), textOf(got!)], [0, 'from an access port'], 'untagged for a VF of that VLAN')
    assert.deepEqual([joint.got(stranger), data.got(2), data.got(3)], [[], ['from an access port'], []])

    joint.send(member, wireFrame(BROADCAST, MAC.a, 'from a VF'))
    const [sent] = joint.got(joint.wire)
    assert.equal(tciOf(sent!), VLAN)
    assert.deepEqual([data.got(1), data.got(2)], [['from a VF'], ['from an access port', 'from a VF']])
    assert.deepEqual([joint.got(stranger), data.got(3)], [[], []])
  })

  test(`a super-frame is cut for a VF that takes none, and crosses uncut to one that does; ${how}`, async () => {
    const joint = await JointHarness.start(shortCut)
    const { data } = joint
    data.connect(2)
    const [a, b] = [await joint.vm(MAC.a), await joint.vm(MAC.b)]
    joint.sink(b).offloads = 0x1f
    const large = (to: string, from: string) => {
      const bytes = Buffer.from(
        tcpFrame({ sourceMac: from, destinationMac: to, source: '10.0.0.1', destination: '10.0.0.2' }, 1, 2, {
          data: Buffer.alloc(2500, 'x'),
        }),
      )
      bytes.writeUInt16BE(~foldSum(pseudoSumIpv4(bytes, 14, 6, bytes.length - 34)) & 0xffff, 34 + 16)
      const vnet = Buffer.alloc(VNET_STRIDE)
      vnet[0] = VNET_NEEDS_CSUM
      vnet[1] = VNET_GSO_TCPV4
      for (const [at, value] of [
        [2, 54],
        [4, 1000],
        [6, 34],
        [8, 16],
      ] as const)
        vnet.writeUInt16LE(value, at)
      return { bytes, needs: 1 | OFFLOAD_TSO4, vnet }
    }
    data.send(1, large(MAC.a, mac(1)), large(MAC.b, mac(1)))
    const whole = 54 + 2500
    assert.deepEqual(
      joint.got(a).map(({ length }) => length),
      [54 + 1000, 54 + 1000, 54 + 500],
    )
    assert.deepEqual(
      joint.got(b).map(({ length }) => length),
      [whole],
    )
    joint.send(a, large(mac(1), MAC.a))
    assert.deepEqual(
      data.sink(1).frames.map(({ length }) => length),
      [54 + 1000, 54 + 1000, 54 + 500],
    )
  })

  test(`extensions drop and see completed what comes from an adapter like anything else; ${how}`, async () => {
    const joint = await JointHarness.start(shortCut)
    const { data } = joint
    data.connect(2)
    const bytes = new Uint8Array(60)
    let completed = 0
    data.install(() => ({
      ingress(batch) {
        for (let i = 0; i < batch.length; i++) {
          batch.copyBytes(i, 0, 60, bytes, 0)
          if (textOf(Buffer.from(bytes)) === 'no') batch.drop(i, 'unwanted')
        }
      },
      sendComplete(batch) {
        completed += batch.length
      },
    }))
    const [a, b] = [await joint.vm(MAC.a), await joint.vm(MAC.b)]
    joint.send(a, wireFrame(mac(1), MAC.a, 'no'), wireFrame(MAC.b, MAC.a, 'vf'), wireFrame(mac(1), MAC.a, 'yes'))
    assert.deepEqual([texts(joint.got(b)), data.got(1)], [['vf'], ['yes']])
    assert.deepEqual(data.drops(EXTERNAL), { unwanted: 1 })
    assert.equal(completed, 1)
  })

  test(`what an extension held goes on to VFs and ports, and nothing of it stays pinned; ${how}`, async () => {
    const joint = await JointHarness.start(shortCut)
    const { data } = joint
    data.connect(2)
    const held: number[] = []
    let letGo = (): void => {}
    data.install((sw) => {
      letGo = () => {
        for (const handle of held.splice(0)) sw.forward(handle)
      }
      return {
        egress(batch) {
          for (let i = batch.length - 1; i >= 0; i--) held.push(batch.hold(i))
        },
      }
    })
    const [a, b] = [await joint.vm(MAC.a), await joint.vm(MAC.b)]
    data.send(1, wireFrame(BROADCAST, mac(1), 'held'))
    joint.send(a, wireFrame(BROADCAST, MAC.a, 'mine'))
    assert.deepEqual([texts(joint.got(b)), texts(joint.got(joint.wire)), data.got(2)], [['mine'], ['mine'], []])
    letGo()
    data.dataPath.flushInjections()
    assert.deepEqual([texts(joint.got(a)), texts(joint.got(b)), texts(joint.got(joint.wire))], [['held'], ['held'], ['held']])
    assert.deepEqual([data.got(1), data.got(2)], [['mine'], ['held', 'mine']])
    assert.equal(data.injections.heldCount(), 0)
    assert.deepEqual(
      [1, 2, EXTERNAL].map((port) => data.ports.pins(port)),
      [0, 0, 0],
    )
  })
}

test('a port that is not connected takes nothing from its adapter, and the drops are counted there', async () => {
  const joint = await JointHarness.start()
  joint.data.ports.clear(EXTERNAL)
  const a = await joint.vm(MAC.a)
  joint.send(a, wireFrame(mac(1), MAC.a, 'x'))
  assert.deepEqual(joint.data.drops(EXTERNAL), { 'source-not-connected': 1 })
})
