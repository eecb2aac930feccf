// The configuration: one documented type, from which the checks, the TypeScript types and the published JSON Schema come.
//
// The rule it must not break: what stands here is about one value at a time. What depends on several values (duplicates,
// references, lengths of resolved paths) is in checks.ts.
import { z } from 'zod'
import { mirrorDirections, mirrorModes } from '../../engine/port-settings.ts'
import { loadBalancingAlgorithms } from '../../engine/team/switch-team.ts'
import { CONNECTIONS_DEFAULT, CONNECTIONS_MAX, CONNECTIONS_MIN } from '../../switch/conntrack/connection-layout.ts'
import { propertyTypes } from '../../switch/policies/property.ts'
import { canonicalAddress } from '../cluster/addresses.ts'
import { aclsSchema, extendedAclsSchema } from './acl-schema.ts'
import { adapterSchema, iovSchema } from './adapter-schema.ts'
import { portBandwidthSchema, switchBandwidthSchema } from './bandwidth-schema.ts'
import { clusterSchema } from './cluster-schema.ts'
import { endpointSchema, mtu, name, queueCount, socketPath, wireSchema } from './endpoint-schema.ts'
import { failoverSchema } from './failover-schema.ts'
import {
  ADAPTERS_MAX,
  AGEING_SECONDS_MAX,
  CREATE_ATTEMPTS_MAX,
  CUSTOMER_ADDRESSES_MAX,
  EXTENSIONS_MAX,
  GUEST_MEMORY_MIB_MAX,
  GUEST_MEMORY_MIB_MIN,
  GUESTS_MAX,
  MAC_TABLE_ENTRIES_MAX,
  MAC_TABLE_ENTRIES_MIN,
  MIRROR_SESSION_MAX,
  PORTS_MAX,
  PROCESSORS_MAX,
  PROPERTIES_MAX,
  REBALANCE_SECONDS_MAX,
  TEAM_UPLINKS_MAX,
  VLAN_MAX,
  VMQ_WEIGHT_MAX,
  WAIT_MS_MAX,
} from './limits.ts'
import { listenSchema } from './listen-schema.ts'
import { overlaySchema } from './overlay-schema.ts'
import {
  friendlyNamePattern,
  guidPattern,
  hashKeyPattern,
  ipv4Pattern,
  loopbackPattern,
  macPattern,
  versionPattern,
} from './patterns.ts'
import { snoopingSchema } from './snooping-schema.ts'

const propertyId = z.string().min(1).describe('GUID of a custom property, or the name that an extension gave it.')
const propertyRest = {
  instance: z.string().regex(guidPattern).optional().describe('GUID of the instance; a new one without it.'),
  version: z.string().regex(versionPattern).optional().describe('Version of the property; that of its definition without it.'),
  value: z.unknown().describe('The value.'),
}

export const portPropertySchema = z.strictObject({
  type: z.enum(propertyTypes).default('custom').describe('Type of the property.'),
  id: propertyId.optional(),
  ...propertyRest,
})

export const switchPropertySchema = z.strictObject({ id: propertyId, ...propertyRest })

/** Settings of a port that may change while the switch runs. */
export const portChangeSchema = z.strictObject({
  friendlyName: z
    .string()
    .regex(friendlyNamePattern)
    .optional()
    .describe('Name of the port for people, which extensions see. Default: its name.'),
  mtu: mtu.optional().describe('MTU of the connection where its endpoint has none, in bytes; longer frames are not delivered.'),
  portMirroring: z
    .enum(mirrorModes)
    .optional()
    .describe(
      'source: what this port sends and gets goes to the destinations of its session as well; all: everything comes here.',
    ),
  monitorSession: z
    .number()
    .int()
    .min(0)
    .max(MIRROR_SESSION_MAX)
    .optional()
    .describe('Session that joins source and destination ports of mirroring. Default: 0.'),
  monitorDirection: z
    .enum(mirrorDirections)
    .optional()
    .describe('Of a source of mirroring: copy what the port sends, what it receives, or both (the default).'),
  monitorVlan: z
    .number()
    .int()
    .min(0)
    .max(VLAN_MAX)
    .optional()
    .describe('Of a destination of mirroring: VLAN that the copies are tagged with in place of their own. 0, the default: none.'),
  tenant: z
    .union([name, z.literal('')])
    .optional()
    .describe('Tenant whose port this is. Matters on a switch with isolateTenants: true.'),
  teaming: z
    .strictObject({
      loadBalancing: z
        .enum(loadBalancingAlgorithms)
        .optional()
        .describe('HyperVPort: each port has one member; Dynamic: flows are spread over all members. Default: HyperVPort.'),
      standby: z
        .array(z.string().min(1))
        .max(TEAM_UPLINKS_MAX)
        .optional()
        .describe('Interfaces of members that carry traffic only while no other one can. Default: none.'),
    })
    .optional()
    .describe('How an external port with further uplinks uses them.'),
})

