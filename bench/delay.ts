// `npm run bench -- delay`: frames a second between two vhost-user ports, towards one of which everything is delayed by 1 ms, against the
// same with no delay and without the extension.
import type { Benchmark } from './benchmark.ts'
import { compareRivals, throughGenerator } from './vhost/comparison.ts'
import { own } from './vhost/rivals.ts'

export const delayBenchmark: Benchmark = {
  name: 'delay',
  summary: 'frames a second between two vhost-user ports with 1 ms of delay towards one, against none',
  run: (options, components) =>
    compareRivals(
      {
        bench: 'delay',
        rivals: [
          own('ext0', 'none', 'vmswitch, no extension'),
          own('delay0', 'noDelay', 'vmswitch, impairment with a rule that delays nothing'),
          own('delay1', 'delay', 'vmswitch, impairment with 1 ms of delay towards one of the two ports'),
        ],
        method: throughGenerator,
        frameBytes: [64, 512, 1500],
        compared: [
          ['delay1', 'delay0'],
          ['delay1', 'ext0'],
        ],
        floors: {},
        notes: [],
      },
      options,
      components,
    ),
}
