// Where the NATS servers of a network are: what a person wrote, checked.
//
// The rule it must not break: a secret goes over no wire that anyone can read.
import { ClusterError } from './cluster-error.ts'

const SERVERS_MAX = 16
const USUAL_PORT = 4222

export interface NatsAddress {
  /** HOST:PORT each. */
  readonly servers: readonly string[]
  readonly tls: boolean
}

const wrong = (message: string): ClusterError => new ClusterError('bad-request', message)

/**
 * The servers of `nats://a:4222,nats://b:4222` or `tls://…`. Without TLS only servers on this machine, unless `plaintext`. Throws
 * ClusterError `bad-request`.
 */
export function natsAddress(
  text: string,
  { plaintext, tls }: { readonly plaintext: boolean; readonly tls: boolean },
): NatsAddress {
  const urls = text.split(',').map((one) => one.trim())
  if (urls.length > SERVERS_MAX) throw wrong(`a network has at most ${SERVERS_MAX} addresses of NATS servers`)
  const parsed = urls.map((one) => {
    const url = URL.canParse(one) ? new URL(one) : null
    if (url === null || !['nats:', 'tls:'].includes(url.protocol) || url.hostname === '' || !['', '/'].includes(url.pathname))
      throw wrong(`"${one}" is no address of a NATS server: write nats://HOST:PORT or tls://HOST:PORT`)
    if (url.username !== '' || url.password !== '')
      throw wrong('a password in an address is seen by everybody on this machine: put it into a file, --credential FILE')
    return url
  })
  const isTls = tls || parsed.some(({ protocol }) => protocol === 'tls:')
  const far = parsed.find(({ hostname }) => !/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname))
  if (!isTls && far !== undefined && !plaintext)
    throw wrong(
      `${far.hostname} would be asked without TLS: write tls:// (and --ca FILE for an authority of your own), or allow it with --plaintext`,
    )
  return { servers: parsed.map(({ hostname, port }) => `${hostname}:${port || USUAL_PORT}`), tls: isTls }
}
