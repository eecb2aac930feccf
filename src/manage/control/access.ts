// What a caller may do. Every operation needs a role; every caller has one, from the token or the socket that it comes with.
//
// The rule it must not break: who may only look changes nothing; what is not known to be harmless needs the highest role.
import type { Context, MiddlewareHandler } from 'hono'
import { ControlError } from './control-errors.ts'

/** From the lowest to the highest; each may do what those before it may. */
export const roles = ['reader', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

/** What a control server lets all its callers do at the most. */
export type Access = 'change' | 'read'

/** Who asks. */
export interface Caller {
  /** Name of a token, or `uid 0`. */
  readonly name: string
  readonly role: Role
  /** Where from: an address, or `socket`. */
  readonly from: string
}

/** What control servers hand to the routes with each request. */
export interface CallerBindings {
  readonly caller?: Caller
}

/** Who calls the routes without any server has them as its own object. */
const SELF: Caller = { name: 'self', role: 'admin', from: 'process' }

export interface RoutedOperation {
  readonly method: string
  /** As the router has it: `:name` is a parameter. */
  readonly path: string
  readonly role: Role
}

/** A request that was more than looking. Written for whoever asks later who did what. */
export interface AuditRecord {
  readonly caller: Caller
  readonly method: string
  readonly path: string
  /** HTTP status of the answer. */
  readonly status: number
}

export interface GuardComponents {
  readonly access: Access
  readonly operations: readonly RoutedOperation[]
  readonly audit?: ((record: AuditRecord) => void) | undefined
}

const may = (role: Role, needed: Role): boolean => roles.indexOf(role) >= roles.indexOf(needed)

/** Who asks, with the role that the server leaves them. */
export function callerOf({ env }: Context, access: Access): Caller {
  const caller = (env as CallerBindings | undefined)?.caller ?? SELF
  return access === 'read' ? { ...caller, role: 'reader' } : caller
}

/** Answers which role a request needs. GET is looking; what the table does not have is for admins. */
export function roleNeeded(operations: readonly RoutedOperation[]): (method: string, path: string) => Role {
  const patterns = operations.map(({ method, path, role }) => ({
    method: method.toUpperCase(),
    pattern: new RegExp(`^${path.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`),
    role,
  }))
  return (asked, path) => {
    const method = asked === 'HEAD' ? 'GET' : asked
    const known = patterns.find((one) => one.method === method && one.pattern.test(path))
    return known?.role ?? (method === 'GET' ? 'reader' : 'admin')
  }
}

/** Refuses what the caller's role does not allow, and tells of each request that is more than looking. */
export function accessGuard({ access, operations, audit }: GuardComponents): MiddlewareHandler {
  const neededFor = roleNeeded(operations)
  return async (context, next) => {
    const { method, path } = context.req
    const caller = callerOf(context, access)
    const needed = neededFor(method, path)
    const tell = (status: number): void => {
      if (needed !== 'reader') audit?.({ caller, method, path, status })
    }
    if (!may(caller.role, needed)) {
      tell(403)
      if (access === 'read') throw new ControlError('read-only', 'this access is for looking only')
      throw new ControlError(
        'role-needed',
        `${method} ${path} is for the role ${needed}, and ${caller.name} has the role ${caller.role}`,
      )
    }
    await next()
    tell(context.res.status)
  }
}

/** One line of an audit trail. */
export const auditText = ({ caller: { name, role, from }, method, path, status }: AuditRecord): string =>
  `${name} (${role}, ${from}): ${method} ${path}: ${status}`
