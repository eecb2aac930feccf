// Calls of the control API from the browser. The types are the server's own.
//
// The rule it must not break: whatever the server answers, a caller gets its value or an ApiError that a person can read. A token that the
// server does not know is not sent again: some wrong ones, and it hears nobody from here for a while.
import { update } from './store.ts'
import { bearer, forgetToken, keptToken } from './token.ts'

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: string
  readonly status: number
  /** When the service hears this address again, in seconds; 0: now. */
  readonly waitSeconds: number

  constructor(code: string, message: string, status: number, waitSeconds = 0) {
    super(message)
    this.code = code
    this.status = status
    this.waitSeconds = waitSeconds
  }
}

/** The text of whatever was thrown. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

async function refusal(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => '')
  try {
    const { code, message } = JSON.parse(text) as { code: string; message: string }
    return new ApiError(String(code), String(message), answer.status, Number(answer.headers.get('retry-after') ?? 0))
  } catch {
    return new ApiError('no-answer', `the service answered HTTP ${answer.status}`, answer.status)
  }
}

/** What a call may have beside its body. */
export interface More {
  readonly accept?: string
  readonly signal?: AbortSignal
  /** Instead of the token that is kept. */
  readonly token?: string
}

/** The answer as it comes, for streams. Throws ApiError. */
export async function open(method: string, route: string, body?: unknown, more: More = {}): Promise<Response> {
  const { accept, signal, token = keptToken() } = more
  const headers = {
    ...bearer(token),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(accept === undefined ? {} : { accept }),
  }
  let answer: Response
  try {
    const content = body === undefined ? null : JSON.stringify(body)
    answer = await fetch(route, { method, headers, body: content, ...(signal === undefined ? {} : { signal }) })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError('not-running', 'the service does not answer', 0)
  }
  if (answer.ok) return answer
  const refused = await refusal(answer)
  if (refused.status === 401 && token === keptToken()) lock(token === null ? '' : 'This token holds no longer.')
  throw refused
}

/** The page shows nothing until it was given a token; `why`: why it has none. */
export function lock(why: string): void {
  forgetToken()
  update({
    locked: { why },
    caller: null,
    view: null,
    rates: null,
    network: null,
    records: [],
    trace: null,
    selection: null,
    trouble: null,
  })
}

/** One call. Throws ApiError. */
export const call = async <T>(method: string, route: string, body?: unknown, more?: More): Promise<T> =>
  (await (await open(method, route, body, more)).json()) as T

export const segment = encodeURIComponent
