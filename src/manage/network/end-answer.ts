// Ends an answer that is under way, from outside of whoever writes it.
//
// The rule it must not break: what looks whole is whole. Only an answer of single lines ends in good order; of all others, captures above
// all, the reader hears that something is missing.
import type { Ending } from './open-requests.ts'

const LINES = /^(?:application\/x-ndjson|text\/event-stream)(?:;|$)/
/** A client that does not read does not hear of the end in good order either. */
const GRACE_MS = 2_000

/** What of an answer (`ServerResponse`) is needed to end it. */
export interface Answer extends Ending {
  readonly headersSent: boolean
  end(): unknown
}

/** `answer` as something that OpenRequests ends; `type`: its content type, once that is known. */
export const endingOf = (answer: Answer, type: () => string): Ending => ({
  destroy: () => {
    if (!answer.headersSent || !LINES.test(type())) return answer.destroy()
    const late = setTimeout(() => answer.destroy(), GRACE_MS).unref()
    answer.once('close', () => clearTimeout(late))
    return answer.end()
  },
  once: (event, listener) => answer.once(event, listener),
})
