// The calls of a service through the control API.
import { connectCluster } from '../cluster/cluster-client.ts'
import { controlCall } from '../control/control-client.ts'
import type { ControlPlace } from '../control/control-place.ts'
import type { ServiceCalls } from './service-calls.ts'

/** An apply of a large configuration, or one that restarts a switch, may last. */
const APPLY_TIMEOUT_MS = 300_000

/** The service whose control API is at `place`. Errors are those of connectControl; `no-such-route`: it is no service. */
export function connectService(place: ControlPlace): ServiceCalls {
  const call = controlCall(place, APPLY_TIMEOUT_MS)
  return {
    cluster: connectCluster(place),
    service: () => call('GET', '/v1/service'),
    configuration: () => call('GET', '/v1/config'),
    removeSwitch: () => call('DELETE', '/v1/config'),
    apply: (request) => call('POST', '/v1/apply', request),
  }
}
