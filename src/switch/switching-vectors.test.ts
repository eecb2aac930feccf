// What bridges of every make agree on, as vectors: configuration of ports, a frame in, the frames out. The cases are those that Open vSwitch
// checks of itself under "VLAN handling", "MAC learning" and "mirroring", put anew, with the answers that Hyper-V's properties give.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DataPathHarness, frame, mac } from '../../test/support/data-path-harness.ts'
import { MonitorDirection, MonitorMode, NO_VLAN, PortFlag, type VlanEntry, VlanMode } from './port-table.ts'

const LEARNING = PortFlag.learn | PortFlag.unknownUnicast
const { access, trunk } = VlanMode
const BROADCAST = 0xff
const SERVICE_TAG = 0x88a8

/** A tag is written "VLAN/priority", none "-". */
function tagged(plain: Buffer, tag: string, type = 0x8100): Buffer {
  if (tag === '-') return plain
  const [vlan = 0, priority = 0] = tag.split('/').map(Number)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt16BE(type, 0)
  bytes.writeUInt16BE((priority << 13) | vlan, 2)
  return Buffer.concat([plain.subarray(0, 12), bytes, plain.subarray(12)])
}

function tagOf(bytes: Buffer): string {
  const type = bytes.readUInt16BE(12)
  if (type !== 0x8100 && type !== SERVICE_TAG) return '-'
  const tci = bytes.readUInt16BE(14)
  return `${type === SERVICE_TAG ? 's' : ''}${tci & 0xfff}/${tci >> 13}`
}

/** What came out since the last call: port and tag of each frame. */
function outputs(harness: DataPathHarness, ports: number): Record<number, string> {
  const out: Record<number, string> = {}
  for (let port = 1; port <= ports; port++) {
    const tags = harness.sink(port).frames.splice(0).map(tagOf)
    if (tags.length !== 0) out[port] = tags.join(' ')
  }
  return out
}

// Port 1 is the uplink and has no VLAN property; the others have one each.
const vlanPorts: readonly (VlanEntry | undefined)[] = [
  undefined,
  { mode: access, primary: 10 },
  { mode: access, primary: 10 }, // without AllowIeeePriorityTag
  { mode: trunk, primary: NO_VLAN, set: [10, 12] },
  { mode: trunk, primary: 12, set: [10] },
  { mode: trunk, primary: 0, set: [12] },
  { mode: access, primary: 11 },
]
const WITHOUT_PRIORITY = 3

type Vector = readonly [port: number, tag: string, out: Record<number, string>]
const vlanVectors: readonly Vector[] = [
  [1, '-', { 6: '-' }],
  [1, '0/4', { 6: '0/4' }],
  [1, '10/0', { 2: '-', 3: '-', 4: '10/0', 5: '10/0' }],
  [1, '10/5', { 2: '0/5', 3: '-', 4: '10/5', 5: '10/5' }],
  [1, '11/0', { 7: '-' }],
  [1, '12/0', { 4: '12/0', 5: '-', 6: '12/0' }],
  [1, '12/3', { 4: '12/3', 5: '0/3', 6: '12/3' }],
  [1, '13/0', {}],
  [2, '-', { 1: '10/0', 3: '-', 4: '10/0', 5: '10/0' }],
  [2, '0/6', { 1: '10/6', 3: '-', 4: '10/6', 5: '10/6' }],
  [2, '11/0', {}],
  [2, '12/0', {}],
  [3, '0/6', { 1: '10/6', 2: '0/6', 4: '10/6', 5: '10/6' }],
  [4, '-', {}],
  [4, '0/5', {}],
  [4, '10/0', { 1: '10/0', 2: '-', 3: '-', 5: '10/0' }],
  [4, '11/0', {}],
  [4, '12/1', { 1: '12/1', 5: '0/1', 6: '12/1' }],
  [5, '-', { 1: '12/0', 4: '12/0', 6: '12/0' }],
  [5, '0/5', { 1: '12/5', 4: '12/5', 6: '12/5' }],
  [5, '10/2', { 1: '10/2', 2: '0/2', 3: '-', 4: '10/2' }],
  [5, '12/0', {}],
  [6, '-', { 1: '-' }],
  [6, '10/0', {}],
  [6, '12/0', { 1: '12/0', 4: '12/0', 5: '-' }],
  [7, '-', { 1: '11/0' }],
  [7, '10/0', {}],
]

