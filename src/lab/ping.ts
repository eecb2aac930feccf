// Asks busybox's ping and understands its answer.

export interface PingOptions {
  /** Requests, 3 without it. */
  readonly count?: number
  /** Payload bytes, 56 without it. */
  readonly bytes?: number
  /** Milliseconds to wait for an answer, rounded up to seconds; 3 s without it. */
  readonly timeoutMs?: number
}

export interface PingResult {
  readonly sent: number
  readonly received: number
  /** Milliseconds; NaN if nothing came back. */
  readonly minMs: number
  readonly averageMs: number
  readonly maxMs: number
}

export const PING_TIMEOUT_MS = 3_000

export function pingCommand(address: string, options: PingOptions): { command: string; timeoutMs: number } {
  const count = options.count ?? 3
  const waitSeconds = Math.ceil((options.timeoutMs ?? PING_TIMEOUT_MS) / 1000)
  const command = `ping -c ${count} -s ${options.bytes ?? 56} -W ${waitSeconds} ${address}`
  return { command, timeoutMs: (count * (waitSeconds + 1) + 5) * 1000 }
}

/** Reads the summary of ping: "3 packets transmitted, 3 packets received, …" and "round-trip min/avg/max = 0.5/0.7/1.0 ms". */
export function parsePing(output: string): PingResult {
  const counts = /(\d+) packets transmitted, (\d+) packets received/.exec(output)
  const times = /= ([\d.]+)\/([\d.]+)\/([\d.]+) ms/.exec(output)
  const time = (index: number): number => (times === null ? Number.NaN : Number(times[index]))
  return {
    sent: counts === null ? 0 : Number(counts[1]),
    received: counts === null ? 0 : Number(counts[2]),
    minMs: time(1),
    averageMs: time(2),
    maxMs: time(3),
  }
}
