// TCP of a software guest: which connection a segment belongs to, who listens, and the answer to what belongs to nobody.
import { LabError } from '../errors.ts'
import { formatIpv4 } from './addresses.ts'
import type { Clock } from './clock.ts'
import { type TcpAddresses, TcpConnection, type TcpHandler } from './tcp-connection.ts'
import { buildTcp, parseTcp, sequenceAdd, TCP_HEADER_BYTES, TcpFlag, type TcpSegment } from './tcp-segment.ts'

const CONNECTIONS_MAX = 64
const EPHEMERAL_FIRST = 49_152
const EPHEMERAL_LAST = 65_535
const IPV4_HEADER_BYTES = 20

export interface TcpStackComponents {
  readonly clock: Clock
  /** A number from 0 up to, not including, 1. */
  random(): number
  /** Sends a TCP packet to an IPv4 address. */
  transmit(destination: Uint8Array, packet: Buffer): void
}

/** Makes what serves a new connection; it may keep the connection to write to. */
export type TcpAccept = (connection: () => TcpConnection) => TcpHandler

export class TcpStack {
  readonly #address: Uint8Array
  readonly #segmentBytes: number
  readonly #components: TcpStackComponents
  readonly #connections = new Map<string, TcpConnection>()
  readonly #listeners = new Map<number, TcpAccept>()
  #nextPort: number

  constructor(options: { address: Uint8Array; mtu: number }, components: TcpStackComponents) {
    this.#address = options.address
    this.#segmentBytes = options.mtu - IPV4_HEADER_BYTES - TCP_HEADER_BYTES
    this.#components = components
    this.#nextPort = EPHEMERAL_FIRST + Math.floor(components.random() * (EPHEMERAL_LAST - EPHEMERAL_FIRST))
  }

  /** Connections that are not closed yet. */
  get connectionCount(): number {
    return this.#connections.size
  }

  listen(port: number, accept: TcpAccept): void {
    this.#listeners.set(port, accept)
  }

  /** Opens a connection. Throws `link-failed` if there are too many. */
  connect(remote: Uint8Array, remotePort: number, handler: TcpHandler): TcpConnection {
    if (this.#connections.size >= CONNECTIONS_MAX)
      throw new LabError('link-failed', `a software guest has at most ${CONNECTIONS_MAX} TCP connections at a time`)
    const connection = this.#make(remote, { localPort: this.#freePort(remote, remotePort), remotePort }, handler, 'syn-sent')
    connection.open()
    return connection
  }

  receive(source: Uint8Array, packet: Buffer): void {
    const segment = parseTcp(source, this.#address, packet)
    if (segment === null) return
    const connection = this.#connections.get(
      keyOf(source, { localPort: segment.destinationPort, remotePort: segment.sourcePort }),
    )
    if (connection !== undefined) connection.receive(segment)
    else if ((segment.flags & TcpFlag.rst) === 0) this.#receiveUnknown(source, segment)
  }

  /** Ends all connections at once. */
  close(): void {
    for (const connection of [...this.#connections.values()]) connection.abort()
  }

  #receiveUnknown(source: Uint8Array, segment: TcpSegment): void {
    const accept = this.#listeners.get(segment.destinationPort)
    const opens = (segment.flags & (TcpFlag.syn | TcpFlag.ack)) === TcpFlag.syn
    if (accept === undefined || !opens) {
      this.#refuse(source, segment)
      return
    }
    // A full house is silent: the peer tries again.
    if (this.#connections.size >= CONNECTIONS_MAX) return
    const handler = accept(() => connection)
    const addresses = { localPort: segment.destinationPort, remotePort: segment.sourcePort }
    const connection: TcpConnection = this.#make(Buffer.from(source), addresses, handler, 'syn-received')
    connection.accept(segment)
  }

  #make(remote: Uint8Array, addresses: TcpAddresses, handler: TcpHandler, state: 'syn-sent' | 'syn-received'): TcpConnection {
    const key = keyOf(remote, addresses)
    const initialSequence = Math.floor(this.#components.random() * 0x1_0000_0000)
    const connection = new TcpConnection(
      { addresses, initialSequence, segmentBytes: this.#segmentBytes, handler, state },
      {
        clock: this.#components.clock,
        transmit: (segment) => this.#transmit(remote, segment),
        released: () => this.#connections.delete(key),
      },
    )
    this.#connections.set(key, connection)
    return connection
  }

  /** RFC 9293, 3.10.7.1: a reset that the peer will believe. */
  #refuse(source: Uint8Array, segment: TcpSegment): void {
    const acknowledged = (segment.flags & TcpFlag.ack) !== 0
    const length = segment.payload.length + (segment.flags & TcpFlag.syn ? 1 : 0) + (segment.flags & TcpFlag.fin ? 1 : 0)
    this.#transmit(source, {
      sourcePort: segment.destinationPort,
      destinationPort: segment.sourcePort,
      sequence: acknowledged ? segment.acknowledgment : 0,
      acknowledgment: acknowledged ? 0 : sequenceAdd(segment.sequence, length),
      flags: acknowledged ? TcpFlag.rst : TcpFlag.rst | TcpFlag.ack,
      window: 0,
      segmentBytes: 0,
      payload: Buffer.alloc(0),
    })
  }

  #transmit(destination: Uint8Array, segment: TcpSegment): void {
    this.#components.transmit(destination, buildTcp(this.#address, destination, segment))
  }

  #freePort(remote: Uint8Array, remotePort: number): number {
    for (;;) {
      const localPort = this.#nextPort
      this.#nextPort = localPort === EPHEMERAL_LAST ? EPHEMERAL_FIRST : localPort + 1
      if (!this.#connections.has(keyOf(remote, { localPort, remotePort }))) return localPort
    }
  }
}

const keyOf = (remote: Uint8Array, { localPort, remotePort }: TcpAddresses): string =>
  `${localPort} ${formatIpv4(remote)} ${remotePort}`
