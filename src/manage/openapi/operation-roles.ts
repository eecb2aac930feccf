// Which role each operation of the control API needs: what is no GET and does not stand here needs the highest.
//
// The rule it must not break: operators change how ports that exist treat frames; they neither make nor open anything of the host
// (sockets, interfaces, files, modules), nor do they see what is saved of a switch.
import type { Role } from '../control/access.ts'

/** These change nothing, though they are no GET. */
const looking: ReadonlySet<string> = new Set([
  'post /v1/trace',
  'post /v1/captures',
  'delete /v1/captures/:id',
  'post /v1/feature-status',
])

const ofOperators: ReadonlySet<string> = new Set([
  'patch /v1/ports/:name',
  'post /v1/fdb/flush',
  'patch /v1/extensions/:name',
  'post /v1/properties',
  'put /v1/properties',
  'post /v1/properties/remove',
  'patch /v1/adapters/:name/vfs/:vf',
  'post /v1/vfs/assign',
  'post /v1/vfs/remove',
  'post /v1/vfs/reset',
  'patch /v1/queues/:port',
  'patch /v1/rss/:port',
  'post /v1/rss/:port/moves',
])

/** All that stand in the tables. */
export const namedOperations: readonly string[] = [...looking, ...ofOperators]

export function operationRole(method: string, path: string): Role {
  const operation = `${method} ${path}`
  if (method === 'get' || looking.has(operation)) return 'reader'
  return ofOperators.has(operation) ? 'operator' : 'admin'
}
