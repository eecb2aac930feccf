// The bandwidth of a port on the command line: what `vmswitch port set` changes of it, and how it is shown.

import type { PortStatus, SwitchHost } from '../../manage/host.ts'
import type { BandwidthProperty } from '../../ndis/standard-properties.ts'
import { bitRateText } from '../../switch/policies/bit-rate.ts'
import { bytes } from '../units.ts'

/** Rates as they are written: 100mbit, or bits per second; 0 takes the limit away. */
export interface BandwidthOptions {
  readonly maximumBandwidth?: string
  readonly maximumReceiveBandwidth?: string
  readonly minimumBandwidthAbsolute?: string
  readonly minimumBandwidthWeight?: number
}

const rates = [
  'maximumBandwidth',
  'maximumReceiveBandwidth',
  'minimumBandwidthAbsolute',
] as const satisfies (keyof BandwidthProperty)[]

/** What options say of the bandwidth; undefined: nothing. */
export function bandwidthChange(options: BandwidthOptions): Readonly<Record<string, string | number>> | undefined {
  const change: Record<string, string | number> = {}
  for (const rate of rates) {
    const text = options[rate]
    if (text !== undefined) change[rate] = /^\d+$/.test(text) ? Number(text) : text
  }
  if (options.minimumBandwidthWeight !== undefined) change.minimumBandwidthWeight = options.minimumBandwidthWeight
  return Object.keys(change).length === 0 ? undefined : change
}

/** Changes members of a port's bandwidth property; the others stay, and a property of which nothing is left goes. */
export async function changeBandwidth(
  host: Pick<SwitchHost, 'properties' | 'addProperty' | 'setProperty' | 'removeProperty'>,
  port: string,
  change: Readonly<Record<string, string | number>>,
): Promise<void> {
  const before = (await host.properties({ port })).find(({ type }) => type === 'bandwidth')
  const members = { ...(before?.value as Record<string, unknown> | undefined), ...change }
  const value = Object.fromEntries(Object.entries(members).filter(([, member]) => member !== 0))
  if (before === undefined) await host.addProperty({ type: 'bandwidth', port, value })
  else if (Object.keys(value).length > 0) await host.setProperty({ type: 'bandwidth', port, value })
  else await host.removeProperty({ type: 'bandwidth', port })
}

/** The limits of a port in a few words; '' without any. */
export const limitText = ({ bandwidth: { maximum, maximumReceive, minimum, weight } }: Pick<PortStatus, 'bandwidth'>): string =>
  [
    maximum === null ? '' : `≤${bitRateText(maximum)}`,
    maximumReceive === null ? '' : `receive ≤${bitRateText(maximumReceive)}`,
    minimum === null ? '' : `≥${bitRateText(minimum)}`,
    weight === null ? '' : `weight ${weight}`,
  ]
    .filter((text) => text !== '')
    .join(', ')

/** The same, with what came of it. */
export function bandwidthText(port: Pick<PortStatus, 'bandwidth'>): string {
  const { pacedBytes, waitedSeconds, uplinkBytes } = port.bandwidth
  const told = [
    limitText(port) || 'no limit',
    ...(pacedBytes > 0 ? [`${bytes(pacedBytes)} paced`] : []),
    ...(waitedSeconds > 0 ? [`waited ${waitedSeconds.toFixed(1)} s`] : []),
    ...(uplinkBytes > 0 ? [`${bytes(uplinkBytes)} to the shared uplink`] : []),
  ]
  return told.join(', ')
}
