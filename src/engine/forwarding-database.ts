// The forwarding database as a running switch shows and ages it.
import type { FdbEntry, MacTable } from '../switch/mac-table.ts'

const AGEING_SECONDS_MIN = 1
const AGEING_SECONDS_MAX = 30

/** Which entries are meant, by port id. */
export interface FdbChoice {
  readonly port: number | undefined
  readonly vlan: number | undefined
}

/** The entries that are meant, with the names of their ports. */
export const fdbOf = (
  entries: readonly FdbEntry[],
  { port, vlan }: FdbChoice,
  portName: (id: number) => string,
): (Omit<FdbEntry, 'port'> & { port: string })[] =>
  entries
    .filter((entry) => (port === undefined || entry.port === port) && (vlan === undefined || entry.vlan === vlan))
    .map((entry) => ({ ...entry, port: portName(entry.port) }))

/** Forgets what was not seen for `ageingSeconds` (0: never), now and then, until the timer is cleared. Keeps no process alive. */
export function ageRegularly(macs: MacTable, ageingSeconds: number, nowSeconds: () => number): NodeJS.Timeout | undefined {
  if (ageingSeconds === 0) return undefined
  const everySeconds = Math.min(AGEING_SECONDS_MAX, Math.max(AGEING_SECONDS_MIN, ageingSeconds / 4))
  return setInterval(() => macs.age(nowSeconds(), ageingSeconds), everySeconds * 1000).unref()
}
