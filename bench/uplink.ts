// `npm run bench -- uplink`: frames a second from an interface of the host to a guest, this switch's uplink against the kernel's bridge
// with a TAP, a VDE switch and Open vSwitch in user space. One processor for the sender (and the kernel's work for each frame that it
// sends), one for the switch.
//
// The rule it must not break: the sender is the same for all, and what the guest got is counted where the guest takes it.
import type { Benchmark } from './benchmark.ts'
import { measureUplink } from './uplink/measure.ts'
import { type UplinkPair, type UplinkRivalName, uplinkRivals } from './uplink/rivals.ts'
import { type Comparison, compareRivals } from './vhost/comparison.ts'

const FRAME_BYTES = [64, 512, 1500] as const

const COMPARED: readonly (readonly [UplinkRivalName, UplinkRivalName])[] = [
  ['uplink', 'vde'],
  ['uplink', 'ovs'],
  ['uplink', 'bridge'],
  ['uplinkxdp', 'ovsafxdp'],
]

const comparison: Comparison<UplinkPair> = {
  bench: 'uplink',
  rivals: uplinkRivals,
  method: {
    packages: [],
    memoryMiB: 0,
    measure: measureUplink,
    children: ({ children, load }) => [...children, load.child],
  },
  frameBytes: FRAME_BYTES,
  compared: COMPARED,
  // The floors are for the smallest frames, whose ratios bear no size in their names.
  floors: { uplink_vs_vde: 2, uplink_vs_ovs: 1 },
  ratioName: (name, other, bytes) => `${name}_vs_${other}${bytes === FRAME_BYTES[0] ? '' : `_${bytes}`}`,
  notes: [
    'ownNsPerFrame: processor time of the switch (and of what stands for the back-end of a VMM) per frame; polling counts, the kernel’s work on the sender’s processor does not',
    'the bridge’s frames are read from the TAP one a call, as QEMU does, and VDE’s by vde_plug2tap; the guest that a VMM would have to serve besides is left out',
    'disturbed: a thread waited for its processor; where the sender’s processor has more of the kernel’s work than the sender, it waits for that',
  ],
}

export const uplinkBenchmark: Benchmark = {
  name: 'uplink',
  summary: 'frames a second from a host interface to a guest, against Linux bridge + TAP, VDE and Open vSwitch',
  run: (options, components) => compareRivals(comparison, options, components),
}
