import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { V_ASLEEP, V_DEFERRED, V_RUN, V_UNICAST, VF_BLOCK_BYTES } from './block.ts'
import { CONFIG_BYTES, DEVICE_ID, VENDOR_ID } from './config-space.ts'
import { INTERVAL_MAX_MS } from './moderation.ts'
import type { ResetCause, VfFilterState, VfOwner } from './owner.ts'
import * as r from './registers.ts'
import { VirtualFunction } from './virtual-function.ts'

const BLOCK = 64
const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1)

interface World {
  readonly vf: VirtualFunction
  readonly signals: number[]
  /** Milliseconds that were asked for. */
  readonly wakes: number[]
  readonly resets: ResetCause[]
  readonly active: boolean[]
  readonly filters: VfFilterState[]
  readonly u32: Uint32Array
  nowMs: number
  /** Sends a mailbox message; returns the three words of the answer. */
  mail(...words: readonly number[]): number[]
}

function world(owner: Partial<VfOwner> = {}): World {
  const buffer = new ArrayBuffer(BLOCK + VF_BLOCK_BYTES)
  const u32 = new Uint32Array(buffer)
  const made = {
    signals: [] as number[],
    wakes: [] as number[],
    resets: [] as ResetCause[],
    active: [] as boolean[],
    filters: [] as VfFilterState[],
    u32,
    nowMs: 1000,
  }
  const vf: VirtualFunction = new VirtualFunction(BLOCK, {
    u8: new Uint8Array(buffer),
    u32,
    i32: new Int32Array(buffer),
    f64: new Float64Array(buffer),
    signal: (fd) => made.signals.push(fd),
    wakeIn: (ms) => made.wakes.push(ms),
    nowMs: () => made.nowMs,
    quiesce: (work) => work(),
    owner: {
      mac: MAC,
      linkUp: true,
      maxFrameBytes: 9022,
      trusted: false,
      allowsMac: (mac) => mac[5] === 1,
      allowsVlan: (vlan) => vlan !== 99,
      wasReset: (cause) => made.resets.push(cause),
      filtersChanged: (filters) => made.filters.push(filters),
      activity: (active) => made.active.push(active),
      ...owner,
    },
  })
  const mail = (...words: readonly number[]): number[] => {
    vf.write(r.V2PMAILBOX, r.MAILBOX_VFU)
    for (const [i, word] of words.entries()) vf.write(r.VMBMEM + 4 * i, word)
    vf.write(r.V2PMAILBOX, r.MAILBOX_REQ)
    return [0, 1, 2].map((i) => vf.read(r.VMBMEM + 4 * i) >>> 0)
  }
  return Object.assign(made, { vf, mail })
}

const macWords = (last: number, first = 2): [number, number] => [first, last << 8]

describe('registers', () => {
  test('a reset by the driver reads back as done and clears the rings, but not the mailbox memory', () => {
    const { vf, resets } = world()
    vf.write(r.VMBMEM, 0x1234)
    vf.write(r.TDLEN, 1024)
    vf.write(r.CTRL, r.CTRL_RST)
    assert.equal(vf.read(r.CTRL), 0)
    assert.equal(vf.read(r.TDLEN), 0)
    assert.equal(vf.read(r.VMBMEM), 0x1234)
    assert.equal(vf.read(r.V2PMAILBOX) & r.MAILBOX_RSTD, r.MAILBOX_RSTD)
    assert.equal(vf.read(r.V2PMAILBOX) & r.MAILBOX_RSTD, 0, 'reading clears it')
    assert.deepEqual(resets, ['driver'])
  })

  test('unknown registers read 0 and take nothing; STATUS is read only', () => {
    const { vf } = world()
    for (const offset of [0x0004, 0x1000, 0x2900, 0x3ffc]) {
      vf.write(offset, 0xffff_ffff)
      assert.equal(vf.read(offset), 0, `0x${offset.toString(16)}`)
    }
    vf.write(r.STATUS, 0)
    assert.equal(vf.read(r.STATUS), r.STATUS_FULL_DUPLEX | r.STATUS_LINK_UP | r.STATUS_SPEED_1000)
  })

  test('both rings on, with a bus and bus mastering, make the function active', () => {
    const { vf, active, u32 } = world()
    vf.write(r.TXDCTL, r.QUEUE_ENABLE)
    vf.write(r.RXDCTL, r.QUEUE_ENABLE)
    assert.deepEqual(active, [])
    vf.attach(true)
    vf.writeConfig(4, Uint8Array.of(6, 0))
    assert.deepEqual(active, [true])
    assert.equal(u32[(BLOCK + V_RUN) >> 2], 1)
    vf.write(r.CTRL, r.CTRL_RST)
    assert.deepEqual(active, [true, false])
  })

  test('below D0 the function reaches no memory, and comes back in D0 (SR-299)', () => {
    const { vf, u32 } = world()
    vf.attach(true)
    vf.writeConfig(4, Uint8Array.of(6, 0))
    for (const state of ['D3', 'D1'] as const) {
      vf.setPowerState(state)
      assert.equal(u32[(BLOCK + V_RUN) >> 2], 0)
    }
    vf.setPowerState('D0')
    assert.equal(u32[(BLOCK + V_RUN) >> 2], 1)
  })
})

