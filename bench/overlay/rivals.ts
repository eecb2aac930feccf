// What stands between a guest and the network in the overlay benchmark: this switch without an overlay, this switch with one, and Open
// vSwitch's tunnel in user space. Guest and network are vhost-user front-ends of one load.
//
// The rule it must not break: all have the same two processors, the same rings and the same load; it begins to count after each way has
// given the right frame.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Child } from '../support/child.ts'
import { OVS_MEMORY_MIB, ovsGuestPort, startOvs } from '../support/ovs.ts'
import { Load } from '../uplink/load.ts'
import type { UplinkPair } from '../uplink/rivals.ts'
import type { Contender } from '../vhost/comparison.ts'
import type { OverlayLoadOptions } from './load-process.ts'
import type { OverlaySwitchOptions } from './switch-process.ts'
import { PEER_ADDRESS, PEER_MAC, PREFIX_LENGTH, PROVIDER_ADDRESS, PROVIDER_MAC, SUBNET, UDP_PORT } from './tunnel.ts'

export type OverlayRivalName = 'plain' | 'overlay' | 'ovs'

export type OverlayRival = Contender<UplinkPair> & { readonly name: OverlayRivalName }

/** Bytes of a guest's frame, without FCS. */
export const FRAME_BYTES = 64
const START_MS = 15_000
const loadProgram = fileURLToPath(new URL('./load-process.ts', import.meta.url))
const switchProgram = fileURLToPath(new URL('./switch-process.ts', import.meta.url))

const own = (name: 'plain' | 'overlay', title: string): OverlayRival => ({
  name,
  title,
  packages: [],
  memoryMiB: 0,
  async start({ directory, processors }, scope) {
    mkdirSync(directory, { recursive: true })
    const sockets = [join(directory, 'guest.sock'), join(directory, 'network.sock')] as const
    const tunnel = name === 'overlay'
    const settings: OverlaySwitchOptions = { sockets, tunnel, processor: processors.switch, directory }
    const child = new Child(
      { name, program: process.execPath, args: [switchProgram, JSON.stringify(settings)], processor: processors.generator },
      scope,
    )
    await child.until('"listening"', START_MS, (output) => (output.includes('"listening"') ? true : undefined))
    const options: OverlayLoadOptions = { sockets, listens: false, tunnel, bytes: FRAME_BYTES }
    return { children: [child], load: await Load.start(name, options, processors.generator, scope, loadProgram) }
  },
})

/** All, in the order in which they are measured. */
export const overlayRivals: readonly OverlayRival[] = [
  own('plain', 'vmswitch, no overlay'),
  own('overlay', 'vmswitch, VXLAN'),
  {
    name: 'ovs',
    title: 'OVS in user space, VXLAN between two bridges, NORMAL',
    packages: ['openvswitch-switch-dpdk'],
    memoryMiB: OVS_MEMORY_MIB,
    async start({ directory, processors }, scope) {
      const sockets = [join(directory, 'guest.sock'), join(directory, 'network.sock')] as const
      const tunnel = ['type=vxlan', `options:remote_ip=${PEER_ADDRESS}`, `options:key=${SUBNET}`, `options:dst_port=${UDP_PORT}`]
      const { daemon } = await startOvs(
        {
          directory,
          processors,
          floodsItself: false,
          ports: [ovsGuestPort('guest', sockets[0]), { name: 'tunnel', settings: tunnel }],
          underlay: {
            port: ovsGuestPort('network', sockets[1]),
            mac: PROVIDER_MAC,
            address: `${PROVIDER_ADDRESS}/${PREFIX_LENGTH}`,
            neighbour: { address: PEER_ADDRESS, mac: PEER_MAC },
          },
        },
        scope,
      )
      const options: OverlayLoadOptions = { sockets, listens: true, tunnel: true, bytes: FRAME_BYTES }
      return { children: [daemon], load: await Load.start('ovs', options, processors.generator, scope, loadProgram) }
    },
  },
]
