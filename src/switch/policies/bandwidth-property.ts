// The bandwidth of a port and of the switch, a policy built into the switch (spec 7.6): how its values are read. Names as
// Set-VMNetworkAdapter, New-VMSwitch and Set-VMSwitch have them; rates are bits per second.
//
// The rule it must not break: what belongs to a port is refused at the switch, and the other way round.
import { OptionError, type OptionReader } from '../../ndis/module-options.ts'
import { type BandwidthProperty, minimumBandwidthModes } from '../../ndis/standard-properties.ts'
import { parseBitRate } from './bit-rate.ts'

/** Bits per second: a slower port would wait seconds for one of its longer frames. */
export const BANDWIDTH_MIN = 64_000
export const BANDWIDTH_MAX = 400_000_000_000
const RESERVATION_MAX_MBPS = 10_000_000
const BITS_PER_MEGABIT = 1e6
/** MinimumBandwidthWeight of Set-VMNetworkAdapter. */
export const BANDWIDTH_WEIGHT_MAX = 100

// 0 stands for no limit, as in Set-VMNetworkAdapter.
function rate(options: OptionReader, key: string): number | undefined {
  const value = options.value(key)
  if (value === undefined || value === 0) return undefined
  const bits = typeof value === 'string' ? parseBitRate(value) : value
  if (typeof bits === 'number' && Number.isInteger(bits) && bits >= BANDWIDTH_MIN && bits <= BANDWIDTH_MAX) return bits
  throw new OptionError(
    options.path(key),
    `${JSON.stringify(value)} is no rate: write bits per second, such as "100mbit" or 100000000 (64kbit to 400gbit; 0 for none)`,
  )
}

const weight = (options: OptionReader, key: string): number | undefined => {
  const value = options.integer(key, 0, BANDWIDTH_WEIGHT_MAX)
  return value === 0 ? undefined : value
}

const megabits = (options: OptionReader, key: string, min: number): number | undefined => {
  const value = options.integer(key, min, RESERVATION_MAX_MBPS)
  return value === undefined ? undefined : value * BITS_PER_MEGABIT
}

// A name that was there first stands for the same.
function either(
  options: OptionReader,
  key: string,
  value: number | undefined,
  older: string,
  old: number | undefined,
): number | undefined {
  if (value !== undefined && old !== undefined) throw options.error(key, `is given as ${older} too: leave one of them out`)
  return value ?? old
}

const ofPorts: ReadonlySet<string> = new Set([
  'maximumBandwidth',
  'maximumReceiveBandwidth',
  'minimumBandwidthAbsolute',
  'minimumBandwidthWeight',
] satisfies (keyof BandwidthProperty)[])

/** Reads a bandwidth property. Throws OptionError with the member that is wrong. */
export function parseBandwidth(options: OptionReader): BandwidthProperty {
  const values: BandwidthProperty = {
    maximumBandwidth: rate(options, 'maximumBandwidth'),
    maximumReceiveBandwidth: rate(options, 'maximumReceiveBandwidth'),
    minimumBandwidthAbsolute: either(
      options,
      'minimumBandwidthAbsolute',
      rate(options, 'minimumBandwidthAbsolute'),
      'reservationMbps',
      megabits(options, 'reservationMbps', 0),
    ),
    minimumBandwidthWeight: weight(options, 'minimumBandwidthWeight'),
    capacity: either(options, 'capacity', rate(options, 'capacity'), 'capacityMbps', megabits(options, 'capacityMbps', 1)),
    minimumBandwidthMode: options.choice('minimumBandwidthMode', minimumBandwidthModes),
    defaultFlowMinimumBandwidthAbsolute: rate(options, 'defaultFlowMinimumBandwidthAbsolute'),
    defaultFlowMinimumBandwidthWeight: weight(options, 'defaultFlowMinimumBandwidthWeight'),
  }
  const { maximumBandwidth: most, minimumBandwidthAbsolute: least } = values
  if (most !== undefined && least !== undefined && least > most)
    throw options.error('minimumBandwidthAbsolute', `${least} is above maximumBandwidth, ${most}`)
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** The member of a value that does not belong to `scope`; undefined: there is none. */
export const strangerOf = (property: BandwidthProperty, scope: 'port' | 'switch'): string | undefined =>
  Object.keys(property).find((member) => ofPorts.has(member) !== (scope === 'port'))
