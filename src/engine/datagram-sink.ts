// Where the records of a sink go that is declared with `udp`: each record is one datagram, sent to every collector.
//
// The rule it must not break: nobody waits for a collector. What the socket can't take now, or the network refuses, is lost and counted.
import { createSocket, type Socket } from 'node:dgram'
import { isIP, isIPv6 } from 'node:net'
import type { UdpTarget } from '../extension.ts'

/** Collectors of one sink. */
export const UDP_TARGETS_MAX = 8
/** Bytes of a datagram's payload: what UDP over IPv4 takes. */
const DATAGRAM_BYTES_MAX = 65_507
/** Datagrams that may wait in the socket of one address family. */
const WAITING_MAX = 1024

/** What is wrong with the declared collectors; undefined if nothing is. */
export function wrongTargets(targets: readonly UdpTarget[]): string | undefined {
  if (targets.length === 0 || targets.length > UDP_TARGETS_MAX)
    return `has ${targets.length} collectors, not 1…${UDP_TARGETS_MAX}`
  for (const { address, port } of targets) {
    if (isIP(address) === 0) return `sends to ${JSON.stringify(address)}, which is no IP address`
    if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) return `sends to port ${port}, which is not 1…65535`
  }
  return undefined
}

/** Sockets that send records to some collectors. */
export class DatagramSink {
  readonly #targets: readonly UdpTarget[]
  readonly #sockets = new Map<boolean, Socket>()
  readonly #waiting = new Map<Socket, number>()
  #closed = false
  /** Datagrams that were not sent. */
  lost = 0

  /** `targets` must be free of faults (`wrongTargets`). */
  constructor(targets: readonly UdpTarget[]) {
    this.#targets = targets
  }

  #socket(isV6: boolean): Socket {
    const known = this.#sockets.get(isV6)
    if (known) return known
    const socket = createSocket(isV6 ? 'udp6' : 'udp4')
    socket.on('error', () => this.lost++) // no route, no such port: the next datagram is tried again
    socket.unref()
    this.#sockets.set(isV6, socket)
    return socket
  }

  /** Sends `record`; a preamble is a record like any other. */
  write(record: Uint8Array): void {
    if (this.#closed || record.length > DATAGRAM_BYTES_MAX) {
      this.lost += this.#targets.length
      return
    }
    for (const { address, port } of this.#targets) {
      const socket = this.#socket(isIPv6(address))
      const waiting = this.#waiting.get(socket) ?? 0
      if (waiting >= WAITING_MAX) {
        this.lost++
        continue
      }
      this.#waiting.set(socket, waiting + 1)
      socket.send(record, port, address, (error) => {
        this.#waiting.set(socket, this.#waiting.get(socket)! - 1)
        if (error) this.lost++
      })
    }
  }

  /** Ends when what waits has been handed to the kernel. */
  async close(): Promise<void> {
    this.#closed = true
    for (const socket of this.#sockets.values()) {
      for (let turn = 0; turn < WAITING_MAX && (this.#waiting.get(socket) ?? 0) > 0; turn++)
        await new Promise<void>((done) => setImmediate(done))
      await new Promise<void>((done) => socket.close(() => done()))
    }
    this.#sockets.clear()
  }
}
