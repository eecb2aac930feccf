// The control API's routes for looking into a running switch. control-server.ts has the others.
//
// The rule it must not break: a capture lasts as long as somebody reads it; when the connection ends, so does it.
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import type { ClusterCalls, NetworkStatus } from '../cluster/cluster-calls.ts'
import { ControlError } from '../control/control-errors.ts'
import type { DiagnosisCalls, RunningCapture, TraceReport } from './diagnosis-calls.ts'

/** Names the capture that an answer streams. */
export const CAPTURE_HEADER = 'x-vmswitch-capture'
const CAPTURES_MAX = 16
const SNAP_MIN = 14
const SNAP_MAX = 65_562
const FILTER_MAX = 8192
const LAST_MAX = 100_000
const CONNECTIONS_MAX = 1000

export const captureSchema = z.strictObject({
  ports: z.array(z.string().min(1)).min(1).optional(),
  filter: z.string().max(FILTER_MAX).optional(),
  snapBytes: z.number().int().min(SNAP_MIN).max(SNAP_MAX).optional(),
  direction: z.enum(['inbound', 'outbound', 'both']).optional(),
  dropped: z.boolean().optional(),
})

export const traceSchema = z.strictObject({ port: z.string().min(1), frame: z.string().regex(/^([0-9a-f]{2})+$/i) })
export const dropsFilter = z.strictObject({
  port: z.string().min(1).optional(),
  reason: z.string().min(1).optional().describe('A reason, or an entry or rule of an ACL.'),
  extension: z.string().min(1).optional(),
  direction: z.enum(['inbound', 'outbound']).optional(),
  since: z.string().min(1).optional().describe('ISO 8601, to the nanosecond.'),
  last: z.coerce.number().int().min(0).max(LAST_MAX).optional(),
})

export const connectionsFilter = z.strictObject({
  port: z.string().min(1),
  after: z
    .string()
    .regex(/^\d{1,7}$/)
    .optional()
    .describe('`next` of the page before.'),
  limit: z.coerce.number().int().min(1).max(CONNECTIONS_MAX).optional(),
})

/** Reads and checks the body of a request. */
type ReadBody = <T extends z.ZodType>(context: Context, schema: T) => Promise<z.output<T>>

/** `cluster`: the network of hosts, whose names traces tell. */
export function addDiagnosisRoutes(app: Hono, host: DiagnosisCalls, body: ReadBody, cluster?: ClusterCalls): void {
  app.post('/v1/trace', async (context) => {
    const report = await host.trace(await body(context, traceSchema))
    return context.json(
      cluster === undefined || report.tunnels.length === 0 ? report : withHosts(report, await cluster.network()),
    )
  })
  app.get('/v1/drops/last', async (context) => {
    const parsed = dropsFilter.safeParse(context.req.query())
    if (!parsed.success)
      throw new ControlError(
        'bad-request',
        `port, reason and extension are names, direction inbound or outbound, since a time, last a number up to ${LAST_MAX}`,
      )
    return context.json(await host.lastDrops(parsed.data))
  })
  app.get('/v1/connections', async (context) => {
    const parsed = connectionsFilter.safeParse(context.req.query())
    if (!parsed.success)
      throw new ControlError(
        'bad-request',
        `port is a name and must be given, limit a number from 1 to ${CONNECTIONS_MAX}, after the next of a page`,
      )
    return context.json(await host.connections(parsed.data))
  })
  const captures = new Map<string, RunningCapture>()
  let starting = 0
  app.post('/v1/captures', async (context) => {
    const wanted = await body(context, captureSchema)
    if (captures.size + starting >= CAPTURES_MAX) throw new ControlError('refused', `${CAPTURES_MAX} captures run already`)
    starting++
    let capture: RunningCapture
    try {
      capture = await host.capture({ ...wanted, filter: wanted.filter === '' ? undefined : wanted.filter })
    } finally {
      starting--
    }
    captures.set(capture.id, capture)
    const stream = streamOf(capture, () => captures.delete(capture.id))
    return context.body(stream, 200, { 'content-type': 'application/vnd.tcpdump.pcap', [CAPTURE_HEADER]: capture.id })
  })
  app.delete('/v1/captures/:id', async (context) => {
    const id = context.req.param('id')
    const capture = captures.get(id)
    if (!capture) throw new ControlError('no-such-capture', `no capture "${id}" runs`)
    return context.json(await capture.stop())
  })
}

function withHosts(report: TraceReport, { hosts }: NetworkStatus): TraceReport {
  const names = new Map(hosts.flatMap(({ name, providerAddresses }) => providerAddresses.map((address) => [address, name])))
  return { ...report, tunnels: report.tunnels.map((tunnel) => ({ ...tunnel, host: names.get(tunnel.provider) ?? null })) }
}

// A response's body: what the reader does not take stays with the capture, which bounds it.
function streamOf(capture: RunningCapture, ended: () => void): ReadableStream<Uint8Array> {
  const chunks = capture.chunks[Symbol.asyncIterator]()
  const end = async (): Promise<void> => {
    ended()
    await capture.stop().catch(() => undefined)
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (!done) {
          controller.enqueue(value)
          return
        }
        await end()
        controller.close()
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  )
}
