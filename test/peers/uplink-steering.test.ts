// Steering of an uplink's frames to its queues in the kernel: the programs on frames of their own (BPF_PROG_TEST_RUN), and both carriers
// on veth pairs. Needs root.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { testFrame } from '../../src/endpoints/compliance-frames.ts'
import type { SteerRule } from '../../src/endpoints/uplink/steering.ts'
import { UplinkEndpoint, type UplinkOptions } from '../../src/endpoints/uplink/uplink-endpoint.ts'
import { BURST_MAX } from '../../src/kernels/layout.ts'
import { BpfMap, BpfProgram, MapType, ProgramType } from '../../src/linux/bpf.ts'
import { steeringProgram } from '../../src/linux/steering-program.ts'
import { type SteerEntry, SteeringTable } from '../../src/linux/steering-table.ts'
import { parseMac } from '../../src/packet/addresses.ts'
import { DataHalf } from '../support/data-half.ts'
import { PacketPeer } from '../support/packet-peer.ts'
import { ip, VethPair, whyNoVeth } from '../support/veth.ts'

/** Why steering can't be tested here: what the kernel says to the program. */
function whyNot(): string | undefined {
  const reason = whyNoVeth()
  if (reason !== undefined) return reason
  const table = new SteeringTable([0], 'this machine')
  try {
    new BpfProgram(ProgramType.socketFilter, steeringProgram(table.maps, { kind: 'fanout' }), 'this machine').close()
  } catch (error) {
    return `this kernel takes no steering program: ${(error as Error).message}`
  } finally {
    table.close()
  }
  return undefined
}

const skip = whyNot() ?? false
const A = '02:00:00:00:00:0a'
const B = '02:00:00:00:00:0b'
const QUEUES = 8

/** A frame to `mac` with tags [type, tci], then `rest`. */
function frameTo(mac: string, tags: readonly (readonly [number, number])[] = [], rest: Buffer = Buffer.alloc(50)): Buffer {
  const words = tags.flatMap(([type, tci]) => [type >> 8, type & 0xff, tci >> 8, tci & 0xff])
  const type = rest.length === 50 ? [0x88, 0xb5] : []
  return Buffer.concat([parseMac(mac), parseMac('02:00:00:00:00:ff'), Buffer.from([...words, ...type]), rest])
}

function ipv4Flow(flow: number, fragment = 0, payload = 0): Buffer {
  const packet = Buffer.alloc(52)
  packet.set([8, 0, 0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2])
  packet.writeUInt16BE(fragment, 8)
  packet.writeUInt16BE(1024 + flow, 22)
  packet.writeUInt16BE(9, 24)
  packet.writeUInt32BE(payload, 30)
  return packet
}

function ipv6Flow(flow: number): Buffer {
  const packet = Buffer.alloc(66)
  packet.set([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64])
  packet.writeUInt16BE(0x2001, 10)
  packet.writeUInt16BE(flow, 24)
  packet.writeUInt16BE(0x2001, 26)
  packet.writeUInt16BE(80, 44)
  return packet
}

const entry = (mac: string, vlan: number | null, ...queues: number[]): SteerEntry => ({ mac: parseMac(mac), vlan, queues })

interface Chooser {
  /** The shortest frame that the kernel runs the program on, in bytes. */
  readonly shortest: number
  /** … with an IPv4 header. */
  readonly shortestIpv4: number
  readonly table: SteeringTable
  choose(frame: Uint8Array): number
  close(): void
}

const choosers: Record<string, () => Chooser> = {
  'of a packet socket group': () => {
    const table = new SteeringTable([0], 'test')
    const program = new BpfProgram(ProgramType.socketFilter, steeringProgram(table.maps, { kind: 'fanout' }), 'test')
    return {
      shortest: 15,
      shortestIpv4: 34,
      table,
      choose: (frame) => program.testRun(frame),
      close: () => {
        program.close()
        table.close()
      },
    }
  },
  // A map of devices in the place of that of sockets: the answer is "redirect" where it has the queue's entry.
  'of AF_XDP': () => {
    const table = new SteeringTable([0], 'test')
    const one = Buffer.from([1, 0, 0, 0])
    const targets = Array.from({ length: QUEUES }, (_, queue) => {
      const map = new BpfMap({ type: MapType.devices, keyBytes: 4, valueBytes: 4, entries: QUEUES, subject: 'test' })
      map.set(Buffer.from([queue, 0, 0, 0]), one)
      const code = steeringProgram(table.maps, { kind: 'xdp', sockets: map.fd, queues: QUEUES })
      return { map, program: new BpfProgram(ProgramType.xdp, code, 'test') }
    })
    const XDP_REDIRECT = 4
    return {
      shortest: 14,
      shortestIpv4: 14,
      table,
      choose: (frame) => {
        const chosen = targets.flatMap(({ program }, queue) => (program.testRun(frame) === XDP_REDIRECT ? [queue] : []))
        assert.equal(chosen.length, 1)
        return chosen[0]!
      },
      close: () => {
        for (const { map, program } of targets) {
          program.close()
          map.close()
        }
        table.close()
      },
    }
  },
}

