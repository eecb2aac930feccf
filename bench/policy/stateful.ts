// Stateful rules against the connection tracking of Open vSwitch's own datapath: the same frames of 100 000 connections, by the same
// generator, on the same two processors.
//
// The rule it must not break: both follow every frame, in both directions, in a table with all connections in it, and both flood alike.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type BenchComponents, BenchError, type BenchOptions, type BenchReport } from '../benchmark.ts'
import { OVS_MEMORY_MIB, startOvs } from '../support/ovs.ts'
import { startOwnSwitch } from '../support/own-switch.ts'
import { Generator } from '../support/testpmd.ts'
import { compareRivals, throughGenerator } from '../vhost/comparison.ts'
import { lcores, type Rival } from '../vhost/rivals.ts'

/** From each of the two ports: to the switches they are connections of their own. */
const FLOWS = 50_000
const FRAME_BYTES = 64
const RATIO = 'stateful_vs_ovs_64'

type Measured = Pick<BenchReport, 'results' | 'ratios' | 'floors' | 'missing' | 'notes'>

const own: Rival = {
  name: 'stateful',
  title: 'vmswitch, stateful rules at one port, 100 000 connections',
  packages: [],
  memoryMiB: 0,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const sockets = [join(directory, '0.sock'), join(directory, '1.sock')] as const
    const child = await startOwnSwitch({ name: 'stateful', stack: 'none', sockets, processors, directory, stateful: true }, scope)
    const generator = await Generator.start(
      { name: 'stateful', sockets, listens: false, lcores: lcores(processors), flows: FLOWS },
      scope,
    )
    return { switch: child, generator }
  },
}

// A zone for each port, since the generator sends the same addresses from both. What is new is committed, as a stateful rule does.
const tracking = [1, 2].flatMap((port) => [
  `table=0,priority=10,in_port=${port},ip,ct_state=-trk,actions=ct(table=1,zone=${port})`,
  `table=1,priority=10,in_port=${port},ip,ct_state=+trk+new,actions=ct(commit,zone=${port}),NORMAL`,
  `table=1,priority=10,in_port=${port},ip,ct_state=+trk+est,actions=NORMAL`,
])

const ovs: Rival = {
  name: 'ovsct',
  title: 'OVS-DPDK, ct() in its userspace datapath, then NORMAL',
  packages: ['openvswitch-switch-dpdk'],
  memoryMiB: OVS_MEMORY_MIB,
  async start({ directory, processors }, scope) {
    const flows = [...tracking, 'table=0,priority=0,actions=NORMAL']
    const { daemon, sockets } = await startOvs({ directory, processors, floodsItself: false, flows }, scope)
    const generator = await Generator.start(
      { name: 'ovsct', sockets, listens: true, lcores: lcores(processors), flows: FLOWS },
      scope,
    )
    return { switch: daemon, generator }
  },
}

/** Measures both; where they cannot run, says why. */
export async function statefulReport(options: BenchOptions, components: BenchComponents): Promise<Measured> {
  try {
    return await compareRivals(
      {
        bench: 'policy',
        rivals: [own, ovs],
        method: throughGenerator,
        frameBytes: [FRAME_BYTES],
        compared: [['stateful', 'ovsct']],
        floors: { [RATIO]: 1 },
        notes: [`${RATIO}: UDP from both ports, ${FLOWS} flows each; OVS's own interface takes no part in flooding`],
        ratioName: () => RATIO,
      },
      options,
      components,
    )
  } catch (error) {
    if (!(error instanceof BenchError)) throw error
    return {
      results: [],
      ratios: { [RATIO]: null },
      floors: [{ ratio: RATIO, atLeast: 1, met: null }],
      missing: { [RATIO]: error.message },
    }
  }
}
