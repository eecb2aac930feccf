import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { DataHalf } from '../../../test/support/data-half.ts'
import { type DriverOptions, GUEST_BYTES, IgbvfDriver } from '../../../test/support/igbvf-driver.ts'
import * as r from '../../adapter/igbvf/registers.ts'
import {
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  P_PROTOCOL,
  PF_DATA_VALID,
  PF_DROPPED,
  REASON_BAD_CHAIN,
  REASON_BAD_OFFLOAD,
} from '../../kernels/layout.ts'
import { DropReason } from '../../ndis/drop-reasons.ts'
import { testFrame } from '../compliance-frames.ts'
import { VfEndpoint } from './control.ts'

const path = join(mkdtempSync(join(tmpdir(), 'vfr-')), 's')
const MAC = '02:00:00:00:00:01'
const DATA = r.TX_TYPE_DATA | r.TX_EXTENDED
const LAST = r.TX_EOP | r.TX_RS

let half: DataHalf
let control: VfEndpoint
let driver: IgbvfDriver

beforeEach(async () => {
  half = new DataHalf()
  control = new VfEndpoint({ port: 1, path, mac: MAC, mtu: 9000, trusted: true, requireSeals: true }, half)
  await control.open()
  driver = IgbvfDriver.connect(path)
})

afterEach(async () => {
  driver.close()
  await control.close()
  half.close()
})

async function setUp(options: DriverOptions = {}): Promise<void> {
  await driver.setUp({ maxFrame: 9022, ...options })
  await driver.mail(r.VF_SET_PROMISCUOUS | (6 << 16))
}

/** An Ethernet frame with an IPv4 header and `rest` behind it, to us. */
function ipv4(protocol: number, rest: Uint8Array): Buffer {
  const frame = Buffer.alloc(34 + rest.length)
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], 0)
  frame.set([0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 14)
  frame.set(rest, 34)
  return frame
}

const context = (word0: number, word2: number, word3: number): number[] => [
  word0,
  0,
  word2 | r.TX_TYPE_CONTEXT | r.TX_EXTENDED,
  word3,
]
const faults = (): { transmit: string; receive: string } => control.describe().faults as { transmit: string; receive: string }
const counters = (): Record<string, number> => control.describe().counters as Record<string, number>
const takeOne = async (): Promise<(typeof half.inbox)[number]> => {
  await half.until(() => half.inbox.length > 0, 'a frame')
  return half.inbox.shift()!
}

