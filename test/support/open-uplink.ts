// An uplink on one end of a veth pair with a peer on the other, for as long as a test needs both.
//
// The rule it must not break: whatever the test does, interface sockets and memory are given back.
import { UplinkEndpoint, type UplinkOptions } from '../../src/endpoints/uplink/uplink-endpoint.ts'
import { DataHalf } from './data-half.ts'
import { PacketPeer } from './packet-peer.ts'
import type { VethPair } from './veth.ts'

export type UplinkTest = (half: DataHalf, control: UplinkEndpoint, peer: PacketPeer) => Promise<void>

/** Opens an uplink as port 5 on `veth.near`, runs `run`, and closes it. */
export async function withUplink(veth: VethPair, options: Partial<UplinkOptions>, run: UplinkTest): Promise<void> {
  const half = new DataHalf()
  const control = new UplinkEndpoint({ port: 5, interface: veth.near, ...options }, { memory: half.memory, events: half.events })
  const peer = new PacketPeer(veth.far)
  try {
    await control.open()
    await run(half, control, peer)
  } finally {
    peer.vanish()
    await control.close()
    half.close()
  }
}
