// What the host decides about a VF, in the words of `ip link set … vf N`: spoof check, trust, rates, priority, link state. MAC and VLAN
// are receive filters of its VPort (see linux-words.ts).
import { RATE_MAX_MBPS } from './rate-limits.ts'

export const linkModes = ['auto', 'enable', 'disable'] as const
export type LinkMode = (typeof linkModes)[number]

export interface VfSettings {
  /** Source addresses are checked (PD-01). */
  readonly spoofCheck: boolean
  /** The VF may ask for promiscuous mode and other addresses, and send stacked tags. */
  readonly trust: boolean
  /** 802.1p priority of tags that an access port puts on, 0…7. */
  readonly qos: number
  /** Megabits per second that it may send at the most; 0 = no limit. */
  readonly maxRateMbps: number
  /** Megabits per second that it can send in any case; 0 = none kept for it. */
  readonly minRateMbps: number
  readonly linkMode: LinkMode
}

export const defaultVfSettings: VfSettings = {
  spoofCheck: true,
  trust: false,
  qos: 0,
  maxRateMbps: 0,
  minRateMbps: 0,
  linkMode: 'auto',
}

const isRate = (rate: number): boolean => Number.isInteger(rate) && rate >= 0 && rate <= RATE_MAX_MBPS

/** What is wrong with settings, as a sentence, or undefined. */
export function settingsProblem(settings: VfSettings): string | undefined {
  const { qos, maxRateMbps, minRateMbps, linkMode } = settings
  if (!(Number.isInteger(qos) && qos >= 0 && qos <= 7)) return `qos is a priority from 0 to 7, not ${qos}`
  if (!isRate(maxRateMbps)) return `max-rate is 0 (no limit) to ${RATE_MAX_MBPS} Mbit/s, not ${maxRateMbps}`
  if (!isRate(minRateMbps)) return `min-rate is 0 (none) to ${RATE_MAX_MBPS} Mbit/s, not ${minRateMbps}`
  if (maxRateMbps !== 0 && minRateMbps > maxRateMbps) return `min-rate ${minRateMbps} is above max-rate ${maxRateMbps}`
  if (!linkModes.includes(linkMode)) return `link state is ${linkModes.join(', ')}, not ${linkMode}`
  return undefined
}
