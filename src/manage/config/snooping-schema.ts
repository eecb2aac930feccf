// Snooping of IGMP and MLD as a person writes it.
import { z } from 'zod'
import { QUERIER_VLANS_MAX } from '../../engine/snooping/built-in-querier.ts'
import type { SnoopingConfig } from '../../engine/snooping/snooping-config.ts'
import { GROUPS_MAX, GROUPS_MIN } from '../../switch/snooping/group-table.ts'
import { name } from './endpoint-schema.ts'
import { PORTS_MAX, VLAN_MAX } from './limits.ts'
import { linkLocalPattern, plainIpv4Pattern } from './patterns.ts'
import { didYouMean } from './suggest.ts'

const ROBUSTNESS_MAX = 7
const INTERVAL_SECONDS_MAX = 1800
const RESPONSE_SECONDS_MAX = 25
const LAST_MEMBER_SECONDS_MAX = 25

const ports = z.array(name).max(PORTS_MAX).optional()

export const querierSchema = z.strictObject({
  address: z
    .string()
    .regex(plainIpv4Pattern)
    .optional()
    .describe('IPv4 address that it asks from. Default: 0.0.0.0, which gives way to any other querier.'),
  ipv6Address: z
    .string()
    .regex(linkLocalPattern)
    .optional()
    .describe('IPv6 link-local address that it asks from. Default: one made of the name of the switch.'),
  vlans: z
    .array(z.number().int().min(0).max(VLAN_MAX))
    .max(QUERIER_VLANS_MAX)
    .optional()
    .describe('VLANs in which it asks, besides those that ports are in untagged and those that have members; 0: untagged.'),
})

export const snoopingSchema = z
  .strictObject({
    igmp: z.boolean().optional().describe('Snoop IGMP, for IPv4. Default: true.'),
    mld: z.boolean().optional().describe('Snoop MLD, for IPv6. Default: true.'),
    floodUnregistered: z
      .boolean()
      .optional()
      .describe('Frames of groups that nobody joined go to all ports; false: to routers alone. Default: true.'),
    groups: z
      .number()
      .int()
      .min(GROUPS_MIN)
      .max(GROUPS_MAX)
      .optional()
      .describe(
        'Groups that the table holds; a port may have that divided by the number of ports, an eighth at most. Default: 1024.',
      ),
    routerPorts: ports.describe('Ports behind which a multicast router always is. Others are learned.'),
    fastLeavePorts: ports.describe('Ports with one host behind each: a leave ends the membership at once.'),
    querier: querierSchema
      .optional()
      .describe('The built-in querier, which asks where nobody else does: {} for one with defaults. Default: none.'),
    robustness: z.number().int().min(1).max(ROBUSTNESS_MAX).optional().describe('How many messages may be lost. Default: 2.'),
    queryIntervalSeconds: z
      .number()
      .int()
      .min(1)
      .max(INTERVAL_SECONDS_MAX)
      .optional()
      .describe('Seconds between queries. Default: 125.'),
    queryResponseSeconds: z
      .number()
      .min(0.5)
      .max(RESPONSE_SECONDS_MAX)
      .optional()
      .describe('Seconds that members may take to answer; below the interval. Default: 10.'),
    lastMemberQuerySeconds: z
      .number()
      .min(0.1)
      .max(LAST_MEMBER_SECONDS_MAX)
      .optional()
      .describe('Seconds that members may take when another one left. Default: 1.'),
  })
  .describe('Snooping of IGMP and MLD.')

/** What depends on other values. `ports`: names of the ports that there are. */
export function checkSnooping(
  snooping: SnoopingConfig,
  known: readonly string[],
  report: (code: string, path: readonly (string | number)[], message: string, hint: string) => void,
): void {
  for (const key of ['routerPorts', 'fastLeavePorts'] as const)
    for (const [i, port] of (snooping[key] ?? []).entries())
      if (!known.includes(port)) report('no-such-port', [key, i], `there is no port "${port}"`, didYouMean(port, [...known]))
  const { queryIntervalSeconds = 125, queryResponseSeconds = 10 } = snooping
  if (queryResponseSeconds >= queryIntervalSeconds)
    report(
      'bad-value',
      [snooping.queryResponseSeconds === undefined ? 'queryIntervalSeconds' : 'queryResponseSeconds'],
      `members may take ${queryResponseSeconds} s to answer, and are asked every ${queryIntervalSeconds} s`,
      'make the time to answer shorter than the interval (RFC 3376 8.3)',
    )
}
