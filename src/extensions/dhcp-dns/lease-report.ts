// Who has which address, for the operator: the feature status of the extension, as a table in text.
//
// The rule it must not break: it is no longer than who asks has room for, and says how much it needs instead.
import { formatMac, NdisStatus, type OidCompletion, type PortFeatureStatusParameters } from '../../extension.ts'
import { leaseAddress } from './lab-names.ts'
import { LeaseState, type LeaseTable } from './leases.ts'

const VERSION_1 = 0x0100
const HEADER = ['ADDRESS', 'MAC', 'PORT', 'NAME', 'STATE', 'SECONDS']
const stateNames: Readonly<Record<number, string>> = {
  [LeaseState.offered]: 'offered',
  [LeaseState.bound]: 'bound',
  [LeaseState.declined]: 'declined',
  [LeaseState.learned]: 'learned',
}

function macText([high, low]: readonly [number, number, number]): string {
  const bytes = new Uint8Array(6)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, high)
  view.setUint32(2, low)
  return formatMac(bytes)
}

/** The leases of one port, or all of them, by address; one a line below a line of headings. */
export function leaseTable(
  table: LeaseTable,
  nowMs: number,
  nameOf: (port: number) => string,
  labelOf: (port: number) => string,
  port?: number,
): string {
  const rows = table.locked(() => {
    const found: { readonly order: number; readonly row: readonly string[] }[] = []
    for (const record of table.records(nowMs)) {
      const lease = table.last(record)
      if (port !== undefined && lease.port !== port) continue
      const { client, livesMs } = table.holding(record, nowMs)
      const mac = lease.family === 4 ? macText(client) : '-'
      const name = lease.name || labelOf(lease.port) || '-'
      const row = [
        leaseAddress(lease),
        mac,
        nameOf(lease.port),
        name,
        stateNames[lease.state] ?? '-',
        String(Math.ceil(livesMs / 1000)),
      ]
      found.push({ order: lease.address[3]! + (lease.family === 4 ? 0 : 2 ** 32), row })
    }
    return found.sort((a, b) => a.order - b.order).map(({ row }) => row)
  })
  const all = [HEADER, ...rows]
  const widths = HEADER.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Answers a question for the extension's feature status; undefined if it is about another feature (ES-560). */
export function leaseStatus(
  { featureStatusId, bufferLength }: Pick<PortFeatureStatusParameters, 'featureStatusId' | 'bufferLength'>,
  id: string,
  report: () => string,
): OidCompletion | undefined {
  if (featureStatusId !== id) return undefined
  const data = new TextEncoder().encode(`\n${report()}`)
  if (data.length > bufferLength) return { status: NdisStatus.invalidLength, bytesNeeded: data.length } // ES-559
  return { status: NdisStatus.success, output: { featureStatusVersion: VERSION_1, data } }
}
