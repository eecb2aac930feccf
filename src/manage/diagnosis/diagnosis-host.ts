// The calls by which a running switch is looked into, over the engine's object.

import type { LastDrop } from '../../engine/diagnosis.ts'
import type { RunningSwitch } from '../../engine/host.ts'
import { startCapture } from '../../engine/live-capture.ts'
import { isRuleReason, meaningOfReason } from '../../ndis/drop-reason-meanings.ts'
import { compileFilter, FilterError } from '../../packet/filter/filter.ts'
import { summarizeFrame } from '../../packet/summary.ts'
import type { TraceStep as DryStep } from '../../switch/dry-run-steps.ts'
import { ControlError } from '../control/control-errors.ts'
import type { DiagnosisCalls, DropRecord, LastDropsFilter, TraceReport } from './diagnosis-calls.ts'

const LAST_DROPS_DEFAULT = 20
const CONNECTIONS_DEFAULT = 100
const FRAME_MIN = 14
const FRAME_MAX = 65_562

export interface DiagnosisComponents {
  readonly running: RunningSwitch
  /** Throws `no-such-port` for a name that no port has. */
  readonly port: (name: string) => unknown
  /** Runs work whose errors are the engine's. */
  readonly translated: <T>(work: () => Promise<T>) => Promise<T>
}

export function diagnosisHost({ running, port, translated }: DiagnosisComponents): DiagnosisCalls {
  return {
    connections: ({ port: name, after = '0', limit = CONNECTIONS_DEFAULT }) => {
      port(name)
      const page = running.policies.connections.list(running.portId(name), Number(after), limit)
      return {
        next: page.next === 0 ? null : String(page.next),
        items: page.connections.map(({ sentPackets, sentBytes, receivedPackets, receivedBytes, ...same }) => ({
          ...same,
          sent: { packets: sentPackets, bytes: sentBytes },
          received: { packets: receivedPackets, bytes: receivedBytes },
        })),
      }
    },
    trace: ({ port: name, frame }) =>
      translated(async () => {
        port(name)
        const bytes = Buffer.from(frame, 'hex')
        if (bytes.length * 2 !== frame.length || bytes.length < FRAME_MIN || bytes.length > FRAME_MAX)
          throw new ControlError('bad-request', `a frame is ${FRAME_MIN} to ${FRAME_MAX} bytes in hexadecimal`)
        return traceReport(name, bytes, await running.diagnosis.trace(name, bytes))
      }),
    lastDrops: ({ last = LAST_DROPS_DEFAULT, ...filter }) => {
      if (filter.port !== undefined) port(filter.port)
      const { counted, kept, drops } = running.diagnosis.lastDrops(last, wantedBy(filter))
      const meanings = Object.keys(counted).flatMap((reason) => {
        const meaning = meaningOfReason(reason)
        return meaning === undefined ? [] : [[reason, meaning]]
      })
      return { counted, meanings: Object.fromEntries(meanings), kept, drops: drops.map(dropRecord) }
    },
    capture: (request) =>
      translated(async () => {
        for (const name of request.ports ?? []) port(name)
        try {
          compileFilter(request.filter ?? '')
        } catch (error) {
          if (error instanceof FilterError) throw new ControlError('bad-request', error.message)
          throw error
        }
        return startCapture(running, request)
      }),
  }
}

function traceReport(port: string, frame: Uint8Array, all: readonly DryStep[]): TraceReport {
  const steps = all.map(({ module, tunnel: _, ...step }) => ({ ...step, extension: module === '' ? null : module }))
  const delivered = all.flatMap(({ stage, port: to }) => (stage === 'delivery' && to !== undefined ? [to] : []))
  const tunnels = all.flatMap(({ packet, port: by, tunnel }) =>
    tunnel === undefined || by === undefined
      ? []
      : [{ packet, port: by, provider: tunnel.provider, host: null, frame: Buffer.from(tunnel.frame).toString('hex') }],
  )
  return { port, summary: summarizeFrame(frame), steps, delivered: [...new Set(delivered)], tunnels }
}

// What is asked for. Throws ControlError for a time that is none.
function wantedBy({ port, reason, extension, direction, since }: LastDropsFilter): (drop: LastDrop) => boolean {
  const from = since === undefined ? undefined : momentOf(since)
  return (drop) =>
    (port === undefined || drop.port === port || drop.sourcePort === port) &&
    (reason === undefined || drop.reason === reason || ruleOf(drop) === reason) &&
    (extension === undefined || (ruleOf(drop) === null && drop.module === extension)) &&
    (direction === undefined || drop.incoming === (direction === 'inbound')) &&
    (from === undefined || drop.seconds > from.seconds || (drop.seconds === from.seconds && drop.nanoseconds >= from.nanoseconds))
}

// To the nanosecond, which Date is not.
function momentOf(text: string): { readonly seconds: number; readonly nanoseconds: number } {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw new ControlError('bad-request', `"${text}" is no time: write it like 2026-01-02T03:04:05Z`)
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? ''
  return { seconds: Math.floor(ms / 1000), nanoseconds: Number(fraction.padEnd(9, '0')) }
}

// Policies of ports note what they judged by in place of an extension.
const ruleOf = ({ module, reason }: LastDrop): string | null => (module !== '' && isRuleReason(reason) ? module : null)

// A frame of which the first bytes are known: lengths in its headers are those of the whole.
function padded(header: Uint8Array, length: number): Uint8Array {
  const frame = new Uint8Array(Math.max(length, header.length))
  frame.set(header)
  return frame
}

function dropRecord(drop: LastDrop): DropRecord {
  const { seconds, nanoseconds, incoming, module, tag, header, length, packetId, ...same } = drop
  const known = header.length > 0
  const rule = ruleOf(drop)
  const tagged = tag < 0 ? '' : `VLAN ${tag & 0xfff} out of band, `
  return {
    time: `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`,
    port: same.port,
    direction: incoming ? 'inbound' : 'outbound',
    sourcePort: same.sourcePort,
    reason: same.reason,
    extension: module === '' || rule !== null ? null : module,
    rule,
    processor: same.processor,
    number: same.number,
    packetId: known ? packetId : null,
    length: known ? length : null,
    summary: known ? `${tagged}${summarizeFrame(padded(header, length))}` : 'its frame is not known',
    header: Buffer.from(header).toString('hex'),
    tag: tag < 0 ? null : tag,
    frames: same.frames,
    unkept: same.unkept,
  }
}
