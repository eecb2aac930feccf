// `npm run bench -- vf`: frames a second between two virtual functions of an adapter, against testpmd, and against the same guests on
// ports of the switch with its stack of extensions; and what many virtual functions cost two that are loaded.
import type { Benchmark } from './benchmark.ts'
import { vfRivals } from './vf/rivals.ts'
import { compareRivals, throughGenerator } from './vhost/comparison.ts'

const COMPARED = [
  ['vf', 'testpmd'],
  ['vf', 'synthetic'],
  ['vf64', 'vf'],
] as const

const FLOORS = {
  vf_vs_testpmd_64: 0.9,
  vf_vs_synthetic_64: 1.5,
  vf_vs_testpmd_1500: 1,
  vf64_vs_vf_64: 0.9,
}

const NOTES = ['the generator passes on what it receives: 512 frames from each port to the other circulate']

export const vfBenchmark: Benchmark = {
  name: 'vf',
  summary: 'frames a second between two virtual functions, against testpmd and the path through the extensions',
  run: (options, components) =>
    compareRivals(
      {
        bench: 'vf',
        rivals: vfRivals,
        method: throughGenerator,
        frameBytes: [64, 512, 1500],
        compared: COMPARED,
        floors: FLOORS,
        notes: NOTES,
      },
      options,
      components,
    ),
}
