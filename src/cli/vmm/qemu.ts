// QEMU: vhost-user, and its stream and dgram network back-ends.

import { vfDevice, vfNames } from '../../manage/adapters/vf-devices.ts'
import type { ResolvedIov, VhostUserConfig } from '../../manage/config/types.ts'
import {
  type Attachment,
  attach,
  noBrowserGuest,
  noGuestPort,
  noMemoryKind,
  qemuValue,
  shellWord,
  unsupported,
  type Vmm,
  type VmmPort,
} from './vmm.ts'

const nicDevice = (port: VmmPort, more: string): string =>
  `-device virtio-net-pci,netdev=net-${port.name}${port.mac === null ? '' : `,mac=${port.mac}`},romfile=${more}`

const emulationNote =
  'QEMU 7.2 with an emulated processor (-accel tcg) crashes when the driver starts with MSI-X: add vectors=0 to -device there'

const sharedMemory = (name: string, memoryMiB: number): string[] => [
  '-machine q35',
  `-m ${memoryMiB}M`,
  `-object memory-backend-memfd,id=mem-${name},size=${memoryMiB}M,share=on`,
  `-numa node,memdev=mem-${name}`,
]

/** The virtio card that stands in for the function of port `name`; it is that of port `other`. */
function standbyCard(name: string, other: string, endpoint: VhostUserConfig, mac: string): string[] {
  const names = vfNames(name)
  const server = endpoint.mode === 'client' ? ',server=on' : ''
  return [
    `-device pcie-root-port,id=${names.standbyRoot},chassis=1,slot=1`,
    `-device pcie-root-port,id=${names.root},chassis=2,slot=2`,
    `-chardev socket,id=chr-${other},path=${qemuValue(endpoint.path)}${server}`,
    `-netdev vhost-user,id=net-${other},chardev=chr-${other}`,
    `-device virtio-net-pci,netdev=net-${other},id=${names.standby},bus=${names.standbyRoot},mac=${mac},failover=on,romfile=`,
  ]
}

/** A virtual function, with the virtio card that stands in for it where there is one: then QEMU pairs the two. */
function virtualFunction(name: string, path: string, mac: string, standby: VmmPort | undefined, memoryMiB: number): string[] {
  const pair = standby?.endpoint.kind === 'vhost-user' ? standbyCard(name, standby.name, standby.endpoint, mac) : []
  const device = vfDevice(name, { form: 'vfio-user', path, queuePairs: 1 }, { mac, paired: pair.length > 0 })
  return [...sharedMemory(name, memoryMiB), ...pair, `-device ${shellWord(JSON.stringify(device))}`]
}

const functionNotes = [
  'vfio-user-pci needs QEMU 10.1 or newer; the guest needs the driver igbvf (in Debian: linux-image-amd64, not -cloud)',
  'the JSON is quoted for pasting; inside $(…) it needs eval',
  'guest memory must be shared; with several network cards, give -machine, -m, -object and -numa once',
]
const pairNote =
  'QEMU plugs the virtual function in when the guest has said that it knows failover (modules failover, net_failover)'
const removalNote =
  'device_del of the function ends QEMU up to 11.1.3: unbind the driver in the guest, or migrate the guest away, instead'

const qmpNote = 'to take the function back from a running guest, name a QMP socket at the port: iov: { qmp: NAME.sock }'

/** A port that wants a virtual function: its synthetic card, and the function beside it. */
function withFunction({ name, mac }: VmmPort, endpoint: VhostUserConfig, iov: ResolvedIov, memoryMiB: number): Attachment {
  const names = vfNames(name)
  const plugged = iov.qmp !== undefined
  const qmp = plugged ? [`-qmp unix:${qemuValue(iov.qmp!)},server=on,wait=off`] : []
  const plugNotes = plugged
    ? ['the switch plugs the virtual function in and out over QMP; that socket is for the switch alone']
    : []
  if (iov.form === 'vfio-user') {
    const device = vfDevice(name, iov, { mac, paired: true })
    return {
      setup: [],
      text: null,
      arguments: [
        ...sharedMemory(name, memoryMiB),
        ...standbyCard(name, name, endpoint, mac ?? ''),
        ...(plugged ? qmp : [`-device ${shellWord(JSON.stringify(device))}`]),
      ],
      notes: [
        ...(plugged ? [functionNotes[0]!, functionNotes[2]!] : functionNotes),
        pairNote,
        removalNote,
        ...(plugged ? plugNotes : [qmpNote]),
      ],
    }
  }
  const server = endpoint.mode === 'client' ? ',server=on' : ''
  const queues = iov.queuePairs > 1 ? `,queues=${iov.queuePairs}` : ''
  return {
    setup: [],
    text: null,
    arguments: [
      ...sharedMemory(name, memoryMiB),
      `-chardev socket,id=chr-${name},path=${qemuValue(endpoint.path)}${server}`,
      `-netdev vhost-user,id=net-${name},chardev=chr-${name}`,
      `-device virtio-net-pci,netdev=net-${name},mac=${mac ?? ''},romfile=`,
      `-device pcie-root-port,id=${names.root},chassis=2,slot=2`,
      ...(plugged
        ? qmp
        : [
            `-chardev socket,id=${names.chardev},path=${qemuValue(iov.path)}`,
            `-netdev vhost-user,id=${names.netdev},chardev=${names.chardev}${queues}`,
            `-device ${deviceText(vfDevice(name, iov, { mac, paired: false }))}`,
          ]),
    ],
    notes: [
      'guest memory must be shared; with several network cards, give -machine, -m, -object and -numa once',
      'the guest sees two cards of one address and joins them by bonding: run examples/guest/bond-vf.sh in it',
      ...plugNotes,
      emulationNote,
    ],
  }
}

const deviceText = ({ driver, ...properties }: Readonly<Record<string, unknown>>): string =>
  [String(driver), ...Object.entries(properties).map(([key, value]) => `${key}=${value === true ? 'on' : String(value)}`)].join(
    ',',
  )

export const qemu: Vmm = (port, memoryMiB) => {
  const { endpoint, name } = port
  switch (endpoint.kind) {
    case 'vhost-user': {
      if (port.iov !== undefined && port.iov !== null && port.iov.weight > 0)
        return { attachment: withFunction(port, endpoint, port.iov, memoryMiB) }
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
        notes: [...functionNotes, ...(port.standby === undefined ? [] : [pairNote]), removalNote],
      })
    case 'adapter':
    case 'uplink':
    case 'pcap':
      return noGuestPort(endpoint.kind)
    case 'websocket':
      return noBrowserGuest()
    case 'memory':
      return noMemoryKind()
  }
}
