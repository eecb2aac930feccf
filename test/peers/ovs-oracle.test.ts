// Open vSwitch as an oracle for learning, VLANs and mirroring: the same random frames go into its ports and into the switch's, with and
// without short cuts, and what comes out of each port must be the same bytes. VMSWITCH_ORACLE_SEED repeats a run.
//
// Where Hyper-V's rules are others than Open vSwitch's, random frames keep off, and the last test says what each does (docs/policies.md).
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { MonitorDirection, MonitorMode, NO_VLAN, PortFlag, type VlanEntry, VlanMode } from '../../src/switch/port-table.ts'
import { Random } from '../fuzz/random.ts'
import { DataPathHarness } from '../support/data-path-harness.ts'
import { type OraclePort, type Outputs, OvsOracle, whyNoOvs } from '../support/ovs-dummy.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const skip = whyNoOvs() ?? false
const seed = Number(process.env.VMSWITCH_ORACLE_SEED ?? Math.floor(Math.random() * 0x7fffffff))
const LEARNING = PortFlag.learn | PortFlag.unknownUnicast
const AGEING_SECONDS = 60
const WAIT_SECONDS = 7
const MONITOR_VLAN = 4000
const VLANS = [10, 20, 30]
const ROUNDS = 8
const FRAMES = 80
const CHANGE_EVERY = 10

/** A port as both are told of it. */
interface Port {
  readonly vlan?: VlanEntry
  readonly external?: boolean
  readonly priority: boolean
}

interface Mirror {
  readonly sources: readonly { readonly port: number; readonly direction: number }[]
  readonly output: number
}

const { access, isolated, promiscuous, trunk } = VlanMode

function ovsPort({ vlan, priority }: Port): OraclePort {
  const tags = [`other_config:priority-tags=${priority ? 'if-nonzero' : 'never'}`]
  if (vlan === undefined) return tags
  const { mode, primary, set = [] } = vlan
  if (mode === access || mode === promiscuous) return [...tags, `tag=${primary}`]
  if (mode === isolated) return [...tags, `tag=${primary}`, 'protected=true']
  if (primary === NO_VLAN) return [...tags, 'vlan_mode=trunk', `trunks=[${[...set].join(',')}]`]
  if (primary === 0) return [...tags, 'vlan_mode=trunk', `trunks=[${[0, ...set].join(',')}]`]
  return [...tags, 'vlan_mode=native-untagged', `tag=${primary}`, `trunks=[${[...set].join(',')}]`]
}

/** The switch with these ports. */
function ourSwitch(ports: readonly Port[], mirror: Mirror | undefined, shortCut: boolean): DataPathHarness {
  const harness = new DataPathHarness({ shortCut })
  for (const [i, { vlan, external = false, priority }] of ports.entries()) {
    harness.connectPort(i + 1, LEARNING | (external ? PortFlag.external : 0))
    if (vlan !== undefined) harness.ports.setVlan(i + 1, vlan)
    harness.ports.setPriorityTag(i + 1, priority)
  }
  if (mirror === undefined) return harness
  for (const { port, direction } of mirror.sources) harness.ports.setMonitor(port, MonitorMode.source, 0, direction)
  harness.ports.setMonitor(mirror.output, MonitorMode.destination)
  return harness
}

function outputsOf(harness: DataPathHarness, ports: number): Outputs {
  const out = new Map<number, readonly Buffer[]>()
  for (let port = 1; port <= ports; port++) {
    const frames = harness.sink(port).frames.splice(0)
    if (frames.length !== 0) out.set(port, frames)
  }
  return out
}

const shown = (out: Outputs): string[] =>
  [...out].sort(([a], [b]) => a - b).flatMap(([port, frames]) => frames.map((bytes) => `${port}: ${bytes.toString('hex')}`))

/** Addresses that the switch learned, as the oracle says them. */
const learnedOf = (harness: DataPathHarness): string[] =>
  harness.macs
    .entries(0)
    .map(({ mac, vlan, port }) => `${mac} ${vlan} ${port}`)
    .sort()

/** How many frames of a port were refused before forwarding. */
function refusalsOf(harness: DataPathHarness, port: number): number {
  const drops = harness.drops(port)
  return (drops['vlan-not-allowed'] ?? 0) + (drops['reserved-multicast'] ?? 0) + (drops['mac-spoofing'] ?? 0)
}

const tag = (vlan: number, priority: number, type = 0x8100): Buffer =>
  Buffer.from([type >> 8, type & 0xff, (priority << 5) | (vlan >> 8), vlan & 0xff])

function frame(to: string, from: string, tags: readonly Buffer[], payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(to + from, 'hex'), ...tags, Buffer.from('88b5', 'hex'), payload])
}

