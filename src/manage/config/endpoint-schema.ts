// What a port, or the physical side of an adapter, is connected to.
import { z } from 'zod'
import {
  CLIENT_FRAMES_MAX,
  MTU_MAX,
  MTU_MIN,
  ORIGINS_MAX,
  QUEUE_PAIRS_MAX,
  REPLAY_DELAY_MAX_MS,
  REPLAY_RATE_MAX,
  VF_MTU_MAX,
} from './limits.ts'
import { interfacePattern, listenPattern, macPattern, namePattern, originPattern } from './patterns.ts'

export const name = z.string().regex(namePattern)
export const socketPath = z.string().min(1)
export const mtu = z.number().int().min(MTU_MIN).max(MTU_MAX)
const mode = z.enum(['server', 'client'])
export const queueCount = z.number().int().min(1).max(QUEUE_PAIRS_MAX)

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

const websocketEndpoint = z.strictObject({
  kind: z.literal('websocket'),
  listen: z
    .string()
    .regex(listenPattern)
    .describe(
      'Address and port of this port alone, such as 127.0.0.1:7801; port 0: any free one. Without a certificate: a loopback address.',
    ),
  tokenFile: z
    .string()
    .min(1)
    .describe(
      'Private file with the token of the client; made if there is none. A relative path starts in the runtime directory.',
    ),
  origins: z
    .array(z.string().regex(originPattern))
    .max(ORIGINS_MAX)
    .default([])
    .describe('Origins whose pages may connect, such as http://127.0.0.1:8080.'),
  certificate: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Certificate, PEM: clients come over TLS, from other machines too. A relative path starts in the runtime directory.',
    ),
  key: z.string().min(1).optional().describe('Its key, PEM, readable by its owner only.'),
  framesPerSecond: z
    .number()
    .int()
    .min(1)
    .max(CLIENT_FRAMES_MAX)
    .default(100_000)
    .describe('Frames taken from the client in a second; what is above is dropped and counted.'),
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

const adapterEndpoint = z.strictObject({
  kind: z.literal('adapter'),
  adapter: name.describe('Adapter, of those under adapters, whose physical function is the external connection of the switch.'),
})

/** What leads to the network: the physical side of an adapter, and further members of a team. */
export const wireSchema = z.discriminatedUnion('kind', [
  uplinkEndpoint,
  tapEndpoint,
  pcapEndpoint,
  streamEndpoint,
  dgramEndpoint,
  memoryEndpoint,
])

export const endpointSchema = z
  .discriminatedUnion('kind', [
    vhostUserEndpoint,
    tapEndpoint,
    uplinkEndpoint,
    pcapEndpoint,
    streamEndpoint,
    dgramEndpoint,
    unixDgramEndpoint,
    websocketEndpoint,
    memoryEndpoint,
    vfEndpoint,
    adapterEndpoint,
  ])
  .describe('What the port is connected to.')
