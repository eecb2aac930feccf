// A request on its way through a watched module: it is answered once, in time, with something that is an answer.
import type { ExtensionHandlers, OidVerdict } from '../../extension.ts'
import type { OidRequest } from '../../ndis/oids.ts'
import { describeError } from '../describe-error.ts'
import type { CheckComponents, CheckOptions } from './checked-extension.ts'
import { type ModuleWatch, nameOfRequest } from './module-watch.ts'
import { watchedPayload } from './watched-payload.ts'

/** How a module answers a request that it left pending. */
export interface Answer {
  complete(completion: { readonly status: number }): void
  forward(payload?: unknown): void
}

type Handler = (request: OidRequest, answer: Answer | undefined) => unknown

/** The request as the module sees it: to be read, not to be written. */
export const watchedRequest = (request: OidRequest, watch: ModuleWatch): OidRequest => ({
  ...request,
  payload: watchedPayload(request.payload, request.oid, (rule, what) => watch.breach(rule, what)),
})

/** Asks the module's handler. A request that it never answers is told and goes on, so that the switch is not held up. */
export function checkedOid(
  handlers: ExtensionHandlers,
  { request, answer }: { readonly request: OidRequest; readonly answer: Answer | undefined },
  watch: ModuleWatch,
  options: CheckOptions,
  components: CheckComponents,
): OidVerdict | Promise<OidVerdict> {
  const oid = nameOfRequest(request)
  const tell = (rule: string, what: string): void =>
    watch.during('oid', () => {
      watch.oid = oid
      watch.breach(rule, what, 0)
    })
  let open = true
  let isOverdue = false // an answer that comes too late was told already
  const close = (): void => {
    if (!open && !isOverdue) tell('ES-249', 'the request was answered a second time')
    open = false
  }
  const late = (): Promise<boolean> =>
    components.delay(options.oidLimitMs).then(() => {
      if (!open) return false
      open = false
      isOverdue = true
      tell('ES-249', `the request was not answered within ${options.oidLimitMs} ms`)
      return true
    })
  const once: Answer | undefined = answer && {
    complete(completion) {
      const first = open
      close()
      if (first) answer.complete(completion)
    },
    forward(payload) {
      const first = open
      close()
      if (first) answer.forward(payload)
    },
  }
  const answered = (verdict: unknown): OidVerdict => {
    if (verdict === 'pending' && answer !== undefined) {
      void late().then((isLate) => {
        if (isLate) answer.forward()
      })
      return verdict as OidVerdict
    }
    close()
    if (isVerdict(verdict)) return verdict
    tell('ES-249', 'the answer is neither nothing, nor "forward", nor a completion with an NDIS status')
    return 'forward'
  }
  const failed = (error: unknown): OidVerdict => {
    open = false
    tell('ES-249', `the handler threw instead of forwarding or completing: ${describeError(error)}`)
    return 'forward'
  }
  let verdict: unknown
  try {
    verdict = watch.during('oid', () => {
      watch.oid = oid
      return (handlers.oid as Handler).call(handlers, watchedRequest(request, watch), once)
    })
  } catch (error) {
    return failed(error)
  }
  if (typeof verdict !== 'object' || verdict === null || !('then' in verdict)) return answered(verdict)
  const forwardLate = late().then((isLate): OidVerdict | Promise<OidVerdict> => (isLate ? 'forward' : settled))
  const settled = (verdict as Promise<unknown>).then(answered, failed)
  return Promise.race([settled, forwardLate])
}

function isVerdict(verdict: unknown): verdict is OidVerdict {
  if (verdict === undefined || verdict === 'forward') return true
  if (typeof verdict !== 'object' || verdict === null) return false
  return 'forward' in verdict || ('status' in verdict && Number.isInteger(verdict.status))
}
