// Makes a bad network of a good one: delay, loss, duplicates, bit errors, reordering, a limited rate, a link that is down; per port and
// direction, on a schedule, with random numbers that can be had again.
//
// The rule it must not break: what it holds it gives back when it pauses, when its port goes and when its line ends (ES-056, ES-208).
import {
  type Batch,
  defineExtension,
  NdisStatus,
  type NicParameters,
  Oid,
  type OidRequest,
  type PortParameters,
  type PortPropertyDeleteParameters,
  type PortPropertyParameters,
  PortPropertyType,
  type PropertyEnumeration,
  type SwitchHandle,
  type SwitchParameters,
} from '../../extension.ts'
import { Impairer } from './impairer.ts'
import type { Line } from './line.ts'
import { LineTable } from './line-table.ts'
import { type ImpairmentOptions, type LinePlan, parseImpairmentOptions, parseImpairmentProperty } from './options.ts'
import { impairmentFields } from './property-fields.ts'
import { SHARED_RATES_BYTES, SharedRates } from './shared-rates.ts'
import { NO_PORT } from './waiting.ts'

export { ImpairmentCounter } from './impairer.ts'

/** GUID of the port property `impairment`. */
export const IMPAIRMENT_PROPERTY = '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6b07'

const lineOf = (lines: readonly Line[], batch: Batch, i: number): Line | undefined => {
  for (let n = 0; n < lines.length; n++) if (lines[n]!.matches(batch, i)) return lines[n]
  return undefined
}

// Position behind the packets from `i` on, in a row, that have the one destination of packet `i`; behind `i` if that has several.
function sameDestination({ slots, pool, length }: Batch, i: number): number {
  const { destination, destinationCount, destinationRoom } = pool
  const slot = slots[i]!
  let end = i + 1
  if (destinationCount[slot] !== 1 || destinationRoom[slot] !== 0) return end
  const entry = destination[slot]!
  for (; end < length; end++) {
    const next = slots[end]!
    if (destination[next] !== entry || destinationCount[next] !== 1 || destinationRoom[next] !== 0) break
  }
  return end
}

const refresh = (lines: readonly Line[], nowMs: number): void => {
  for (let n = 0; n < lines.length; n++) lines[n]!.refresh(nowMs)
}

// A property of a port came, changed or went; undefined for any other request.
function propertyChange({ oid, payload }: OidRequest): { portId: number; plans: readonly LinePlan[] } | undefined {
  const { portId, propertyType, propertyId } = payload as PortPropertyDeleteParameters
  if (propertyType !== PortPropertyType.custom || propertyId !== IMPAIRMENT_PROPERTY) return undefined
  return {
    portId,
    plans: oid === Oid.portPropertyDelete ? [] : ((payload as PortPropertyParameters).property as readonly LinePlan[]),
  }
}

// The properties that are older than this module: no ADD is repeated for it.
async function discover(sw: SwitchHandle, table: LineTable): Promise<void> {
  const { output } = await sw.query(Oid.switchParameters) // ES-073
  if (!(output as SwitchParameters).isActive) return
  for (const { portId } of sw.ports()) {
    if (sw.referencePort(portId) !== NdisStatus.success) continue // ES-141
    try {
      const asked = { portId, propertyType: PortPropertyType.custom, propertyId: IMPAIRMENT_PROPERTY }
      const [found] = ((await sw.query(Oid.portPropertyEnum, asked)).output as PropertyEnumeration | undefined)?.properties ?? []
      if (found) table.setProperty(portId, found.property as readonly LinePlan[])
    } finally {
      sw.dereferencePort(portId) // ES-142
    }
  }
}