for (const [name, create] of Object.entries(choosers))
  describe(`the steering program ${name}`, { skip }, () => {
    const withProgram = (run: (chooser: Chooser) => void): void => {
      const chooser = create()
      try {
        run(chooser)
      } finally {
        chooser.close()
      }
    }

    test('VQ-087, VQ-090, VQ-091, VQ-092, VQ-096: a frame goes by its address and VLAN, then by its address alone, then to the default queue', () =>
      withProgram(({ table, choose }) => {
        table.replace([entry(A, 5, 3), entry(A, 0, 4), entry(A, null, 2), entry(B, 7, 5), entry(B, 0, 6)])
        assert.equal(choose(frameTo(A)), 4, 'untagged')
        assert.equal(choose(frameTo(A, [[0x8100, 0x6000]])), 4, 'tagged for priority only')
        for (const type of [0x8100, 0x88a8, 0x9100])
          assert.equal(choose(frameTo(A, [[type, 0x6005]])), 3, 'VLAN 5 with a priority')
        assert.equal(choose(frameTo(A, [[0x8100, 6]])), 2, 'any VLAN')
        const both = [
          [0x88a8, 5],
          [0x8100, 7],
        ] as const
        assert.equal(choose(frameTo(A, both)), 3, 'the outer VLAN')
        assert.equal(choose(frameTo(B, [[0x8100, 7]])), 5)
        assert.equal(choose(frameTo(B, [[0x8100, 8]])), 0, 'a VLAN that B has no rule for')
        assert.equal(choose(frameTo(B)), 6)
        for (const other of ['02:00:00:00:00:0c', 'ff:ff:ff:ff:ff:ff', '0a:00:00:00:00:02'])
          assert.equal(choose(frameTo(other)), 0, other)
        table.setFallback([7])
        assert.equal(choose(frameTo('ff:ff:ff:ff:ff:ff')), 7)
      }))

    test('frames that end early go where they can be read to', () =>
      withProgram(({ table, choose, shortest, shortestIpv4 }) => {
        table.replace([entry(A, 0, 4), entry(B, null, 1, 2)])
        assert.equal(choose(frameTo(A).subarray(0, shortest)), 4, 'hardly more than an Ethernet header')
        for (const length of [shortest, 16, 17])
          assert.equal(choose(frameTo(A, [[0x8100, 5]]).subarray(0, length)), 0, 'half a tag')
        for (let length = shortestIpv4; length < 60; length++) {
          const queue = choose(frameTo(B, [], ipv4Flow(1)).subarray(0, length))
          assert.ok(queue === 1 || queue === 2, `${length} bytes of an IPv4 frame`)
        }
      }))

    test('flows are spread over the queues of a rule, each flow on one, whatever it carries', () =>
      withProgram(({ table, choose }) => {
        table.replace([entry(A, null, 1, 3, 6)])
        for (const make of [
          (flow: number, payload: number) => frameTo(A, [], ipv4Flow(flow, 0, payload)),
          (flow: number, payload: number) => frameTo(A, [[0x8100, 9]], ipv4Flow(flow, 0, payload)),
          (flow: number) => frameTo(A, [], ipv6Flow(flow)),
        ]) {
          const used = new Map<number, number>()
          for (let flow = 0; flow < 96; flow++) {
            const queue = choose(make(flow, 1))
            assert.equal(choose(make(flow, 2)), queue)
            used.set(queue, (used.get(queue) ?? 0) + 1)
          }
          assert.deepEqual([...used.keys()].sort(), [1, 3, 6])
          for (const count of used.values()) assert.ok(count > 12, `${[...used]}: too uneven`)
        }
        // Only the first fragment has the ports, so none is asked for them.
        const fragments = [0x2000, 0x2010, 0x0020].map((bits) => choose(frameTo(A, [], ipv4Flow(bits, bits))))
        assert.equal(new Set(fragments).size, 1, 'fragments of one packet came apart')
        assert.equal(choose(frameTo(A)), 1, 'what is not IP goes to the first queue')
      }))

    test('rules are replaced as a whole, and those beyond the table are named', () =>
      withProgram(({ table, choose }) => {
        table.replace([entry(A, null, 1), entry(B, null, 2)])
        table.replace([entry(B, null, 3)])
        assert.deepEqual([choose(frameTo(A)), choose(frameTo(B))], [0, 3])
      }))
  })

