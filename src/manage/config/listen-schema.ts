// The listener of the control API on the network, as a configuration writes it.
import { z } from 'zod'

const file = (what: string): z.ZodString => z.string().min(1).describe(`${what} A relative path starts beside this file.`)

export const listenSchema = z
  .strictObject({
    address: z
      .string()
      .regex(/^(\[[0-9a-f:.%]+\]|[^[\]:\s]+):\d{1,5}$/i)
      .describe('HOST:PORT, such as 192.0.2.1:8443. Without a certificate: a loopback address.'),
    tokens: file('File of the tokens that clients have to know (vmswitch token add).'),
    certificate: file('Certificate, PEM.').optional(),
    key: file('Its key, PEM, readable by its owner only.').optional(),
    selfSigned: z.boolean().optional().describe('A certificate of its own, made once: tls-cert.pem in the runtime directory.'),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    message: 'certificate and key belong together',
  })
  .refine(({ certificate, selfSigned }) => certificate === undefined || selfSigned !== true, {
    message: 'selfSigned makes a certificate, and certificate gives one: leave one of them out',
  })
