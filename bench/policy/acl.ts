// What extended ACLs cost: bursts of 64 TCP packets from a port through the whole data path, with its short cuts and without rings. Cases differ
// in their rules alone: the packets are the same, and all are measured in turn.
import * as layout from '../../src/kernels/layout.ts'
import type { ExtendedAclRule } from '../../src/ndis/standard-properties.ts'
import { tcpFrame } from '../../src/packet/build.ts'
import { compileAcls } from '../../src/switch/acl/acl-plan.ts'
import { DataPathHarness, mac } from '../../test/support/data-path-harness.ts'
import type { Flow } from './rule-sets.ts'

const { HEADER_STRIDE } = layout
const BURST = 64
const L3 = 14
const PORT = 1

/** A data path whose port has rules, and what it costs with them. */
export interface AclCase {
  readonly rules: number
  readonly compileMs: number
  readonly programKiB: number
  /** Sends all flows once, `times` times over; nanoseconds per packet. */
  run(times: number): number
}

/** A port with `rules`, that sends `flows`. */
export function aclCase(rules: readonly ExtendedAclRule[], flows: readonly Flow[], family: 4 | 6): AclCase {
  const harness = new DataPathHarness({ shortCut: true }).connect(2)
  const { dataPath, delivery, pool, kernels, acls } = harness
  let delivered = 0
  const deliver = (_list: number, count: number): number => {
    delivered += count
    return count
  }
  for (const port of [1, 2]) delivery.setQueues(port, [{ offloads: 0, refusal: 0, deliver }])
  const ends = { sourceMac: mac(1), destinationMac: mac(2) }
  const [source, destination] = family === 4 ? ['10.0.0.1', '10.0.0.2'] : ['fd00::1', 'fd00::2']
  for (let slot = 0; slot < BURST; slot++) harness.fill(slot, PORT, tcpFrame({ ...ends, source, destination }, 1000, 443))
  kernels.parse(pool.base, 0, BURST)
  const before = performance.now()
  const plan = rules.length === 0 ? undefined : compileAcls(PORT, { extendedAcl: { rules } }, 1, undefined, harness.place)
  const compileMs = performance.now() - before
  acls.set(PORT, plan)
  const program = family === 4 ? plan?.outbound?.extended?.ipv4 : plan?.outbound?.extended?.ipv6

  // Address words as they lie in memory, and ports.
  const words = family === 4 ? 1 : 4
  const remote = new Uint16Array(flows.length * words * 2)
  const localPorts = Uint16Array.from(flows, ({ localPort }) => localPort)
  const remotePorts = Uint16Array.from(flows, ({ remotePort }) => remotePort)
  for (const [f, flow] of flows.entries())
    for (let half = 0; half < words * 2; half++)
      remote[f * words * 2 + half] = flow.remote[half * 2]! | (flow.remote[half * 2 + 1]! << 8)
  const bursts = Math.floor(flows.length / BURST)
  let next = 0
  const queue = {
    receive() {
      const { header16, headerOffset, sourceL4, destinationL4, destinationCount } = pool
      for (let slot = 0; slot < BURST; slot++) {
        const flow = next * BURST + slot
        const at = (slot * HEADER_STRIDE + headerOffset[slot]! + L3 + (words === 1 ? 16 : 24)) >> 1
        for (let half = 0; half < words * 2; half++) header16[at + half] = remote[flow * words * 2 + half]!
        sourceL4[slot] = localPorts[flow]!
        destinationL4[slot] = remotePorts[flow]!
        destinationCount[slot] = 0
      }
      next = next + 1 === bursts ? 0 : next + 1
      return BURST
    },
    complete() {},
  }
  return {
    rules: rules.length,
    compileMs,
    programKiB: (program?.words.byteLength ?? 0) / 1024,
    run(times) {
      delivered = 0
      const began = process.hrtime.bigint()
      for (let i = 0; i < times * bursts; i++) dataPath.turn(queue, PORT)
      const ns = Number(process.hrtime.bigint() - began) / (times * bursts * BURST)
      if (delivered !== times * bursts * BURST) throw new Error(`a packet of the benchmark was dropped (${delivered} delivered)`)
      return ns
    },
  }
}
