// What a caller may do: change things, or only look. A control server gives all its callers one of the two.
//
// The rule it must not break: who may only look changes nothing; what is not known to be harmless is a change.
import type { MiddlewareHandler } from 'hono'
import { ControlError } from './control-errors.ts'

export type Access = 'change' | 'read'

/** Requests that change nothing, though they are no GET. */
const HARMLESS = [/^POST \/v1\/trace$/, /^POST \/v1\/captures$/, /^DELETE \/v1\/captures\/[^/]+$/]

/** Refuses changes where only reading is allowed. */
export function accessGuard(access: Access): MiddlewareHandler {
  return async ({ req: { method, path } }, next) => {
    const reads = method === 'GET' || method === 'HEAD' || HARMLESS.some((pattern) => pattern.test(`${method} ${path}`))
    if (access === 'read' && !reads) throw new ControlError('read-only', 'this access is for looking only')
    await next()
  }
}
