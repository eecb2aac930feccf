// The calls for looking into a switch, through the control API. control-client.ts has the others.
import type { IncomingMessage } from 'node:http'
import { ControlError } from '../control/control-errors.ts'
import { type ControlPlace, placeText, requestTo, unreached } from '../control/control-place.ts'
import type { RemoteSwitchHost } from '../host.ts'
import type { CaptureSummary, DiagnosisCalls, RunningCapture } from './diagnosis-calls.ts'

type Call = <T>(method: string, route: string, body?: unknown) => Promise<T>
type RemoteDiagnosisCalls = Pick<RemoteSwitchHost, keyof DiagnosisCalls>

const CAPTURE_HEADER = 'x-vmswitch-capture'
const REFUSAL_MAX_BYTES = 64 * 1024

export interface DiagnosisConnection {
  readonly place: ControlPlace
  readonly call: Call
}

export function diagnosisClient({ place, call }: DiagnosisConnection): RemoteDiagnosisCalls {
  return {
    trace: (request) => call('POST', '/v1/trace', request),
    lastDrops: (filter) => {
      const query = new URLSearchParams()
      for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, String(value))
      return call('GET', query.size === 0 ? '/v1/drops/last' : `/v1/drops/last?${query}`)
    },
    connections: ({ port, after, limit }) => {
      const query = new URLSearchParams({ port })
      if (after !== undefined) query.set('after', after)
      if (limit !== undefined) query.set('limit', String(limit))
      return call('GET', `/v1/connections?${query}`)
    },
    capture: async (wanted) => {
      const incoming = await open(place, wanted)
      const id = String(incoming.headers[CAPTURE_HEADER])
      const capture: RunningCapture = {
        id,
        chunks: incoming,
        stop: () => call<CaptureSummary>('DELETE', `/v1/captures/${encodeURIComponent(id)}`),
      }
      return capture
    },
  }
}

// No limit of time: a capture is quiet as long as its ports are.
function open(place: ControlPlace, wanted: object): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const payload = JSON.stringify(wanted)
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    const outgoing = requestTo(place, { method: 'POST', route: '/v1/captures', headers }, (incoming) => {
      if (incoming.statusCode === 200 && incoming.headers[CAPTURE_HEADER] !== undefined) return resolve(incoming)
      let text = ''
      incoming.setEncoding('utf8').on('data', (part: string) => {
        if (text.length < REFUSAL_MAX_BYTES) text += part
      })
      incoming.on('end', () => reject(refusal(place, incoming.statusCode ?? 0, text)))
    })
    outgoing.on('error', (error) => reject(unreached(place, error)))
    outgoing.end(payload)
  })
}

function refusal(place: ControlPlace, status: number, text: string): ControlError {
  try {
    const { code, message } = JSON.parse(text) as { code: string; message: string }
    return new ControlError(String(code), String(message), status)
  } catch {
    return new ControlError('no-answer', `${placeText(place)} did not answer as a vmswitch does (HTTP ${status})`, status)
  }
}