/**
 * Host `from` behind `port` sends to host `to`, in a VLAN; what comes before: seconds, a host that the configuration puts behind a port, a port
 * that goes, a flush; ports that get it.
 */
interface Before {
  readonly vlan?: number
  readonly after?: number
  readonly put?: readonly [host: number, port: number]
  readonly gone?: number
  readonly flush?: true
}
type Step = readonly [port: number, from: number, to: number, out: readonly number[], more?: Before]

const AGEING_SECONDS = 60
const learningVectors: Record<string, readonly Step[]> = {
  'an answer goes where the question came from': [
    [1, 0x21, 0x22, [2, 3]],
    [2, 0x22, 0x21, [1]],
    [1, 0x21, 0x22, [2]],
    [3, 0x23, 0x22, [2]],
  ],
  'who moves is followed with the first frame from the new place': [
    [1, 0x21, BROADCAST, [2, 3]],
    [3, 0x23, 0x21, [1]],
    [2, 0x21, BROADCAST, [1, 3]],
    [3, 0x23, 0x21, [2]],
  ],
  'a frame to a host behind its own port goes nowhere': [
    [1, 0x21, BROADCAST, [2, 3]],
    [1, 0x22, 0x21, []],
    [2, 0x23, 0x22, [1]],
  ],
  'a host is known in the VLAN that it was heard in': [
    [1, 0x21, BROADCAST, [2, 3], { vlan: 7 }],
    [2, 0x22, 0x21, [1, 3]],
    [2, 0x22, 0x21, [1, 3], { vlan: 8 }],
    [2, 0x22, 0x21, [1], { vlan: 7 }],
  ],
  'one address may be behind two ports in two VLANs': [
    [1, 0x21, BROADCAST, [2, 3], { vlan: 7 }],
    [2, 0x21, BROADCAST, [1, 3], { vlan: 8 }],
    [3, 0x23, 0x21, [1], { vlan: 7 }],
    [3, 0x23, 0x21, [2], { vlan: 8 }],
  ],
  'a host that the configuration put behind a port stays there, wherever it is heard, and however long it is silent': [
    [1, 0x21, BROADCAST, [2, 3], { put: [0x21, 2] }],
    [3, 0x23, 0x21, [2], { after: 1000 }],
    [3, 0x23, 0x21, [2], { flush: true }],
    [3, 0x23, 0x21, [1], { put: [0x21, 1] }],
  ],
  'a learned host is where the configuration puts it then': [
    [1, 0x21, BROADCAST, [2, 3]],
    [3, 0x23, 0x21, [2], { put: [0x21, 2] }],
  ],
  'hosts behind a port that goes are forgotten, and no others': [
    [1, 0x21, BROADCAST, [2, 3]],
    [2, 0x22, BROADCAST, [1, 3]],
    [3, 0x23, 0x21, [2], { gone: 1 }],
    [3, 0x23, 0x22, [2]],
  ],
  'a flush forgets all that was learned': [
    [1, 0x21, BROADCAST, [2, 3]],
    [3, 0x23, 0x21, [1, 2], { flush: true }],
    [2, 0x22, 0x23, [3]],
  ],
  'who is silent is forgotten, who speaks is not': [
    [1, 0x21, BROADCAST, [2, 3]],
    [2, 0x22, BROADCAST, [1, 3]],
    [2, 0x22, 0x21, [1], { after: 50 }],
    [3, 0x23, 0x21, [1, 2], { after: 15 }],
    [3, 0x23, 0x22, [2]],
  ],
}