const hosts = Array.from({ length: 6 }, (_, i) => `02000000aa0${i}`)
const groups = ['ffffffffffff', '01005e000077', '333300000077']
const reserved = '0180c200000e'

/** Tags that both treat alike at a port. `more`: the outer one may be of 802.1ad, and another one may stand behind it. */
function tagsFor(random: Random, { vlan }: Port, more: boolean): Buffer[] {
  const priority = random.below(8)
  const own = vlan !== undefined && vlan.mode !== trunk ? vlan.primary : NO_VLAN
  const outer = random.pick([NO_VLAN, NO_VLAN, 0, ...VLANS, 40])
  const isNative = vlan?.mode === trunk && outer === vlan.primary && outer !== 0
  if (outer === NO_VLAN || outer === own || isNative || (outer === 0 && priority === 0)) return []
  const inner = more && outer !== 0 && random.oneIn(8) ? [tag(random.pick(VLANS), random.below(8))] : []
  return [tag(outer, priority, more && outer !== 0 && random.oneIn(8) ? 0x88a8 : 0x8100), ...inner]
}

/** What of Open vSwitch's outputs is to come out here too: not a second tag that has lost the first. */
function allowed(sent: Buffer, expected: Outputs): Outputs {
  const isTag = (bytes: Buffer, at: number): boolean => [0x8100, 0x88a8].includes(bytes.readUInt16BE(at))
  if (!isTag(sent, 12) || !isTag(sent, 16)) return expected
  return new Map(
    [...expected].filter(([, frames]) => frames.every((bytes) => isTag(bytes, 16) && (bytes.readUInt16BE(14) & 0xfff) !== 0)),
  )
}

function randomFrame(random: Random, port: Port, more: boolean): Buffer {
  const to = random.oneIn(16) ? reserved : random.pick([...hosts, ...hosts, ...groups])
  const from = to === reserved || (port.external && random.oneIn(8)) ? groups[1]! : random.pick(hosts)
  const payload = Buffer.alloc(46 + random.pick([0, 1, 37, 300, 1400]))
  for (let i = 0; i < payload.length; i++) payload[i] = random.below(256)
  return frame(to, from, tagsFor(random, port, more), payload)
}

function randomVlan(random: Random): VlanEntry {
  const set = VLANS.filter(() => random.oneIn(2))
  const kind = random.below(5)
  if (kind < 2 || set.length === 0) return { mode: access, primary: random.pick(VLANS) }
  return { mode: trunk, primary: kind === 2 ? NO_VLAN : kind === 3 ? 0 : random.pick(VLANS), set }
}

function randomPort(random: Random): Port {
  const vlan = randomVlan(random)
  return { vlan, priority: vlan.mode === trunk || random.oneIn(2) }
}

/** Sends the same random frames through both, and holds what comes out against each other. */
async function compare(
  oracle: OvsOracle,
  random: Random,
  given: readonly Port[],
  mirror?: Mirror,
  changed?: () => Port,
): Promise<{ frames: number; outputs: number }> {
  const ports = [...given]
  const selected = (direction: number): number[] =>
    (mirror?.sources ?? []).filter((one) => one.direction !== direction).map(({ port }) => port)
  const { received, sent } = MonitorDirection
  oracle.configure(
    ports.map((port, i) => ovsPort(i + 1 === mirror?.output ? { priority: true } : port)), // there a monitor has VLANs of its own
    mirror === undefined ? [] : [{ sources: selected(received), destinations: selected(sent), output: mirror.output }],
    AGEING_SECONDS,
  )
  const ours = [true, false].map((shortCut) => ourSwitch(ports, mirror, shortCut))
  const senders = ports.map((_, i) => i + 1).filter((port) => port !== mirror?.output)
  let now = 0
  let outputs = 0
  for (let k = 0; k < FRAMES; k++) {
    if (random.oneIn(8)) {
      now += WAIT_SECONDS
      await oracle.wait(WAIT_SECONDS)
      for (const { dataPath, macs } of ours) {
        dataPath.forwarding.nowSeconds = now
        macs.age(now, AGEING_SECONDS)
      }
    }
    if (changed !== undefined && k % CHANGE_EVERY === CHANGE_EVERY - 1) {
      const port = random.pick(senders)
      ports[port - 1] = { ...changed(), ...(ports[port - 1]!.external === undefined ? {} : { external: true }) }
      await oracle.change(port, ovsPort(ports[port - 1]!))
      for (const { ports: table, macs } of ours) {
        table.setVlan(port, ports[port - 1]!.vlan)
        table.setPriorityTag(port, ports[port - 1]!.priority)
        macs.flush()
      }
    }
    const port = random.pick(senders)
    const bytes = randomFrame(random, ports[port - 1]!, mirror === undefined)
    const expected = allowed(bytes, await oracle.send(port, bytes))
    for (const harness of ours) {
      const before = refusalsOf(harness, port)
      harness.send(port, bytes)
      const got = outputsOf(harness, ports.length)
      const isRefused = refusalsOf(harness, port) !== before && [...expected.keys()].every((to) => to === mirror?.output)
      assert.deepEqual(
        shown(got),
        isRefused ? [] : shown(expected), // what is refused on ingress is not mirrored here
        `frame ${k} into port ${port}: ${bytes.toString('hex')} with ports ${JSON.stringify({ ports, mirror })}`,
      )
      outputs += got.size
    }
    const known = await oracle.learned()
    for (const harness of ours)
      assert.deepEqual(
        learnedOf(harness),
        known,
        `learned of frame ${k} into port ${port}: ${bytes.toString('hex', 0, 24)} with ports ${JSON.stringify(ports)}`,
      )
  }
  return { frames: FRAMES, outputs: outputs / 2 }
}

