// A vfkit or libkrun guest: it connects a datagram socket, bound to a path of its own choice, to ours. vfkit (and libkrun when it is
// told so) sends the four bytes "VFKT" first; libkrun otherwise simply sends frames. Answers go to the address they came from.

import { DatagramEndpoint } from '../dgram/datagram-endpoint.ts'
import type { EndpointComponents, EndpointControl, EndpointOptions } from '../endpoint.ts'

export interface UnixDgramOptions extends EndpointOptions {
  /** Path that we bind and the guest connects to. */
  readonly path: string
}

/** The control half of a vfkit or libkrun guest. */
export const createUnixDgramEndpoint = (options: UnixDgramOptions, components: EndpointComponents): EndpointControl =>
  new DatagramEndpoint({ kind: 'unix-dgram', ...options }, components)
