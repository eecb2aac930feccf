// A QEMU "-netdev dgram" peer with unix sockets: local.path and remote.path of QEMU are our peer and our path.
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'
import { DatagramEndpoint } from './datagram-endpoint.ts'

export interface DgramOptions extends EndpointOptions {
  /** Path that we bind: QEMU's remote.path. */
  readonly path: string
  /** Path that the peer binds: QEMU's local.path. */
  readonly peer: string
}

/** The control half of a QEMU dgram peer. */
export const createDgramEndpoint = (options: DgramOptions, components: EndpointComponents): EndpointControl =>
  new DatagramEndpoint({ kind: 'dgram', ...options }, components)
