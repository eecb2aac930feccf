// Who may ask where no name and no certificate say whom they reach: a control socket that somebody forwards to a local port, and the
// console's listener on a loopback address.
//
// The rule it must not break: a web page of another origin gets no answer that it could use and changes nothing, whatever its name
// resolves to (DNS rebinding).

const LOOPBACK_V4 = /^127(\.\d{1,3}){3}$/
/** A name without a dot, such as localhost or vmswitch: no name server of an attacker answers for it. */
const SINGLE_LABEL = /^[a-z0-9_-]+$/i

/** `[::1]:80` → `::1`; `127.0.0.1:80` → `127.0.0.1`. */
const hostOf = (host: string): string => /^\[([^\]]*)\](?::\d+)?$/.exec(host)?.[1] ?? host.replace(/:\d+$/, '')

/** Whether an address is the machine's own: 127.0.0.0/8, ::1 or localhost. */
export const isLoopback = (host: string): boolean =>
  LOOPBACK_V4.test(host) || host === '::1' || host.toLowerCase() === 'localhost'

interface Headers {
  get(name: string): string | null
}

/** Why a request with these headers is refused; null: it may be answered. `ownPort`: only under this port. */
export function foreignRequest(headers: Headers, ownPort?: number): string | null {
  const host = headers.get('host') ?? ''
  const name = hostOf(host)
  if (ownPort === undefined ? name !== '' && !isLoopback(name) && !SINGLE_LABEL.test(name) : !isLoopback(name))
    return `"${host}" is not a name of this machine: use 127.0.0.1 or localhost`
  if (ownPort !== undefined && host.slice(host.lastIndexOf(':') + 1) !== String(ownPort))
    return `"${host}" has another port than ${ownPort}`
  const origin = headers.get('origin')
  if (origin !== null && origin !== `http://${host}`) return `a page of ${origin} may not ask here`
  const site = headers.get('sec-fetch-site')
  if (site !== null && site !== 'same-origin' && site !== 'none') return 'a page of another site may not ask here'
  return null
}

/** The answer to a request that is refused. */
export const refusedResponse = (message: string): Response => Response.json({ code: 'not-permitted', message }, { status: 403 })