test('a table that is full names the rules that it does not hold, and has room again when others go', { skip }, () => {
  const table = new SteeringTable([0], 'test', 2)
  const entries = [entry(A, 1, 1), entry(A, 2, 1), entry(A, 3, 1)]
  assert.deepEqual(table.replace(entries), [entries[2]])
  assert.deepEqual(table.replace(entries.slice(1)), [])
  assert.deepEqual(table.replace([entry(B, 1, 1), entry(B, 2, 1)]), [])
  table.close()
})

test('a program that the verifier refuses is an error with what the verifier says', { skip }, () => {
  const exitWithoutAnswer = Buffer.from('9500000000000000', 'hex')
  assert.throws(
    () => new BpfProgram(ProgramType.xdp, exitWithoutAnswer, 'eth9'),
    /BPF_PROG_LOAD eth9: EACCES .*the verifier says:\n(.|\n)*R0 !read_ok/,
  )
})

async function withUplink(
  veth: VethPair,
  options: Partial<UplinkOptions>,
  run: (half: DataHalf, control: UplinkEndpoint, peer: PacketPeer) => Promise<void>,
): Promise<void> {
  const half = new DataHalf()
  const control = new UplinkEndpoint({ port: 5, interface: veth.near, ...options }, { memory: half.memory, events: half.events })
  const peer = new PacketPeer(veth.far)
  try {
    await control.open()
    await run(half, control, peer)
  } finally {
    peer.vanish()
    await control.close()
    half.close()
  }
}

/** Frames of test that wait on each queue; other frames (the host's chatter) are left out. */
function takeAll(half: DataHalf): Buffer[][] {
  return half.queues.map((_, queue) => {
    half.inbox.length = 0
    while (half.take(BURST_MAX, queue) > 0);
    return half.inbox.map(({ bytes }) => bytes).filter((bytes) => bytes.subarray(6, 12).equals(parseMac('02:00:00:00:00:ff')))
  })
}

for (const via of ['packet', 'xdp'] as const)
  describe(`steering over ${via}`, { skip }, () => {
    const veth = skip === false ? new VethPair() : null
    after(() => veth?.delete())
    const options = { via, queues: 3 }

    test('VQ-088, VQ-104: the frames of a rule come on its queue, all others on queue 0', (t) =>
      withUplink(veth!, options, async (half, control, peer) => {
        if (control.describe().via !== via) return t.skip(half.told[0]?.message)
        const rules: SteerRule[] = [
          { mac: A, vlan: 5, queue: 2 },
          { mac: A, vlan: 'untagged', queue: 1 },
          { mac: B, vlan: 'any', queue: 2 },
        ]
        assert.deepEqual(control.steer(rules), { inKernel: rules, inSoftware: [], reason: null })
        const sent = [
          [1, frameTo(A)],
          [2, frameTo(A, [[0x8100, 5]])],
          [0, frameTo(A, [[0x8100, 6]])],
          [1, frameTo(A, [[0x8100, 0xe000]])],
          [2, frameTo(B, [[0x88a8, 6]])],
          [2, frameTo(B)],
          [0, frameTo('ff:ff:ff:ff:ff:ff')],
        ] as const
        for (const [, frame] of sent) assert.ok(peer.send(frame))
        const got = takeAll(half)
        for (const queue of [0, 1, 2])
          assert.deepEqual(
            got[queue],
            sent.filter(([to]) => to === queue).map(([, frame]) => frame),
            `queue ${queue}`,
          )
        for (const queue of [0, 1, 2]) {
          assert.equal(half.deliver([testFrame(60, queue)], {}, queue), 1)
          assert.deepEqual(peer.receive(), testFrame(60, queue))
        }
      }))

    test('VQ-114: moving an address from queue to queue while frames come loses and duplicates none, and keeps order on each queue', () =>
      withUplink(veth!, options, async (half, control, peer) => {
        const seen: number[] = []
        let queue = 0
        const total = 30_000
        for (let number = 0; number < total; number++) {
          if (number % 50 === 0) {
            queue = (queue + 1) % 3
            control.steer([{ mac: A, vlan: 'any', queue }])
          }
          const frame = frameTo(A)
          frame.writeUInt32BE(number, 20)
          assert.ok(peer.send(frame))
          if (number % 500 !== 499) continue
          for (const frames of takeAll(half)) {
            const numbers = frames.map((bytes) => bytes.readUInt32BE(20))
            assert.deepEqual(
              numbers,
              numbers.toSorted((a, b) => a - b),
            )
            seen.push(...numbers)
          }
        }
        assert.equal(seen.length, total)
        assert.equal(new Set(seen).size, total)
      }))

    test('a queue that nobody serves overruns by itself; the others lose nothing', () =>
      withUplink(veth!, options, async (half, control, peer) => {
        control.steer([
          { mac: A, vlan: 'any', queue: 1 },
          { mac: B, vlan: 'any', queue: 2 },
        ])
        for (let i = 0; i < 4000; i++) assert.ok(peer.send(frameTo(A)))
        for (let i = 0; i < 900; i++) assert.ok(peer.send(frameTo(B)))
        const got = takeAll(half)
        assert.ok(got[1]!.length < 4000, 'queue 1 held everything')
        assert.equal(got[2]!.length, 900)
        assert.ok(peer.send(frameTo(A)))
        assert.equal(takeAll(half)[1]!.length, 1)
        let lost = 0
        for (let i = 0; i < 100; i++) lost += half.queue(1).takeLost!()
        assert.equal(lost, 4000 - got[1]!.length)
      }))

    test('the rules hold after the interface was down, and for one that was removed and came back', () =>
      withUplink(veth!, options, async (half, control) => {
        const rules: SteerRule[] = [{ mac: A, vlan: 'any', queue: 2 }]
        control.steer(rules)
        const arrives = (): void => {
          const peer = new PacketPeer(veth!.far)
          assert.ok(peer.send(frameTo(A)))
          assert.deepEqual(
            takeAll(half).map(({ length }) => length),
            [0, 0, 1],
          )
          peer.vanish()
        }
        ip('link', 'set', veth!.near, 'down')
        await half.until(() => !half.linkUp, 'the end of the link')
        ip('link', 'set', veth!.near, 'up')
        await half.until(() => half.linkUp, 'the link')
        arrives()
        veth!.delete()
        await half.until(() => half.plans.length === 0, 'the end of the queues')
        assert.deepEqual(control.steer(rules), { inKernel: [], inSoftware: rules, reason: 'the interface is not there' })
        veth!.create()
        await half.until(() => half.linkUp, 'its return')
        arrives()
      }))
  })

