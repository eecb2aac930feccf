// The console's own files for those who have no token yet: the page asks for it.
//
// The rule it must not break: nothing of a switch is reached from here, whatever is asked for; of what it is made of, only where its WebSocket
// ports listen is told, which browsers must be told with the page for guests. However often that is asked for, the switch is asked once a second.
import { Hono } from 'hono'
import { addConsoleRoutes } from '../console/console-files.ts'

const HELD_MS = 1000

export interface ConsolePages {
  /** Whether a request asks for one of the files, or for what leads to them. */
  has(request: Request): boolean
  answer(request: Request): Response | Promise<Response>
}

export interface ConsolePagesComponents {
  /** Origins of the switch's WebSocket ports. */
  readonly relays: () => Promise<readonly string[]>
  readonly nowMs: () => number
}

/** `directory`: the console as it was built. */
export function consolePages(directory: string, { relays, nowMs }: ConsolePagesComponents): ConsolePages {
  const app = new Hono()
  addConsoleRoutes(app, directory, held(relays, nowMs))
  return {
    has: ({ method, url }) => (method === 'GET' || method === 'HEAD') && /^\/(console(\/.*)?)?$/.test(new URL(url).pathname),
    answer: (request) => app.fetch(request),
  }
}

/** The last answer for whoever asks within HELD_MS, those who come while it is found out among them. */
function held<Result>(ask: () => Promise<Result>, nowMs: () => number): () => Promise<Result> {
  let last: Promise<Result> | undefined
  let askedMs = 0
  return () => {
    const now = nowMs()
    if (last === undefined || now - askedMs >= HELD_MS) {
      askedMs = now
      last = ask()
    }
    return last
  }
}
