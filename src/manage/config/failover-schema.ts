// The failover lab in the configuration: who is tried, under which load, and what is done when.
import { z } from 'zod'
import { failoverActions } from '../../lab/failover/schedule.ts'
import { name } from './endpoint-schema.ts'
import { FAILOVER_MBPS_MAX, FAILOVER_PPS_MAX, FAILOVER_SECONDS_MAX, FAILOVER_STEPS_MAX, FAILOVER_TIMES_MAX } from './limits.ts'

const seconds = (): z.ZodNumber => z.number().min(0).max(FAILOVER_SECONDS_MAX)

export const failoverStepSchema = z.strictObject({
  action: z
    .enum(failoverActions)
    .describe(
      'remove: take the virtual function away as planned; surprise: tear it out; assign: give one; reset: reset it; pull, plug: the adapter; exhaust: take all that the adapter has left, and give it back.',
    ),
  at: seconds().describe('Seconds from the start of the load to the first time.'),
  every: z.number().positive().max(FAILOVER_SECONDS_MAX).optional().describe('Seconds between two times. Default: once only.'),
  times: z
    .number()
    .int()
    .min(1)
    .max(FAILOVER_TIMES_MAX)
    .optional()
    .describe('How often, where every is given. Default: to the end.'),
  port: name.optional().describe('Port that it is done to. Default: the port of the lab.'),
  adapter: name.optional().describe('Adapter that pull, plug and exhaust are done to. Default: the one of the external port.'),
})

export const failoverSchema = z.strictObject({
  port: name.optional().describe('Port whose guest has the virtual function. Default: the first with an iov section.'),
  peer: name.optional().describe("Port of the load's other end. Default: the first other one with an address."),
  load: z
    .strictObject({
      seconds: z.number().positive().max(FAILOVER_SECONDS_MAX).default(10).describe('How long the load lasts, in seconds.'),
      udpPps: z
        .number()
        .int()
        .min(0)
        .max(FAILOVER_PPS_MAX)
        .default(10_000)
        .describe('Numbered UDP frames per second in each direction; 0: none.'),
      tcp: z.boolean().default(true).describe('Whether a TCP stream runs meanwhile whose bytes are compared.'),
      tcpMbps: z.number().positive().max(FAILOVER_MBPS_MAX).default(20).describe('Rate of the TCP stream, in Mbit/s.'),
    })
    .prefault({})
    .describe('What runs between the two guests.'),
  steps: z.array(failoverStepSchema).max(FAILOVER_STEPS_MAX).default([]).describe('What is done, and when.'),
})
