// How a VMM is attached to a port: what is the same for all of them.
import type { EndpointConfig, ResolvedIov } from '../../manage/config/types.ts'

/** The port to attach to. */
export interface VmmPort {
  readonly name: string
  readonly mac: string | null
  readonly endpoint: EndpointConfig
  /** The port that stands in for a virtual function, where there is one. */
  readonly standby?: VmmPort | undefined
  /** What the port wants of SR-IOV. */
  readonly iov?: ResolvedIov | null
}

/** What a person pastes, and what they should know. */
export interface Attachment {
  /** Commands to run once before, each one line. */
  readonly setup: readonly string[]
  /** Arguments of the VMM; each entry is an option with its value. */
  readonly arguments: readonly string[]
  /** What goes into the VMM's configuration or program, where it has no arguments for it. */
  readonly text: string | null
  /** Facts worth knowing, one line each. */
  readonly notes: readonly string[]
}

/** A VMM can't use this kind of endpoint. `remedy` says which kind it can use. */
export interface Unsupported {
  readonly reason: string
  readonly remedy: string
}

export type VmmAnswer = { readonly attachment: Attachment } | { readonly unsupported: Unsupported }

/** Makes the arguments of one VMM. `memoryMiB` is the guest's memory. */
export type Vmm = (port: VmmPort, memoryMiB: number) => VmmAnswer

export const attach = (attachment: Partial<Attachment>): VmmAnswer => ({
  attachment: { setup: [], arguments: [], text: null, notes: [], ...attachment },
})

export const unsupported = (reason: string, remedy: string): VmmAnswer => ({ unsupported: { reason, remedy } })

/** A word as a POSIX shell takes it. */
export const shellWord = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

/** A value inside a list of key=value pairs, where a comma is written twice (QEMU). */
export const qemuValue = (value: string): string => value.replaceAll(',', ',,')

/** What every VMM that shares a TAP needs: it can't open the switch's own interface, so a bridge joins the two. */
export function joinTaps(switchInterface: string, vmmInterface: string): { setup: string[]; note: string } {
  const bridge = `br-${switchInterface}`.slice(0, 15)
  return {
    setup: [
      `ip tuntap add dev ${vmmInterface} mode tap`,
      `ip link add ${bridge} type bridge`,
      `ip link set ${switchInterface} master ${bridge}`,
      `ip link set ${vmmInterface} master ${bridge}`,
      `ip link set ${switchInterface} up`,
      `ip link set ${vmmInterface} up`,
      `ip link set ${bridge} up`,
    ],
    note: `the switch holds ${switchInterface}; the VMM gets ${vmmInterface}, and a bridge with these two ports joins them`,
  }
}

/** Name of the VMM's own TAP interface beside the switch's. */
export const vmmInterfaceFor = (switchInterface: string): string => `${switchInterface.slice(0, 11)}-vm`

/** VMMs that don't speak vfio-user. */
export const noVirtualFunction = (vmm: string): VmmAnswer =>
  unsupported(`${vmm} has no vfio-user device for an endpoint of kind vf`, 'use QEMU 10.1 or newer, or kind: vhost-user')

/** Whether a guest is attached to a port with this endpoint, and not the network or a file. */
export const hasGuest = ({ kind }: EndpointConfig): boolean => kind !== 'uplink' && kind !== 'pcap' && kind !== 'adapter'

/** The port belongs to the network or to a file; no guest is attached to it. */
export const noGuestPort = (kind: string): VmmAnswer =>
  unsupported(
    `a port of kind ${kind} has no guest: it is the network's or a file's`,
    'add a port of kind: vhost-user for the guest',
  )

export const noBrowserGuest = (): VmmAnswer =>
  unsupported(
    'a port of kind websocket is for guests in browsers',
    'use kind: vhost-user; for v86, "vmswitch browser-guest url PORT"',
  )

export const noMemoryKind = (): VmmAnswer =>
  unsupported('an endpoint of kind memory exists inside the switch only', 'use kind: vhost-user')
