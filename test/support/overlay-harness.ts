// A data path with an overlay, for unit tests: ports in virtual subnets, an external port, peers; its messages go to arrays.

import { parseMac } from '../../src/packet/addresses.ts'
import { ipBytes } from '../../src/packet/build.ts'
import { TunnelFormat } from '../../src/packet/tunnel.ts'
import { MacTable, macTableBytes } from '../../src/switch/mac-table.ts'
import { OVERLAY_PEERS_MAX } from '../../src/switch/overlay/options.ts'
import { OverlayPath } from '../../src/switch/overlay/overlay-path.ts'
import { Flooding, OVERLAY_COUNTER_BYTES, type OverlayPlan } from '../../src/switch/overlay/plan.ts'
import { tunnelTableBytes } from '../../src/switch/overlay/tunnel-short-cut.ts'
import { PortFlag } from '../../src/switch/port-table.ts'
import { DataPathHarness } from './data-path-harness.ts'

const ENTRIES = 1024
const PORTS = 16
const LINE = 64
const aligned = (at: number): number => Math.ceil(at / LINE) * LINE
export const OWN_MAC = '02:50:00:00:00:01'
export const PEER_MAC = '02:50:00:00:00:02'
export const OWN_ADDRESS = '192.0.2.1'
export const PEER_ADDRESS = '192.0.2.2'
export const OWN_IPV6 = '2001:db8::1'
export const PEER_IPV6 = '2001:db8::2'
export const UPLINK = 9
/** Of the tests' virtual subnet: its identifier and number. */
export const VSID = 5001
export const SUBNET = 7

export interface OverlayHarness {
  readonly harness: DataPathHarness
  readonly path: OverlayPath
  readonly customers: MacTable
  /** Frames for the provider addresses themselves. */
  readonly heard: Uint8Array[]
  /** Linear address of the memory that the test asked for. */
  readonly scratch: number
}

/**
 * Ports 1…`ports` in the subnet, port 9 is the external one. Peer 0 is reached over IPv4, peer 1 over IPv6; MAC :21 is behind peer 0.
 * `scratchBytes`: memory for what a test adds.
 */
export function overlayHarness(
  ports: number,
  given: Partial<OverlayPlan> = {},
  shortCut = false,
  scratchBytes = 0,
): OverlayHarness {
  const places = PORTS + OVERLAY_PEERS_MAX
  const ownBytes = macTableBytes(ENTRIES, places) + OVERLAY_COUNTER_BYTES + tunnelTableBytes(PORTS)
  const spareBytes = ownBytes + 3 * LINE + scratchBytes
  const harness = new DataPathHarness({ shortCut, spareBytes })
  const counters = aligned(harness.spare + macTableBytes(ENTRIES, places))
  const customers = new MacTable(harness.buffer, harness.spare, ENTRIES, places)
  const heard: Uint8Array[] = []
  const plan: OverlayPlan = {
    format: TunnelFormat.vxlan,
    udpPort: 4789,
    ttl: 64,
    mac: parseMac(OWN_MAC),
    addresses: [ipBytes(OWN_ADDRESS), ipBytes(OWN_IPV6)],
    mtu: 1500,
    clampMss: true,
    learning: false,
    unknownUnicast: Flooding.replicate,
    multicast: Flooding.replicate,
    customers: harness.spare,
    customerEntries: ENTRIES,
    places,
    seed: 1,
    counters,
    tables: aligned(counters + OVERLAY_COUNTER_BYTES),
    ...given,
  }
  const { dataPath, pool, injections, buffer } = harness
  const path = new OverlayPath(plan, {
    buffer,
    pool,
    ports: harness.ports,
    injections,
    nowMs: () => harness.nowMs,
    owner: dataPath,
    heard: (frame) => heard.push(frame),
    tunnels: harness.wasm && { kernels: harness.wasm, owner: dataPath },
  })
  harness.nowMs = 5000
  for (let port = 1; port <= ports; port++) {
    harness.connectPort(port)
    harness.ports.setSubnet(port, VSID)
    customers.addStatic(`02:00:00:00:00:0${port}`, SUBNET, port)
  }
  harness.connectPort(UPLINK, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  path.change({
    peers: [
      { peer: 0, address: ipBytes(PEER_ADDRESS), nextHop: parseMac(PEER_MAC) },
      { peer: 1, address: ipBytes(PEER_IPV6), nextHop: parseMac(PEER_MAC) },
      { peer: 2, address: ipBytes('192.0.2.3'), nextHop: undefined },
    ],
    subnets: [{ subnet: SUBNET, vsid: VSID, peers: [0, 1] }],
    addresses: [],
  })
  customers.addStatic('02:00:00:00:00:21', SUBNET, 16)
  customers.addStatic('02:00:00:00:00:22', SUBNET, 17)
  dataPath.setHooks(undefined, path)
  return { harness, path, customers, heard, scratch: aligned(plan.tables + tunnelTableBytes(PORTS)) }
}
