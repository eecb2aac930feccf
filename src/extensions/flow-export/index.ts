// Tells collectors what passes: flows by IPFIX, samples and counters by sFlow, over UDP.
//
// The rule it must not break: it is a capturing extension, so it looks and changes nothing; a collector or network that falls behind loses
// messages, never frames.
import {
  defineExtension,
  type ExtensionHandlers,
  NdisStatus,
  Oid,
  type PortParameters,
  type SinkDeclaration,
} from '../../extension.ts'
import { IPFIX_SINK, IpfixExporter, type IpfixNumbering, ipfixCounters } from './ipfix-exporter.ts'
import { type FlowExportOptions, parseFlowExportOptions } from './options.ts'
import { PORT_FIGURES_BYTES, PORT_FIGURES_MEMORY } from './port-figures.ts'
import { SFLOW_SINK, SflowExporter, type SflowNumbering, sflowCounters } from './sflow-exporter.ts'

const ofPorts: ReadonlySet<number> = new Set([Oid.portCreate, Oid.portUpdated, Oid.portDelete])

const counterNames = [...ipfixCounters, ...sflowCounters] as const

/** Indices of the counters. */
export const FlowExportCounter = Object.fromEntries(counterNames.map((name, i) => [name, i])) as Record<
  (typeof counterNames)[number],
  number
>

const NUMBERING = 1

/** What a module hands over, so that collectors don't take its successor's messages for losses. */
interface Numbering {
  readonly version: typeof NUMBERING
  readonly ipfix: IpfixNumbering | undefined
  readonly sflow: SflowNumbering | undefined
}

function sinksOf({ ipfix, sflow }: FlowExportOptions): SinkDeclaration[] {
  const sinks: SinkDeclaration[] = []
  if (ipfix) sinks.push({ name: IPFIX_SINK, udp: ipfix.collectors })
  if (sflow) sinks.push({ name: SFLOW_SINK, udp: sflow.collectors })
  return sinks
}

export default defineExtension<FlowExportOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a08',
  name: 'flow-export',
  version: '1.0.0',
  class: 'capturing',
  description: 'Sends flows (IPFIX) and samples (sFlow) to collectors',
  counters: counterNames,
  parseOptions: parseFlowExportOptions,
  shared: ({ sflow }) => (sflow === undefined ? {} : { [PORT_FIGURES_MEMORY]: PORT_FIGURES_BYTES }),
  sinks: sinksOf,
  attach(sw, options) {
    const ipfix = options.ipfix && new IpfixExporter(sw, options.ipfix, 0)
    const sflow = options.sflow && new SflowExporter(sw, options.sflow, ipfixCounters.length)
    const handlers: ExtensionHandlers = {
      oidComplete({ oid, payload }, { status }) {
        if (!ofPorts.has(oid) || status !== NdisStatus.success) return
        ipfix?.portsChanged()
        if (oid === Oid.portDelete) sflow?.forget((payload as PortParameters).portId)
      },
      restart() {
        ipfix?.begin()
        sflow?.begin()
      },
      handOver: (): Numbering => ({ version: NUMBERING, ipfix: ipfix?.numbering, sflow: sflow?.numbering }),
      takeOver(state) {
        const before = state as Partial<Numbering> | undefined
        if (before?.version !== NUMBERING) return // another version of the module: collectors see a new beginning
        if (before.ipfix) ipfix?.continue(before.ipfix)
        if (before.sflow) sflow?.continue(before.sflow)
      },
      pause() {
        ipfix?.end()
        sflow?.end()
      },
    }
    // A packet is counted when it is done: then it is known where it went, or why it did not.
    const metersIngress = options.ipfix !== undefined && options.ipfix.direction !== 'egress'
    if (metersIngress || sflow)
      handlers.sendComplete = (batch) => {
        if (metersIngress) ipfix!.ingress(batch)
        sflow?.ingress(batch)
      }
    if (options.ipfix !== undefined && options.ipfix.direction !== 'ingress') handlers.egress = (batch) => ipfix!.egress(batch)
    return handlers
  },
})
