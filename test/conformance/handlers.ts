// Modules made of functions on a data path, for tests of the contract's data-path rules through the public API: what an extension sees
// and does is seen and done through Batch and SwitchHandle alone.
import type { Batch, SwitchHandle } from 'vmswitch/extension'
import { PortFlag } from '../../src/switch/port-table.ts'
import { DataPathHarness, type ModuleOptions } from '../support/data-path-harness.ts'

export interface Part extends ModuleOptions {
  readonly ingress?: (batch: Batch, sw: SwitchHandle) => void
  readonly egress?: (batch: Batch, sw: SwitchHandle) => void
  readonly sendComplete?: (batch: Batch, sw: SwitchHandle) => void
  readonly returned?: (batch: Batch, sw: SwitchHandle) => void
  readonly attach?: (sw: SwitchHandle) => void
}

export interface Bench {
  readonly harness: DataPathHarness
  readonly handles: SwitchHandle[]
  /** Rules that modules broke, in order, without repetitions. */
  readonly broken: () => string[]
}

/** A switch of `ports` connected ports and a stack of modules, top first. Both with and without the wasm short cuts. */
export function stackOf(ports: number, parts: readonly Part[], shortCut = true): Bench {
  const harness = new DataPathHarness({ shortCut, reportAll: true }).connect(ports)
  const handles: SwitchHandle[] = []
  // A failed assertion in a handler is the test's, not a fault of a module.
  const failures: unknown[] = []
  const guarded = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      failures.push(error)
    }
  }
  const surfacing =
    <A extends unknown[], R>(method: (...args: A) => R) =>
    (...args: A): R => {
      const answer = method(...args)
      if (failures.length > 0) throw failures[0]
      return answer
    }
  harness.send = surfacing(harness.send.bind(harness))
  harness.dataPath.flushInjections = surfacing(harness.dataPath.flushInjections.bind(harness.dataPath))
  harness.install(
    ...parts.map((part, i): [ModuleOptions, (sw: SwitchHandle) => object] => [
      { ...part, name: part.name ?? `m${i}` },
      (sw) => {
        handles[i] = sw
        part.attach?.(sw)
        const bound = (handler: Part['ingress']) => (handler ? (batch: Batch) => guarded(() => handler(batch, sw)) : undefined)
        const found = Object.entries({
          ingress: bound(part.ingress),
          egress: bound(part.egress),
          sendComplete: bound(part.sendComplete),
          returned: bound(part.returned),
        }).filter(([, handler]) => handler !== undefined)
        return Object.fromEntries(found)
      },
    ]),
  )
  const broken = (): string[] => [
    ...new Set(harness.reports.filter(({ code }) => code.startsWith('ES-')).map(({ code }) => code)),
  ]
  return { harness, handles, broken }
}

export const filtering = (part: Part): Part => ({ class: 'filtering', ...part })
export const forwarding = (part: Part): Part => ({ class: 'forwarding', ...part })
export const capturing = (part: Part): Part => ({ class: 'capturing', ...part })

/** A forwarding extension that gives each packet these destinations, unless it has some. */
export const directTo = (...to: number[]): Part =>
  forwarding({
    name: 'X',
    ingress: (batch) => {
      for (let i = 0; i < batch.length; i++)
        if (batch.destinationCount(i) === 0) for (const port of to) batch.addDestination(i, port)
    },
  })

/** Ports and exclusions of packet `i`: "2 -3" for port 3 excluded. */
export const destinationsOf = (batch: Batch, i: number): string =>
  Array.from(
    { length: batch.destinationCount(i) },
    (_, k) => `${batch.isExcluded(i, k) ? '-' : ''}${batch.destinationPortId(i, k)}`,
  ).join(' ')

/** The external port of a bench, over physical adapters with these NIC indices. */
export function external(harness: DataPathHarness, port: number, ...adapters: number[]): void {
  harness.connectPort(port, PortFlag.external | PortFlag.learn | PortFlag.unknownUnicast)
  harness.ports.setAdapters(port, adapters)
}
