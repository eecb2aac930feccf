// The two cards of a QEMU guest that has a virtual function of form vfio-user: a virtio card, and the PCI function that net_failover pairs
// with it. Both have one address.

/** What the guest does when it is up: it has its address on the pair, and its driver for the function. Settles when that has a carrier. */
export const driveFunction = (address: string | undefined): string =>
  [
    ...(address === undefined ? [] : [`ip address add ${address} dev eth0`]),
    'ip link set eth0 up',
    'modprobe igbvf',
    `for i in $(seq ${CARRIER_TRIES}); do [ "$(cat /sys/bus/pci/drivers/igbvf/*/net/*/carrier 2>/dev/null)" = 1 ] && break; usleep 100000; done`,
  ].join(' && ')

/** Tenths of a second: a function without a VF never has a carrier, and the guest goes on with its virtio card. */
const CARRIER_TRIES = 100

/** QEMU's arguments for a virtio card and a function as its primary, each behind a root port of its own. */
export function pairedCards(mac: string, synthetic: string, path: string): string[] {
  const primary = {
    driver: 'vfio-user-pci',
    socket: { type: 'unix', path },
    id: 'primary',
    bus: 'root1',
    failover_pair_id: 'standby',
  }
  return [
    '-device',
    'pcie-root-port,id=root0,chassis=1,slot=1',
    '-device',
    'pcie-root-port,id=root1,chassis=2,slot=2',
    '-chardev',
    `socket,id=standbychr,path=${synthetic}`,
    '-netdev',
    'vhost-user,id=standbynet,chardev=standbychr',
    '-device',
    `virtio-net-pci,netdev=standbynet,id=standby,bus=root0,mac=${mac},failover=on,romfile=`,
    '-device',
    JSON.stringify(primary),
  ]
}
