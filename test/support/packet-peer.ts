// A raw packet socket on an interface of the host, for tests: the other side of a TAP.

import { isTestFrame, TEST_ETHER_TYPE } from '../../src/endpoints/compliance-frames.ts'
import { closeFd } from '../../src/linux/files.ts'
import { lastErrno, sys } from '../../src/linux/libc.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_PACKET = 263
const PACKET_IGNORE_OUTGOING = 23
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const RECEIVE_BYTES = 128 * 1024
const ADDRESS_BYTES = 20

export class PacketPeer {
  #fd: number
  readonly #buffer = Buffer.alloc(RECEIVE_BYTES)

  /** Needs CAP_NET_RAW. */
  constructor(interfaceName: string) {
    const protocol = ((TEST_ETHER_TYPE & 0xff) << 8) | (TEST_ETHER_TYPE >> 8)
    this.#fd = sys.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)
    const address = Buffer.alloc(ADDRESS_BYTES)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16BE(TEST_ETHER_TYPE, 2)
    address.writeInt32LE(sys.ifNametoindex(interfaceName), 4)
    const on = Buffer.from([1, 0, 0, 0])
    const size = Buffer.alloc(4)
    size.writeInt32LE(16 * 1024 * 1024)
    if (
      this.#fd < 0 ||
      sys.setsockopt(this.#fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, on, 4) < 0 ||
      sys.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4) < 0 ||
      sys.bind(this.#fd, address, ADDRESS_BYTES) < 0
    )
      throw new Error(`no packet socket on ${interfaceName}: errno ${lastErrno()}`)
  }

  send(frame: Uint8Array): boolean {
    return sys.write(this.#fd, frame, frame.length) === frame.length
  }

  receive(): Uint8Array | null {
    for (;;) {
      const got = sys.read(this.#fd, this.#buffer, RECEIVE_BYTES)
      if (got < 0) return null
      const frame = this.#buffer.subarray(0, got)
      if (isTestFrame(frame)) return Buffer.from(frame)
    }
  }

  vanish(): void {
    closeFd(this.#fd)
    this.#fd = -1
  }
}
