// The bandwidth of a port and of the switch as a person writes it.
import { z } from 'zod'
import { minimumBandwidthModes } from '../../ndis/standard-properties.ts'
import { BANDWIDTH_MAX, BANDWIDTH_MIN, BANDWIDTH_WEIGHT_MAX } from '../../switch/policies/bandwidth-property.ts'
import { bitRatePattern } from './patterns.ts'

const rate = z.union([z.number().int().min(BANDWIDTH_MIN).max(BANDWIDTH_MAX), z.string().regex(bitRatePattern)]).optional()
const weight = z.number().int().min(1).max(BANDWIDTH_WEIGHT_MAX).optional()

/** Of a port; rates are bits per second. */
export const portBandwidthSchema = z.strictObject({
  maximumBandwidth: rate.describe(
    'What the VM may send, in bits per second, such as 100mbit; of the external port, what leaves the switch through it.',
  ),
  maximumReceiveBandwidth: rate.describe('What the VM may get; frames beyond it are dropped.'),
  minimumBandwidthAbsolute: rate.describe('What the VM has of the uplink in any case.'),
  minimumBandwidthWeight: weight.describe('Part that the VM has of what minimums leave of the uplink, 1 to 100.'),
})

/** Of the switch. */
export const switchBandwidthSchema = z.strictObject({
  capacity: rate.describe(
    "What the uplink takes, in bits per second. Default: the external port's maximum, or the speed of its link.",
  ),
  minimumBandwidthMode: z
    .enum(minimumBandwidthModes)
    .optional()
    .describe('Which kind of minimum bandwidth ports may have. Default: either.'),
  defaultFlowMinimumBandwidthAbsolute: rate.describe('What all ports without a minimum have together in any case.'),
  defaultFlowMinimumBandwidthWeight: weight.describe('Part that they have together of what minimums leave. Default: 10.'),
})
