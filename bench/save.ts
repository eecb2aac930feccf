// How long a full save of a switch takes: `node bench/save.ts [ports]`. Two filtering extensions take part, one of which has data for every
// connection. Prints the milliseconds of several saves, with what writing and reading the message takes.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSwitch } from '../src/engine/host.ts'
import { readSavedSwitch, writeSavedSwitch } from '../src/switch/save-restore/saved-switch.ts'
import { policy } from '../test/conformance/policy-support.ts'

const PORTS = Number(process.argv[2] ?? 1000)
const ROUNDS = 5
const STATE = 'x'.repeat(200)

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-save-'))
const octets = (port: number): string => [port >> 8, port & 255].map((octet) => octet.toString(16).padStart(2, '0')).join(':')
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
    macTable: { entries: 8192, ageingSeconds: 300 },
    directory,
  },
  { log: () => {} },
)
// Taken over as from a migration, the ports are connected without a guest: a thousand guests would have no room here.
for (let port = 1; port <= PORTS; port++) {
  const name = `p${port}`
  const mac = `02:00:00:00:${octets(port)}`
  const path = join(directory, name)
  await running.moves.prepare({
    name,
    mac,
    macSpoofing: 'off',
    learning: false,
    link: 'up',
    endpoint: { kind: 'vhost-user', path, mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true },
    properties: [{ type: 'security', value: {} }],
  })
  await running.moves.takeOver({ name, connected: true, config: {}, properties: [], counters: {}, addresses: [], blocks: [] })
}
for (let round = 0; round < ROUNDS; round++) {
  const started = performance.now()
  const saved = await running.moves.save()
  const saveMs = performance.now() - started
  const text = writeSavedSwitch(saved)
  const writtenMs = performance.now() - started - saveMs
  readSavedSwitch(text)
  const readMs = performance.now() - started - saveMs - writtenMs
  const connected = saved.ports.filter((port) => port.connected).length
  const blocks = saved.ports.reduce((sum, port) => sum + port.blocks.length, 0)
  console.log(
    `${PORTS} ports (${connected} connected, ${blocks} blocks): saved in ${saveMs.toFixed(0)} ms, written in ${writtenMs.toFixed(0)} ms (${text.length} bytes), read in ${readMs.toFixed(0)} ms`,
  )
}
await running.close()
rmSync(directory, { recursive: true })
