// Packets that modules keep of a connection that is going.
//
// The rule it must not break: nothing names a connection when NIC_DELETE is issued (ES-208), however long a module keeps its packets.
import { DropReason } from '../ndis/drop-reasons.ts'
import type { DataPath } from './data-path.ts'
import type { Injections } from './injections.ts'

/**
 * Takes from all modules the packets that name port `portId`, and reports who kept them. Each module's failure policy decides: the
 * packets go on from where they were taken, or are lost. Not from within a burst.
 */
export function takeKeptPackets(
  portId: number,
  { injections, dataPath }: { readonly injections: Injections; readonly dataPath: DataPath },
  report: (module: string, code: string, message: string) => void,
): void {
  const { modules } = dataPath.stack
  const goOn = (module: number): boolean => modules[module]?.onFailure !== 'closed'
  for (const [at, count] of injections.surrenderPort(portId, goOn, DropReason.extensionFailed)) {
    const module = modules[at]
    if (!module) continue
    module.breaches++
    report(module.name, 'packets-kept', `kept ${count} packets of port ${portId}, whose connection is going`)
  }
  dataPath.flushInjections()
}
