// Makes the control half of a port's endpoint from its configuration.

import { createDgramEndpoint } from '../endpoints/dgram/dgram-endpoint.ts'
import type { EndpointComponents, EndpointControl } from '../endpoints/endpoint.ts'
import { MemoryEndpoint } from '../endpoints/memory/memory-endpoint.ts'
import { PcapEndpoint } from '../endpoints/pcap/pcap-endpoint.ts'
import { StreamEndpoint } from '../endpoints/stream/stream-endpoint.ts'
import { TapEndpoint } from '../endpoints/tap/tap-endpoint.ts'
import { createUnixDgramEndpoint } from '../endpoints/unix-dgram/unix-dgram-endpoint.ts'
import { UplinkEndpoint } from '../endpoints/uplink/uplink-endpoint.ts'
import { VfEndpoint } from '../endpoints/vf/control.ts'
import { createVhostUserControl } from '../endpoints/vhost-user/control.ts'
import { WebsocketEndpoint } from '../endpoints/websocket/websocket-endpoint.ts'
import type { WindowAllocator } from '../vhost-user/window-allocator.ts'

/** What a port is connected to; paths are absolute. */
export type EndpointConfig =
  | {
      readonly kind: 'vhost-user'
      readonly path: string
      readonly mode: 'server' | 'client'
      readonly queuePairs: number
      readonly mtu: number
      readonly requireSeals: boolean
    }
  | { readonly kind: 'tap'; readonly interface: string; readonly mtu: number; readonly queues: number }
  | {
      readonly kind: 'uplink'
      readonly interface: string
      readonly via: 'auto' | 'packet' | 'xdp'
      readonly queues: number
      readonly promiscuous: boolean
      readonly qdiscBypass: boolean
    }
  | {
      readonly kind: 'pcap'
      readonly replay?: string | undefined
      readonly record?: string | undefined
      readonly speed: 'original' | 'fastest' | number
      readonly loop: boolean
      readonly delayMs: number
    }
  | { readonly kind: 'stream'; readonly path: string; readonly mode: 'server' | 'client' }
  | { readonly kind: 'dgram'; readonly local: string; readonly remote: string }
  | { readonly kind: 'unix-dgram'; readonly path: string }
  | {
      readonly kind: 'websocket'
      readonly listen: string
      readonly tokenFile: string
      readonly origins: string[]
      readonly certificate?: string | undefined
      readonly key?: string | undefined
      readonly framesPerSecond: number
    }
  | { readonly kind: 'memory' }
  /** The physical function of an SR-IOV adapter of the switch, by its name. */
  | { readonly kind: 'adapter'; readonly adapter: string }
  | {
      readonly kind: 'vf'
      readonly path: string
      readonly mac: string
      readonly mtu: number
      readonly trusted: boolean
      readonly requireSeals: boolean
      /** Port of the virtio card that carries the guest's traffic while the function is away. */
      readonly standby?: string | undefined
    }

export interface EndpointFactoryComponents extends EndpointComponents {
  readonly windows: WindowAllocator
  readonly announce: (mac: Uint8Array) => void
  /** The control half of the connection with an SR-IOV adapter of the switch. Throws if there is none of that name. */
  readonly adapterPort: (adapter: string, components: EndpointComponents) => EndpointControl
}

/** MTU of the connection as the configuration has it, in bytes. */
export const mtuOf = (config: EndpointConfig): number => ('mtu' in config ? config.mtu : 1500)

/** The control half for `config` on switch port `port`; nothing is opened yet. */
export function createEndpoint(config: EndpointConfig, port: number, components: EndpointFactoryComponents): EndpointControl {
  switch (config.kind) {
    case 'vhost-user':
      return createVhostUserControl(
        {
          port,
          path: config.path,
          mode: config.mode,
          queuePairsMax: config.queuePairs,
          mtu: config.mtu,
          requireSeals: config.requireSeals,
        },
        components,
      )
    case 'tap':
      return new TapEndpoint({ port, name: config.interface, mtu: config.mtu, queues: config.queues }, components)
    case 'uplink': {
      const { kind: _, ...options } = config
      return new UplinkEndpoint({ port, ...options }, components)
    }
    case 'pcap': {
      const { kind: _, ...options } = config
      return new PcapEndpoint({ port, ...options }, components)
    }
    case 'stream':
      return new StreamEndpoint({ port, path: config.path, mode: config.mode }, components)
    case 'dgram':
      return createDgramEndpoint({ port, path: config.local, peer: config.remote }, components)
    case 'unix-dgram':
      return createUnixDgramEndpoint({ port, path: config.path }, components)
    case 'websocket': {
      const { kind: _, ...options } = config
      return new WebsocketEndpoint({ port, ...options }, components)
    }
    case 'vf': {
      const { path, mac, mtu, trusted, requireSeals } = config
      return new VfEndpoint({ port, path, mac, mtu, trusted, requireSeals }, components)
    }
    case 'memory':
      return new MemoryEndpoint({ port }, components)
    case 'adapter':
      return components.adapterPort(config.adapter, components)
  }
}