interface MirrorVector {
  readonly direction: number
  readonly monitorVlan?: number
  readonly vlan?: number
  readonly tag?: string
  /** What each port gets of a frame from port 1 to port 2, and of one back. Port 1 is mirrored, port 3 monitors. */
  readonly there: Record<number, string>
  readonly back: Record<number, string>
}
const { both, received, sent } = MonitorDirection
const mirrorVectors: Record<string, MirrorVector> = {
  'all that a port sends and gets': { direction: both, there: { 2: '-', 3: '-' }, back: { 1: '-', 3: '-' } },
  'what a port sends': { direction: sent, there: { 2: '-', 3: '-' }, back: { 1: '-' } },
  'what a port gets': { direction: received, there: { 2: '-' }, back: { 1: '-', 3: '-' } },
  'frames of an access port, in their VLAN': {
    direction: both,
    vlan: 12,
    there: { 2: '-', 3: '12/0' },
    back: { 1: '-', 3: '12/0' },
  },
  'priorities with the VLAN': {
    direction: both,
    vlan: 12,
    tag: '0/5',
    there: { 2: '0/5', 3: '12/5' },
    back: { 1: '0/5', 3: '12/5' },
  },
  'all in one VLAN of the monitor': {
    direction: both,
    vlan: 12,
    tag: '0/5',
    monitorVlan: 17,
    there: { 2: '0/5', 3: '17/5' },
    back: { 1: '0/5', 3: '17/5' },
  },
  'untagged frames in a VLAN of the monitor': {
    direction: sent,
    monitorVlan: 17,
    there: { 2: '-', 3: '17/0' },
    back: { 1: '-' },
  },
}

