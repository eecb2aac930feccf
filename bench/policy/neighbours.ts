// What the ports of a switch pay for the policies of another one: bursts of 64 TCP and UDP packets from one port to another through the whole
// data path, with its short cuts and without rings, while a third port has a policy that does not concern them.
//
// The rule it must not break: all cases send the same packets, and are measured in turn.
import type { AclProperty, ExtendedAclProperty, ProtectionProperty } from '../../src/ndis/standard-properties.ts'
import { tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { compileAcls } from '../../src/switch/acl/acl-plan.ts'
import { parseStandardProperty } from '../../src/switch/policies/standard-properties.ts'
import { MonitorMode, VlanMode } from '../../src/switch/port-table.ts'
import { DataPathHarness, mac } from '../../test/support/data-path-harness.ts'
import type { BenchResult, Floor } from '../benchmark.ts'
import { median, rounded } from '../support/statistics.ts'

const BURST = 64
const BURSTS = 300
const WARM_UP_ROUNDS = 10
const SENDER = 1
const RECEIVER = 2
const OTHER = 3
const MONITOR = 4
const PORTS = 4
const RATIO = 'unused_policy'
/** What runs on other processors and in caches moves a ratio by some hundredths. */
const RATIO_MAX = 1.1

type Policy = (harness: DataPathHarness) => void

const guards =
  (value: object): Policy =>
  ({ ports }) =>
    ports.setGuards(OTHER, parseStandardProperty('protection', value) as ProtectionProperty)

const acl: Policy = ({ acls, place }) => {
  const value = { entries: [{ action: 'deny', direction: 'both', remoteIPAddress: 'ANY' }] }
  acls.set(OTHER, compileAcls(OTHER, { acl: parseStandardProperty('acl', value) as AclProperty }, 1, undefined, place))
}

const extendedAcl: Policy = ({ acls, place }) => {
  const rules = ['inbound', 'outbound'].map((direction) => ({ name: direction, action: 'deny', direction, weight: 1 }))
  const extended = parseStandardProperty('extended-acl', { rules }) as ExtendedAclProperty
  acls.set(OTHER, compileAcls(OTHER, { extendedAcl: extended }, 1, undefined, place))
}

const policies: Readonly<Record<string, Policy>> = {
  'access VLAN': ({ ports }) => ports.setVlan(OTHER, { mode: VlanMode.access, primary: 7 }),
  trunk: ({ ports }) => ports.setVlan(OTHER, { mode: VlanMode.trunk, primary: 1, set: [7, 8] }),
  'private VLAN': ({ ports }) => ports.setVlan(OTHER, { mode: VlanMode.isolated, primary: 7, secondary: 8 }),
  'virtual subnet': ({ ports }) => ports.setSubnet(OTHER, 5000),
  'address limit': ({ ports }) => ports.setIpLimit(OTHER, 8),
  guards: guards({ dhcpGuard: true, routerGuard: true, sourceGuard: ['10.0.0.3'] }),
  'storm limit': guards({ stormLimit: 1000 }),
  ACL: acl,
  'extended ACL': extendedAcl,
  mirroring: ({ ports }) => {
    ports.setMonitor(OTHER, MonitorMode.source)
    ports.setMonitor(MONITOR, MonitorMode.destination)
  },
}

/** A switch whose third port has `policy`; it returns nanoseconds per packet between the other two. */
function caseOf(name: string, policy: Policy): () => number {
  const harness = new DataPathHarness({ shortCut: true }).connect(PORTS)
  const { dataPath, delivery, pool, kernels } = harness
  let delivered = 0
  const deliver = (_list: number, count: number): number => {
    delivered += count
    return count
  }
  for (let port = 1; port <= PORTS; port++) delivery.setQueues(port, [{ offloads: 0, refusal: 0, deliver }])
  policy(harness)
  const ends = { sourceMac: mac(SENDER), destinationMac: mac(RECEIVER), source: '10.0.0.1', destination: '10.0.0.2' }
  const data = new Uint8Array(22)
  for (let slot = 0; slot < BURST; slot++) {
    const port = 1000 + slot
    harness.fill(slot, SENDER, slot % 2 === 0 ? tcpFrame(ends, port, 443) : udpFrame(ends, port, 53, data))
  }
  kernels.parse(pool.base, 0, BURST)
  const source = {
    receive() {
      pool.destinationCount.fill(0, 0, BURST)
      return BURST
    },
    complete() {},
  }
  return () => {
    delivered = 0
    const began = process.hrtime.bigint()
    for (let burst = 0; burst < BURSTS; burst++) dataPath.turn(source, SENDER)
    const ns = Number(process.hrtime.bigint() - began) / (BURSTS * BURST)
    if (delivered !== BURST * BURSTS) throw new Error(`${name}: a packet of the benchmark was dropped (${delivered} delivered)`)
    return ns
  }
}

/** Measures every policy in turn with none, `rounds` times. */
export function neighboursReport(rounds: number): {
  readonly results: readonly BenchResult[]
  readonly ratios: Readonly<Record<string, number>>
  readonly floors: readonly Floor[]
} {
  const none = { run: caseOf('none', () => {}), ns: [] as number[] }
  const cases = Object.entries(policies).map(([name, policy]) => ({ name, run: caseOf(name, policy), ns: [] as number[] }))
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++)
    for (const { run, ns } of [none, ...cases]) {
      const each = run()
      if (round >= 0) ns.push(each)
    }
  const ratioOf = (ns: readonly number[]): number => rounded(median(ns.map((each, i) => each / none.ns[i]!)))
  const worst = Math.max(...cases.map(({ ns }) => ratioOf(ns)))
  return {
    results: [
      { case: 'no policies at any port, without rings', ns: rounded(median(none.ns)) },
      ...cases.map(({ name, ns }) => ({
        case: `${name} at another port, without rings`,
        ns: rounded(median(ns)),
        ratio: ratioOf(ns),
      })),
    ],
    ratios: { [RATIO]: worst },
    floors: [{ ratio: RATIO, atMost: RATIO_MAX, met: worst <= RATIO_MAX }],
  }
}
