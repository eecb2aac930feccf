// crosvm: vhost-user, as the side that connects.
import { attach, hasGuest, noGuestPort, unsupported, type Vmm } from './vmm.ts'

export const crosvm: Vmm = ({ endpoint, mac }, memoryMiB) => {
  if (!hasGuest(endpoint)) return noGuestPort(endpoint.kind)
  if (endpoint.kind !== 'vhost-user')
    return unsupported(
      `crosvm can't be attached to an endpoint of kind ${endpoint.kind}`,
      'use kind: vhost-user with mode: server',
    )
  if (endpoint.mode === 'client')
    return unsupported('crosvm connects to a vhost-user socket and never listens on one', 'set mode: server at the endpoint')
  return attach({
    arguments: [`--mem size=${memoryMiB}`, `--vhost-user net,socket=${endpoint.path}`],
    notes: [
      'crosvm shares guest memory with vhost-user devices by itself',
      ...(mac === null
        ? []
        : [`the option carries no MAC address: set it in the guest, for example ip link set dev eth0 address ${mac}`]),
    ],
  })
}