describe('interrupts', () => {
  function armed(): World {
    const made = world()
    made.vf.setVectors([10, 11, 12])
    for (const [register, value] of [
      [r.IVAR0, 0x8081],
      [r.IVAR_MISC, 0x82],
      [r.EIAC, 7],
      [r.EIAM, 7],
      [r.EIMS, 7],
    ] as const)
      made.vf.write(register, value)
    return made
  }

  test('a cause is signalled once, masks itself, and fires again when the driver unmasks it', () => {
    const { vf, signals } = armed()
    vf.interrupts.raise(vf.interrupts.receiveCause)
    vf.interrupts.raise(vf.interrupts.receiveCause)
    assert.deepEqual(signals, [11])
    vf.write(r.EIMS, 7)
    assert.deepEqual(signals, [11, 11])
  })

  test('EICS raises as if it had happened, EIMC masks, EICR reads and clears', () => {
    const { vf, signals } = armed()
    vf.write(r.EIMC, 7)
    vf.write(r.EICS, 2)
    assert.deepEqual(signals, [])
    assert.equal(vf.read(r.EICR), 2)
    assert.equal(vf.read(r.EICR), 0)
    vf.write(r.EIMS, 7)
    vf.write(r.EICS, 1)
    assert.deepEqual(signals, [10])
  })

  test('what is raised while a vector has no eventfd is signalled when it gets one', () => {
    const { vf, signals } = armed()
    vf.setVectors([10, -1, 12])
    vf.interrupts.raise(vf.interrupts.receiveCause)
    assert.deepEqual(signals, [])
    vf.setVectors([10, 21, 12])
    assert.deepEqual(signals, [21])
  })

  test('EITR keeps interrupts apart; the deferred one comes when the interval is over', () => {
    const made = armed()
    const { vf, signals, u32 } = made
    vf.write(r.EITR0, 488) // 122 microseconds
    vf.interrupts.raise(1)
    vf.write(r.EIMS, 1)
    made.nowMs += 0.05
    vf.interrupts.raise(1)
    assert.deepEqual(signals, [10])
    assert.equal(u32[(BLOCK + V_DEFERRED) >> 2], 1)
    made.nowMs += 0.1
    vf.interrupts.evaluate()
    assert.deepEqual(signals, [10, 10])
    assert.equal(vf.interrupts.hasDeferred, false)
  })

  test('single small frames that were sent are told together, a full ring or full frames at once', () => {
    const made = armed()
    const { vf, signals, u32 } = made
    const sent = (bytes: number, descriptors = 1, size = 256): void => {
      u32[(BLOCK + r.VFGOTC) >> 2] = u32[(BLOCK + r.VFGOTC) >> 2]! + bytes
      vf.interrupts.transmitted(descriptors, size)
      vf.write(r.EIMS, 7)
      made.nowMs += 0.5
    }
    made.nowMs += 100
    sent(66)
    assert.equal(signals.length, 1, 'the first one after a quiet time')
    sent(66)
    sent(66)
    assert.equal(signals.length, 1)
    assert.ok(vf.interrupts.deferredMs > 0 && vf.interrupts.deferredMs <= INTERVAL_MAX_MS)
    sent(1500, 2)
    sent(1500, 2)
    assert.equal(signals.length, 2)
    sent(66, 16)
    assert.equal(signals.length, 3)
    sent(66, 8, 32)
    assert.equal(signals.length, 4)
    sent(66)
    made.nowMs += INTERVAL_MAX_MS
    vf.interrupts.evaluate()
    assert.equal(signals.length, 5)
    assert.equal(vf.interrupts.deferredMs, Number.POSITIVE_INFINITY)
  })

  test('frames that come in bulk are told in batches, others at once, and at once when the ring runs out', () => {
    const made = armed()
    const { vf, signals, u32 } = made
    const got = (frames: number, low = false): void => {
      u32[(BLOCK + r.VFGPRC) >> 2] = u32[(BLOCK + r.VFGPRC) >> 2]! + frames
      vf.interrupts.received(low)
      vf.write(r.EIMS, 7)
    }
    for (let n = 1; n <= 5; n++) {
      made.nowMs += 0.3
      got(1)
      assert.equal(signals.length, n, 'one by one')
    }
    made.nowMs += 0.2
    got(32)
    assert.equal(signals.length, 6)
    made.nowMs += 0.2
    got(32)
    assert.equal(signals.length, 6, 'now they come in bulk')
    assert.deepEqual(made.wakes, [], 'the processor is awake')
    got(32, true)
    assert.equal(signals.length, 7)
    made.nowMs += 50
    got(1)
    assert.equal(signals.length, 8)
  })

  test('for what is deferred a processor that sleeps is woken when it is due', () => {
    const made = armed()
    const { vf, signals, u32 } = made
    u32[(BLOCK + V_ASLEEP) >> 2] = 1
    vf.write(r.EITR0 + 4, 488) // 122 microseconds
    vf.interrupts.raise(2)
    vf.interrupts.raise(2)
    made.nowMs += 0.02
    vf.write(r.EIMS, 7)
    assert.deepEqual(signals, [11])
    assert.ok(made.wakes.length === 1 && Math.abs(made.wakes[0]! - 0.102) < 1e-6, String(made.wakes))
  })

  test('a link change is told through the mailbox, with CTS, and its own vector', () => {
    const { vf, signals, mail } = armed()
    mail(r.VF_RESET)
    vf.setLink(false)
    assert.equal(vf.read(r.STATUS) & r.STATUS_LINK_UP, 0)
    assert.equal(vf.read(r.VMBMEM), r.PF_CONTROL | r.MESSAGE_CTS)
    assert.deepEqual(signals, [12])
  })
})

