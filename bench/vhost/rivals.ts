// The switches that are compared: ours with and without extensions, DPDK's testpmd, Open vSwitch. Each is started with a generator of
// its own, and paused with it while another is measured.
//
// The rule it must not break: all run on the same two processors, with rings and buffers of the same size, and never two at a time.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Child } from '../support/child.ts'
import { OVS_MEMORY_MIB, startOvs } from '../support/ovs.ts'
import { startOwnSwitch } from '../support/own-switch.ts'
import type { ProcessorPair } from '../support/processors.ts'
import { Generator, type MacPair, startForwarder, TESTPMD_MEMORY_MIB } from '../support/testpmd.ts'
import type { StackName } from '../switch-process.ts'
import type { Contender } from './comparison.ts'

/** Rivals of the benchmark of ports. */
export type RivalName = 'ext0' | 'ext3' | 'ext3prefixes' | 'ext4' | 'testpmd' | 'ovs' | 'ovsnoflood'

/** Something that forwards between two vhost-user ports. */
export type Rival = Contender<Pair>

/** A switch and its generator, both running. */
export interface Pair {
  readonly switch: Child
  readonly generator: Generator
}

export const lcores = ({ generator }: ProcessorPair): { forwarding: number; main: number } => ({
  forwarding: generator,
  main: generator,
})

/** This switch with two ports and a stack of extensions; `macs`: as in GeneratorOptions. */
export const own = (name: string, stack: StackName, title: string, macs?: MacPair): Rival => ({
  name,
  title,
  packages: [],
  memoryMiB: 0,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const sockets = [join(directory, '0.sock'), join(directory, '1.sock')] as const
    const child = await startOwnSwitch({ name, stack, sockets, processors, directory, macs }, scope)
    const generator = await Generator.start({ name, sockets, listens: false, lcores: lcores(processors), macs }, scope)
    return { switch: child, generator }
  },
})

const ovs = (name: 'ovs' | 'ovsnoflood', floodsItself: boolean, title: string): Rival => ({
  name,
  title,
  packages: ['openvswitch-switch-dpdk'],
  memoryMiB: OVS_MEMORY_MIB,
  async start({ directory, processors }, scope) {
    const { daemon, sockets } = await startOvs({ directory, processors, floodsItself }, scope)
    const generator = await Generator.start({ name, sockets, listens: true, lcores: lcores(processors) }, scope)
    return { switch: daemon, generator }
  },
})

/** testpmd as a switch; `macs`: as in GeneratorOptions. */
export const testpmd = (macs?: MacPair): Rival => ({
  name: 'testpmd',
  title: 'testpmd io (C, no look-up)',
  packages: [],
  memoryMiB: TESTPMD_MEMORY_MIB,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const sockets = [join(directory, '0.sock'), join(directory, '1.sock')] as const
    const child = await startForwarder(sockets, { forwarding: processors.switch, main: processors.generator }, scope)
    const generator = await Generator.start({ name: 'testpmd', sockets, listens: false, lcores: lcores(processors), macs }, scope)
    return { switch: child, generator }
  },
})

/** All, in the order in which they are measured. */
export const rivals: readonly Rival[] = [
  own('ext0', 'none', 'vmswitch, no extension'),
  own('ext3', 'three', 'vmswitch, counters + ACL of 100 rules + MAC guard'),
  own('ext3prefixes', 'threeWithPrefixes', 'the same, every source address searched in the ACL'),
  own('ext4', 'four', 'vmswitch, the three of ext3 and a forwarding extension: one capturing, two filtering, one forwarding'),
  testpmd(),
  // The generator's destination is an address that nobody has: each frame is flooded. As it comes, that includes the bridge's own
  // interface, where there is nobody either: what a first set-up gives, and the rival that the floors name. Without it the switches
  // do the same work: the harder rival.
  ovs('ovs', true, 'OVS-DPDK, NORMAL, as it comes: floods its own interface too'),
  ovs('ovsnoflood', false, 'OVS-DPDK, NORMAL, without its own interface'),
]
