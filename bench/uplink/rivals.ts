// What takes frames from an interface of the host to a guest: this switch's uplink, the kernel's bridge with a TAP, a VDE switch, Open
// vSwitch in user space. Each is started with a load of its own, and paused with it while another is measured.
//
// The rule it must not break: all have the same two processors and the same sender; where a stand-in takes a part of a rival, it is one
// that is faster than what it stands for.
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../support/child.ts'
import { OVS_MEMORY_MIB, ovsGuestPort, startOvs } from '../support/ovs.ts'
import { startOwnSwitch } from '../support/own-switch.ts'
import type { Contender } from '../vhost/comparison.ts'
import { bridgeUnfiltered, framesOf, ip, makeVeth, newName, removeLater, setUp } from './interfaces.ts'
import { Load } from './load.ts'

export type UplinkRivalName = 'uplink' | 'uplinkxdp' | 'bridge' | 'vde' | 'ovs' | 'ovsafxdp'

/** Something between an interface and a guest, with its load. */
export interface UplinkPair {
  readonly load: Load
  /** Its processes; the first is the one whose processor time is counted. */
  readonly children: readonly Child[]
  /** Frames that a guest without a vhost-user port has got; undefined: the load has the guest. */
  readonly received?: () => number
}

export type UplinkRival = Contender<UplinkPair> & { readonly name: UplinkRivalName }

const GUEST_MAC = '02:00:00:00:00:01'
const START_MS = 10_000
const tapReader = fileURLToPath(new URL('./tap-reader-process.ts', import.meta.url))

/** Waits until a program has made a file. */
async function appears(path: string, child: Child): Promise<void> {
  const timer = setInterval(() => {
    if (existsSync(path)) there.resolve()
  }, 50)
  const there = Promise.withResolvers<void>()
  try {
    await Promise.race([there.promise, child.until(path, START_MS, () => undefined)])
  } finally {
    clearInterval(timer)
  }
}

const own = (name: 'uplink' | 'uplinkxdp', via: 'packet' | 'xdp', title: string): UplinkRival => ({
  name,
  title,
  packages: [],
  memoryMiB: 0,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const { outside, inside } = makeVeth(scope)
    const path = join(directory, 'guest.sock')
    const sockets = [join(directory, 'unused.sock'), path] as const
    const child = await startOwnSwitch(
      { name, stack: 'none', sockets, uplink: { interface: inside, via }, processors, directory },
      scope,
    )
    const options = { interface: outside, mac: GUEST_MAC, guest: { path, listens: false } }
    return { children: [child], load: await Load.start(name, options, processors.generator, scope) }
  },
})

const ovs = (name: 'ovs' | 'ovsafxdp', title: string, settings: (inside: string) => readonly string[]): UplinkRival => ({
  name,
  title,
  packages: ['openvswitch-switch-dpdk'],
  memoryMiB: OVS_MEMORY_MIB,
  async start({ directory, processors }, scope) {
    const { outside, inside } = makeVeth(scope)
    const path = join(directory, 'guest.sock')
    // DPDK names its ports itself; a port of Open vSwitch's own is called like the interface.
    const wanted = settings(inside)
    const port = wanted.includes('type=dpdk') ? 'uplink' : inside
    const { daemon } = await startOvs(
      {
        directory,
        processors,
        floodsItself: false,
        ports: [{ name: port, settings: wanted, hostInterface: inside }, ovsGuestPort('guest', path)],
      },
      scope,
    )
    const options = { interface: outside, mac: GUEST_MAC, guest: { path, listens: true } }
    return { children: [daemon], load: await Load.start(name, options, processors.generator, scope) }
  },
})

/** All, in the order in which they are measured. */
export const uplinkRivals: readonly UplinkRival[] = [
  own('uplink', 'packet', 'vmswitch, uplink over AF_PACKET, vhost-user guest'),
  own('uplinkxdp', 'xdp', 'vmswitch, uplink over AF_XDP, vhost-user guest'),
  {
    name: 'bridge',
    title: "Linux bridge + TAP; a reader of one frame a call in the place of QEMU's tap back-end",
    packages: [],
    memoryMiB: 0,
    async start({ processors }, scope) {
      const { outside, inside } = makeVeth(scope)
      bridgeUnfiltered(scope)
      const bridge = newName('b')
      const tap = newName('t')
      const reader = new Child(
        { name: 'TAP reader', program: process.execPath, args: [tapReader, tap], processor: processors.switch },
        scope,
      )
      await reader.until('TAP', START_MS, (output) => (output.includes('ready') ? true : undefined))
      ip('link', 'add', bridge, 'type', 'bridge')
      removeLater(bridge, scope)
      for (const port of [inside, tap]) ip('link', 'set', port, 'master', bridge)
      for (const port of [tap, bridge]) setUp(port)
      ip('link', 'set', tap, 'promisc', 'on')
      const options = { interface: outside, mac: GUEST_MAC, guest: null }
      const load = await Load.start('bridge', options, processors.generator, scope)
      return { children: [reader], load, received: () => framesOf(tap, 'tx') }
    },
  },
  {
    name: 'vde',
    title: "vde_switch with a TAP as its uplink; vde_plug2tap in the place of QEMU's vde back-end",
    packages: ['vde2'],
    memoryMiB: 0,
    async start({ directory, processors }, scope) {
      mkdirSync(directory, { recursive: true })
      const [outside, guest] = [newName('o'), newName('g')]
      for (const tap of [outside, guest]) {
        ip('tuntap', 'add', 'dev', tap, 'mode', 'tap')
        removeLater(tap, scope)
        setUp(tap)
      }
      const socket = join(directory, 'vde')
      const child = new Child(
        {
          name: 'vde_switch',
          program: 'vde_switch',
          args: ['-tap', outside, '-sock', socket],
          processor: processors.switch,
        },
        scope,
      )
      await appears(join(socket, 'ctl'), child)
      const plug = new Child(
        { name: 'vde_plug2tap', program: 'vde_plug2tap', args: ['-s', socket, guest], processor: processors.generator },
        scope,
      )
      const options = { interface: outside, mac: GUEST_MAC, guest: null }
      const load = await Load.start('vde', options, processors.generator, scope)
      return { children: [child, plug], load, received: () => framesOf(guest, 'rx') }
    },
  },
  ovs('ovs', 'OVS in user space, NORMAL, AF_PACKET (DPDK net_af_packet), vhost-user guest', (inside) => [
    'type=dpdk',
    `options:dpdk-devargs=eth_af_packet0,iface=${inside}`,
  ]),
  ovs('ovsafxdp', 'OVS in user space, NORMAL, AF_XDP (DPDK net_af_xdp), vhost-user guest', (inside) => [
    'type=dpdk',
    `options:dpdk-devargs=net_af_xdp0,iface=${inside}`,
  ]),
]
