// A switch with an SR-IOV adapter in a process of its own: VMs whose virtual functions are vhost-user devices. The sockets of the first
// two are left to a generator; to the others this process connects idle guests itself, whose rings run. Its options come as JSON in the
// first argument. It prints one JSON line when it listens and one when all functions carry traffic, answers the line "counters" on
// standard input with another, and ends with its input.
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSwitch } from '../../src/engine/host.ts'
import type { PortConfig } from '../../src/engine/switch-config.ts'
import { FrontEnd } from '../../test/support/vhost-front-end.ts'

export interface VfProcessOptions {
  readonly vfs: number
  /** The function of VM n listens at `n.sock` in it. */
  readonly directory: string
  /** Host processor of the data path. */
  readonly processor: number
  /** Addresses of the first two VMs. */
  readonly macs: readonly [string, string]
}

const LOADED = 2
const POLL_MS = 20
/** Memory and rings of an idle guest: all guests together fit what the kernels see. */
const IDLE_GUEST_BYTES = 24 * 1024 * 1024
const IDLE_RING = 64
const PF_MAC = '02:00:00:00:01:00'

const { vfs, directory, processor, macs } = JSON.parse(process.argv[2] ?? '{}') as VfProcessOptions
const macOf = (n: number): string => macs[n] ?? `02:00:00:00:00:${(n + 1).toString(16).padStart(2, '0')}`
const socketOf = (n: number): string => join(directory, `${n}.sock`)

const ports = Array.from(
  { length: vfs },
  (_, n): PortConfig => ({
    name: `vm${n}`,
    mac: macOf(n),
    macSpoofing: 'off',
    learning: false,
    link: 'up',
    endpoint: { kind: 'memory' },
    iov: {
      weight: 50,
      form: 'vhost-user',
      path: socketOf(n),
      queuePairs: 1,
      trusted: false,
      requireSeals: false, // memfds of huge pages have none
    },
  }),
)

const running = await createSwitch(
  {
    name: 'bench',
    type: 'private',
    processors: 1,
    extensions: [],
    ports,
    adapters: [{ name: 'nic', mac: PF_MAC, uplink: null, vfs, mtu: 1500, speedMbps: 0, order: 'deferred' }],
    macTable: { entries: 4096, ageingSeconds: 300 },
    directory,
    pin: [processor],
  },
  {
    log: ({ source, code, message }) => process.stderr.write(`${source}: ${code}: ${message}\n`),
    fatal: () => process.exit(1),
  },
)
const say = (answer: Record<string, unknown>): boolean => process.stdout.write(`${JSON.stringify(answer)}\n`)
const assigned = (): readonly { readonly state: string }[] => running.adapters.list()[0]!.assigned

while (assigned().length < vfs) await sleep(POLL_MS)
const guests: FrontEnd[] = []
for (let n = LOADED; n < vfs; n++) {
  const guest = FrontEnd.connect(socketOf(n))
  guest.addMemory(IDLE_GUEST_BYTES)
  await guest.setUp({ size: IDLE_RING })
  guests.push(guest)
}
say({ listening: vfs })
while (assigned().some(({ state }) => state !== 'active')) await sleep(POLL_MS)
say({ active: vfs })
for await (const line of createInterface({ input: process.stdin }))
  if (line === 'counters') say({ counters: { adapters: running.adapters.list(), processors: running.processors() } })
for (const guest of guests) guest.close()
await running.close()
