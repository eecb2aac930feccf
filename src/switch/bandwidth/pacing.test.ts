import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataPathHarness } from '../../../test/support/data-path-harness.ts'
import { BURST_MAX } from '../../kernels/layout.ts'
import type { BandwidthProperty } from '../../ndis/standard-properties.ts'
import { BandwidthCounter, BandwidthTable, bandwidthTableBytes } from './bandwidth-table.ts'
import { DeliveryLimits } from './delivery-limits.ts'
import { PortPacer, RingPace } from './port-pacer.ts'

const PORTS = 16
const UPLINK = 15
const MBIT = 1e6
const GBIT = 1e9
const { pool } = new DataPathHarness()
const slots = Uint16Array.from({ length: BURST_MAX }, (_, slot) => slot)

/** A ring whose guest has frames of these sizes, in a circle, without end while it is greedy. */
interface Ring {
  readonly pace: RingPace
  readonly processor: number
  readonly sizes: readonly number[]
  /** Bytes per microsecond that the guest offers. */
  readonly offered: number
  readonly toUplink: boolean
  isGone: boolean
  next: number
  bytes: number
  offeredBytes: number
}

/** A switch in virtual time: processors that look at their rings every few microseconds, and sometimes sleep. */
class Simulation {
  readonly table = new BandwidthTable(new SharedArrayBuffer(bandwidthTableBytes(PORTS)), 0, PORTS)
  nowUs = 0
  readonly #pacers = [new PortPacer(this.table, pool), new PortPacer(this.table, pool)]
  readonly #limits = new DeliveryLimits(this.table, pool, () => this.nowUs / 1000)
  readonly #rings: Ring[] = []
  readonly #pauses: readonly number[]
  #step = 0

  constructor(pauses: readonly number[] = [3, 7, 2, 11]) {
    this.#pauses = pauses
  }

  set(port: number, settings: BandwidthProperty): this {
    this.table.set(port, settings)
    return this
  }

  ring(port: number, options: Partial<Pick<Ring, 'processor' | 'sizes' | 'offered' | 'toUplink'>> = {}): Ring {
    const index = this.#rings.filter(({ pace }) => pace.port === port).length
    const pace = new RingPace(port, index)
    const ring = {
      pace,
      processor: 0,
      sizes: [1514],
      offered: Number.POSITIVE_INFINITY,
      toUplink: false,
      ...options,
      isGone: false,
      next: 0,
      bytes: 0,
      offeredBytes: 0,
    }
    this.#rings.push(ring)
    return ring
  }

  run(us: number): void {
    const end = this.nowUs + us
    while (this.nowUs < end) {
      const pause = this.#pauses[this.#step++ % this.#pauses.length]!
      this.nowUs += pause
      for (const ring of this.#rings) {
        if (ring.isGone) continue
        ring.offeredBytes += pause * ring.offered
        this.#look(ring)
      }
    }
  }

  /** Bits per second that each ring had for `us` microseconds, once what had been saved up is used up. */
  rates(us: number): number[] {
    this.run(us / 4)
    const before = this.#rings.map(({ bytes }) => bytes)
    const began = this.nowUs
    this.run(us)
    return this.#rings.map(({ bytes }, i) => ((bytes - before[i]!) * 8e6) / (this.nowUs - began))
  }

  #look(ring: Ring): void {
    const pacer = this.#pacers[ring.processor]!
    const { port } = ring.pace
    const room = pacer.concerns(port) ? pacer.room(ring.pace, this.nowUs) : BURST_MAX
    if (room === 0) return
    let taken = 0
    let burst = 0
    for (; taken < room; taken++) {
      const size = ring.sizes[ring.next % ring.sizes.length]!
      if (ring.bytes + burst + size > ring.offeredBytes) break
      pool.length[taken] = size
      pool.needs[taken] = 0
      pool.sourcePort[taken] = port
      burst += size
      ring.next++
    }
    if (pacer.concerns(port)) pacer.took(ring.pace, 0, taken, room)
    ring.bytes += burst
    if (ring.toUplink && taken > 0 && this.#limits.concerns(UPLINK)) this.#limits.apply(slots.slice(), 0, taken, UPLINK)
  }
}

