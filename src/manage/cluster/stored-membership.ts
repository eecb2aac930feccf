// What is stored of a membership, and how it comes about: by `vmswitch join`, or by a configuration.
import { hostname } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import type { ImposedInput } from '../../switch/policies/imposed.ts'
import type { ResolvedConfig } from '../config/types.ts'
import { ControlError } from '../control/control-errors.ts'
import type { JoinRequest } from './cluster-calls.ts'
import { HOST_NAME_MAX, hostNamePattern, networkNamePattern } from './keys.ts'
import { readCredential } from './nats-credential.ts'
import { natsAddress } from './nats-servers.ts'
import type { NatsStoreOptions } from './nats-store.ts'

/** What is stored of a membership: how it was asked for, with the host's name. */
export interface StoredMembership extends JoinRequest {
  readonly host: string
  /** The configuration asks for it. */
  readonly declared?: boolean | undefined
  /** What the network imposed when it was last heard. */
  readonly policies?: readonly ImposedInput[] | undefined
}

/** The membership that a configuration asks for; null: none. Throws ControlError `bad-request`. */
export function declaredMembership(cluster: ResolvedConfig['cluster']): StoredMembership | null {
  if (cluster === undefined) return null
  const { name, provider, ...rest } = cluster
  const request = {
    ...rest,
    ...(name === undefined ? {} : { host: name }),
    ...(provider === undefined ? {} : { providerAddresses: provider }),
  }
  return { ...checkedMembership(request), declared: true }
}

/** Whether what is stored came of this wish. */
export function isSameWish({ policies: _, ...stored }: StoredMembership, wish: StoredMembership): boolean {
  return isDeepStrictEqual(JSON.parse(JSON.stringify(stored)), JSON.parse(JSON.stringify(wish)))
}

/** How the network is connected to. Throws ClusterError, StoreError. */
export function storeOptions({
  servers,
  network,
  host,
  credential,
  ca,
  plaintext,
  replicas,
}: StoredMembership): NatsStoreOptions {
  const address = natsAddress(servers, { plaintext: plaintext === true, tls: ca !== undefined })
  return {
    ...address,
    network,
    host,
    ca,
    replicas,
    ...(credential === undefined ? {} : { authenticator: readCredential(credential) }),
  }
}

/** The request with the name of this host. Throws ControlError `bad-request`. */
export function checkedMembership(request: JoinRequest): StoredMembership {
  const host = request.host ?? (hostname().split('.')[0] ?? '').replace(/[^A-Za-z0-9-]/g, '-').slice(0, HOST_NAME_MAX)
  if (!hostNamePattern.test(host))
    throw new ControlError(
      'bad-request',
      `"${host}" is no name of a host: letters, digits and "-", at most ${HOST_NAME_MAX}; give one with --name`,
    )
  if (!networkNamePattern.test(request.network))
    throw new ControlError(
      'bad-request',
      `"${request.network}" is no name of a network: letters, digits, "-" and "_", at most 63`,
    )
  return { ...request, host }
}
