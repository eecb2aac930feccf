// The console's own files for those who have no token yet: the page asks for it.
//
// The rule it must not break: nothing of a switch is reached from here, whatever is asked for.
import { Hono } from 'hono'
import { addConsoleRoutes } from '../console/console-files.ts'

export interface ConsolePages {
  /** Whether a request asks for one of the files, or for what leads to them. */
  has(request: Request): boolean
  answer(request: Request): Response | Promise<Response>
}

/** `directory`: the console as it was built. */
export function consolePages(directory: string): ConsolePages {
  const app = new Hono()
  addConsoleRoutes(app, directory)
  return {
    has: ({ method, url }) => (method === 'GET' || method === 'HEAD') && /^\/(console(\/.*)?)?$/.test(new URL(url).pathname),
    answer: (request) => app.fetch(request),
  }
}
