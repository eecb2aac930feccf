// The API on the network for commands that run a switch, if it is asked for.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { ControlComponents } from '../manage/control/control-server.ts'
import type { NetworkServer } from '../manage/network/network-server.ts'
import { CliError, ExitCode } from './exit.ts'

/** Options of the command line. */
export interface ListenWish {
  readonly listen?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsSelfSigned?: boolean
  readonly tokenFile?: string
}

/** As a configuration has it, with absolute paths. */
export interface ConfiguredListener {
  readonly address: string
  readonly certificate?: string | undefined
  readonly key?: string | undefined
  readonly selfSigned?: boolean | undefined
  readonly tokens: string
}

/** What the options say, as a configuration would; null: nothing. Throws CliError `bad-arguments`. */
export function listenerWish(
  { listen, tlsCert, tlsKey, tlsSelfSigned, tokenFile }: ListenWish,
  cwd: string,
): ConfiguredListener | null {
  const refuse = (message: string, hint: string): never => {
    throw new CliError('bad-arguments', message, hint, ExitCode.usage)
  }
  if (listen === undefined) {
    if ([tlsCert, tlsKey, tlsSelfSigned, tokenFile].some((one) => one !== undefined))
      refuse('certificate, key and token are for --listen', 'add --listen HOST:PORT')
    return null
  }
  if (tokenFile === undefined)
    return refuse(
      '--listen needs --token-file: nothing is served on the network without tokens',
      'make one: vmswitch token add NAME --file FILE',
    )
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    refuse('certificate and key belong together', 'give --tls-cert and --tls-key, or --tls-self-signed alone')
  if (tlsSelfSigned === true && tlsCert !== undefined)
    refuse('--tls-self-signed makes a certificate, --tls-cert gives one', 'leave one of them out')
  return {
    address: listen,
    ...(tlsCert === undefined || tlsKey === undefined ? {} : { certificate: resolve(cwd, tlsCert), key: resolve(cwd, tlsKey) }),
    ...(tlsSelfSigned === true ? { selfSigned: true } : {}),
    tokens: resolve(cwd, tokenFile),
  }
}

/** The URL under which others ask a listener at `url`: where it listens at all addresses, the machine's name stands in for them. */
export const reachableUrl = (url: string, machine: string): string =>
  url.replace(/\/\/(0\.0\.0\.0|\[::\]):/, () => `//${machine}:`)

/** Starts the listener; a certificate of our own stands in `directory`. Throws what startNetworkServer throws. */
export async function startListener(
  { address, certificate, key, selfSigned, tokens }: ConfiguredListener,
  directory: string,
  components: ControlComponents,
): Promise<NetworkServer> {
  const { listenAddress, startNetworkServer } = await import('../manage/network/network-server.ts')
  const given = certificate === undefined || key === undefined ? null : { certificate, key }
  if (selfSigned !== true) return startNetworkServer({ listen: address, pair: given, tokens }, components)
  const { fingerprint, ownCertificate } = await import('../manage/network/self-signed.ts')
  const { host } = listenAddress(address)
  const anywhere = host === '0.0.0.0' || host === '::'
  const names = [...new Set([...(anywhere ? [] : [host]), hostname(), 'localhost', '127.0.0.1', '::1'])]
  const pair = ownCertificate(directory, names, Date.now())
  const server = await startNetworkServer({ listen: address, pair, tokens }, components)
  components.log({
    source: 'control',
    code: 'own-certificate',
    message: `clients trust ${pair.certificate} (--ca), SHA-256 ${fingerprint(readFileSync(pair.certificate, 'utf8'))}`,
  })
  return server
}
