// `npm run bench -- ports`: what a switch with a thousand ports costs: creating one more, saving all, and the memory of each.
//
// The rule it must not break: what is measured is the running switch, through the calls that the service and the CLI use.
import { fileURLToPath } from 'node:url'
import { type BenchComponents, BenchError, type Benchmark, type BenchOptions } from './benchmark.ts'
import type { PortsFigures, PortsProcessOptions } from './ports/ports-process.ts'
import { Child } from './support/child.ts'
import { describeMachine } from './support/machine.ts'
import { Scope } from './support/scope.ts'
import { median, rounded } from './support/statistics.ts'

const PORTS = 1000
const MORE = 20
const SAVES = 9
const QUICK_SAVES = 3
const LIMIT_MS = 120_000
const CREATE_MS_MAX = 2
const SAVE_MS_MAX = 200
const BYTES_PER_PORT_MAX = 20_000
const program = fileURLToPath(new URL('./ports/ports-process.ts', import.meta.url))
const hook = fileURLToPath(new URL('./alloc/heap-hook.ts', import.meta.url))

async function run(options: BenchOptions, { progress }: BenchComponents): ReturnType<Benchmark['run']> {
  const machine = describeMachine()
  const settings: PortsProcessOptions = {
    ports: PORTS,
    more: MORE,
    saves: options.rounds ?? (options.quick ? QUICK_SAVES : SAVES),
  }
  const scope = new Scope()
  try {
    progress(`a switch with ${PORTS} ports`)
    const child = new Child(
      {
        name: 'ports',
        program: process.execPath,
        args: ['--import', hook, program, JSON.stringify(settings)],
      },
      scope,
    )
    const line = await child.until('its figures', LIMIT_MS, (output) => /^\{"createMs".*\}$/m.exec(output)?.[0])
    const figures = JSON.parse(line) as PortsFigures
    if (figures.connected < PORTS)
      throw new BenchError('CHILD_FAILED', `only ${figures.connected} of ${PORTS} ports were connected`)
    const createMs = median(figures.createMs)
    const saveMs = median(figures.saveMs)
    const bytesPerPort = figures.controlHeapPerPort + figures.processorHeapPerPort + figures.tablesPerPort
    const ratios = {
      create_port_ms: rounded(createMs),
      save_all_ms: rounded(saveMs),
      bytes_per_port: Math.round(bytesPerPort),
    }
    return {
      bench: 'ports',
      machine,
      results: [
        {
          case: `${PORTS} ports`,
          createMs: rounded(createMs),
          createMsMax: rounded(Math.max(...figures.createMs)),
          saveMs: rounded(saveMs),
          saveMsMax: rounded(Math.max(...figures.saveMs)),
          readMs: rounded(median(figures.restoreReadMs)),
          savedBytes: figures.savedBytes,
          controlHeapPerPort: Math.round(figures.controlHeapPerPort),
          processorHeapPerPort: Math.round(figures.processorHeapPerPort),
          tablesPerPort: Math.round(figures.tablesPerPort),
        },
      ],
      ratios,
      floors: [
        { ratio: 'create_port_ms', atMost: CREATE_MS_MAX, met: createMs <= CREATE_MS_MAX },
        { ratio: 'save_all_ms', atMost: SAVE_MS_MAX, met: saveMs <= SAVE_MS_MAX },
        { ratio: 'bytes_per_port', atMost: BYTES_PER_PORT_MAX, met: bytesPerPort <= BYTES_PER_PORT_MAX },
      ],
      notes: [
        'two filtering extensions, one of which saves 200 bytes of every connection; medians',
        'memory: what is alive after a collection on the control thread and the processor, and shared tables; guests come on top',
      ],
    }
  } finally {
    scope.close()
  }
}

export const portsBenchmark: Benchmark = {
  name: 'ports',
  summary: 'a thousand ports: creating one more, saving all, memory per port',
  run,
}