describe('mailbox', () => {
  test('a reset message is answered with the address and no CTS', () => {
    const { mail } = world()
    assert.deepEqual(mail(r.VF_RESET), [(r.VF_RESET | r.MESSAGE_ACK) >>> 0, 2, 0x0100])
  })

  test('without an assigned address the answer is a refusal with zeros', () => {
    const { mail } = world({ mac: null })
    assert.deepEqual(mail(r.VF_RESET), [r.VF_RESET | r.MESSAGE_NACK, 0, 0])
  })

  test('before its reset message the guest gets nothing', () => {
    const { mail, filters } = world()
    assert.equal(mail(r.VF_SET_LPE, 1522)[0], r.VF_SET_LPE | r.MESSAGE_NACK)
    assert.deepEqual(filters, [])
  })

  test('every wish is judged by the owner', () => {
    const { mail } = world()
    mail(r.VF_RESET)
    const answered = (...words: number[]) => (mail(...words)[0]! & r.MESSAGE_ACK) !== 0
    assert.equal(answered(r.VF_SET_MAC, ...macWords(1)), true)
    assert.equal(answered(r.VF_SET_MAC, ...macWords(7)), false)
    assert.equal(answered(r.VF_SET_MAC, ...macWords(1, 3)), false, 'a group address')
    assert.equal(answered(r.VF_SET_MAC | (r.MAC_FILTER_CLEAR << 16), 0, 0), true)
    assert.equal(answered(r.VF_SET_VLAN | (1 << 16), 7), true)
    assert.equal(answered(r.VF_SET_VLAN | (1 << 16), 99), false)
    assert.equal(answered(r.VF_SET_LPE, 9022), true)
    assert.equal(answered(r.VF_SET_LPE, 9023), false)
    assert.equal(answered(r.VF_SET_LPE, 0), false)
    assert.equal(answered(r.VF_SET_MULTICAST | (31 << 16)), false)
    assert.equal(answered(r.VF_SET_PROMISCUOUS | (6 << 16)), false, 'not trusted')
    assert.equal(answered(0x77), false)
  })

  test('the argument is echoed, CTS is set, and a trusted guest may listen to everything', () => {
    const { mail, filters } = world({ trusted: true })
    mail(r.VF_RESET)
    assert.equal(
      mail(r.VF_SET_PROMISCUOUS | (6 << 16))[0],
      (r.VF_SET_PROMISCUOUS | (6 << 16) | r.MESSAGE_ACK | r.MESSAGE_CTS) >>> 0,
    )
    assert.deepEqual(filters.at(-1)?.promiscuous, { unicast: true, multicast: true })
  })

  test('at most three further addresses, and a reset forgets them', () => {
    const { mail, vf } = world({ allowsMac: () => true })
    mail(r.VF_RESET)
    const add = (last: number) => (mail(r.VF_SET_MAC | (r.MAC_FILTER_ADD << 16), ...macWords(last))[0]! & r.MESSAGE_ACK) !== 0
    assert.deepEqual([2, 3, 4, 5].map(add), [true, true, true, false])
    assert.equal(vf.filters.describe().addresses.length, 4)
    vf.write(r.CTRL, r.CTRL_RST)
    assert.deepEqual(vf.filters.describe().addresses, ['02:00:00:00:00:01'])
  })
})