describe('transmit', () => {
  test('a frame in many descriptors is one frame, and reports where it was asked to', async () => {
    await setUp()
    const frame = testFrame(3000, 5)
    new Uint8Array(driver.view.buffer).set(frame, driver.txBuffer(0))
    const cuts = [0, 20, 20, 130, 1000, 3000]
    driver.post(
      ...cuts.slice(1).map((end, i) => {
        const start = cuts[i]!
        return [driver.txBuffer(0) + start, 0, (end - start) | DATA | (end === 3000 ? LAST : 0), 0]
      }),
    )
    assert.deepEqual((await takeOne()).bytes, frame)
    driver.reap()
    assert.equal(await driver.read(r.TDH), driver.txTail)
    assert.ok(driver.signalled(0), 'the transmit vector')
  })

  test('the doorbell wakes a processor that sleeps, each time, and leaves nothing behind', async () => {
    await setUp()
    const queue = half.queue()
    for (let n = 0; n < 3; n++) {
      assert.equal(queue.arm(half.epoll), false)
      driver.send(testFrame(100, n))
      control.poll()
      assert.ok(half.epoll.wait(10_000) > 0, 'woken')
      queue.disarm(half.epoll)
      assert.equal((await takeOne()).bytes.length, 100)
    }
    driver.send(testFrame(100, 9))
    control.poll()
    assert.equal(queue.arm(half.epoll), true, 'work that came before it slept')
    assert.equal((await takeOne()).bytes.length, 100)
    queue.disarm(half.epoll)
    assert.equal(half.epoll.wait(0), 0)
  })

  test('a VLAN tag is inserted from the context, behind the addresses', async () => {
    await setUp()
    driver.post(context(0x2007 << 16, 0, 0))
    const frame = testFrame(200, 1)
    driver.send(frame, r.TX_VLAN)
    const { bytes } = await takeOne()
    assert.deepEqual(bytes, Buffer.concat([frame.subarray(0, 12), Buffer.from([0x81, 0, 0x20, 7]), frame.subarray(12)]))
  })

  test('a short frame is padded to 60 bytes with zeros', async () => {
    await setUp()
    driver.send(testFrame(42, 1).fill(0xee, 14))
    const { bytes } = await takeOne()
    assert.equal(bytes.length, 60)
    assert.ok(bytes.subarray(42).every((octet) => octet === 0))
  })

  test('a checksum request travels on as a need, the IP checksum is computed', async () => {
    await setUp()
    driver.post(context((14 << 9) | 20, r.CONTEXT_IPV4 | (r.CONTEXT_L4_TCP << r.CONTEXT_L4_SHIFT), 20 << 8))
    driver.send(ipv4(6, Buffer.alloc(40, 1)), 0, r.TX_OPTION_L4_CHECKSUM | r.TX_OPTION_IP_CHECKSUM)
    const { needs, vnet, bytes } = await takeOne()
    assert.equal(needs, OFFLOAD_CHECKSUM)
    assert.deepEqual([vnet[0], vnet.readUInt16LE(6), vnet.readUInt16LE(8)], [1, 34, 16])
    let sum = 0
    for (let at = 14; at < 34; at += 2) sum += bytes.readUInt16BE(at)
    assert.equal((sum & 0xffff) + (sum >>> 16), 0xffff)
  })

  test('a legacy descriptor asks for its checksum by offsets', async () => {
    await setUp()
    const frame = ipv4(17, Buffer.alloc(30, 2))
    new Uint8Array(driver.view.buffer).set(frame, driver.txBuffer(0))
    driver.post([driver.txBuffer(0), 0, frame.length | (40 << 16) | r.TX_LEGACY_CHECKSUM | LAST, 34 << 8])
    const { needs, vnet } = await takeOne()
    assert.equal(needs, OFFLOAD_CHECKSUM)
    assert.deepEqual([vnet.readUInt16LE(6), vnet.readUInt16LE(8)], [34, 6])
  })

  test('a super-frame gets its IP length, its checksum base and its segment size', async () => {
    await setUp()
    const tcp = Buffer.alloc(20 + 5000, 3)
    tcp[12] = 0x50
    tcp[13] = 0x10
    tcp.writeUInt16BE(0x1111, 16)
    driver.post(
      context((14 << 9) | 20, r.CONTEXT_IPV4 | (r.CONTEXT_L4_TCP << r.CONTEXT_L4_SHIFT), ((1448 << 16) | (20 << 8)) >>> 0),
    )
    driver.send(ipv4(6, tcp), r.TX_TSO, r.TX_OPTION_L4_CHECKSUM | r.TX_OPTION_IP_CHECKSUM)
    const { needs, vnet, bytes } = await takeOne()
    assert.equal(needs, OFFLOAD_CHECKSUM | OFFLOAD_TSO4)
    assert.deepEqual([vnet[1], vnet.readUInt16LE(2), vnet.readUInt16LE(4)], [1, 54, 1448])
    assert.equal(bytes.readUInt16BE(16), 20 + tcp.length)
    assert.equal(bytes.readUInt16BE(50), 0x1111 + tcp.length)
  })

  test('requests that make no sense are dropped with a reason, and counted', async () => {
    await setUp()
    const ask = (lengths: number, kinds: number, sizes: number, command: number, options: number) => {
      driver.post(context(lengths, kinds, sizes))
      driver.send(ipv4(6, Buffer.alloc(300, 1)), command, options)
    }
    const tcp = r.CONTEXT_IPV4 | (r.CONTEXT_L4_TCP << r.CONTEXT_L4_SHIFT)
    ask((14 << 9) | 20, tcp, 20 << 8, r.TX_TSO, 0) // no segment size
    ask((127 << 9) | 511, tcp, ((100 << 16) | (20 << 8)) >>> 0, r.TX_TSO, 0) // headers beyond the frame
    ask((14 << 9) | 2, tcp, ((100 << 16) | (20 << 8)) >>> 0, r.TX_TSO, 0) // an IP header of two bytes
    ask((14 << 9) | 20, 2 << r.CONTEXT_L4_SHIFT, 0, 0, r.TX_OPTION_L4_CHECKSUM) // SCTP
    ask((127 << 9) | 511, tcp, 0, 0, r.TX_OPTION_L4_CHECKSUM) // a sum beyond the frame
    await half.until(() => half.inbox.length === 5, 'five drops')
    for (const { flags, reason } of half.inbox) assert.deepEqual([flags & PF_DROPPED, reason], [PF_DROPPED, REASON_BAD_OFFLOAD])
  })

  test('addresses outside the guest memory become drops, and the ring goes on', async () => {
    await setUp()
    for (const [low, high, bytes] of [
      [GUEST_BYTES - 10, 0, 100],
      [0, 1, 100],
      [0xffff_ffff, 0xffff_ffff, 100],
    ] as const)
      driver.post([low, high, bytes | DATA | LAST, 0])
    driver.post([0, 0, 0 | DATA | LAST, 0])
    driver.send(testFrame(100, 1))
    await half.until(() => half.inbox.length === 5, 'four drops and a frame')
    assert.deepEqual(
      half.inbox.slice(0, 3).map(({ reason }) => reason),
      [REASON_BAD_CHAIN, REASON_BAD_CHAIN, REASON_BAD_CHAIN],
    )
    assert.deepEqual(half.inbox[4]!.bytes, testFrame(100, 1))
    assert.equal(counters().transmitDropped, 4)
  })

  test('a packet whose last descriptor is not written yet waits for it', async () => {
    await setUp()
    const frame = testFrame(300, 2)
    new Uint8Array(driver.view.buffer).set(frame, driver.txBuffer(0))
    driver.post([driver.txBuffer(0), 0, 100 | DATA, 0])
    await driver.read(r.STATUS)
    assert.equal(half.take(), 0)
    driver.post([driver.txBuffer(0) + 100, 0, 200 | DATA | LAST, 0])
    assert.deepEqual((await takeOne()).bytes, frame)
  })

  test('a packet that never ends stops the ring until the driver resets it, and says so', async () => {
    await setUp({ ringSize: 128 })
    driver.post(...Array.from({ length: 100 }, () => [driver.txBuffer(0), 0, 10 | DATA, 0]))
    await half.until(() => half.told.some(({ code }) => code === 'ring-stopped'), 'the alarm')
    assert.match(faults().transmit, /more descriptors/)
    assert.equal(half.take(), 0)
    await driver.startRings()
    driver.send(testFrame(64, 1))
    assert.equal((await takeOne()).bytes.length, 64)
  })

  test('impossible bases, lengths, heads and tails stop the ring, never the switch', async () => {
    await setUp()
    for (const [register, value] of [
      [r.TDLEN, 0],
      [r.TDLEN, 100],
      [r.TDLEN, 0xffff_ff80],
      [r.TDBAH, 7],
      [r.TDBAL, GUEST_BYTES - 16],
      [r.TDBAL, 0x1_0008],
      [r.TDT, 64],
      [r.TDT, 0xffff_ffff],
      [r.TDH, 1000],
    ] as const) {
      await driver.startRings()
      driver.write(register, value)
      if (register !== r.TDT) driver.write(r.TDT, 5)
      await driver.read(r.STATUS)
      assert.equal(half.take(), 0)
      assert.notEqual(faults().transmit, 'none', `register 0x${register.toString(16)} = ${value}`)
    }
    await driver.startRings()
    driver.send(testFrame(64, 3))
    assert.equal((await takeOne()).bytes.length, 64)
  })
})

