// Options of the learning forwarder.
import { OptionReader } from '../../extension.ts'

export interface LearningForwardOptions {
  /** Addresses that the table holds: a power of two. */
  readonly entries: number
  /** Seconds after which an address that was not seen again is forgotten. */
  readonly ageingSeconds: number
  /** Names of ports to which 802.1Q VLAN tags are delivered; undefined = all. */
  readonly preserveVlan: readonly string[] | undefined
  /** Names of ports to which 802.1p priorities are delivered; undefined = all. */
  readonly preservePriority: readonly string[] | undefined
}

export function parseLearningForwardOptions(raw: unknown): LearningForwardOptions {
  const reader = new OptionReader(raw)
  const options: LearningForwardOptions = {
    entries: reader.integer('entries', 64, 1 << 20) ?? 4096,
    ageingSeconds: reader.integer('ageingSeconds', 1, 1_000_000) ?? 300,
    preserveVlan: reader.names('preserveVlan'),
    preservePriority: reader.names('preservePriority'),
  }
  reader.done()
  if ((options.entries & (options.entries - 1)) !== 0)
    throw reader.error('entries', `${options.entries} is not a power of two: write for example 4096`)
  return options
}
