// TAP interfaces: created or opened with a virtio-net header, their link, MTU and address.
//
// The rule it must not break: a refusal names what a person can do about it, because creating a TAP is where most first attempts
// meet a missing device node or capability.
import { SystemCallError } from './errors.ts'
import { check, closeFd, O_CLOEXEC, O_NONBLOCK, O_RDWR } from './files.ts'
import { lastErrno, sys } from './libc.ts'

const TUN_DEVICE = '/dev/net/tun'
const TUNSETIFF = 0x400454ca
const TUNSETOFFLOAD = 0x400454d0
const TUNSETVNETHDRSZ = 0x400454d8
const IFF_TAP = 0x0002
const IFF_MULTI_QUEUE = 0x0100
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const SIOCGIFFLAGS = 0x8913
const SIOCSIFFLAGS = 0x8914
const SIOCGIFMTU = 0x8921
const SIOCSIFMTU = 0x8922
const SIOCGIFHWADDR = 0x8927
const IFF_UP = 1
const IFREQ_BYTES = 40
const IFREQ_DATA = 16
/** Bytes of an interface name, without the terminator. */
export const INTERFACE_NAME_MAX = 15
const AF_INET = 2
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

const EPERM = 1
const ENOENT = 2
const ENXIO = 6
const EACCES = 13
const EBUSY = 16
const ENODEV = 19
const EINVAL = 22

/** What TUNSETOFFLOAD takes: what the kernel may leave undone in frames that it gives us. */
export const TunOffload = { checksum: 1, tso4: 2, tso6: 4, ecn: 8, uso4: 0x20, uso6: 0x40 } as const

/** An opened queue of a TAP interface. */
export interface Tap {
  /** Non-blocking descriptor; the interface goes with the last one, unless it is persistent. */
  readonly fd: number
  /** The interface's name, which the kernel chooses where none was asked for. */
  readonly name: string
}

/** Throws if `name` can't name an interface. */
export function checkInterfaceName(name: string): void {
  if (/^[^\s/:%]*$/.test(name) && name !== '.' && name !== '..' && Buffer.byteLength(name) <= INTERFACE_NAME_MAX) return
  throw new SystemCallError(
    'TUNSETIFF',
    EINVAL,
    name,
    `not an interface name: at most ${INTERFACE_NAME_MAX} bytes, without blanks, "/", ":" and "%"`,
  )
}

/**
 * Creates the TAP interface `name` ('' = the kernel chooses), or opens an existing one that is not in use. Frames carry a
 * virtio-net header of `headerBytes`. Throws with what to do if the machine or the user may not.
 */
export function openTap(name: string, headerBytes: number, multiQueue: boolean): Tap {
  checkInterfaceName(name)
  const fd = sys.open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0)
  if (fd < 0) throw explainOpen(lastErrno())
  try {
    const request = Buffer.alloc(IFREQ_BYTES)
    request.write(name, 0)
    request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0), IFREQ_DATA)
    if (sys.ioctl(fd, TUNSETIFF, request) < 0) throw explainAttach(lastErrno(), name, multiQueue)
    const size = Buffer.alloc(4)
    size.writeInt32LE(headerBytes)
    check('TUNSETVNETHDRSZ', sys.ioctl(fd, TUNSETVNETHDRSZ, size), name)
    return { fd, name: request.toString('latin1', 0, request.indexOf(0)) }
  } catch (error) {
    closeFd(fd)
    throw error
  }
}

/** Tells the kernel which offloads (TunOffload bits) we take. Returns false if this kernel lacks one of them. */
export const setTapOffloads = (fd: number, offloads: number): boolean => sys.ioctlValue(fd, TUNSETOFFLOAD, offloads) === 0

/** MTU of interface `name` in bytes. */
export const interfaceMtu = (name: string): number =>
  withRequest(name, SIOCGIFMTU, 'SIOCGIFMTU', () => {}).readInt32LE(IFREQ_DATA)

/** Sets the MTU in bytes; needs CAP_NET_ADMIN. */
export function setInterfaceMtu(name: string, mtu: number): void {
  if (interfaceMtu(name) === mtu) return
  withRequest(name, SIOCSIFMTU, `ip link set ${name} mtu ${mtu}`, (request) => request.writeInt32LE(mtu, IFREQ_DATA))
}

/** Whether the interface is up. */
export const interfaceIsUp = (name: string): boolean => (interfaceFlags(name) & IFF_UP) !== 0

/** Brings the interface up, which needs CAP_NET_ADMIN unless it is up already. */
export function bringInterfaceUp(name: string): void {
  const flags = interfaceFlags(name)
  if ((flags & IFF_UP) !== 0) return
  withRequest(name, SIOCSIFFLAGS, `ip link set ${name} up`, (request) => request.writeUInt16LE(flags | IFF_UP, IFREQ_DATA))
}

/** Hardware address of the interface, as six pairs of digits. */
export function interfaceAddress(name: string): string {
  const request = withRequest(name, SIOCGIFHWADDR, 'SIOCGIFHWADDR', () => {})
  return [...request.subarray(IFREQ_DATA + 2, IFREQ_DATA + 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

const interfaceFlags = (name: string): number =>
  withRequest(name, SIOCGIFFLAGS, 'SIOCGIFFLAGS', () => {}).readUInt16LE(IFREQ_DATA)

function withRequest(name: string, code: number, what: string, fill: (request: Buffer) => void): Buffer {
  const socket = check('socket', sys.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  try {
    const request = Buffer.alloc(IFREQ_BYTES)
    request.write(name, 0)
    fill(request)
    if (sys.ioctl(socket, code, request) < 0) throw explainRequest(lastErrno(), name, what)
    return request
  } finally {
    closeFd(socket)
  }
}

function explainOpen(errno: number): SystemCallError {
  const explanation =
    errno === ENOENT || errno === ENODEV || errno === ENXIO
      ? 'this machine has no TUN/TAP device: run "sudo modprobe tun"; in a container, start it with --device /dev/net/tun'
      : errno === EACCES || errno === EPERM
        ? 'no permission: run as root, or "sudo chmod 666 /dev/net/tun" as most distributions have it'
        : sys.strerror(errno)
  return new SystemCallError('open', errno, TUN_DEVICE, explanation)
}

function explainAttach(errno: number, name: string, multiQueue: boolean): SystemCallError {
  const shown = name || 'tap%d'
  const explanation =
    errno === EPERM
      ? `creating a TAP needs CAP_NET_ADMIN: run as root, or create it once with "sudo ip tuntap add dev ${shown} mode tap vnet_hdr user $USER${multiQueue ? ' multi_queue' : ''}"`
      : errno === EBUSY
        ? `another process holds this TAP: stop it ("sudo fuser ${TUN_DEVICE}" lists candidates) or choose another name`
        : errno === EINVAL
          ? `an interface of this name exists and is no TAP with ${multiQueue ? 'several queues' : 'a single queue'}: choose another name, or remove it with "sudo ip link delete ${shown}"`
          : sys.strerror(errno)
  return new SystemCallError('TUNSETIFF', errno, shown, explanation)
}

function explainRequest(errno: number, name: string, what: string): SystemCallError {
  const explanation =
    errno === EPERM || errno === EACCES
      ? `this needs CAP_NET_ADMIN: run as root, or run "sudo ${what}" yourself and set up: false / leave the MTU out`
      : errno === ENODEV
        ? 'the interface does not exist (any more)'
        : sys.strerror(errno)
  return new SystemCallError(what, errno, name, explanation)
}
