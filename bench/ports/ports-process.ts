// A switch with many ports in a process of its own, for `../ports.ts`: measures what it costs to create them, to save them and to have
// them, and prints one JSON line. Its options come as JSON in the first argument. It runs with `../alloc/heap-hook.ts` loaded.
//
// The rule it must not break: ports are connected, with properties, and two filtering extensions take part, as in a switch in use.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createSwitch, DEFAULT_PORT_LIMIT, type PortConfig } from '../../src/engine/host.ts'
import { referenceTableBytes } from '../../src/switch/control/references.ts'
import { countersBytes } from '../../src/switch/counters.ts'
import { deliveryListBytes } from '../../src/switch/delivery.ts'
import { macTableBytes } from '../../src/switch/mac-table.ts'
import { portTableBytes } from '../../src/switch/port-table.ts'
import { readSavedSwitch, writeSavedSwitch } from '../../src/switch/save-restore/saved-switch.ts'
import { policy } from '../../test/conformance/policy-support.ts'
import { askHeap } from '../alloc/heap-question.ts'

export interface PortsProcessOptions {
  readonly ports: number
  /** Ports created one by one once the others are there. */
  readonly more: number
  readonly saves: number
}

export interface PortsFigures {
  /** Of the ports created once the others were there. */
  readonly createMs: readonly number[]
  readonly saveMs: readonly number[]
  readonly restoreReadMs: readonly number[]
  readonly savedBytes: number
  readonly connected: number
  /** Live heap of the control thread and of the processor, per port. */
  readonly controlHeapPerPort: number
  readonly processorHeapPerPort: number
  /** Shared tables, per port; they are there from the start for as many ports as a switch may have. */
  readonly tablesPerPort: number
}

const STATE = 'x'.repeat(200)
const MAC_ENTRIES = 8192

const options = JSON.parse(process.argv[2] ?? '{}') as PortsProcessOptions
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-ports-'))
const octets = (port: number): string => [port >> 8, port & 255].map((octet) => octet.toString(16).padStart(2, '0')).join(':')
const portOf = (port: number): PortConfig => ({
  name: `p${port}`,
  mac: `02:00:00:00:${octets(port)}`,
  macSpoofing: 'off',
  learning: false,
  link: 'up',
  endpoint: {
    kind: 'vhost-user',
    path: join(directory, `p${port}`),
    mode: 'server',
    queuePairs: 1,
    mtu: 1500,
    requireSeals: true,
  },
  properties: [{ type: 'security', value: {} }],
})

const running = await createSwitch(
  {
    name: 'bench',
    type: 'private',
    processors: 1,
    extensions: [
      policy({ name: 'keeps', class: 'filtering', blocks: [STATE], quiet: true }),
      policy({ name: 'looks', class: 'filtering', quiet: true }),
    ],
    ports: [],
    macTable: { entries: MAC_ENTRIES, ageingSeconds: 300 },
    directory,
  },
  { log: () => {} },
)

// Taken over as from a migration, a port is connected without a guest: a thousand guests would have no room here.
async function create(port: number): Promise<void> {
  const config = portOf(port)
  await running.moves.prepare(config)
  const { name } = config
  await running.moves.takeOver({ name, connected: true, config: {}, properties: [], counters: {}, addresses: [], blocks: [] })
}

interface Heaps {
  readonly control: number
  readonly processor: number
}

async function heaps(): Promise<Heaps> {
  await askHeap(true)
  for (let round = 0; round < 3; round++) {
    collect()
    await sleep(50)
  }
  return { control: process.memoryUsage().heapUsed, processor: (await askHeap(true)).usedBytes }
}

async function timed(times: number[], work: () => Promise<unknown> | unknown): Promise<void> {
  const started = performance.now()
  await work()
  times.push(performance.now() - started)
}

const figures = { createMs: [] as number[], saveMs: [] as number[], restoreReadMs: [] as number[] }
// Once there and back, so that code is compiled and what is kept for good is there.
for (let port = 1; port <= options.ports; port++) await create(port)
for (let port = 1; port <= options.ports; port++) await running.removePort(`p${port}`)
const before = await heaps()
for (let port = 1; port <= options.ports; port++) await create(port)
const after = await heaps()
for (let port = options.ports + 1; port <= options.ports + options.more; port++)
  await timed(figures.createMs, () => running.addPort(portOf(port)))
let text = ''
for (let round = 0; round < options.saves; round++) {
  await timed(figures.saveMs, async () => {
    text = writeSavedSwitch(await running.moves.save())
  })
  await timed(figures.restoreReadMs, () => readSavedSwitch(text))
}
const tables = (ports: number): number =>
  [portTableBytes, referenceTableBytes, countersBytes, deliveryListBytes].reduce((sum, bytes) => sum + bytes(ports), 0) +
  macTableBytes(MAC_ENTRIES, ports)
const result: PortsFigures = {
  ...figures,
  savedBytes: text.length,
  connected: readSavedSwitch(text).ports.filter((port) => port.connected).length,
  controlHeapPerPort: (after.control - before.control) / options.ports,
  processorHeapPerPort: (after.processor - before.processor) / options.ports,
  tablesPerPort: tables(DEFAULT_PORT_LIMIT) / DEFAULT_PORT_LIMIT,
}
await running.close()
rmSync(directory, { recursive: true, force: true })
process.stdout.write(`${JSON.stringify(result)}\n`)
