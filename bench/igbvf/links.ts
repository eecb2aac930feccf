// The links between two guests that `npm run bench -- igbvf` compares, as QEMU's arguments.

/** Sockets of the two ends of each link that goes through this switch, and of the one that does not. */
export interface Sockets {
  readonly functions: readonly [string, string]
  readonly devices: readonly [string, string]
  readonly cable: string
}

export type LinkName = 'igbvf' | 'e1000e' | 'virtio'

export interface LinkKind {
  readonly name: LinkName
  readonly title: string
  /** Module that drives the card; null: it is loaded at boot. */
  readonly module: string | null
  readonly macs: readonly [string, string]
  /** The first three bytes of its network's addresses. */
  readonly network: string
  readonly arguments: (sockets: Sockets, n: number) => string[]
}

const macs = (kind: number): readonly [string, string] => [`52:54:00:78:0${kind}:01`, `52:54:00:78:0${kind}:02`]

export const links: readonly LinkKind[] = [
  {
    name: 'igbvf',
    title: 'virtual functions of an adapter, driven by igbvf',
    module: 'igbvf',
    macs: macs(1),
    network: '10.78.1',
    arguments: ({ functions }, n) => [
      '-device',
      JSON.stringify({ driver: 'vfio-user-pci', socket: { type: 'unix', path: functions[n] }, id: 'function' }),
    ],
  },
  {
    name: 'e1000e',
    title: "QEMU's e1000e over a socket between the two, without a switch",
    module: 'e1000e',
    macs: macs(2),
    network: '10.78.2',
    arguments: ({ cable }, n) => [
      '-netdev',
      `stream,id=cable,server=${n === 0 ? 'on' : 'off'},addr.type=unix,addr.path=${cable}`,
      '-device',
      `e1000e,netdev=cable,id=card,mac=${macs(2)[n]},romfile=`,
    ],
  },
  {
    name: 'virtio',
    title: 'virtio-net over vhost-user, through the extensible switch',
    module: null,
    macs: macs(3),
    network: '10.78.3',
    arguments: ({ devices }, n) => [
      '-chardev',
      `socket,id=devicechr,path=${devices[n]}`,
      '-netdev',
      'vhost-user,id=devicenet,chardev=devicechr',
      '-device',
      `virtio-net-pci,netdev=devicenet,id=device,mac=${macs(3)[n]},romfile=`,
    ],
  },
]

export const linkNamed = (name: LinkName): LinkKind => links.find((link) => link.name === name)!