const isNear = (actual: number, wanted: number, tolerance: number, what: string): void =>
  assert.ok(
    Math.abs(actual - wanted) <= wanted * tolerance,
    `${what}: ${(actual / MBIT).toFixed(3)} Mbit/s, not ${wanted / MBIT}`,
  )

for (const rate of [10 * MBIT, 100 * MBIT, GBIT, 10 * GBIT])
  test(`a maximum of ${rate / MBIT} Mbit/s is kept within 3 %, whatever the frames are`, () => {
    const sizes = fc.oneof(
      fc.constantFrom([60], [1514], [65_549], [60, 65_549], [9014, 60, 60, 1514]),
      fc.array(fc.integer({ min: 60, max: 65_549 }), { minLength: 1, maxLength: 20 }),
    )
    const pauses = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2000 })), {
      minLength: 1,
      maxLength: 10,
    })
    const us = Math.max(20_000, (20 * 65_549 * 8e6) / rate) // long enough that one frame more or less is no error
    fc.assert(
      fc.property(sizes, pauses, (frames, looks) => {
        // What is looked at too seldom to get so many bursts done is no matter of pacing.
        const mean = looks.reduce((sum, pause) => sum + pause, 0) / looks.length
        const burst = Math.min(BURST_MAX, Math.max(1, Math.floor(((rate / 8) * 0.25) / 65_562)))
        const bytesPerLook = (frames.reduce((sum, size) => sum + size, 0) / frames.length) * burst
        fc.pre((bytesPerLook * 8e6) / mean > 2 * rate && Math.max(...looks) * 4 < 20_000)
        const simulation = new Simulation(looks).set(1, { maximumBandwidth: rate })
        simulation.ring(1, { sizes: frames })
        simulation.run(((2 * 65_562 + 64 * 65_562) * 8e6) / rate / 8)
        isNear(simulation.rates(us * 4)[0]!, rate, 0.03, `frames of ${frames.join()}, looks after ${looks.join()}`)
      }),
      { numRuns: rate > GBIT ? 12 : 25 },
    )
  })

test('a burst after a silence is bounded', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(10 * MBIT, 100 * MBIT, GBIT, 10 * GBIT),
      fc.constantFrom([60], [1514], [65_549]),
      (rate, sizes) => {
        const simulation = new Simulation([1]).set(1, { maximumBandwidth: rate })
        const ring = simulation.ring(1, { sizes })
        simulation.run(100)
        const depth = Math.max(2 * 65_562, (rate / 8) * 0.02)
        const most = depth + (rate / 8) * 100e-6 + 2 * 65_562
        assert.ok(ring.bytes <= most, `${ring.bytes} of ${most} bytes`)
      },
    ),
  )
})

test('long frames behind short ones are a surprise that is paid for, and not larger than a quarter of a second', () => {
  const simulation = new Simulation([1]).set(1, { maximumBandwidth: 100 * MBIT })
  const ring = simulation.ring(1, {
    sizes: [...Array.from({ length: 20_000 }, () => 60), ...Array.from({ length: 5000 }, () => 65_549)],
  })
  simulation.run(2e6)
  assert.ok(ring.bytes <= 1.25e7 * 2 + 250_000 + 3_125_000 + 65_562)
  isNear(simulation.rates(2e6)[0]!, 100 * MBIT, 0.03, 'afterwards')
})