describe('receive', () => {
  test('a tagged frame comes untagged with its tag beside it, if the guest asked for the VLAN', async () => {
    await setUp()
    const frame = testFrame(200, 1)
    const tagged = Buffer.concat([frame.subarray(0, 12), Buffer.from([0x81, 0, 0x60, 9]), frame.subarray(12)])
    assert.equal(half.deliver([tagged]), 1)
    assert.equal(driver.receive(), null)
    assert.equal(counters().filtered, 1)
    await driver.mail(r.VF_SET_VLAN | (1 << 16), 9)
    assert.equal(half.deliver([tagged]), 1)
    const got = driver.receive()!
    assert.deepEqual(got.frame, frame)
    assert.deepEqual([got.tag, got.status & r.RX_VLAN_STRIPPED], [0x6009, r.RX_VLAN_STRIPPED])
    assert.ok(driver.signalled(1), 'the receive vector')
  })

  test('headers are split, and a jumbo frame fills several buffers', async () => {
    await setUp({ srrctl: ((r.RX_TYPE_SPLIT_ALWAYS << r.SRRCTL_TYPE_SHIFT) | (2 << r.SRRCTL_HEADER_SHIFT) | 2) >>> 0 })
    const frames = [testFrame(100, 1), testFrame(129, 2), testFrame(9000, 3)]
    assert.equal(half.deliver(frames, { segments: 3 }), 3)
    for (const frame of frames) {
      const got = driver.receive()!
      assert.deepEqual(got.frame, frame)
      assert.equal(got.header, Math.min(128, frame.length))
    }
  })

  test('a checksum that is known to be right is reported as good, others are left to the guest', async () => {
    await setUp()
    const good = r.RX_TCP_CHECKSUM_GOOD | r.RX_UDP_CHECKSUM_GOOD
    for (const [protocol, flags, status] of [
      [6, PF_DATA_VALID, r.RX_TCP_CHECKSUM_GOOD],
      [17, PF_DATA_VALID, r.RX_UDP_CHECKSUM_GOOD],
      [1, PF_DATA_VALID, 0],
      [6, 0, 0],
    ] as const) {
      half.memory.u8[half.context.pool + P_PROTOCOL] = protocol
      assert.equal(half.deliver([testFrame(100, 1)], { flags }), 1)
      assert.equal(driver.receive()!.status & good, status)
    }
  })

  test('legacy descriptors are written back as such', async () => {
    await setUp({ srrctl: 2 })
    half.deliver([testFrame(300, 4)])
    const at = 0x2_0000
    assert.equal(driver.view.getUint32(at + 8, true), 300)
    assert.equal(driver.view.getUint32(at + 12, true), r.RX_DONE | r.RX_EOP)
  })

  test('a frame longer than the guest said is refused', async () => {
    await setUp({ maxFrame: 1522 })
    assert.equal(half.deliver([testFrame(1519, 1), testFrame(1518, 2)]), 1)
    assert.equal(half.queue().refusal, DropReason.receiveBufferTooSmall)
    assert.equal(driver.receive()?.frame.length, 1518)
  })

  test('without free descriptors frames are refused and counted', async () => {
    await setUp({ ringSize: 8 })
    const frames = Array.from({ length: 10 }, (_, i) => testFrame(100, i))
    assert.equal(half.deliver(frames), 7)
    assert.equal(half.queue().refusal, DropReason.receiveBufferFull)
    for (let i = 0; i < 7; i++) assert.deepEqual(driver.receive()?.frame, frames[i])
  })

  test('a processor that sleeps is woken for an interrupt that waits for its interval', async () => {
    await setUp()
    const longest = 8000
    driver.write(r.EITR0 + 4, longest << r.EITR_SHIFT)
    // On a machine that is slow the interval may be over before the next frame comes: then again.
    for (let told = true; told; told = driver.signalled(1)) {
      driver.write(r.EIMS, 7)
      await driver.read(r.STATUS)
      assert.equal(half.deliver([testFrame(100, 1)]), 1)
    }
    const queue = half.queue()
    for (let asleep = false; !asleep && !driver.signalled(1); ) {
      asleep = !queue.arm(half.epoll)
      if (asleep) assert.ok(half.epoll.wait(10_000) > 0, 'woken')
      queue.disarm(half.epoll)
      queue.receive(0, 1)
      asleep &&= driver.signalled(1)
    }
    assert.equal(queue.arm(half.epoll), false)
    assert.equal(half.epoll.wait(0), 0, 'nothing is left to wake it')
    queue.disarm(half.epoll)
  })

  test('a buffer outside the guest memory, or in memory given for reading, stops the ring', async () => {
    await setUp()
    driver.view.setUint32(0x2_0000, GUEST_BYTES - 50, true)
    assert.equal(half.deliver([testFrame(100, 1)]), 0)
    assert.match(faults().receive, /buffer/)
    await driver.startRings()
    await driver.tell(2, IgbvfDriver.dmaMap(0x1000_0000, 65536, 1), [driver.memory])
    driver.view.setUint32(0x2_0000, 0x1000_0000, true)
    const before = driver.view.getUint32(0, true)
    assert.equal(half.deliver([testFrame(100, 1)]), 0)
    assert.equal(driver.view.getUint32(0, true), before)
    assert.match(faults().receive, /buffer/)
  })

  test('nothing is delivered after a reset, an unmap, or without bus mastering', async () => {
    await setUp()
    driver.write(r.CTRL, r.CTRL_RST)
    await driver.read(r.STATUS)
    assert.equal(half.deliver([testFrame(100, 1)]), 0)
    assert.equal(half.queue().refusal, DropReason.linkDown)
    await driver.startRings()
    await driver.writeConfig(4, Uint8Array.of(2, 0))
    assert.equal(half.deliver([testFrame(100, 1)]), 0)
    await driver.writeConfig(4, Uint8Array.of(6, 0))
    const unmap = Buffer.alloc(24)
    unmap.writeUInt32LE(24, 0)
    unmap.writeUInt32LE(2, 4)
    await driver.tell(3, unmap)
    assert.equal(half.deliver([testFrame(100, 1)]), 0)
    assert.match(faults().receive, /not in the memory/)
  })
})
