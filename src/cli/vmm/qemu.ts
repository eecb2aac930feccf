// QEMU: vhost-user, and its stream and dgram network back-ends.
import { attach, noGuestPort, noMemoryKind, qemuValue, shellWord, unsupported, type Vmm, type VmmPort } from './vmm.ts'

const nicDevice = (port: VmmPort, more: string): string =>
  `-device virtio-net-pci,netdev=net-${port.name}${port.mac === null ? '' : `,mac=${port.mac}`},romfile=${more}`

const emulationNote =
  'QEMU 7.2 with an emulated processor (-accel tcg) crashes when the driver starts with MSI-X: add vectors=0 to -device there'

/** A virtual function, with the virtio card that stands in for it where there is one: then QEMU pairs the two. */
function virtualFunction(name: string, path: string, mac: string, standby: VmmPort | undefined, memoryMiB: number): string[] {
  const device: Record<string, unknown> = { driver: 'vfio-user-pci', socket: { type: 'unix', path }, id: `vf-${name}` }
  const pair: string[] = []
  if (standby?.endpoint.kind === 'vhost-user') {
    const { endpoint, name: other } = standby
    const server = endpoint.mode === 'client' ? ',server=on' : ''
    Object.assign(device, { bus: `root-vf-${name}`, failover_pair_id: `standby-${name}` })
    pair.push(
      `-device pcie-root-port,id=root-standby-${name},chassis=1,slot=1`,
      `-device pcie-root-port,id=root-vf-${name},chassis=2,slot=2`,
      `-chardev socket,id=chr-${other},path=${qemuValue(endpoint.path)}${server}`,
      `-netdev vhost-user,id=net-${other},chardev=chr-${other}`,
      `-device virtio-net-pci,netdev=net-${other},id=standby-${name},bus=root-standby-${name},mac=${mac},failover=on,romfile=`,
    )
  }
  return [
    '-machine q35',
    `-m ${memoryMiB}M`,
    `-object memory-backend-memfd,id=mem-${name},size=${memoryMiB}M,share=on`,
    `-numa node,memdev=mem-${name}`,
    ...pair,
    `-device ${shellWord(JSON.stringify(device))}`,
  ]
}

export const qemu: Vmm = (port, memoryMiB) => {
  const { endpoint, name } = port
  switch (endpoint.kind) {
    case 'vhost-user': {
      const server = endpoint.mode === 'client' ? ',server=on' : ''
      const pairs = endpoint.queuePairs
      return attach({
        arguments: [
          `-m ${memoryMiB}M`,
          `-object memory-backend-memfd,id=mem-${name},size=${memoryMiB}M,share=on`,
          `-numa node,memdev=mem-${name}`,
          `-chardev socket,id=chr-${name},path=${qemuValue(endpoint.path)}${server}`,
          `-netdev vhost-user,id=net-${name},chardev=chr-${name}${pairs > 1 ? `,queues=${pairs}` : ''}`,
          nicDevice(port, pairs > 1 ? `,mq=on,vectors=${2 * pairs + 2}` : ''),
        ],
        notes: [
          'guest memory must be shared; with several network cards, give -m, -object and -numa once',
          ...(pairs > 1 ? [`the guest needs at least ${pairs} processors to use ${pairs} queue pairs (-smp ${pairs})`] : []),
          emulationNote,
        ],
      })
    }
    case 'stream':
      return attach({
        arguments: [
          `-m ${memoryMiB}M`,
          `-netdev stream,id=net-${name},server=${endpoint.mode === 'client' ? 'on' : 'off'},addr.type=unix,addr.path=${qemuValue(endpoint.path)}`,
          nicDevice(port, ''),
        ],
        notes: ['-netdev stream needs QEMU 7.2 or newer', 'every frame is copied through the socket; kind: vhost-user is faster'],
      })
    case 'dgram':
      return attach({
        arguments: [
          `-m ${memoryMiB}M`,
          `-netdev dgram,id=net-${name},local.type=unix,local.path=${qemuValue(endpoint.remote)},remote.type=unix,remote.path=${qemuValue(endpoint.local)}`,
          nicDevice(port, ''),
        ],
        notes: [
          '-netdev dgram needs QEMU 7.2 or newer',
          "QEMU's local socket is the switch's remote one, and the other way round",
        ],
      })
    case 'unix-dgram':
      return unsupported(
        'QEMU does not speak the vfkit framing of kind unix-dgram',
        'use kind: vhost-user, or kind: dgram with local and remote',
      )
    case 'tap':
      return unsupported(
        `the switch itself holds the TAP interface ${endpoint.interface}, and a TAP has one owner`,
        'use kind: vhost-user, which is also faster',
      )
    case 'vf':
      return attach({
        arguments: virtualFunction(name, endpoint.path, endpoint.mac, port.standby, memoryMiB),
        notes: [
          'vfio-user-pci needs QEMU 10.1 or newer; the guest needs the driver igbvf (in Debian: linux-image-amd64, not -cloud)',
          'the JSON is quoted for pasting; inside $(…) it needs eval',
          'guest memory must be shared; with several network cards, give -machine, -m, -object and -numa once',
          ...(port.standby === undefined
            ? []
            : [
                'QEMU plugs the virtual function in when the guest has said that it knows failover (modules failover, net_failover)',
              ]),
          'device_del of the function ends QEMU up to 11.1.3: unbind the driver in the guest, or migrate the guest away, instead',
        ],
      })
    case 'adapter':
    case 'uplink':
    case 'pcap':
      return noGuestPort(endpoint.kind)
    case 'memory':
      return noMemoryKind()
  }
}
