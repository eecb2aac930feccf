// A guest as the lab sees it, whether a virtual machine or a software guest: it comes up, pings, sends bytes, and stops.
import { createHash } from 'node:crypto'
import { LabError } from './errors.ts'
import { GuestPort } from './guest-init.ts'
import { PING_TIMEOUT_MS, type PingOptions, type PingResult } from './ping.ts'
import type { QemuGuest } from './qemu.ts'
import { parseIpv4 } from './software/addresses.ts'
import { systemClock } from './software/clock.ts'
import { StreamLink } from './software/stream-link.ts'
import type { TcpConnection } from './software/tcp-connection.ts'
import { SoftwareGuest } from './software-guest.ts'

export type GuestKind = 'qemu' | 'software'

/** A TCP transfer, each figure from the side that knows it. */
export interface Transfer {
  readonly sentBytes: number
  readonly receivedBytes: number
  /** Seconds between the first byte and the last, by the receiver's clock. */
  readonly seconds: number
  readonly sentSha256: string
  readonly receivedSha256: string
}

export interface LabGuest {
  readonly name: string
  readonly kind: GuestKind
  /** IPv4 address without prefix, or null. */
  readonly address: string | null
  /** Resolves, after `start`, with the reason if the guest ends without `stop`. */
  readonly ended: Promise<string>
  /** Returns when the guest is up. Throws a LabError. */
  start(): Promise<void>
  ping(address: string, options: PingOptions): Promise<PingResult>
  /** Sends random bytes to a guest's receive service. Throws a LabError if the connection fails. */
  transfer(address: string, bytes: number): Promise<Transfer>
  stop(): Promise<void>
}

const TRANSFER_TIMEOUT_MS = 120_000
const SET_UP_TIMEOUT_MS = 60_000
const BLOCK_BYTES = 64 * 1024

/** Reads the receive service's answer: "bytes seconds sha256". */
function parseReceived(text: string): Pick<Transfer, 'receivedBytes' | 'seconds' | 'receivedSha256'> {
  const match = /^(\d+) ([\d.]+) ([0-9a-f]{64})$/.exec(text.trim())
  if (match === null) throw new LabError('guest-protocol', `the receiver's answer is "${text.trim().slice(0, 200)}"`)
  return { receivedBytes: Number(match[1]), seconds: Number(match[2]), receivedSha256: match[3] }
}

const withoutPrefix = (address: string | undefined): string | null => address?.split('/')[0] ?? null

/** A Linux guest under QEMU. */
export class QemuLabGuest implements LabGuest {
  readonly kind = 'qemu'
  readonly name: string
  readonly address: string | null
  readonly ended: Promise<string>
  readonly #ended = Promise.withResolvers<string>()
  readonly #guest: QemuGuest
  readonly #setUp: string | undefined
  #stopping = false

  /** `setUp`: a command line that the guest runs when it is up. */
  constructor(guest: QemuGuest, address: string | undefined, setUp?: string) {
    this.#guest = guest
    this.#setUp = setUp
    this.name = guest.name
    this.address = withoutPrefix(address)
    this.ended = this.#ended.promise
  }

  async start(): Promise<void> {
    await this.#guest.start()
    void this.#guest.exited.then(({ code, signal }) => {
      if (!this.#stopping) this.#ended.resolve(`QEMU ended (${signal ?? `code ${code}`}); its log: ${this.#guest.logFile}`)
    })
    await this.#guest.ready()
    if (this.#setUp !== undefined) await this.#guest.check(this.#setUp, { timeoutMs: SET_UP_TIMEOUT_MS })
  }

  ping(address: string, options: PingOptions): Promise<PingResult> {
    return this.#guest.ping(address, options)
  }

  async transfer(address: string, bytes: number): Promise<Transfer> {
    const blocks = Math.ceil(bytes / BLOCK_BYTES)
    await this.#guest.check(`dd if=/dev/urandom of=/tmp/payload bs=${BLOCK_BYTES} count=${blocks} 2>/dev/null`)
    const sentSha256 = (await this.#guest.check('sha256sum </tmp/payload')).split(' ')[0]
    const send = `nc -w 10 ${address} ${GuestPort.receive} </tmp/payload; code=$?; rm -f /tmp/payload; exit $code`
    const answer = await this.#guest.check(send, { timeoutMs: TRANSFER_TIMEOUT_MS })
    return { sentBytes: blocks * BLOCK_BYTES, sentSha256, ...parseReceived(answer) }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#guest.stop()
  }
}

/** A software guest on a stream socket. */
export class SoftwareLabGuest implements LabGuest {
  readonly kind = 'software'
  readonly name: string
  readonly address: string | null
  readonly ended: Promise<string>
  readonly #ended = Promise.withResolvers<string>()
  readonly #path: string
  readonly #guest: SoftwareGuest
  #link: StreamLink | null = null
  #stopping = false

  constructor(options: { name: string; mac: string; address: string; path: string; mtu?: number }) {
    this.name = options.name
    this.address = withoutPrefix(options.address)
    this.ended = this.#ended.promise
    this.#path = options.path
    this.#guest = new SoftwareGuest(
      { mac: options.mac, address: options.address, ...(options.mtu === undefined ? {} : { mtu: options.mtu }) },
      { clock: systemClock, random: Math.random, send: (frame) => this.#link?.send(frame) },
    )
  }

  async start(): Promise<void> {
    const link = await StreamLink.open(this.#path, (frame) => this.#guest.receive(frame))
    this.#link = link
    void link.closed.then((reason) => {
      if (!this.#stopping) this.#ended.resolve(`its connection to ${this.#path} ended${reason === null ? '' : `: ${reason}`}`)
    })
  }

  async ping(address: string, options: PingOptions): Promise<PingResult> {
    const count = options.count ?? 3
    const timeoutMs = options.timeoutMs ?? PING_TIMEOUT_MS
    const timesMs: number[] = []
    for (let i = 0; i < count && !this.#stopping; i++) {
      const timeMs = await this.#guest.ping(address, { timeoutMs })
      if (timeMs !== null) timesMs.push(timeMs)
    }
    const received = timesMs.length
    const averageMs = timesMs.reduce((sum, timeMs) => sum + timeMs, 0) / received
    const [minMs, maxMs] = received === 0 ? [Number.NaN, Number.NaN] : [Math.min(...timesMs), Math.max(...timesMs)]
    return { sent: count, received, minMs, averageMs, maxMs }
  }

  async transfer(address: string, bytes: number): Promise<Transfer> {
    const blocks = Math.ceil(bytes / BLOCK_BYTES)
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const hash = createHash('sha256')
    let answer = ''
    const connection: TcpConnection = this.#guest.tcp.connect(parseIpv4(address), GuestPort.receive, {
      data: (chunk) => {
        answer += chunk.toString('latin1')
      },
      end: () => {},
      closed: (error) => {
        if (answer.endsWith('\n')) resolve(answer)
        else
          reject(new LabError('check-failed', `${this.name} → ${address}: ${error ?? 'the receiver closed without an answer'}`))
      },
    })
    for (let i = 0; i < blocks; i++) {
      const block = crypto.getRandomValues(new Uint8Array(BLOCK_BYTES))
      hash.update(block)
      connection.write(block)
    }
    connection.end()
    const timer = setTimeout(() => connection.abort(), TRANSFER_TIMEOUT_MS)
    try {
      return { sentBytes: blocks * BLOCK_BYTES, sentSha256: hash.digest('hex'), ...parseReceived(await promise) }
    } finally {
      clearTimeout(timer)
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#guest.close()
    this.#link?.close()
  }
}
