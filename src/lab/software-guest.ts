// A guest without a virtual machine: an IPv4 host of our own that speaks ARP, ICMP echo, UDP echo and TCP, and answers IPv6
// neighbours. It runs where QEMU can't, and in tests. Pure: frames go in by `receive` and out by `send`, time comes from a clock.
//
// The rule it must not break: what comes from the network is not trusted. Every length and checksum is checked, every table is
// bounded, and no frame makes it throw.
import { createHash, type Hash } from 'node:crypto'
import { GuestPort } from './guest-init.ts'
import { parseIpv4 as parseAddress, parseMac } from './software/addresses.ts'
import type { Clock } from './software/clock.ts'
import { Ipv6Responder } from './software/ipv6-responder.ts'
import { Neighbours } from './software/neighbours.ts'
import type { TcpConnection, TcpHandler } from './software/tcp-connection.ts'
import { TcpStack } from './software/tcp-stack.ts'
import {
  buildEthernet,
  buildIcmpEcho,
  buildIpv4,
  buildUdp,
  EtherType,
  IcmpType,
  type IpPacket,
  IpProtocol,
  parseArp,
  parseEthernet,
  parseIcmpEcho,
  parseIpv4,
  parseUdp,
} from './software/wire.ts'

const DEFAULT_MTU = 1_500
const ECHO_BACKLOG_MAX_BYTES = 65_535

export interface SoftwareGuestOptions {
  readonly mac: string
  /** IPv4 address; a prefix length after it is ignored: every address is taken for a neighbour. */
  readonly address: string
  /** Bytes, 1500 without it. */
  readonly mtu?: number
}

export interface SoftwareGuestComponents {
  readonly clock: Clock
  /** A number from 0 up to, not including, 1. */
  random(): number
  send(frame: Buffer): void
}

export class SoftwareGuest {
  readonly tcp: TcpStack
  readonly #mac: Buffer
  readonly #address: Buffer
  readonly #components: SoftwareGuestComponents
  readonly #neighbours: Neighbours
  readonly #ipv6: Ipv6Responder
  readonly #pings = new Map<number, (answeredAtMs: number | null) => void>()
  readonly #pingIdentifier: number
  #nextPing = 1
  #nextIdentification = 1

