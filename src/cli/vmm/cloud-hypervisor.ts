// Cloud Hypervisor: vhost-user.
import { attach, hasGuest, noGuestPort, unsupported, type Vmm } from './vmm.ts'

export const cloudHypervisor: Vmm = ({ endpoint, mac }, memoryMiB) => {
  if (!hasGuest(endpoint)) return noGuestPort(endpoint.kind)
  if (endpoint.kind !== 'vhost-user')
    return unsupported(
      `Cloud Hypervisor has no network card for an endpoint of kind ${endpoint.kind}`,
      'use kind: vhost-user, in either mode',
    )
  const vmmMode = endpoint.mode === 'server' ? 'client' : 'server'
  const pairs = endpoint.queuePairs
  return attach({
    arguments: [
      `--memory size=${memoryMiB}M,shared=on`,
      ...(pairs > 1 ? [`--cpus boot=${pairs}`] : []),
      `--net vhost_user=true,socket=${endpoint.path},vhost_mode=${vmmMode},num_queues=${2 * pairs}${mac === null ? '' : `,mac=${mac}`}`,
    ],
    notes: [
      'guest memory must be shared (shared=on)',
      `num_queues counts single queues: ${2 * pairs} are ${pairs} ${pairs === 1 ? 'pair' : 'pairs'}`,
    ],
  })
}
