// Options of the MAC guard.
import { OptionError, OptionReader, parseMac } from '../../extension.ts'

export interface MacGuardOptions {
  /** More source addresses that ports may use: port name → addresses. */
  readonly allow: ReadonlyMap<string, readonly Uint8Array[]>
  /** Names of ports that are not guarded. */
  readonly exempt: readonly string[]
  /** Whether frames of ports without an address of their own are dropped. */
  readonly unknown: 'pass' | 'drop'
}

export const ALLOWED_PER_PORT_MAX = 15

function readMac(value: unknown, path: string): Uint8Array {
  if (typeof value !== 'string') throw new OptionError(path, 'is not a MAC address: write it in quotes, like "02:00:5e:10:00:01"')
  const mac = parseMac(value)
  if ((mac[0]! & 1) !== 0) throw new OptionError(path, `"${value}" is a group address: no frame may come from one`)
  return mac
}

/** Checks the configured options. */
export function parseMacGuardOptions(raw: unknown): MacGuardOptions {
  const reader = new OptionReader(raw)
  const given = reader.value('allow') ?? {}
  const ports = new OptionReader(given, 'allow')
  const allow = new Map<string, Uint8Array[]>()
  for (const name of Object.keys(given)) {
    const macs = ports.list(name, readMac) ?? []
    if (macs.length > ALLOWED_PER_PORT_MAX) throw ports.error(name, `a port has at most ${ALLOWED_PER_PORT_MAX} more addresses`)
    allow.set(name, macs)
  }
  const options: MacGuardOptions = {
    allow,
    exempt: reader.names('exempt') ?? [],
    unknown: reader.choice('unknown', ['pass', 'drop']) ?? 'pass',
  }
  reader.done()
  return options
}
