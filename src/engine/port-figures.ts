// Figures of ports for those who ask often, and for all ports: nothing is made for a port, and nobody is asked.
import { BandwidthCounter } from '../switch/bandwidth/bandwidth-table.ts'
import type { SwitchControl } from '../switch/control.ts'
import { type Counters, PortCounter, portCounterNames } from '../switch/counters.ts'
import type { PortTable } from '../switch/port-table.ts'

const US_PER_SECOND = 1e6

/** Where what is told of a port comes from. */
export interface PortSources {
  readonly control: SwitchControl
  readonly table: PortTable
  /** What a restored port had counted before. */
  readonly saver: { counted(port: number, name: string): number }
  /** One of each processor. */
  readonly counters: readonly Counters[]
}

/** A port while it is measured. */
export interface PortFigures {
  readonly name: string
  readonly connected: boolean
  readonly linkUp: boolean
  /** In the order of portCounterNames. */
  readonly counters: Float64Array
  readonly pacedBytes: number
  readonly waitedSeconds: number
  readonly uplinkBytes: number
}

/** A port counter, all processors together. */
export function portCounter(counters: readonly Counters[], port: number, counter: number): number {
  let sum = 0
  for (let i = 0; i < counters.length; i++) sum += counters[i]!.readPort(port, counter)
  return sum
}

/** Measures `ports`: `read` gets the same object for each. */
export function measurePorts(
  ports: Iterable<{ readonly runner: { readonly id: number }; readonly config: { readonly name: string } }>,
  { control, table, saver, counters }: PortSources,
  read: (figures: PortFigures) => void,
): void {
  const { bandwidth } = table
  const figures = {
    name: '',
    connected: false,
    linkUp: false,
    counters: new Float64Array(portCounterNames.length),
    pacedBytes: 0,
    waitedSeconds: 0,
    uplinkBytes: 0,
  }
  for (const { runner, config } of ports) {
    const { id } = runner
    figures.name = config.name
    figures.connected = table.connected(id)
    figures.linkUp = control.linkUp(id)
    for (let i = 0; i < portCounterNames.length; i++) {
      const name = portCounterNames[i]!
      figures.counters[i] = portCounter(counters, id, PortCounter[name]) + saver.counted(id, name)
    }
    figures.pacedBytes = bandwidth.counted(id, BandwidthCounter.paced)
    figures.waitedSeconds = bandwidth.counted(id, BandwidthCounter.waitedUs) / US_PER_SECOND
    figures.uplinkBytes = bandwidth.counted(id, BandwidthCounter.uplink)
    read(figures)
  }
}
