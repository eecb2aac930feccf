// Which codes each operation of the control API may refuse with, besides those that any may.
//
// The rule it must not break: codes are stable, and one that stands here keeps its meaning.
import { problemStatus } from '../control/control-errors.ts'

const changes = ['role-needed', 'read-only'] as const
const stored = [...changes, 'not-stored'] as const

const adapter = ['no-such-adapter', 'adapter-removed'] as const
const vf = ['no-such-port', 'no-iov', 'no-vf', 'no-such-adapter', 'adapter-removed', 'wrong-mode', 'wrong-state'] as const
const property = [
  'no-such-port',
  'no-such-subnet',
  'bad-property',
  'no-such-feature',
  'property-exists',
  'property-vetoed',
  'refused',
] as const
const saving = ['bad-saved-state', 'save-failed', 'restore-failed', 'port-exists', 'vetoed', 'wrong-state', 'refused'] as const
const extension = ['no-such-extension', 'not-found', 'bad-module', 'bad-options', 'refused'] as const
const rss = ['no-such-port', 'no-queue-pairs', 'bad-entry', 'not-accepted', 'no-such-queue-pair', 'no-queues'] as const

/** By the first word of the path, for what changes something. */
const ofChanges: Readonly<Record<string, readonly string[]>> = {
  ports: ['no-such-port', 'port-exists', 'too-many-ports', 'wrong-type', 'vetoed', 'refused', 'needs-adapter', 'no-such-subnet'],
  snooping: ['refused'],
  fdb: ['no-such-port'],
  extensions: extension,
  captures: ['no-such-capture', 'no-such-port', 'refused', 'bad-options'],
  trace: ['no-such-port'],
  acls: [...property, 'no-such-acl'],
  properties: property,
  'feature-status': [...property, 'refused'],
  save: [...saving, 'no-such-port'],
  restore: saving,
  migration: [...saving, 'no-such-port', 'not-connected'],
  adapters: [...adapter, 'no-such-vf', 'bad-vf-setting', 'wrong-mode', 'wrong-state'],
  vfs: [...vf, 'vf-assigned', 'no-vf-left'],
  overlay: ['no-overlay', 'bad-overlay', 'no-such-subnet', 'no-such-record', 'no-such-customer-route', 'in-use', 'full'],
  queues: ['no-such-port', 'no-queue', 'no-such-processor'],
  rss,
  apply: ['needs-restart', 'refused'],
  network: [
    'already-joined',
    'not-joined',
    'unreachable',
    'partitioned',
    'network-not-permitted',
    'no-jetstream',
    'credential-unusable',
    'no-such-subnet',
    'no-such-policy',
    'no-such-port',
    'claim-refused',
    'refused',
  ],
}

/** By the first word of the path, for what only looks. */
const ofLooks: Readonly<Record<string, readonly string[]>> = {
  fdb: ['no-such-port'],
  drops: ['no-such-port'],
  connections: ['no-such-port'],
  acls: ['no-such-port'],
  properties: ['no-such-port'],
  adapters: ['no-such-adapter'],
  events: ['too-many-listeners'],
}

/** These answer where no switch runs, too. */
const withoutSwitch = new Set(['access', 'service', 'config', 'apply', 'network', 'events', 'metrics', 'openapi'])

export interface ErrorsOf {
  readonly method: string
  readonly path: string
  /** Whether it is checked what a request carries. */
  readonly checked: boolean
  readonly looks: boolean
}

/** The codes of an operation, by the HTTP status that they come with. */
export function operationErrors({ method, path, checked, looks }: ErrorsOf): ReadonlyMap<number, readonly string[]> {
  const word = path.replace(/^\/v1\//, '').split(/[/.]/)[0] ?? ''
  const codes = new Set([
    ...(looks ? [] : method === 'post' && word === 'feature-status' ? changes : stored),
    ...(checked || path.includes(':') ? ['bad-request'] : []),
    ...(withoutSwitch.has(word) || path === '/metrics' ? [] : ['no-switch']),
    ...((method === 'get' ? ofLooks : ofChanges)[word] ?? []),
  ])
  const byStatus = new Map<number, string[]>()
  for (const code of [...codes].sort()) {
    const status = problemStatus(code)
    const known = byStatus.get(status)
    if (known === undefined) byStatus.set(status, [code])
    else known.push(code)
  }
  return new Map([...byStatus].sort(([a], [b]) => a - b))
}
