// `npm run bench -- overlay`: what a tunnel costs. Frames of guests through this switch with and without an overlay, and through the VXLAN
// tunnel of Open vSwitch in user space. One processor for the load, one for the switch; both directions at once.
//
// The rule it must not break: what came through is counted where it is taken, after the first frame of each way was compared.
import type { Benchmark } from './benchmark.ts'
import { FRAME_BYTES, overlayRivals } from './overlay/rivals.ts'
import { measureUplink } from './uplink/measure.ts'
import type { UplinkPair } from './uplink/rivals.ts'
import { type Comparison, compareRivals } from './vhost/comparison.ts'

/** The most that a packet may cost through the tunnel, as a multiple of what it costs without. */
const COST_MAX = 1.5
const COST = `overlay_vs_plain_${FRAME_BYTES}`
const PLAIN_RATE = `plain_rate_vs_overlay_${FRAME_BYTES}`

const comparison: Comparison<UplinkPair> = {
  bench: 'overlay',
  rivals: overlayRivals,
  method: { packages: [], memoryMiB: 0, measure: measureUplink, children: ({ children, load }) => [...children, load.child] },
  frameBytes: [FRAME_BYTES],
  compared: [
    ['overlay', 'ovs'],
    ['plain', 'overlay'],
  ],
  floors: { [`overlay_vs_ovs_${FRAME_BYTES}`]: 1 },
  ratioName: (name, other, bytes) => (name === 'plain' ? PLAIN_RATE : `${name}_vs_${other}_${bytes}`),
  notes: [
    `${COST}: what a frame costs through the tunnel over what it costs without; both are busy all the time, so it is the ratio of their rates`,
    'each frame of a guest is counted once, where it comes out: encapsulated at the network, decapsulated at the guest',
    'ownNsPerFrame: processor time of the switch per frame',
  ],
}

export const overlayBenchmark: Benchmark = {
  name: 'overlay',
  summary: 'frames a second through a tunnel, against the same switch without one and the VXLAN tunnel of Open vSwitch',
  async run(options, components) {
    const report = await compareRivals(comparison, options, components)
    const { [PLAIN_RATE]: cost = null, ...ratios } = report.ratios
    const { [PLAIN_RATE]: why, ...missing } = report.missing ?? {}
    return {
      ...report,
      ratios: { ...ratios, [COST]: cost },
      missing: { ...missing, ...(why === undefined ? {} : { [COST]: why }) },
      floors: [...(report.floors ?? []), { ratio: COST, atMost: COST_MAX, met: cost === null ? null : cost <= COST_MAX }],
    }
  },
}
