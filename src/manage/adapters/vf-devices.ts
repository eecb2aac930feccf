// The devices by which QEMU gives a guest its virtual function: names and properties, the same on its command line and over QMP.
//
// The rule it must not break: what is unplugged by name here was plugged under that name.
import type { ResolvedIov } from '../config/types.ts'

/** Names of a port's devices in QEMU. */
export const vfNames = (port: string) => ({
  device: `vf-${port}`,
  netdev: `net-vf-${port}`,
  chardev: `chr-vf-${port}`,
  /** Root ports of the function and of the card that stands in for it: what is plugged and unplugged needs its own. */
  root: `root-vf-${port}`,
  standbyRoot: `root-standby-${port}`,
  standby: `standby-${port}`,
})

/** What `-device` or `device_add` takes. `paired`: with the standby card, by the guest's net_failover. */
export function vfDevice(
  port: string,
  { form, path, queuePairs }: Pick<ResolvedIov, 'form' | 'path' | 'queuePairs'>,
  { mac, paired }: { readonly mac: string | null; readonly paired: boolean },
): Readonly<Record<string, unknown>> {
  const names = vfNames(port)
  if (form === 'vfio-user')
    return {
      driver: 'vfio-user-pci',
      socket: { type: 'unix', path },
      id: names.device,
      ...(paired ? { bus: names.root, failover_pair_id: names.standby } : {}),
    }
  return {
    driver: 'virtio-net-pci',
    netdev: names.netdev,
    id: names.device,
    bus: names.root,
    ...(mac === null ? {} : { mac }),
    romfile: '',
    ...(queuePairs > 1 ? { mq: true, vectors: 2 * queuePairs + 2 } : {}),
  }
}
