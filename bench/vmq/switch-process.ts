// The switch of the VMQ benchmark in a process of its own: guests behind an uplink, with receive queues or without. Its options come as
// JSON in the first argument. It prints one JSON line when it listens, answers "counters" on standard input with another, and ends with
// its input.
import { createInterface } from 'node:readline'
import { createSwitch } from '../../src/engine/host.ts'

export interface VmqSwitchOptions {
  readonly interface: string
  readonly via: 'packet' | 'xdp'
  /** Guests with a queue each; false: an uplink without queues. */
  readonly queues: boolean
  readonly guests: readonly { readonly mac: string; readonly path: string }[]
  /** Host processors of the data path. */
  readonly processors: readonly number[]
  readonly directory: string
}

const options = JSON.parse(process.argv[2] ?? '{}') as VmqSwitchOptions
const count = options.processors.length
const uplink = {
  kind: 'uplink',
  interface: options.interface,
  via: options.via,
  queues: count,
  promiscuous: true,
  qdiscBypass: false,
} as const

const running = await createSwitch(
  {
    name: 'bench',
    type: 'external',
    processors: count,
    extensions: [],
    ports: [
      {
        name: 'up',
        mac: null,
        macSpoofing: 'off',
        learning: true,
        link: 'up',
        endpoint: options.queues ? { kind: 'adapter', adapter: 'nic' } : uplink,
      },
      ...options.guests.map(({ mac, path }, i) => ({
        name: `guest${i}`,
        mac,
        macSpoofing: 'off' as const,
        learning: false,
        link: 'up' as const,
        endpoint: { kind: 'vhost-user', path, mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: false } as const,
      })),
    ],
    adapters: options.queues
      ? [
          {
            name: 'nic',
            mode: 'vmq',
            mac: '02:00:00:00:00:f0',
            uplink,
            vfs: 0,
            queues: options.guests.length,
            rebalanceSeconds: 0,
            mtu: 1500,
            speedMbps: 0,
            order: 'deferred',
          },
        ]
      : [],
    macTable: { entries: 4096, ageingSeconds: 300 },
    directory: options.directory,
    pin: options.processors,
  },
  {
    log: ({ source, code, message }) => process.stderr.write(`${source}: ${code}: ${message}\n`),
    fatal: () => process.exit(1),
  },
)
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)

say({ listening: options.interface })
for await (const line of createInterface({ input: process.stdin }))
  if (line === 'counters')
    say({
      counters: {
        processors: running.processors().map(({ counters }) => counters),
        queues: running.adapters.queues.list().map(({ port, steering, counters }) => ({ port, steering, ...counters })),
      },
    })
await running.close()
