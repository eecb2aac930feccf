// Errors of the control API: a stable code, a message for a person, and the HTTP status that goes with the code.

const statusByCode = {
  'bad-request': 400,
  'no-such-route': 404,
  'no-such-port': 404,
  'no-such-extension': 404,
  'no-such-adapter': 404,
  'no-such-acl': 404,
  'no-such-vf': 404,
  'no-such-capture': 404,
  'no-such-subnet': 404,
  'no-such-record': 404,
  'no-such-customer-route': 404,
  'no-overlay': 409,
  'in-use': 409,
  'bad-vf-setting': 400,
  'port-exists': 409,
  'no-vf-left': 409,
  'no-iov': 409,
  'no-vf': 409,
  'vf-assigned': 409,
  'adapter-removed': 409,
  'wrong-mode': 409,
  'no-queue': 409,
  'no-such-processor': 404,
  'needs-restart': 409,
  'read-only': 403,
  'role-needed': 403,
  'too-many-attempts': 429,
  refused: 409,
  'too-large': 413,
  internal: 500,
  'no-switch': 503,
  'not-stored': 507,
} as const

type ControlStatus = (typeof statusByCode)[keyof typeof statusByCode] | 422

/** An error as the API answers it. */
export interface ControlProblem {
  readonly code: string
  readonly message: string
}

/** An error of the control API, on both of its sides. `code` is stable, `status` the HTTP status (0: the server was not reached). */
export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status = 0) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** The HTTP status that goes with a code; 422 for one that has none of its own. */
export const problemStatus = (code: string): ControlStatus =>
  (statusByCode as Readonly<Record<string, ControlStatus>>)[code] ?? 422

/**
 * The answer for whatever a handler threw. An error with a kebab-case code was meant for the caller; anything else is a defect,
 * whose message is still shown: whoever may open the socket owns the switch.
 */
export function problemOf(error: unknown): { problem: ControlProblem; status: ControlStatus } {
  const message = error instanceof Error ? error.message : String(error)
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(code)) {
    return { problem: { code, message }, status: problemStatus(code) }
  }
  // A system call that failed (EACCES, EADDRINUSE) is the machine's answer, not a defect.
  if (/^E[A-Z0-9]+$/.test(code)) return { problem: { code, message }, status: 422 }
  return { problem: { code: 'internal', message }, status: 500 }
}
