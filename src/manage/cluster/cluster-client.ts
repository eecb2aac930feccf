// The calls of a service's network through the control API.
import { controlCall } from '../control/control-client.ts'
import type { ControlPlace } from '../control/control-place.ts'
import type { ClusterCalls } from './cluster-calls.ts'

/** Joining waits for the servers, and for all that the network holds. */
const JOIN_TIMEOUT_MS = 90_000

/** The service whose control API is at `place`. Errors are those of connectControl; `no-such-route`: it is no service. */
export function connectCluster(place: ControlPlace): ClusterCalls {
  const call = controlCall(place, JOIN_TIMEOUT_MS)
  return {
    network: () => call('GET', '/v1/network'),
    join: (request) => call('POST', '/v1/network/join', request),
    leave: () => call('POST', '/v1/network/leave', {}),
    setSubnet: (subnet) => call('PUT', '/v1/network/subnets', subnet),
    removeSubnet: (virtualSubnetId) => call('DELETE', `/v1/network/subnets/${virtualSubnetId}`),
    setPolicy: (policy) => call('PUT', '/v1/network/policies', policy),
    removePolicy: (name) => call('DELETE', `/v1/network/policies/${encodeURIComponent(name)}`),
    expectPort: (name, from) => call('POST', `/v1/network/expect/${encodeURIComponent(name)}`, { from }),
    awaitPort: (name, timeoutMs) => call('POST', `/v1/network/await/${encodeURIComponent(name)}`, { timeoutMs }),
    forgetPort: async (name) => {
      await call('POST', `/v1/network/forget/${encodeURIComponent(name)}`, {})
    },
  }
}