describe('filters', () => {
  test('unicast, broadcast, hashed multicast and VLANs', () => {
    const { vf, mail, u32 } = world()
    mail(r.VF_RESET)
    const u8 = new Uint8Array(u32.buffer)
    const takes = (...octets: number[]) => {
      u8.set(octets, 0)
      return vf.filters.takesAddress(0)
    }
    assert.equal(takes(2, 0, 0, 0, 0, 1), true)
    assert.equal(takes(2, 0, 0, 0, 0, 2), false)
    assert.equal(takes(255, 255, 255, 255, 255, 255), true)
    const group = [0x33, 0x33, 0, 0, 0x12, 0x34] as const
    assert.equal(takes(...group), false)
    mail(r.VF_SET_MULTICAST | (1 << 16), ((group[4] >> 4) + (group[5] << 4)) & 0xfff)
    assert.equal(takes(...group), true)
    assert.equal(vf.filters.takesVlan(7), false)
    assert.equal(vf.filters.takesVlan(0), true)
    mail(r.VF_SET_VLAN | (1 << 16), 7)
    assert.equal(vf.filters.takesVlan(7), true)
    assert.equal(u8[BLOCK + V_UNICAST], 2)
  })
})

describe('configuration space', () => {
  const at16 = (vf: VirtualFunction, offset: number): number => {
    const bytes = new Uint8Array(2)
    assert.ok(vf.readConfig(offset, bytes))
    return bytes[0]! | (bytes[1]! << 8)
  }

  test('identity and capabilities are those of the chip (SR-273)', () => {
    const { vf } = world()
    assert.deepEqual([at16(vf, 0), at16(vf, 2)], [VENDOR_ID, DEVICE_ID])
    const found: number[] = []
    for (let at = vf.config.bytes[0x34]!; at !== 0; at = vf.config.bytes[at + 1]!) found.push(vf.config.bytes[at]!)
    assert.deepEqual(found, [0x11, 0x10]) // MSI-X, PCI Express
    assert.deepEqual([at16(vf, 0x100), at16(vf, 0x150)], [0x0001, 0x000e]) // AER, ARI
    assert.equal(at16(vf, 0x72) + 1, r.VECTORS)
  })

  test('writes change what may be written and nothing else', () => {
    const { vf } = world()
    const before = vf.config.bytes.slice()
    for (let at = 0; at < CONFIG_BYTES; at += 4) if (at !== 0xa8) vf.writeConfig(at, Uint8Array.of(255, 255, 255, 255))
    assert.equal(at16(vf, 0), VENDOR_ID)
    assert.equal(at16(vf, 4), 0x0406)
    assert.deepEqual(vf.config.bytes.slice(0x34, 0x38), before.slice(0x34, 0x38))
    assert.deepEqual(vf.config.bytes.slice(0xa4, 0xa8), before.slice(0xa4, 0xa8))
  })

  test('a BAR that is probed gives its size (SR-276, SR-277)', () => {
    const { vf } = world()
    const probed = [0, 1, 2, 3, 4, 5].map((i) => {
      vf.writeConfig(0x10 + 4 * i, Uint8Array.of(255, 255, 255, 255))
      return (at16(vf, 0x10 + 4 * i) | (at16(vf, 0x12 + 4 * i) << 16)) >>> 0
    })
    assert.deepEqual(probed, vf.config.probedBars())
  })

  test('an access beyond its end is refused (SR-268)', () => {
    const { vf } = world()
    assert.equal(vf.readConfig(CONFIG_BYTES - 1, new Uint8Array(2)), false)
    assert.equal(vf.writeConfig(CONFIG_BYTES, Uint8Array.of(1)), false)
    assert.equal(vf.writeConfig(-1, Uint8Array.of(1)), false)
  })

  test('a function-level reset empties rings and configuration and reads back as done (SR-297)', () => {
    const { vf, resets } = world()
    vf.writeConfig(4, Uint8Array.of(6, 0))
    vf.write(r.TDLEN, 1024)
    vf.writeConfig(0xa9, Uint8Array.of(0x80))
    assert.deepEqual(resets, ['function-level'])
    assert.equal(vf.read(r.TDLEN), 0)
    assert.equal(at16(vf, 4), 0)
    assert.equal(at16(vf, 0xa8) & 0x8000, 0)
  })
})
