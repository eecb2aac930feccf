// The network of hosts that a service joins, as a configuration writes it.
import { resolve } from 'node:path'
import { z } from 'zod'
import { HOST_NAME_MAX, hostNamePattern, networkNamePattern } from '../cluster/keys.ts'
import { natsAddress } from '../cluster/nats-servers.ts'
import type { Report } from './checks.ts'

const file = (what: string): z.ZodString => z.string().min(1).describe(`${what} A relative path starts beside this file.`)
const server = z.string().min(1).max(300)

export const clusterSchema = z.strictObject({
  servers: z
    .union([server, z.array(server).min(1).max(16)])
    .describe('NATS servers: nats://HOST:PORT or tls://HOST:PORT, one or a list.'),
  network: z.string().regex(networkNamePattern).describe('Name of the network; it is made if there is none.'),
  name: z
    .string()
    .regex(hostNamePattern)
    .max(HOST_NAME_MAX)
    .optional()
    .describe('Name of this host in it. Default: the name of the machine.'),
  provider: z
    .array(z.union([z.ipv4(), z.ipv6()]))
    .min(1)
    .max(16)
    .optional()
    .describe("Where tunnels to this host end. Default: the overlay's own provider addresses."),
  credential: file('A .creds file, an nkey seed, USER:PASSWORD or a token, readable by its owner only.').optional(),
  ca: file('Certificates of the authorities of the NATS servers, PEM; implies TLS.').optional(),
  plaintext: z.boolean().optional().describe('Allow servers on other machines without TLS. Default: false.'),
  replicas: z.number().int().min(1).max(5).optional().describe('Copies of the records, if this host makes the network.'),
})

export type ClusterConfig = Omit<z.output<typeof clusterSchema>, 'servers'> & { readonly servers: string }

/** With servers in one text, and absolute paths. */
export function resolveCluster(
  { servers, credential, ca, ...rest }: z.output<typeof clusterSchema>,
  beside: string,
): ClusterConfig {
  return {
    ...rest,
    servers: typeof servers === 'string' ? servers : servers.join(','),
    ...(credential === undefined ? {} : { credential: resolve(beside, credential) }),
    ...(ca === undefined ? {} : { ca: resolve(beside, ca) }),
  }
}

/** Reports what `vmswitch join` would refuse, at its place below `cluster`. */
export function checkCluster({ servers, plaintext, ca }: ClusterConfig, report: Report): void {
  try {
    natsAddress(servers, { plaintext: plaintext === true, tls: ca !== undefined })
  } catch (error) {
    const hint = 'write servers: tls://HOST:PORT; ca: FILE for an authority of your own; plaintext: true to go without TLS'
    report('bad-value', ['servers'], (error as Error).message, hint)
  }
}