test('rings of one port on two processors share its maximum alike', () => {
  for (const [pauses, tolerance] of [
    [[3, 20, 200], 0.06],
    [[3, 7], 0.06],
    [[3, 50, 1000], 0.5],
  ] as const) {
    const simulation = new Simulation(pauses).set(1, { maximumBandwidth: GBIT })
    for (const processor of [0, 0, 1, 1]) simulation.ring(1, { processor })
    const rates = simulation.rates(2e6)
    isNear(
      rates.reduce((sum, rate) => sum + rate, 0),
      GBIT,
      0.03,
      'all',
    )
    for (const rate of rates) isNear(rate, GBIT / 4, tolerance, `one, looks after ${pauses.join()}`)
  }
})

test('a ring that is gone while it waited does not stop the others of its port', () => {
  const simulation = new Simulation([3, 7]).set(1, { maximumBandwidth: GBIT })
  const rings = [0, 1].map((processor) => simulation.ring(1, { processor }))
  simulation.run(200_000)
  Object.assign(rings[0]!, { isGone: true })
  isNear(simulation.rates(2e6)[1]!, GBIT, 0.03, 'the other one')
})

test('a ring of a port may have what its others do not use', () => {
  const simulation = new Simulation().set(1, { maximumBandwidth: GBIT })
  for (const offered of [0, Number.POSITIVE_INFINITY, 0, 0]) simulation.ring(1, { offered })
  isNear(simulation.rates(1e6)[1]!, GBIT, 0.03, 'the busy one')
})

test('a limited port leaves others alone, and a port below its maximum never waits', () => {
  const simulation = new Simulation([5]).set(1, { maximumBandwidth: 10 * MBIT }).set(2, { maximumBandwidth: GBIT })
  simulation.ring(1)
  simulation.ring(2, { offered: 50 }) // 400 Mbit/s
  simulation.ring(3, { offered: 300 })
  const [, below, free] = simulation.rates(1e6)
  isNear(below!, 400 * MBIT, 0.01, 'below its maximum')
  isNear(free!, 2400 * MBIT, 0.01, 'without one')
  assert.equal(simulation.table.counted(2, BandwidthCounter.waitedUs), 0)
  assert.ok(simulation.table.counted(1, BandwidthCounter.waitedUs) > 900_000)
})

test('another rate holds from the moment on at which it is set', () => {
  const simulation = new Simulation().set(1, { maximumBandwidth: 64_000 })
  simulation.ring(1)
  simulation.run(1e6)
  for (const rate of [GBIT, 20 * MBIT, 5 * GBIT]) {
    simulation.set(1, { maximumBandwidth: rate })
    simulation.run(200_000)
    isNear(simulation.rates(500_000)[0]!, rate, 0.03, 'now')
  }
  simulation.table.set(1, undefined)
  assert.equal(simulation.table.isOn, false)
})

const uplink = (capacity = GBIT): Simulation => {
  const simulation = new Simulation([3, 11, 200])
  simulation.table.setUplink(UPLINK, 0)
  simulation.table.setSwitch({ capacity })
  return simulation
}

test('weights share the uplink in proportion within 3 %', () => {
  for (const capacity of [10 * MBIT, 100 * MBIT, GBIT, 10 * GBIT]) {
    const simulation = uplink(capacity).set(1, { minimumBandwidthWeight: 10 }).set(2, { minimumBandwidthWeight: 30 })
    simulation.ring(1, { toUplink: true, sizes: [1514] })
    simulation.ring(2, { toUplink: true, sizes: [65_549, 60], processor: 1 })
    const [one, three] = simulation.rates(capacity < GBIT ? 2e7 : 1e6)
    isNear(one!, capacity / 4, 0.03, `a quarter of ${capacity}`)
    isNear(three!, (capacity * 3) / 4, 0.03, `three of ${capacity}`)
  }
})