  constructor(options: SoftwareGuestOptions, components: SoftwareGuestComponents) {
    this.#mac = parseMac(options.mac)
    this.#address = parseAddress(options.address.split('/')[0])
    this.#components = components
    this.#pingIdentifier = Math.floor(components.random() * 0x10000)
    this.#ipv6 = new Ipv6Responder(this.#mac)
    this.#neighbours = new Neighbours(
      { mac: this.#mac, address: this.#address },
      {
        clock: components.clock,
        transmit: (destination, packet) => components.send(buildEthernet(destination, this.#mac, EtherType.arp, packet)),
      },
    )
    this.tcp = new TcpStack(
      { address: this.#address, mtu: options.mtu ?? DEFAULT_MTU },
      {
        clock: components.clock,
        random: components.random,
        transmit: (destination, packet) => this.#sendIp(destination, IpProtocol.tcp, packet),
      },
    )
    this.tcp.listen(GuestPort.echo, echoService)
    this.tcp.listen(GuestPort.sink, sinkService)
    this.tcp.listen(GuestPort.receive, receiveService(components.clock))
  }

  /** Takes a frame from the network. */
  receive(frame: Buffer): void {
    const ethernet = parseEthernet(frame)
    if (ethernet === null) return
    const group = (ethernet.destination[0] & 1) !== 0
    if (!group && !ethernet.destination.equals(this.#mac)) return
    if (ethernet.etherType === EtherType.arp) {
      const arp = parseArp(ethernet.payload)
      if (arp !== null) this.#neighbours.receive(arp)
    } else if (ethernet.etherType === EtherType.ipv4) {
      const packet = parseIpv4(ethernet.payload)
      if (packet !== null && Buffer.compare(packet.destination, this.#address) === 0) this.#receiveIp(packet)
    } else if (ethernet.etherType === EtherType.ipv6) {
      const answer = this.#ipv6.answer(ethernet.payload)
      if (answer !== null) this.#components.send(buildEthernet(ethernet.source, this.#mac, EtherType.ipv6, answer))
    }
  }

  /** Sends an echo request. Resolves with the round trip in milliseconds, or null if no answer came in time. */
  ping(address: string, options: { timeoutMs: number; bytes?: number }): Promise<number | null> {
    const { clock } = this.#components
    const { promise, resolve } = Promise.withResolvers<number | null>()
    const sequence = this.#nextPing++ & 0xffff
    const sentAtMs = clock.nowMs()
    const settle = (answeredAtMs: number | null) => {
      cancel()
      this.#pings.delete(sequence)
      resolve(answeredAtMs === null ? null : answeredAtMs - sentAtMs)
    }
    const cancel = clock.after(options.timeoutMs, () => settle(null))
    this.#pings.set(sequence, settle)
    const payload = Buffer.alloc(options.bytes ?? 56, 0x5a)
    const request = buildIcmpEcho({ type: IcmpType.echoRequest, identifier: this.#pingIdentifier, sequence, payload })
    this.#sendIp(parseAddress(address), IpProtocol.icmp, request)
    return promise
  }

  /** Ends all connections, pings and timers. */
  close(): void {
    for (const settle of [...this.#pings.values()]) settle(null)
    this.tcp.close()
    this.#neighbours.close()
  }

  #receiveIp(packet: IpPacket): void {
    if (packet.protocol === IpProtocol.tcp) this.tcp.receive(packet.source, packet.payload)
    else if (packet.protocol === IpProtocol.icmp) this.#receiveIcmp(packet)
    else if (packet.protocol === IpProtocol.udp) this.#receiveUdp(packet)
  }

  #receiveIcmp({ source, payload }: IpPacket): void {
    const echo = parseIcmpEcho(payload)
    if (echo === null) return
    if (echo.type === IcmpType.echoRequest)
      this.#sendIp(source, IpProtocol.icmp, buildIcmpEcho({ ...echo, type: IcmpType.echoReply }))
    else if (echo.identifier === this.#pingIdentifier) this.#pings.get(echo.sequence)?.(this.#components.clock.nowMs())
  }

  #receiveUdp({ source, payload }: IpPacket): void {
    const datagram = parseUdp(source, this.#address, payload)
    // An echo of an echo port would go on for ever.
    if (datagram === null || datagram.destinationPort !== GuestPort.echo || datagram.sourcePort === GuestPort.echo) return
    const { sourcePort, destinationPort } = datagram
    const answer = { sourcePort: destinationPort, destinationPort: sourcePort, payload: datagram.payload }
    this.#sendIp(source, IpProtocol.udp, buildUdp(this.#address, source, answer))
  }

  #sendIp(destination: Uint8Array, protocol: number, payload: Buffer): void {
    const packet = buildIpv4({ source: this.#address, destination, protocol, payload }, this.#nextIdentification++)
    this.#neighbours.resolve(destination, (mac) => this.#components.send(buildEthernet(mac, this.#mac, EtherType.ipv4, packet)))
  }
}

function echoService(connection: () => TcpConnection): TcpHandler {
  return {
    data: (bytes) => connection().write(bytes),
    end: () => connection().end(),
    closed: () => {},
    room: () => ECHO_BACKLOG_MAX_BYTES - connection().backlogBytes,
  }
}

function sinkService(connection: () => TcpConnection): TcpHandler {
  return { data: () => {}, end: () => connection().end(), closed: () => {} }
}

/** Answers, when the sender has closed, what the Linux guests' service answers: bytes, seconds, SHA-256. */
function receiveService(clock: Clock) {
  return (connection: () => TcpConnection): TcpHandler => {
    const hash: Hash = createHash('sha256')
    let startedAtMs = clock.nowMs()
    let bytes = 0
    return {
      connected: () => {
        startedAtMs = clock.nowMs()
      },
      data: (chunk) => {
        bytes += chunk.length
        hash.update(chunk)
      },
      end: () => {
        const seconds = (clock.nowMs() - startedAtMs) / 1000
        connection().write(Buffer.from(`${bytes} ${seconds.toFixed(3)} ${hash.digest('hex')}\n`))
        connection().end()
      },
      closed: () => {},
    }
  }
}
