// libkrun and what is built on it (krunkit), and vfkit: unix datagram and unix stream sockets, or a TAP.
import {
  attach,
  joinTaps,
  noBrowserGuest,
  noGuestPort,
  noMemoryKind,
  noVirtualFunction,
  unsupported,
  type Vmm,
  vmmInterfaceFor,
} from './vmm.ts'

const cBytes = (mac: string | null): string =>
  (mac ?? '52:54:00:77:00:01')
    .split(':')
    .map((byte) => `0x${byte}`)
    .join(', ')

const cString = (text: string): string => JSON.stringify(text)

export const libkrun: Vmm = ({ endpoint, mac }, memoryMiB) => {
  const macNote = mac === null ? ['the port has no MAC address: choose one for the guest'] : []
  const device = (rest: string): string => `--device virtio-net,${rest}${mac === null ? '' : `,mac=${mac}`}`
  const memory = `--memory ${memoryMiB}`
  switch (endpoint.kind) {
    case 'unix-dgram':
      return attach({
        arguments: [memory, device(`type=unixgram,path=${endpoint.path},vfkitMagic=on`)],
        text: [
          `uint8_t mac[6] = { ${cBytes(mac)} };`,
          `krun_add_net_unixgram(ctx, ${cString(endpoint.path)}, -1, mac, 0, NET_FLAG_VFKIT);`,
        ].join('\n'),
        notes: [
          'the arguments are those of krunkit; the C lines those of libkrun itself',
          `vfkit takes: --device virtio-net,unixSocketPath=${endpoint.path}${mac === null ? '' : `,mac=${mac}`}`,
          'features are 0: frames on this socket carry no offload header',
          ...macNote,
        ],
      })
    case 'stream':
      if (endpoint.mode === 'client')
        return unsupported('libkrun connects to a stream socket and never listens on one', 'set mode: server at the endpoint')
      return attach({
        arguments: [memory, device(`type=unixstream,path=${endpoint.path}`)],
        text: [
          `uint8_t mac[6] = { ${cBytes(mac)} };`,
          `krun_add_net_unixstream(ctx, ${cString(endpoint.path)}, -1, mac, 0, 0);`,
        ].join('\n'),
        notes: ['the arguments are those of krunkit; the C lines those of libkrun itself', ...macNote],
      })
    case 'tap': {
      const own = vmmInterfaceFor(endpoint.interface)
      const { setup, note } = joinTaps(endpoint.interface, own)
      return attach({
        setup,
        text: [`uint8_t mac[6] = { ${cBytes(mac)} };`, `krun_add_net_tap(ctx, ${cString(own)}, mac, 0, 0);`].join('\n'),
        notes: [note, 'kind: unix-dgram needs no interface and no root', ...macNote],
      })
    }
    case 'vhost-user':
    case 'dgram':
      return unsupported(`libkrun has no network card for an endpoint of kind ${endpoint.kind}`, 'use kind: unix-dgram')
    case 'vf':
      return noVirtualFunction('libkrun')
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