describe('beside Open vSwitch', { skip, timeout: 120_000 }, () => {
  let oracle: OvsOracle
  before(async () => {
    oracle = await OvsOracle.start(temporaryDirectory())
  })
  after(() => oracle?.close())

  async function rounds(
    t: TestContext,
    salt: number,
    topology: (random: Random) => [Port[], (Mirror | undefined)?, (() => Port)?],
  ): Promise<void> {
    t.diagnostic(`VMSWITCH_ORACLE_SEED=${seed}`)
    const random = new Random(seed ^ salt)
    const total = { frames: 0, outputs: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const { frames, outputs } = await compare(oracle, random, ...topology(random))
      total.frames += frames
      total.outputs += outputs
    }
    t.diagnostic(`${total.frames} frames, ${total.outputs} of them came out of a port`)
    assert.ok(total.outputs > total.frames / 16, 'the frames try something')
  }

  const some = (random: Random, make: () => Port): Port[] => Array.from({ length: 3 + random.below(3) }, make)

  test('ports without VLANs learn, move, forget and flood alike, whatever tags pass', async (t) => {
    await rounds(t, 1, (random) => [some(random, () => ({ priority: true }))])
  })

  test('access and trunk ports and an uplink take, give and tag the same frames', async (t) => {
    await rounds(t, 2, (random) => {
      const ports = some(random, () => randomPort(random))
      return [random.oneIn(2) ? [...ports, { external: true, priority: true }] : ports]
    })
  })

  test('what changes of a port while frames flow counts for the next frame', async (t) => {
    await rounds(t, 5, (random) => [
      [...some(random, () => randomPort(random)), { external: true, priority: true }],
      undefined,
      () => randomPort(random),
    ])
  })

  test('isolated ports of a private VLAN reach what protected ports reach', async (t) => {
    await rounds(t, 3, (random) => [
      some(random, () => ({
        vlan: random.oneIn(3)
          ? { mode: promiscuous, primary: 100, set: [101] }
          : { mode: isolated, primary: 100, secondary: 101 },
        priority: true,
      })),
    ])
  })

  test('a mirror of what ports send, get, or both gives the same copies', async (t) => {
    await rounds(t, 4, (random) => {
      const ports = some(random, () => ({ vlan: randomVlan(random), priority: true }))
      const sources = ports
        .map((_, i) => ({ port: i + 1, direction: random.below(3) }))
        .filter(({ port }) => port === 1 || random.oneIn(2))
      const monitor: Port = { vlan: { mode: access, primary: MONITOR_VLAN }, priority: true }
      return [[...ports, monitor], { sources, output: ports.length + 1 }]
    })
  })

  const tagless: Port = { priority: true }
  const on = (vlan: VlanEntry, priority = true): Port => ({ vlan, priority })
  const ten = on({ mode: access, primary: 10 })
  const both = on({ mode: trunk, primary: 0, set: [10, 20] })
  const from1 = (to: string, ...tags: Buffer[]): Buffer => frame(to, hosts[1]!, tags, Buffer.alloc(46, 0x55))
  const broadcast = (...tags: Buffer[]): Buffer => from1(groups[0]!, ...tags)
  const stacked = [tag(10, 0), tag(20, 0)]
  const differences: {
    what: string
    ports: Port[]
    mirror?: Mirror
    sent: Buffer
    ours: [number, Buffer][]
    theirs: [number, Buffer][]
  }[] = [
    {
      what: 'an access port takes frames that are tagged with its own VLAN (ES-531)',
      ports: [ten, ten],
      sent: broadcast(tag(10, 0)),
      ours: [[2, broadcast()]],
      theirs: [],
    },
    {
      what: 'a trunk takes its native VLAN tagged only if its list has it (ES-534)',
      ports: [on({ mode: trunk, primary: 10, set: [20] }), ten],
      sent: broadcast(tag(10, 0)),
      ours: [],
      theirs: [[2, broadcast()]],
    },
    {
      what: 'without AllowIeeePriorityTag the priority of tagged frames is removed too (ES-528)',
      ports: [both, on({ mode: trunk, primary: 0, set: [10] }, false)],
      sent: broadcast(tag(10, 5)),
      ours: [[2, broadcast(tag(10, 0))]],
      theirs: [[2, broadcast(tag(10, 5))]],
    },
    {
      what: 'a tag behind one that would be taken off keeps the frame from the port (ES-531)',
      ports: [both, ten, both],
      sent: broadcast(...stacked),
      ours: [[3, broadcast(...stacked)]],
      theirs: [
        [2, broadcast(tag(20, 0))],
        [3, broadcast(...stacked)],
      ],
    },
    {
      what: 'a tag behind one of VLAN 0 is refused: it would come to light where the native VLAN has no tag (ES-533)',
      ports: [on({ mode: access, primary: 10 }), on({ mode: trunk, primary: 10, set: [20] })],
      sent: broadcast(tag(0, 1), tag(20, 0)),
      ours: [],
      theirs: [[2, broadcast(tag(0, 1), tag(20, 0))]],
    },
    {
      what: 'no port but the uplink sends from the address of a group (ES-526)',
      ports: [tagless, tagless],
      sent: frame(hosts[2]!, groups[1]!, [], Buffer.alloc(46)),
      ours: [],
      theirs: [[2, frame(hosts[2]!, groups[1]!, [], Buffer.alloc(46))]],
    },
    {
      what: 'without VLAN properties a tag of nothing but zeros stays',
      ports: [tagless, tagless],
      sent: broadcast(tag(0, 0)),
      ours: [[2, broadcast(tag(0, 0))]],
      theirs: [[2, broadcast()]],
    },
    {
      what: 'of group addresses only those of IEEE 802.1D are kept from other links',
      ports: [tagless, tagless],
      sent: from1('01000ccccccc'),
      ours: [[2, from1('01000ccccccc')]],
      theirs: [],
    },
    {
      what: 'what is refused on ingress is not mirrored',
      ports: [ten, ten, on({ mode: access, primary: MONITOR_VLAN })],
      mirror: { sources: [{ port: 1, direction: MonitorDirection.both }], output: 3 },
      sent: from1(reserved),
      ours: [],
      theirs: [[3, from1(reserved)]],
    },
    {
      what: 'a copy keeps its VLAN, whatever the VLAN of the port that monitors',
      ports: [ten, ten, on({ mode: access, primary: MONITOR_VLAN })],
      mirror: { sources: [{ port: 1, direction: MonitorDirection.both }], output: 3 },
      sent: broadcast(),
      ours: [
        [2, broadcast()],
        [3, broadcast(tag(10, 0))],
      ],
      theirs: [
        [2, broadcast()],
        [3, broadcast()],
      ],
    },
    {
      what: 'a copy keeps the type of its tag, whatever forms the frame itself was delivered in',
      ports: [both, ten, on({ mode: access, primary: MONITOR_VLAN })],
      mirror: { sources: [{ port: 2, direction: MonitorDirection.both }], output: 3 },
      sent: broadcast(tag(10, 0, 0x88a8)),
      ours: [
        [2, broadcast()],
        [3, broadcast(tag(10, 0, 0x88a8))],
      ],
      theirs: [
        [2, broadcast()],
        [3, broadcast()],
      ],
    },
  ]

  for (const { what, ports, mirror, sent, ours, theirs } of differences)
    test(`otherwise than there, ${what}`, async () => {
      const destinations = mirror?.sources.map(({ port }) => port) ?? []
      oracle.configure(
        ports.map(ovsPort),
        mirror === undefined ? [] : [{ sources: destinations, destinations, output: mirror.output }],
      )
      const said = (list: [number, Buffer][]): string[] => list.map(([port, bytes]) => `${port}: ${bytes.toString('hex')}`)
      assert.deepEqual(shown(await oracle.send(1, sent)), said(theirs))
      for (const shortCut of [true, false]) {
        const harness = ourSwitch(ports, mirror, shortCut)
        harness.send(1, sent)
        assert.deepEqual(shown(outputsOf(harness, ports.length)), said(ours))
      }
    })

  test('otherwise than there, the source of a frame to a reserved address is learned', async () => {
    oracle.configure([tagless, tagless].map(ovsPort))
    await oracle.send(1, from1(reserved))
    assert.deepEqual(await oracle.learned(), [])
    const harness = ourSwitch([tagless, tagless], undefined, true)
    harness.send(1, from1(reserved))
    assert.deepEqual(learnedOf(harness), ['02:00:00:00:aa:01 0 1'])
  })
})