export const portSchema = z.strictObject({
  name: name.describe('Name of the port.'),
  vm: name.optional().describe('Name of the VM whose adapter is behind the port. Default: the name of the port.'),
  mac: z.string().regex(macPattern).optional().describe('MAC address of the NIC behind the port. Without it the port learns.'),
  macSpoofing: z
    .enum(['on', 'off'])
    .default('off')
    .describe('off: on a port with a MAC address, frames from another source address are dropped.'),
  learning: z
    .boolean()
    .optional()
    .describe('Learn source addresses on this port. Default: true without a MAC address, false with one.'),
  link: z.enum(['up', 'down']).default('up').describe('State of the link when the switch starts.'),
  vlan: z
    .union([z.number().int().min(0).max(VLAN_MAX), z.record(z.string(), z.unknown())])
    .optional()
    .describe('VLAN of the port (access mode), or a VLAN property with its mode.'),
  security: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('Security property and guards of the port, such as { allowMacSpoofing: true, dhcpGuard: true }.'),
  bandwidth: portBandwidthSchema.optional().describe('What the VM may send and get, and its part of the uplink.'),
  acls: aclsSchema.optional().describe('ACL of the port: by prefix or MAC address; the longest prefix wins.'),
  extendedAcls: extendedAclsSchema.optional().describe('Extended ACL of the port: weighted rules by address, port and protocol.'),
  properties: z
    .array(portPropertySchema)
    .max(PROPERTIES_MAX)
    .optional()
    .describe('Properties of the port: standard ones, and custom ones of extensions.'),
  customerAddresses: z
    .array(z.string().refine((text) => canonicalAddress(text) !== null, 'not an IP address, such as 10.1.0.5 or fd00::5'))
    .max(CUSTOMER_ADDRESSES_MAX)
    .optional()
    .describe(
      'IP addresses of the guest: the router of virtual subnets finds it by them, other hosts of a network answer for them.',
    ),
  ...portChangeSchema.shape,
  endpoint: endpointSchema,
  uplinks: z
    .array(wireSchema)
    .min(1)
    .max(TEAM_UPLINKS_MAX)
    .optional()
    .describe('Further physical adapters of an external port, which form a team with its endpoint.'),
  vmqWeight: z
    .number()
    .int()
    .min(0)
    .max(VMQ_WEIGHT_MAX)
    .optional()
    .describe('0: no receive queue; else one where the adapter has one left, the highest weights first. Default: 100.'),
  vmmqEnabled: z
    .boolean()
    .optional()
    .describe('Spread the frames to a guest with several queue pairs over them; false: they come by the first. Default: true.'),
  vmmqQueuePairs: queueCount
    .optional()
    .describe('Queue pairs that frames to the guest are spread over at the most. Default: all that it receives on.'),
  iov: iovSchema.optional().describe('SR-IOV: a virtual function for the guest behind this port, beside its synthetic card.'),
})

const waitMs = z.number().int().min(1).max(WAIT_MS_MAX).optional()

export const limitsSchema = z.strictObject({
  oidMs: waitMs.describe('Milliseconds that an extension may keep a request. Default: 10000.'),
  drainMs: waitMs.describe('Milliseconds that a deletion waits for what extensions keep. Default: 10000.'),
  pauseMs: waitMs.describe('Milliseconds that an extension may take to pause or restart. Default: 5000.'),
  createAttempts: z
    .number()
    .int()
    .min(1)
    .max(CREATE_ATTEMPTS_MAX)
    .optional()
    .describe('How often a create is tried that an extension fails for want of resources. Default: 3.'),
  retryMs: waitMs.describe('Milliseconds between two of these attempts. Default: 20.'),
})

export const extensionSchema = z.strictObject({
  use: z
    .string()
    .min(1)
    .describe('Name of an in-box extension, or the path of a module, starting with ./ or ../ (relative to this file) or /.'),
  enabled: z.boolean().default(true).describe('Whether the extension takes part from the start.'),
  onFailure: z
    .enum(['open', 'closed'])
    .default('closed')
    .describe('What happens to packets when the extension fails: open passes them by it, closed drops them.'),
  required: z
    .boolean()
    .default(true)
    .describe(
      'Whether the switch refuses to start without the extension; false: it goes on without one that does not attach or restart.',
    ),
  options: z.record(z.string(), z.unknown()).default({}).describe('Options of the extension itself.'),
})

