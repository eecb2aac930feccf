// The switch of `npm run bench -- igbvf`, in a process of its own: two VMs whose virtual functions are PCI functions of an adapter, and
// two ports with virtio devices. Its options come as JSON in the first argument. It prints one JSON line when it listens, answers the
// line "counters" on standard input with another, and ends with its input.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSwitch } from '../../src/engine/host.ts'
import type { PortConfig } from '../../src/engine/switch-config.ts'

export interface IgbvfProcessOptions {
  /** Sockets of the two PCI functions, and of the two virtio devices. */
  readonly functions: readonly [string, string]
  readonly devices: readonly [string, string]
  /** Addresses of the two PCI functions, and of the two virtio devices. */
  readonly functionMacs: readonly [string, string]
  readonly deviceMacs: readonly [string, string]
  readonly directory: string
}

const POLL_MS = 20
const PF_MAC = '02:00:00:00:01:00'
const options = JSON.parse(process.argv[2] ?? '{}') as IgbvfProcessOptions
const plain = { macSpoofing: 'off', learning: false, link: 'up' } as const

const ports: PortConfig[] = [
  ...options.functions.map(
    (path, n): PortConfig => ({
      ...plain,
      name: `vm${n}`,
      mac: options.functionMacs[n]!,
      endpoint: { kind: 'memory' },
      iov: { weight: 50, form: 'vfio-user', path, queuePairs: 1, trusted: false, requireSeals: true },
    }),
  ),
  ...options.devices.map(
    (path, n): PortConfig => ({
      ...plain,
      name: `virtio${n}`,
      mac: options.deviceMacs[n]!,
      endpoint: { kind: 'vhost-user', path, mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true },
    }),
  ),
]

const running = await createSwitch(
  {
    name: 'bench',
    type: 'private',
    processors: 1,
    extensions: [],
    ports,
    adapters: [{ name: 'nic', mac: PF_MAC, uplink: null, vfs: 2, mtu: 1500, speedMbps: 0, order: 'deferred' }],
    macTable: { entries: 4096, ageingSeconds: 300 },
    directory: options.directory,
  },
  {
    log: ({ source, code, message }) => process.stderr.write(`${source}: ${code}: ${message}\n`),
    fatal: () => process.exit(1),
  },
)
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)

while (running.adapters.list()[0]!.assigned.length < options.functions.length) await sleep(POLL_MS)
say({ listening: true })
for await (const line of createInterface({ input: process.stdin }))
  if (line === 'counters')
    say({
      counters: {
        functions: running.adapters.list()[0]!.assigned,
        drops: running.drops(),
        processors: running.processors(),
      },
    })
await running.close()
