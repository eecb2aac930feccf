// The checking mode: an extension definition whose modules are watched. Off, nothing of it is on any path.
//
// The rule it must not break: what the module does is done as it would be without the checks; only what it breaks is told.
import type { DropPlaces, ExtensionDefinition, ExtensionHandlers } from '../../extension.ts'
import type { Batch } from '../../ndis/batch.ts'
import type { OidRequest } from '../../ndis/oids.ts'
import type { BreachLog } from './breach-log.ts'
import { checkBatch } from './checked-batch.ts'
import { checkHandle } from './checked-handle.ts'
import { type Answer, checkedOid, watchedRequest } from './checked-oid.ts'
import { ModuleWatch, nameOfRequest } from './module-watch.ts'

export interface CheckOptions {
  /** Name of the module in reports. */
  readonly name: string
  /** Packets may be kept that long, in milliseconds of the switch's clock. */
  readonly holdLimitMs: number
  /** A request that is not answered by then counts as never answered, and goes on. */
  readonly oidLimitMs: number
}

export interface CheckComponents {
  readonly log: BreachLog
  /** Resolves after that many milliseconds. */
  readonly delay: (ms: number) => Promise<void>
  /** Hands out the module's record, for reports of the data path about it. */
  readonly watching?: (watch: ModuleWatch) => void
}

/** `definition` with its modules watched. */
export function checkedExtension<Options>(
  definition: ExtensionDefinition<Options>,
  options: CheckOptions,
  components: CheckComponents,
): ExtensionDefinition<Options> {
  return {
    ...definition,
    attach(sw, parsed) {
      const watch = new ModuleWatch(
        { name: options.name, class: definition.class, holdLimitMs: options.holdLimitMs },
        components.log,
      )
      watch.attaches(sw)
      components.watching?.(watch)
      const handlers = watch.during('attach', () => definition.attach(checkHandle(sw, watch), parsed))
      if (typeof handlers !== 'object' || handlers === null || 'then' in handlers) return handlers // refused by the module itself
      watch.state = 'paused'
      return checkedHandlers(handlers, watch, options, components)
    },
  }
}

function checkedHandlers(
  handlers: ExtensionHandlers,
  watch: ModuleWatch,
  options: CheckOptions,
  components: CheckComponents,
): ExtensionHandlers {
  // Entry points that have no checks of their own go through, so that breaches in them name them.
  const others: Record<string, unknown> = {}
  for (const [name, handler] of Object.entries(handlers))
    if (typeof handler === 'function')
      others[name] = (...args: unknown[]) =>
        watch.during(name, () => (handler as (...args: unknown[]) => unknown).apply(handlers, args))

  const path =
    (use: 'ingress' | 'egress') =>
    (batch: Batch): void =>
      watch.during(use, () => {
        const checked = checkBatch(batch, use, watch)
        try {
          const returned: unknown = handlers[use]!(checked.batch)
          if (typeof returned === 'object' && returned !== null && 'then' in returned)
            watch.breach('ES-066', `"${use}" is asynchronous: the packets go on when it returns`, 0)
          if (use === 'ingress' && watch.class === 'forwarding') checkDirected(batch, watch)
        } finally {
          checked.end()
        }
        watch.packet = 0
        watch.checkAges()
      })

  return {
    ...others,
    ...(handlers.ingress === undefined ? {} : { ingress: path('ingress') }),
    ...(handlers.egress === undefined ? {} : { egress: path('egress') }),
    ...(handlers.filtered === undefined
      ? {}
      : {
          filtered: (batch: Batch, reason: (i: number) => string, places: DropPlaces): void =>
            watch.during('filtered', () => {
              const checked = checkBatch(batch, 'filtered', watch)
              try {
                handlers.filtered!(checked.batch, reason, places)
              } finally {
                checked.end()
              }
            }),
        }),
    oid: (request: OidRequest, answer?: Answer) => {
      watch.sees(request)
      return handlers.oid === undefined ? undefined : checkedOid(handlers, { request, answer }, watch, options, components)
    },
    oidComplete: (request, completion) => {
      watch.sawEnd(request, completion.status)
      watch.during('oidComplete', () => {
        watch.oid = nameOfRequest(request)
        handlers.oidComplete?.(watchedRequest(request, watch), completion)
      })
    },
    restart: () =>
      then(
        watch.during('restart', () => handlers.restart?.()),
        () => {
          watch.state = 'running'
        },
      ),
    pause: () => {
      watch.state = 'pausing'
      return then(
        watch.during('pause', () => handlers.pause?.()),
        () => {
          watch.during('pause', () => watch.checkPaused())
          watch.state = 'paused'
        },
      )
    },
    detach: () => {
      watch.during('detach', () => {
        handlers.detach?.()
        watch.checkDetached()
      })
      watch.state = 'detached'
    },
  }
}

// ES-317: what a forwarding extension can't direct it drops itself, so that the drop has its reason.
function checkDirected(batch: Batch, watch: ModuleWatch): void {
  for (let i = 0; i < batch.length; i++)
    if (!batch.isDropped(i) && batch.destinationCount(i) === 0 && !batch.isNativeForwardingRequired(i))
      watch.breach('ES-317', 'a packet was passed on without a destination and not dropped', batch.packetId(i))
}

// `work` may be a promise or be done already.
function then(work: unknown, next: () => void): undefined | Promise<undefined> {
  const after = (): undefined => {
    next()
    return undefined
  }
  return typeof work === 'object' && work !== null && 'then' in work ? (work as Promise<unknown>).then(after) : after()
}
