// This switch in the overlay benchmark, in a process of its own: a guest's port, and an external port whose wire is a vhost-user socket.
// Its options come as JSON in the first argument. It prints one JSON line when it listens, and ends with its input.
import { createSwitch, type SwitchConfig } from '../../src/engine/host.ts'
import { GUEST_MAC, PEER_ADDRESS, PREFIX_LENGTH, PROVIDER_ADDRESS, PROVIDER_MAC, REMOTE_MAC, SUBNET } from './tunnel.ts'

export interface OverlaySwitchOptions {
  /** vhost-user sockets of the guest and of the network. */
  readonly sockets: readonly [string, string]
  readonly tunnel: boolean
  /** Host processor of the data path. */
  readonly processor: number
  readonly directory: string
}

const UNDERLAY_MTU = 1600

const { sockets, tunnel, processor, directory } = JSON.parse(process.argv[2] ?? '{}') as OverlaySwitchOptions

const endpoint = (path: string): SwitchConfig['ports'][number]['endpoint'] => ({
  kind: 'vhost-user',
  path,
  mode: 'server',
  queuePairs: 1,
  mtu: UNDERLAY_MTU,
  requireSeals: true,
})
const overlay: SwitchConfig['overlay'] = {
  kind: 'vxlan',
  providerAddresses: [{ address: `${PROVIDER_ADDRESS}/${PREFIX_LENGTH}` }],
  providerMac: PROVIDER_MAC,
  mtu: UNDERLAY_MTU,
  subnets: [{ vsid: SUBNET, peers: [] }],
  records: [{ vsid: SUBNET, mac: REMOTE_MAC, addresses: [], provider: PEER_ADDRESS }],
}
const inSubnet = { properties: [{ type: 'security', value: { allowMacSpoofing: true, virtualSubnetId: SUBNET } }] } as const
const plain = { macSpoofing: 'on', link: 'up' } as const

const running = await createSwitch(
  {
    name: 'bench',
    type: 'external',
    processors: 1,
    extensions: [],
    ...(tunnel ? { overlay } : {}),
    ports: [
      { ...plain, name: 'guest', mac: GUEST_MAC, learning: false, endpoint: endpoint(sockets[0]), ...(tunnel ? inSubnet : {}) },
      { ...plain, name: 'network', mac: null, learning: true, endpoint: endpoint(sockets[1]), adapters: [] },
    ],
    macTable: { entries: 4096, ageingSeconds: 300 },
    directory,
    pin: [processor],
  },
  {
    log: ({ source, code, message }) => process.stderr.write(`${source}: ${code}: ${message}\n`),
    fatal: () => process.exit(1),
  },
)
process.stdout.write(`${JSON.stringify({ listening: sockets })}\n`)
process.stdin.resume()
process.stdin.once('end', () => void running.close())