test('a reservation holds beside greedy neighbours', () => {
  const simulation = uplink().set(1, { minimumBandwidthAbsolute: 600 * MBIT })
  simulation.table.setSwitch({ capacity: GBIT, defaultFlowMinimumBandwidthWeight: 90 })
  simulation.ring(1, { toUplink: true })
  for (const port of [2, 3, 4]) simulation.ring(port, { toUplink: true, processor: port & 1 })
  const [reserved, ...others] = simulation.rates(1e6)
  // 600 Mbit/s, and a tenth of the other 400.
  isNear(reserved!, 640 * MBIT, 0.03, 'reserved')
  isNear(
    others.reduce((sum, rate) => sum + rate, 0),
    360 * MBIT,
    0.03,
    'the default flow',
  )
  for (const rate of others) isNear(rate, 120 * MBIT, 0.03, 'one of it')
})

test('reservations of more than the uplink takes are cut alike, and one that is not used leaves the others theirs', () => {
  const simulation = uplink()
    .set(1, { minimumBandwidthAbsolute: 600 * MBIT })
    .set(2, { minimumBandwidthAbsolute: 900 * MBIT })
  const first = simulation.ring(1, { toUplink: true })
  simulation.ring(2, { toUplink: true, processor: 1 })
  simulation.ring(3, { toUplink: true })
  const [six, nine, none] = simulation.rates(1e6)
  isNear(six!, 400 * MBIT, 0.03, 'two fifths')
  isNear(nine!, 600 * MBIT, 0.03, 'three fifths')
  assert.ok(none! < 30 * MBIT, 'nothing is left for the default flow')
  Object.assign(first, { offered: 1.25 }) // 10 Mbit/s
  first.offeredBytes = first.bytes
  const [few, rest, others] = simulation.rates(1e6)
  isNear(few!, 10 * MBIT, 0.03, 'what it sends')
  assert.ok(rest! >= 900 * MBIT * 0.97 && rest! + few! + others! <= GBIT * 1.03, `${rest} and ${others}`)
})

test('what a share does not use goes to the others, and comes back when it is wanted', () => {
  const simulation = uplink()
    .set(1, { minimumBandwidthAbsolute: 600 * MBIT })
    .set(2, { minimumBandwidthWeight: 1 })
  const first = simulation.ring(1, { toUplink: true, offered: 12.5 }) // 100 Mbit/s
  simulation.ring(2, { toUplink: true })
  const [few, rest] = simulation.rates(1e6)
  isNear(few!, 100 * MBIT, 0.01, 'what it sends')
  isNear(rest!, 900 * MBIT, 0.03, 'the rest')
  Object.assign(first, { offered: Number.POSITIVE_INFINITY, offeredBytes: Number.POSITIVE_INFINITY })
  assert.ok(simulation.rates(1e6)[0]! >= 600 * MBIT * 0.97)
})

test('what does not go to the uplink is charged to no share', () => {
  const simulation = uplink(10 * MBIT)
  simulation.ring(1, { offered: 100 })
  simulation.ring(2, { toUplink: true })
  const [between, out] = simulation.rates(4e6)
  isNear(out!, 10 * MBIT, 0.03, 'out')
  assert.equal(simulation.table.counted(1, BandwidthCounter.uplink), 0)
  assert.ok(between! >= 0)
})

test('a switch without a known capacity shares nothing, and mode none nothing but a capacity', () => {
  const { table } = new Simulation()
  table.set(1, { minimumBandwidthWeight: 5 })
  assert.equal(table.shared, 0)
  table.setUplink(UPLINK, 10 * GBIT)
  assert.equal(table.shared, 10 * GBIT)
  table.set(UPLINK, { maximumBandwidth: GBIT })
  assert.equal(table.shared, GBIT)
  table.set(UPLINK, undefined)
  table.set(1, undefined)
  assert.equal(table.shared, 0)
  table.setSwitch({ capacity: 2 * GBIT, minimumBandwidthMode: 'none' })
  assert.equal(table.shared, 2 * GBIT)
  table.clear(UPLINK)
  assert.equal(table.isOn, false)
})
