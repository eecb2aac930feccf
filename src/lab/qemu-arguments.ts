// The command line of QEMU for a lab guest: a pure function from what the guest shall have to the arguments.
import type { GuestImage } from './images.ts'

/** What a guest's network card is plugged into. */
export type NicBackend =
  /** The switch's vhost-user socket; `server`: QEMU listens and the switch connects. */
  | { readonly kind: 'vhost-user'; readonly path: string; readonly server?: boolean }
  /** QEMU's stream socket: a 4-byte length before each frame. */
  | { readonly kind: 'stream'; readonly path: string; readonly server?: boolean }
  /** QEMU's datagram socket: a frame each. */
  | { readonly kind: 'dgram'; readonly localPath: string; readonly remotePath: string }
  | { readonly kind: 'tap'; readonly interfaceName: string }

export interface NicOptions {
  readonly mac: string
  /** IPv4 address with prefix length, e.g. 10.77.0.1/24; without one the card stays unconfigured (but up). */
  readonly address?: string
  /** Bytes; 1500 without it. */
  readonly mtu?: number
  /** Queue pairs, 1 to 16. The guest uses as many as it has processors. */
  readonly queues?: number
  readonly backend: NicBackend
  /** Device model, virtio-net-pci without it. */
  readonly model?: string
  /** More properties of the device, e.g. ["packed=on", "mrg_rxbuf=off"]. */
  readonly properties?: readonly string[]
}

export type Accelerator = 'kvm' | 'tcg'

export interface GuestHardware {
  readonly name: string
  readonly image: GuestImage
  readonly memoryMiB: number
  readonly processors: number
  readonly nics: readonly NicOptions[]
  readonly accelerator: Accelerator
  /** Major version of QEMU. */
  readonly qemuMajor: number
  readonly agentSocket: string
  readonly qmpSocket: string
  readonly consoleFile: string
  readonly extraArguments: readonly string[]
}

/** From this version on, MSI-X with vhost-user works under TCG. Before it, QEMU crashes when the guest's driver starts. */
const MSIX_UNDER_TCG_SINCE = 8

/** Commas are doubled in QEMU's option lists. */
const value = (text: string): string => text.replaceAll(',', ',,')

function netdev(nic: NicOptions, index: number): string[] {
  const id = `net${index}`
  const { backend } = nic
  const queues = nic.queues ?? 1
  switch (backend.kind) {
    case 'vhost-user': {
      const listen = backend.server === true ? ',server=on,wait=off' : ''
      const multi = queues > 1 ? `,queues=${queues}` : ''
      return [
        '-chardev',
        `socket,id=nic${index},path=${value(backend.path)}${listen}`,
        '-netdev',
        `vhost-user,id=${id},chardev=nic${index}${multi}`,
      ]
    }
    case 'stream':
      return [
        '-netdev',
        `stream,id=${id},server=${backend.server === true ? 'on' : 'off'},addr.type=unix,addr.path=${value(backend.path)}`,
      ]
    case 'dgram':
      return [
        '-netdev',
        `dgram,id=${id},local.type=unix,local.path=${value(backend.localPath)},remote.type=unix,remote.path=${value(backend.remotePath)}`,
      ]
    case 'tap':
      return [
        '-netdev',
        `tap,id=${id},ifname=${value(backend.interfaceName)},script=no,downscript=no${queues > 1 ? `,queues=${queues}` : ''}`,
      ]
  }
}

function device(nic: NicOptions, index: number, hardware: GuestHardware): string {
  const model = nic.model ?? 'virtio-net-pci'
  const parts = [model, `netdev=net${index}`, `id=nicdev${index}`, `mac=${nic.mac}`]
  if (model.startsWith('virtio-net')) {
    const queues = nic.queues ?? 1
    const noMsix =
      nic.backend.kind === 'vhost-user' && hardware.accelerator === 'tcg' && hardware.qemuMajor < MSIX_UNDER_TCG_SINCE
    parts.push('romfile=')
    if (queues > 1) parts.push('mq=on')
    if (noMsix) parts.push('vectors=0')
    else if (queues > 1) parts.push(`vectors=${2 * queues + 2}`)
    if (nic.mtu !== undefined) parts.push(`host_mtu=${nic.mtu}`)
  }
  return [...parts, ...(nic.properties ?? [])].join(',')
}

/** What init reads from the kernel's command line. */
function kernelCommandLine(hardware: GuestHardware): string {
  const words = [
    'console=ttyS0',
    'quiet',
    'panic=-1',
    'nokaslr',
    'mitigations=off',
    'tsc=reliable',
    'no_timer_check', // on a busy machine the emulated timer may come later than the kernel's test waits: it would panic
    'random.trust_cpu=on',
    `vmswitch.name=${hardware.name}`,
  ]
  for (const [index, nic] of hardware.nics.entries()) {
    if (nic.mtu !== undefined) words.push(`vmswitch.mtu${index}=${nic.mtu}`)
    words.push(`vmswitch.up${index}=1`)
    if (nic.address !== undefined) words.push(`vmswitch.ip${index}=${nic.address}`)
  }
  return words.join(' ')
}

/** All arguments of `qemu-system-x86_64`. */
export function qemuArguments(hardware: GuestHardware): string[] {
  const { accelerator, memoryMiB, image } = hardware
  return [
    '-name',
    value(hardware.name),
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-no-reboot',
    '-machine',
    'q35,memory-backend=mem,usb=off,smbus=off,sata=off,vmport=off,hpet=off',
    '-accel',
    accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi',
    '-cpu',
    accelerator === 'kvm' ? 'host' : 'max',
    '-smp',
    String(hardware.processors),
    '-m',
    `${memoryMiB}M`,
    // The switch maps the guest's memory, so it must be shared; sealed against shrinking, which memfd is by itself.
    '-object',
    `memory-backend-memfd,id=mem,size=${memoryMiB}M,share=on`,
    '-kernel',
    image.kernel,
    '-initrd',
    image.initrd,
    '-append',
    kernelCommandLine(hardware),
    '-chardev',
    `file,id=console,path=${value(hardware.consoleFile)}`,
    '-serial',
    'chardev:console',
    '-chardev',
    `socket,id=agent,path=${value(hardware.agentSocket)}`,
    // Not a serial port: QEMU drops a serial port's bytes when we read slowly, and waits on a virtio one.
    '-device',
    'virtio-serial-pci,id=agentbus',
    '-device',
    'virtserialport,bus=agentbus.0,chardev=agent,name=vmswitch.agent',
    '-chardev',
    `socket,id=qmp,path=${value(hardware.qmpSocket)}`,
    '-mon',
    'chardev=qmp,mode=control',
    ...hardware.nics.flatMap((nic, index) => [...netdev(nic, index), '-device', device(nic, index, hardware)]),
    ...hardware.extraArguments,
  ]
}