for (const shortCut of [false, true])
  describe(`vectors ${shortCut ? 'with' : 'without'} short cuts`, () => {
    function vlanSwitch(): DataPathHarness {
      const harness = new DataPathHarness({ shortCut })
      for (const [i, vlan] of vlanPorts.entries()) {
        harness.connectPort(i + 1, vlan === undefined ? LEARNING | PortFlag.external : LEARNING)
        if (vlan !== undefined) harness.ports.setVlan(i + 1, vlan)
      }
      harness.ports.setPriorityTag(WITHOUT_PRIORITY, false)
      return harness
    }

    for (const [port, tag, out] of vlanVectors)
      test(`VLANs: a frame ${tag === '-' ? 'without a tag' : `of VLAN and priority ${tag}`} into port ${port} (ES-531…ES-535, ES-528)`, () => {
        const harness = vlanSwitch()
        harness.send(port, tagged(frame(BROADCAST, 0x21), tag))
        assert.deepEqual(outputs(harness, vlanPorts.length), out)
        const drops = harness.drops(port)
        const isRefused = Object.keys(out).length === 0
        assert.deepEqual(Object.keys(drops), isRefused ? [port === 1 ? 'no-destination' : 'vlan-not-allowed'] : [])
      })

    test('VLANs: what is left of a service tag on an access port is a priority tag of 802.1Q, elsewhere it stays what it is', () => {
      const harness = vlanSwitch()
      harness.send(1, tagged(frame(BROADCAST, 0x21), '10/5', SERVICE_TAG), tagged(frame(BROADCAST, 0x21), '10/0', SERVICE_TAG))
      assert.deepEqual(outputs(harness, vlanPorts.length), { 2: '0/5 -', 3: '- -', 4: 's10/5 s10/0', 5: 's10/5 s10/0' })
    })

    // Port 1 is the uplink, 2 an access port of VLAN 10, 3 a trunk of 10 and 20, 4 one whose native VLAN is 10, 5 of a private VLAN.
    const stacked: readonly (readonly [port: number, outer: string, out: Record<number, string>])[] = [
      [1, '10/0', { 3: '10/0' }],
      [1, '0/0', {}],
      [2, '10/0', {}],
      [2, '0/3', {}],
      [3, '10/0', { 1: '10/0' }],
      [3, '20/0', { 1: '20/0', 4: '20/0' }],
      [3, '0/0', {}],
      [4, '0/0', {}],
      [4, '20/0', { 1: '20/0', 3: '20/0' }],
      [5, '10/0', {}],
      [6, '0/0', {}],
    ]
    for (const [port, outer, out] of stacked)
      test(`VLANs: a tag behind one of ${outer} from port ${port} does not come to light at any other port (ES-531, ES-534)`, () => {
        const harness = new DataPathHarness({ shortCut })
        const vlans: readonly (VlanEntry | undefined)[] = [
          { mode: trunk, primary: 0, set: [10, 20] },
          { mode: access, primary: 10 },
          { mode: trunk, primary: NO_VLAN, set: [10, 20] },
          { mode: trunk, primary: 10, set: [20] },
          { mode: VlanMode.promiscuous, primary: 10, set: [11] },
          undefined,
        ]
        for (const [i, vlan] of vlans.entries()) {
          harness.connectPort(i + 1, i === 0 ? LEARNING | PortFlag.external : LEARNING)
          harness.ports.setVlan(i + 1, vlan)
        }
        harness.send(port, tagged(tagged(frame(BROADCAST, 0x21), '20/0'), outer))
        assert.deepEqual(outputs(harness, vlans.length), out)
        assert.deepEqual(harness.drops(port), Object.keys(out).length === 0 ? { 'vlan-not-allowed': 1 } : {})
      })

    test('VLANs: a known receiver does not get a second tag without the first one, and the drop is counted at it (ES-365)', () => {
      const harness = new DataPathHarness({ shortCut })
      for (const port of [1, 2]) harness.connectPort(port, LEARNING)
      harness.ports.setVlan(1, { mode: trunk, primary: NO_VLAN, set: [10] })
      harness.ports.setVlan(2, { mode: access, primary: 10 })
      harness.send(2, frame(BROADCAST, 0x22))
      harness.sink(1).frames.length = 0
      harness.send(1, tagged(tagged(frame(0x22, 0x21), '20/0'), '10/0'), tagged(frame(0x22, 0x21), '10/0'))
      assert.deepEqual([outputs(harness, 2), harness.drops(2)], [{ 2: '-' }, { 'vlan-not-allowed': 1 }])
    })

    test('learning: a group is no sender: from ports its frames are dropped, from the uplink they pass and teach nothing (ES-526)', () => {
      const harness = new DataPathHarness({ shortCut })
      for (const port of [1, 2]) harness.connectPort(port, LEARNING)
      harness.connectPort(3, LEARNING | PortFlag.external)
      const from = (source: string): Buffer => frame(BROADCAST, source)
      harness.send(1, from('01:00:5e:00:00:05'), from('ff:ff:ff:ff:ff:ff'))
      assert.deepEqual([outputs(harness, 3), harness.drops(1)], [{}, { 'mac-spoofing': 2 }])
      harness.send(3, from('01:00:5e:00:00:05'))
      assert.deepEqual([outputs(harness, 3), harness.macs.entries(0)], [{ 1: '-', 2: '-' }, []])
    })

    for (const [what, steps] of Object.entries(learningVectors))
      test(`learning: ${what}`, () => {
        const harness = new DataPathHarness({ shortCut })
        for (const port of [1, 2, 3]) harness.connectPort(port, LEARNING)
        let now = 0
        for (const [k, [port, from, to, out, { vlan, after = 0, put, gone, flush } = {}]] of steps.entries()) {
          now += after
          if (put !== undefined) harness.macs.addStatic(mac(put[0]), 0, put[1])
          if (flush) harness.macs.flush()
          if (gone !== undefined) {
            harness.ports.clear(gone)
            harness.macs.removePort(gone)
          }
          harness.dataPath.forwarding.nowSeconds = now
          harness.macs.age(now, AGEING_SECONDS)
          harness.send(port, tagged(frame(to, from), vlan === undefined ? '-' : `${vlan}/0`))
          assert.deepEqual(Object.keys(outputs(harness, 3)).map(Number), out, `step ${k + 1}`)
        }
      })

    for (const [what, { direction, monitorVlan = 0, vlan, tag = '-', there, back }] of Object.entries(mirrorVectors))
      test(`mirroring: ${what} (ES-338)`, () => {
        const harness = new DataPathHarness({ shortCut }).connect(3)
        for (const port of [1, 2]) if (vlan !== undefined) harness.ports.setVlan(port, { mode: access, primary: vlan })
        harness.ports.setMonitor(1, MonitorMode.source, 0, direction)
        harness.ports.setMonitor(3, MonitorMode.destination, 0, 0, monitorVlan)
        harness.send(1, tagged(frame(2, 1), tag))
        assert.deepEqual(outputs(harness, 3), there)
        harness.send(2, tagged(frame(1, 2), tag))
        assert.deepEqual(outputs(harness, 3), back)
      })
  })
