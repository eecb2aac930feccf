// Firecracker: TAP only, since it has no vhost-user network card.
import { attach, hasGuest, joinTaps, noGuestPort, unsupported, type Vmm, vmmInterfaceFor } from './vmm.ts'

export const firecracker: Vmm = ({ endpoint, mac, name }, memoryMiB) => {
  if (!hasGuest(endpoint)) return noGuestPort(endpoint.kind)
  if (endpoint.kind !== 'tap')
    return unsupported(
      `Firecracker has no network card for an endpoint of kind ${endpoint.kind}: it attaches to TAP interfaces only`,
      'use endpoint: { kind: tap, interface: vsw0 }',
    )
  const own = vmmInterfaceFor(endpoint.interface)
  const { setup, note } = joinTaps(endpoint.interface, own)
  const configuration = {
    'machine-config': { vcpu_count: 1, mem_size_mib: memoryMiB },
    'network-interfaces': [{ iface_id: name, ...(mac === null ? {} : { guest_mac: mac }), host_dev_name: own }],
  }
  return attach({
    setup,
    text: JSON.stringify(configuration, null, 2),
    notes: [note, 'the JSON goes into the file of firecracker --config-file, beside boot-source and drives'],
  })
}
