// QEMU: vhost-user, and its stream and dgram network back-ends.
import { attach, noMemoryKind, qemuValue, unsupported, type Vmm, type VmmPort } from './vmm.ts'

const nicDevice = (port: VmmPort, more: string): string =>
  `-device virtio-net-pci,netdev=net-${port.name}${port.mac === null ? '' : `,mac=${port.mac}`},romfile=${more}`

const emulationNote =
  'QEMU 7.2 with an emulated processor (-accel tcg) crashes when the driver starts with MSI-X: add vectors=0 to -device there'

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
    case 'memory':
      return noMemoryKind()
  }
}
