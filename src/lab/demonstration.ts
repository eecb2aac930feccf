// What a lab shows once its guests are up: everybody reaches the next one, and bytes arrive as they were sent.
import { LabError } from './errors.ts'
import type { LabGuest, Transfer } from './lab-guest.ts'
import { PING_TIMEOUT_MS, type PingResult } from './ping.ts'

const PINGS = 3
const TRANSFER_BYTES = 16 * 1024 * 1024

export interface DemonstrationOptions {
  /** Milliseconds to wait for an answer to a ping; 3 s without it. */
  readonly pingTimeoutMs?: number
  /** 16 MiB without it. */
  readonly transferBytes?: number
}

type Addressed = LabGuest & { readonly address: string }

export interface DemonstrationComponents {
  write(line: string): void
}

export function formatPing(from: string, to: string, { sent, received, minMs, averageMs, maxMs }: PingResult): string {
  const times =
    received === 0 ? '' : `, round trip ${minMs.toFixed(2)} / ${averageMs.toFixed(2)} / ${maxMs.toFixed(2)} ms (min/avg/max)`
  return `${from} → ${to}: ${received} of ${sent} pings answered${times}`
}

export function formatTransfer(from: string, to: string, { receivedBytes, seconds, receivedSha256 }: Transfer): string {
  const megabits = (receivedBytes * 8) / 1e6 / Math.max(seconds, 0.01)
  const mebibytes = (receivedBytes / 2 ** 20).toFixed(1)
  const hash = receivedSha256.slice(0, 12)
  return `${from} → ${to}: ${mebibytes} MiB over TCP in ${seconds.toFixed(2)} s, ${megabits.toFixed(0)} Mbit/s, SHA-256 equal on both sides (${hash}…)`
}

/** Each guest pings the next, the last one the first; then the first sends to the second. Throws `check-failed`. */
export async function demonstrate(
  guests: readonly LabGuest[],
  options: DemonstrationOptions,
  { write }: DemonstrationComponents,
): Promise<void> {
  const addressed = guests.filter((guest): guest is Addressed => guest.address !== null)
  if (addressed.length < 2) {
    write('fewer than two guests have addresses: nothing to show')
    return
  }
  const timeoutMs = options.pingTimeoutMs ?? PING_TIMEOUT_MS
  for (const [index, from] of addressed.entries()) {
    const to = addressed[(index + 1) % addressed.length]
    // The first answer waits for addresses to be found: it is not the network's round trip.
    await from.ping(to.address, { count: 1, timeoutMs })
    const result = await from.ping(to.address, { count: PINGS, timeoutMs })
    write(formatPing(from.name, to.name, result))
    if (result.received === 0) throw new LabError('check-failed', `${from.name} can't reach ${to.name} (${to.address})`)
  }
  const [from, to] = addressed
  const transfer = await from.transfer(to.address, options.transferBytes ?? TRANSFER_BYTES)
  if (transfer.receivedBytes !== transfer.sentBytes || transfer.receivedSha256 !== transfer.sentSha256)
    throw new LabError(
      'check-failed',
      `${from.name} → ${to.name}: sent ${transfer.sentBytes} bytes (${transfer.sentSha256}), received ${transfer.receivedBytes} (${transfer.receivedSha256})`,
    )
  write(formatTransfer(from.name, to.name, transfer))
}