export const switchSchema = z.strictObject({
  name: name.describe('Name of the switch.'),
  type: z
    .enum(['private', 'internal', 'external'])
    .default('private')
    .describe('private: guests only; internal: guests and the host; external: guests, the host and the physical network.'),
  allowManagementOS: z
    .boolean()
    .optional()
    .describe('external switches: give the host an adapter of its own on the switch, a TAP interface called vsw-NAME.'),
  processors: z.number().int().min(1).max(PROCESSORS_MAX).default(1).describe('Threads that move packets.'),
  isolateTenants: z
    .boolean()
    .optional()
    .describe('Ports of different tenants, and guests without a tenant, exchange no frames. Default: false.'),
  verify: z
    .boolean()
    .optional()
    .describe('Checking mode: every breach of the contract by an extension is logged with its rule. Costs throughput.'),
  snooping: snoopingSchema.optional().describe('Snooping of IGMP and MLD: multicast goes to ports that joined. Default: off.'),
  overlay: overlaySchema.optional().describe('Tunnels to other hosts, which join virtual subnets. Default: none.'),
  extensions: z
    .array(extensionSchema)
    .max(EXTENSIONS_MAX)
    .default([])
    .describe('The extension stack. Within a class, the order is that in which an incoming packet meets them.'),
  ports: z.array(portSchema).max(PORTS_MAX).default([]).describe('The ports of the switch.'),
  bandwidth: switchBandwidthSchema.optional().describe('How the uplink is shared.'),
  properties: z.array(switchPropertySchema).max(PROPERTIES_MAX).optional().describe('Custom properties of the switch.'),
  connectionTable: z
    .strictObject({
      entries: z
        .number()
        .int()
        .min(CONNECTIONS_MIN)
        .max(CONNECTIONS_MAX)
        .default(CONNECTIONS_DEFAULT)
        .describe('Connections that are followed at the most; rounded up to a power of two.'),
    })
    .optional()
    .describe('The table of connections that stateful rules follow.'),
  macTable: z
    .strictObject({
      entries: z
        .number()
        .int()
        .min(MAC_TABLE_ENTRIES_MIN)
        .max(MAC_TABLE_ENTRIES_MAX)
        .default(8192)
        .describe('Addresses that the table holds at the most.'),
      ageingSeconds: z
        .number()
        .int()
        .min(0)
        .max(AGEING_SECONDS_MAX)
        .default(300)
        .describe('Seconds after which a learned address that sent nothing is forgotten; 0 keeps it.'),
    })
    .prefault({})
    .describe('The table of MAC addresses.'),
  rss: z
    .strictObject({
      rebalanceSeconds: z
        .number()
        .int()
        .min(0)
        .max(REBALANCE_SECONDS_MAX)
        .optional()
        .describe(
          "Seconds between two looks at the load of guests' queue pairs, after which flows may move; 0: never. Default: 10.",
        ),
      hashKey: z
        .string()
        .regex(hashKeyPattern)
        .optional()
        .describe('Secret key of the Toeplitz hash, 80 hexadecimal digits. Default: a new one with every start.'),
    })
    .optional()
    .describe('How frames are spread over the queue pairs of guests.'),
  limits: limitsSchema.optional().describe('How long the switch waits for extensions.'),
})

export const runtimeSchema = z.strictObject({
  directory: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Directory of sockets and captures. Default: $XDG_RUNTIME_DIR/vmswitch/NAME, else /run/vmswitch/NAME, else .vmswitch/NAME here.',
    ),
  control: socketPath.default('control.sock').describe('Control socket; a relative path starts in the runtime directory.'),
  console: z
    .string()
    .regex(loopbackPattern)
    .optional()
    .describe(
      'Loopback address at which the web console is served, such as 127.0.0.1:7788. Default: on the control socket only.',
    ),
  listen: listenSchema.optional().describe('Serves the control API on the network as well. Default: nothing does.'),
})

export const guestSchema = z.strictObject({
  name: name.describe('Name of the guest.'),
  port: name.describe('Port that the guest is attached to.'),
  kind: z
    .enum(['auto', 'qemu', 'software'])
    .default('auto')
    .describe('qemu: a Linux guest under QEMU; software: a built-in endpoint; auto: qemu where it can run, else software.'),
  memoryMiB: z.number().int().min(GUEST_MEMORY_MIB_MIN).max(GUEST_MEMORY_MIB_MAX).default(256).describe('Memory, in MiB.'),
  address: z.string().regex(ipv4Pattern).optional().describe('IPv4 address and prefix length that the guest gives its NIC.'),
  queues: queueCount.default(1).describe('Queue pairs that the guest uses.'),
})

export const configSchema = z
  .strictObject({
    switch: switchSchema.describe('The switch.'),
    adapters: z.array(adapterSchema).max(ADAPTERS_MAX).optional().describe('SR-IOV adapters.'),
    runtime: runtimeSchema.prefault({}).describe('Where sockets and captures stand.'),
    guests: z.array(guestSchema).max(GUESTS_MAX).default([]).describe('Guests of a lab, started by `vmswitch up`.'),
    cluster: clusterSchema
      .optional()
      .describe('The network of hosts that a service joins. Default: that of `vmswitch join`, or none.'),
    failover: failoverSchema.optional().describe('A failover lab, run by `vmswitch lab failover`.'),
  })
  .describe('Configuration of one vmswitch.')
