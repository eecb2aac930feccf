// The switch of `npm run bench -- bandwidth`, in a process of its own: guests that send, each behind a vhost-user socket, and one port that
// takes what they send, which is a TAP or another vhost-user socket.
//
// Its options come as JSON in the first argument. It prints one JSON line when it listens, and answers "busy" on its input with the
// nanoseconds that its processor has worked; it ends with its input.
import { createInterface } from 'node:readline'
import { createSwitch, type PortConfig } from '../../src/engine/host.ts'
import type { BandwidthProperty } from '../../src/ndis/standard-properties.ts'
import { RECEIVER_MAC, senderMac } from './frames.ts'

export interface BandwidthSwitchOptions {
  /** vhost-user sockets of the guests that send, and the bandwidth of each. */
  readonly senders: readonly { readonly path: string; readonly bandwidth: BandwidthProperty }[]
  /** A vhost-user socket or a TAP to make. */
  readonly receiver: { readonly path: string } | { readonly tap: string }
  /** Bits per second that the receiver takes, as the switch's uplink; without it it is a port like others. */
  readonly capacity?: number
  /** Host processor of the data path. */
  readonly processor: number
  readonly directory: string
}

const MTU = 1500
const { senders, receiver, capacity, processor, directory } = JSON.parse(process.argv[2] ?? '{}') as BandwidthSwitchOptions

const vhostUser = (path: string): PortConfig['endpoint'] => ({
  kind: 'vhost-user',
  path,
  mode: 'server',
  queuePairs: 1,
  mtu: MTU,
  requireSeals: true,
})
const isUplink = capacity !== undefined
const plain = { macSpoofing: 'off', link: 'up' } as const
const running = await createSwitch(
  {
    name: 'paced',
    type: isUplink ? 'external' : 'private',
    processors: 1,
    extensions: [],
    ports: [
      ...senders.map(
        ({ path, bandwidth }, i): PortConfig => ({
          ...plain,
          name: `s${i}`,
          mac: senderMac(i),
          learning: false,
          endpoint: vhostUser(path),
          properties: [{ type: 'bandwidth', value: bandwidth }],
        }),
      ),
      {
        ...plain,
        name: 'out',
        mac: isUplink ? null : RECEIVER_MAC,
        learning: isUplink,
        endpoint: 'path' in receiver ? vhostUser(receiver.path) : { kind: 'tap', interface: receiver.tap, mtu: MTU, queues: 1 },
        ...(isUplink ? { adapters: [] } : {}),
      },
    ],
    macTable: { entries: 64, ageingSeconds: 0 },
    directory,
    pin: [processor],
    ...(isUplink ? { properties: [{ type: 'bandwidth', value: { capacity } }] } : {}),
  },
  {
    log: ({ source, code, message }) => process.stderr.write(`${source}: ${code}: ${message}\n`),
    fatal: () => process.exit(1),
  },
)
const say = (line: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(line)}\n`)
createInterface({ input: process.stdin })
  .on('line', () => say({ busyNs: running.processors()[0]!.counters.busyNs, atMs: performance.now() }))
  .on('close', () => void running.close())
say({ listening: true })