export default defineExtension<ImpairmentOptions>({
  id: '7b0b6d0e-5f0c-4c56-9b7e-0d3c1f9f6a07',
  name: 'impairment',
  version: '1.0.0',
  class: 'filtering',
  description: 'Delays, loses, duplicates, corrupts and reorders frames',
  counters: ['matched', 'delayed', 'lost', 'duplicated', 'corrupted', 'reordered', 'limited', 'link-down'],
  shared: () => ({ rates: SHARED_RATES_BYTES }),
  parseOptions: parseImpairmentOptions,
  properties: {
    [IMPAIRMENT_PROPERTY]: {
      name: 'impairment',
      version: '1.0',
      scope: 'port',
      fields: impairmentFields,
      list: true,
      parse: parseImpairmentProperty,
    },
  },
  attach(sw, options) {
    const impairer = new Impairer(sw)
    const rates = new SharedRates(sw.shared('rates'), sw.processors > 1)
    const table = new LineTable(sw, options, rates, (line) => impairer.endLine(line))
    for (const { portId, portName } of sw.ports()) table.add(portId, portName)
    let isDiscovered = false

    return {
      ingress(batch) {
        if (table.ingressCount === 0) return
        const { slots, pool, isTraced } = batch
        const { sourcePort } = pool
        const nowMs = sw.now()
        for (let i = 0, end = 0; i < batch.length; i = end) {
          const from = sourcePort[slots[i]!]!
          end = batch.oneSource ? batch.length : i + 1
          while (end < batch.length && sourcePort[slots[end]!] === from) end++
          const lines = table.ingress[from]
          if (lines === undefined) continue
          refresh(lines, nowMs)
          if (lines[0]!.delaysAlike && !isTraced) {
            impairer.delay(batch, i, end, NO_PORT, lines[0]!, nowMs)
            continue
          }
          for (let n = i; n < end; n++) {
            const line = lineOf(lines, batch, n)
            if (line !== undefined) impairer.impair(batch, n, -1, NO_PORT, line, nowMs)
          }
        }
        impairer.finish(batch, nowMs)
      },

      egress(batch) {
        if (table.egressCount === 0) return
        const { isTraced } = batch
        const nowMs = sw.now()
        for (let i = 0, end = 0; i < batch.length; i = end) {
          end = sameDestination(batch, i)
          const count = batch.destinationCount(i)
          for (let k = 0; k < count; k++) {
            const to = batch.destinationPortId(i, k)
            const lines = table.egress[to]
            if (lines === undefined || batch.isExcluded(i, k)) continue
            refresh(lines, nowMs)
            if (count === 1 && lines[0]!.delaysAlike && !isTraced) {
              impairer.delay(batch, i, end, to, lines[0]!, nowMs)
              continue
            }
            for (let n = i; n < end; n++) {
              const line = lineOf(lines, batch, n)
              if (line !== undefined) impairer.impair(batch, n, k, to, line, nowMs)
            }
            if (batch.isDropped(i)) break
          }
        }
        impairer.finish(batch, nowMs)
      },

      oid({ oid, payload }) {
        if (oid === Oid.nicDisconnect) impairer.forgetPort((payload as NicParameters).portId)
        return undefined
      },

      oidComplete(request, { status }) {
        const { oid, payload } = request
        if (oid === Oid.nicDisconnect) impairer.forgetPort((payload as NicParameters).portId)
        else if (oid === Oid.portDelete) table.remove((payload as PortParameters).portId)
        if (status !== NdisStatus.success) return
        if (oid === Oid.portCreate || oid === Oid.portUpdated) {
          const { portId, portName, isValidationPort } = payload as PortParameters
          if (!isValidationPort) table.add(portId, portName)
        } else if (oid === Oid.portPropertyAdd || oid === Oid.portPropertyUpdate || oid === Oid.portPropertyDelete) {
          const change = propertyChange(request)
          if (change) table.setProperty(change.portId, change.plans)
        }
      },

      async restart() {
        if (isDiscovered) return
        isDiscovered = true
        await discover(sw, table)
      },

      pause() {
        impairer.giveBack()
      },
    }
  },
})
