// Nanoseconds per packet that the guards of ports cost, in cache, over bursts of 64 through the whole data path with its short cuts and
// without rings: TCP and UDP over IPv4 and IPv6, and ARP. A port without guards costs what it costs where no port has any: the ratio of
// the row "another port's" is about 1.
//
//   node bench/guards.ts [rounds] [--json]
import type { ProtectionProperty } from '../src/ndis/standard-properties.ts'
import { arpRequestFrame, tcpFrame, udpFrame } from '../src/packet/build.ts'
import { parseStandardProperty } from '../src/switch/policies/standard-properties.ts'
import { DataPathHarness, mac } from '../test/support/data-path-harness.ts'

const ROUNDS = Number(process.argv[2] ?? 60) || 60
const WARM_UP_ROUNDS = 16
const BURST = 64
const BURSTS = 300
const GUARDED = 3

const ends = { sourceMac: mac(1), destinationMac: mac(2), source: '10.0.0.1', destination: '10.0.0.2' }
const ends6 = { ...ends, source: 'fd00::1', destination: 'fd00::2' }
const data = new Uint8Array(22)
const frames = Array.from({ length: BURST }, (_, i) => {
  if (i % 16 === 15) return arpRequestFrame(mac(1), '10.0.0.1', '10.0.0.2')
  const pair = i % 4 < 2 ? ends : ends6
  return i % 2 === 0 ? udpFrame(pair, 1000 + i, 1001, data) : tcpFrame(pair, 1000 + i, 443, { data })
})

interface Case {
  readonly name: string
  readonly run: () => void
  best: number
}

/** One switch; `port` of it has `protection`. */
function caseOf(name: string, port: number, protection: unknown): Case {
  const harness = new DataPathHarness({ shortCut: true }).connect(GUARDED)
  const { dataPath, delivery, pool, kernels, ports } = harness
  let taken = 0
  const sink = {
    offloads: 0,
    refusal: 0,
    deliver: (_list: number, count: number) => {
      taken += count
      return count
    },
  }
  for (let each = 1; each <= GUARDED; each++) delivery.setQueues(each, [sink])
  if (protection !== undefined)
    ports.setGuards(port, parseStandardProperty('protection', protection) satisfies ProtectionProperty)
  for (const [slot, bytes] of frames.entries()) harness.fill(slot, 1, bytes)
  kernels.parse(pool.base, 0, BURST)
  const source = {
    receive() {
      pool.destinationCount.fill(0, 0, BURST)
      return BURST
    },
    complete() {},
  }
  return {
    name,
    best: Number.POSITIVE_INFINITY,
    run() {
      taken = 0
      for (let k = 0; k < BURSTS; k++) dataPath.turn(source, 1)
      if (taken < BURST * BURSTS) throw new Error(`"${name}" dropped a packet of the benchmark`)
    },
  }
}

const source = ['10.0.0.1', 'fd00::1']
const everything = { dhcpGuard: true, routerGuard: true, sourceGuard: source, stormLimit: 1_000_000 }
const NONE = 'none'
const cases = [
  caseOf(NONE, 1, undefined),
  caseOf("another port's", GUARDED, everything),
  caseOf('dhcpGuard', 1, { dhcpGuard: true }),
  caseOf('routerGuard', 1, { routerGuard: true }),
  caseOf('sourceGuard', 1, { sourceGuard: source }),
  caseOf('dhcpGuard, routerGuard, sourceGuard', 1, { ...everything, stormLimit: 0 }),
]
for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++)
  for (const one of cases) {
    const before = process.hrtime.bigint()
    one.run()
    const ns = Number(process.hrtime.bigint() - before) / (BURSTS * BURST)
    if (round >= WARM_UP_ROUNDS) one.best = Math.min(one.best, ns)
  }
const none = cases.find(({ name }) => name === NONE)!.best
const rows = Object.fromEntries(
  cases.map(({ name, best }) => [
    name,
    { ns: Number(best.toFixed(1)), more: Number((best - none).toFixed(1)), ratio: Number((best / none).toFixed(3)) },
  ]),
)
if (process.argv.includes('--json')) console.log(JSON.stringify(rows))
else console.table(rows)
