// The ACLs of a port in a configuration: names as Add-VMNetworkAdapterAcl and Add-VMNetworkAdapterExtendedAcl have them.
import { z } from 'zod'
import { ACL_ENTRIES_MAX } from '../../switch/acl/acl-options.ts'
import { EXTENDED_RULES_MAX } from '../../switch/acl/extended-acl-options.ts'

const ip = z.string().min(1)
const mac = z.string().min(1)
const port = z.union([z.number().int().min(0).max(65535), z.string().min(1)])

export const aclEntrySchema = z.strictObject({
  action: z.enum(['allow', 'deny', 'meter']).describe('meter counts, and drops nothing.'),
  direction: z.enum(['inbound', 'outbound', 'both']).describe('inbound: to the port; outbound: from it.'),
  localIPAddress: ip.optional().describe("Prefix or address of the port's side, or ANY. An entry has one address."),
  remoteIPAddress: ip.optional().describe('Prefix or address of the other side, or ANY.'),
  localMacAddress: mac.optional().describe("MAC address of the port's side, or ANY."),
  remoteMacAddress: mac.optional().describe('MAC address of the other side, or ANY.'),
})

export const extendedRuleSchema = z.strictObject({
  name: z.string().min(1).optional().describe('For reports. Default: "rule" and its number.'),
  action: z.enum(['allow', 'deny']).describe('What happens to packets that the rule matches.'),
  direction: z.enum(['inbound', 'outbound']).describe('inbound: to the port; outbound: from it.'),
  localIPAddress: ip.optional().describe("Prefix or address of the port's side. Default: ANY."),
  remoteIPAddress: ip.optional().describe('Prefix or address of the other side. Default: ANY.'),
  localPort: port.optional().describe('Port or range, such as 80 or "8000-8099". Default: ANY.'),
  remotePort: port.optional().describe('Port or range. Default: ANY.'),
  protocol: z
    .union([z.number().int().min(0).max(255), z.string().min(1)])
    .optional()
    .describe('tcp, udp, sctp, icmp, icmpv6, gre, … or a number. Default: ANY.'),
  weight: z.number().int().min(0).optional().describe('The heaviest rule is tried first. Default: 0.'),
  stateful: z.boolean().optional().describe('What the rule allows opens a connection, which passes both ways. Default: false.'),
  idleSessionTimeout: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('Seconds without a packet that end a connection. Default: 255.'),
  isolationId: z.number().int().min(0).optional().describe('VLAN or virtual subnet. Default: any.'),
})

export const aclsSchema = z.array(aclEntrySchema).max(ACL_ENTRIES_MAX)
export const extendedAclsSchema = z.array(extendedRuleSchema).max(EXTENDED_RULES_MAX)