describe('steering', { skip }, () => {
  test('over AF_XDP on an interface with several receive queues is the interface’s: rules are left to the caller', async (t) => {
    const near = `vq${process.pid % 100000}`
    ip('link', 'add', near, 'numrxqueues', '2', 'type', 'veth', 'peer', 'name', `${near}p`, 'numtxqueues', '2')
    t.after(() => ip('link', 'delete', near))
    const half = new DataHalf()
    const control = new UplinkEndpoint(
      { port: 5, interface: near, via: 'xdp', queues: 2 },
      { memory: half.memory, events: half.events },
    )
    await control.open()
    const rules: SteerRule[] = [{ mac: A, vlan: 'any', queue: 1 }]
    const result = control.steer(rules)
    const { via } = control.describe()
    await control.close()
    half.close()
    if (via !== 'xdp') return t.skip(half.told[0]?.message)
    assert.deepEqual([result.inKernel, result.inSoftware], [[], rules])
    assert.match(result.reason!, /several receive queues/)
  })

  test('with one queue has nothing to do, and every rule is obeyed', async () => {
    const veth = new VethPair()
    await withUplink(veth, { via: 'packet' }, async (_half, control) => {
      const rules: SteerRule[] = [{ mac: A, vlan: 'any', queue: 0 }]
      assert.deepEqual(control.steer(rules), { inKernel: rules, inSoftware: [], reason: null })
      assert.throws(() => control.steer([{ mac: A, vlan: 'any', queue: 1 }]), /queues 0 to 0, not 1/)
    })
    veth.delete()
  })

  test('without the right to load programs spreads flows, and leaves rules to the caller with the reason', (t) => {
    const veth = new VethPair()
    t.after(() => veth.delete())
    const program = fileURLToPath(new URL('../support/steer-without-bpf.ts', import.meta.url))
    const without = '--bounding-set=-bpf,-sys_admin,-perfmon'
    const done = spawnSync('setpriv', [without, process.execPath, program, veth.near], { encoding: 'utf8' })
    if (done.error) return t.skip('this machine has no setpriv (util-linux)')
    assert.equal(done.status, 0, done.stderr)
    const result = JSON.parse(done.stdout)
    assert.deepEqual([result.inKernel, result.inSoftware.length], [[], 1])
    assert.match(result.reason, /EPERM .*CAP_BPF/)
    assert.match(result.steering, /by flow: .*EPERM/)
  })
})
