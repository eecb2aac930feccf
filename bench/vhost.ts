// `npm run bench -- vhost`: frames a second between two vhost-user ports, this switch against testpmd and Open vSwitch.
import type { Benchmark } from './benchmark.ts'
import { compareRivals, throughGenerator } from './vhost/comparison.ts'
import { type RivalName, rivals } from './vhost/rivals.ts'

/** Ratios reported: case over case, for every frame size. */
const COMPARED: readonly (readonly [RivalName, RivalName])[] = [
  ['ext3', 'ovs'],
  ['ext0', 'ovs'],
  ['ext0', 'testpmd'],
  ['ext3', 'testpmd'],
  ['ext3', 'ext0'],
  ['ext4', 'ext3'],
  ['ext3', 'ovsnoflood'],
  ['ext0', 'ovsnoflood'],
  ['ext3prefixes', 'ovsnoflood'],
]

const FLOORS: Readonly<Record<string, number>> = {
  ext3_vs_ovs_64: 1.4,
  ext0_vs_testpmd_64: 0.8,
  ext3_vs_ovs_1500: 2,
  ext4_vs_ext3_64: 0.8,
}

export const vhostBenchmark: Benchmark = {
  name: 'vhost',
  summary: 'frames a second between two vhost-user ports, against testpmd and OVS-DPDK',
  run: (options, components) =>
    compareRivals(
      {
        bench: 'vhost',
        rivals,
        method: throughGenerator,
        frameBytes: [64, 512, 1500],
        compared: COMPARED,
        floors: FLOORS,
        notes: [],
      },
      options,
      components,
    ),
}
