// The configuration: one documented type, from which the checks, the TypeScript types and the published JSON Schema come.
//
// The rule it must not break: what stands here is about one value at a time. What depends on several values (duplicates,
// references, lengths of resolved paths) is in checks.ts.
import { z } from 'zod'
import { propertyTypes } from '../../switch/policies/property.ts'
import {
  AGEING_SECONDS_MAX,
  EXTENSIONS_MAX,
  GUEST_MEMORY_MIB_MAX,
  GUEST_MEMORY_MIB_MIN,
  GUESTS_MAX,
  INTERFACE_NAME_MAX,
  MAC_TABLE_ENTRIES_MAX,
  MAC_TABLE_ENTRIES_MIN,
  MTU_MAX,
  MTU_MIN,
  NAME_MAX,
  PORTS_MAX,
  PROCESSORS_MAX,
  PROPERTIES_MAX,
  QUEUE_PAIRS_MAX,
  REPLAY_DELAY_MAX_MS,
  REPLAY_RATE_MAX,
  VF_MTU_MAX,
  VLAN_MAX,
} from './limits.ts'

const namePattern = new RegExp(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,${NAME_MAX - 1}}$`)
const macPattern = /^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$/
const interfacePattern = new RegExp(`^[^\\s/]{1,${INTERFACE_NAME_MAX}}$`)
const versionPattern = /^\d{1,3}(\.\d{1,3})?$/
const guidPattern = /^\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?$/
const ipv4Pattern = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}\/(3[0-2]|[12]?\d)$/

/** What a failed pattern means, by pattern: the words that a person reads. */
export const patternMeanings: ReadonlyMap<string, string> = new Map([
  [String(namePattern), `a name: letters, digits, ".", "_" and "-", at most ${NAME_MAX} of them, the first a letter or digit`],
  [String(macPattern), 'a MAC address such as 52:54:00:77:00:01'],
  [String(interfacePattern), `an interface name of at most ${INTERFACE_NAME_MAX} characters without spaces and slashes`],
  [String(versionPattern), 'a version in quotes, such as "1.0"'],
  [String(guidPattern), 'a GUID such as 0d3c1f9f-0001-4c56-9b7e-7b0b6d0e5f0c'],
  [String(ipv4Pattern), 'an IPv4 address with its prefix length, such as 10.77.0.1/24'],
])

const name = z.string().regex(namePattern)
const socketPath = z.string().min(1)
const mtu = z.number().int().min(MTU_MIN).max(MTU_MAX)
const mode = z.enum(['server', 'client'])
const queueCount = z.number().int().min(1).max(QUEUE_PAIRS_MAX)

const vhostUserEndpoint = z.strictObject({
  kind: z.literal('vhost-user'),
  path: socketPath.describe('Unix socket of the vhost-user connection; a relative path starts in the runtime directory.'),
  mode: mode.default('server').describe('server: the switch listens and the VMM connects; client: the other way round.'),
  queuePairs: queueCount.default(1).describe('Queue pairs offered to the guest.'),
  mtu: mtu.default(1500).describe('MTU offered to the guest, in bytes.'),
  requireSeals: z
    .boolean()
    .default(true)
    .describe('Refuse guest memory whose file could be truncated under the switch (no F_SEAL_SHRINK).'),
})

const tapEndpoint = z.strictObject({
  kind: z.literal('tap'),
  interface: z.string().regex(interfacePattern).describe('Name of the TAP interface; it is made if it does not exist.'),
  mtu: mtu.default(1500).describe('MTU set on the interface, in bytes.'),
  queues: queueCount.default(1).describe('Queues of the interface.'),
})

const uplinkEndpoint = z.strictObject({
  kind: z.literal('uplink'),
  interface: z.string().regex(interfacePattern).describe('Interface of the host that leads to the physical network.'),
  via: z
    .enum(['auto', 'xdp', 'packet'])
    .default('auto')
    .describe('xdp: AF_XDP; packet: AF_PACKET; auto: AF_XDP where the driver shares its buffers, else AF_PACKET.'),
  queues: queueCount.default(1).describe('Receive queues; flows are spread over them.'),
  promiscuous: z.boolean().default(true).describe('Take frames for all addresses, as guests behind the interface need it.'),
  qdiscBypass: z.boolean().default(false).describe("Send past the interface's queueing discipline: faster, but unshaped."),
})

const pcapEndpoint = z.strictObject({
  kind: z.literal('pcap'),
  replay: z.string().min(1).optional().describe('Capture file (pcap or pcapng) whose frames are sent to the switch.'),
  record: z.string().min(1).optional().describe('File that frames from the switch are recorded to, as pcapng.'),
  speed: z
    .union([z.enum(['original', 'fastest']), z.number().positive().max(REPLAY_RATE_MAX)])
    .default('original')
    .describe('Times of the capture, as fast as possible, or frames per second.'),
  loop: z.boolean().default(false).describe('Begin anew at the end of the capture.'),
  delayMs: z.number().int().min(0).max(REPLAY_DELAY_MAX_MS).default(1000).describe('Milliseconds before the first frame.'),
})

const streamEndpoint = z.strictObject({
  kind: z.literal('stream'),
  path: socketPath.describe('Unix stream socket; each frame follows its length, 4 bytes, big-endian.'),
  mode: mode.default('server').describe('server: the switch listens; client: the switch connects.'),
})

const dgramEndpoint = z.strictObject({
  kind: z.literal('dgram'),
  local: socketPath.describe('Unix datagram socket that the switch binds; one frame per datagram.'),
  remote: socketPath.describe('Unix datagram socket of the peer.'),
})

const unixDgramEndpoint = z.strictObject({
  kind: z.literal('unix-dgram'),
  path: socketPath.describe('Unix datagram socket that the switch binds and a libkrun or vfkit class VMM connects to.'),
})

const vfEndpoint = z.strictObject({
  kind: z.literal('vf'),
  path: socketPath.describe('Unix socket of the vfio-user connection; the VMM connects to it.'),
  mac: z.string().regex(macPattern).describe('MAC address that the virtual function gives its driver.'),
  mtu: z.number().int().min(MTU_MIN).max(VF_MTU_MAX).default(1500).describe('Largest MTU that the guest may set, in bytes.'),
  trusted: z
    .boolean()
    .default(false)
    .describe('Let the guest choose other MAC addresses and receive what is not addressed to it.'),
  requireSeals: z
    .boolean()
    .default(true)
    .describe('Refuse guest memory whose file could be truncated under the switch (no F_SEAL_SHRINK).'),
  standby: name
    .optional()
    .describe('Port of the virtio card with the same address that carries traffic while the virtual function is away.'),
})

const memoryEndpoint = z.strictObject({ kind: z.literal('memory') })

export const endpointSchema = z
  .discriminatedUnion('kind', [
    vhostUserEndpoint,
    tapEndpoint,
    uplinkEndpoint,
    pcapEndpoint,
    streamEndpoint,
    dgramEndpoint,
    unixDgramEndpoint,
    memoryEndpoint,
    vfEndpoint,
  ])
  .describe('What the port is connected to.')

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

export const portSchema = z.strictObject({
  name: name.describe('Name of the port.'),
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
  security: z.record(z.string(), z.unknown()).optional().describe('Security property, such as { allowMacSpoofing: true }.'),
  properties: z
    .array(portPropertySchema)
    .max(PROPERTIES_MAX)
    .optional()
    .describe('Properties of the port: standard ones, and custom ones of extensions.'),
  endpoint: endpointSchema,
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
  verify: z
    .boolean()
    .optional()
    .describe('Checking mode: every breach of the contract by an extension is logged with its rule. Costs throughput.'),
  extensions: z
    .array(extensionSchema)
    .max(EXTENSIONS_MAX)
    .default([])
    .describe('The extension stack. Within a class, the order is that in which an incoming packet meets them.'),
  ports: z.array(portSchema).max(PORTS_MAX).default([]).describe('The ports of the switch.'),
  properties: z.array(switchPropertySchema).max(PROPERTIES_MAX).optional().describe('Custom properties of the switch.'),
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
    runtime: runtimeSchema.prefault({}).describe('Where sockets and captures stand.'),
    guests: z.array(guestSchema).max(GUESTS_MAX).default([]).describe('Guests of a lab, started by `vmswitch up`.'),
  })
  .describe('Configuration of one vmswitch.')
