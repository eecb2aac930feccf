// Calls of the control API from the browser. The types are the server's own.
//
// The rule it must not break: whatever the server answers, a caller gets its value or an ApiError that a person can read.

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status: number) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** The text of whatever was thrown. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

async function refusal(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => '')
  try {
    const { code, message } = JSON.parse(text) as { code: string; message: string }
    return new ApiError(String(code), String(message), answer.status)
  } catch {
    return new ApiError('no-answer', `the service answered HTTP ${answer.status}`, answer.status)
  }
}

/** The answer as it comes, for streams. Throws ApiError. */
export async function open(method: string, route: string, body?: unknown, more: RequestInit = {}): Promise<Response> {
  const sent: RequestInit =
    body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  let answer: Response
  try {
    answer = await fetch(route, { ...sent, ...more })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError('not-running', 'the service does not answer', 0)
  }
  if (!answer.ok) throw await refusal(answer)
  return answer
}

/** One call. Throws ApiError. */
export const call = async <T>(method: string, route: string, body?: unknown): Promise<T> =>
  (await (await open(method, route, body)).json()) as T

export const segment = encodeURIComponent
