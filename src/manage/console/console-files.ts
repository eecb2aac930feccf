// Where the console's files, as scripts/build-console.mjs made them, are served.
//
// The rule it must not break: what is served here is the same for everybody; what a switch does stands under /v1.
import type { Hono } from 'hono'
import { addGuestPage } from './guest-page.ts'
import { filesOf, rulesFor } from './static-files.ts'

/**
 * Serves the files of `directory` under /console/, where / leads, and those of the page for guests in the browser, which stand beside it.
 * `relays`: where such guests connect, as that page may.
 */
export function addConsoleRoutes(app: Hono, directory: string, relays?: () => Promise<readonly string[]>): void {
  const answer = filesOf(directory, 'index.html')
  const rules = rulesFor({})
  addGuestPage(app, directory, relays)
  app.get('/', (context) => context.redirect('/console/'))
  app.get('/console', (context) => context.redirect('/console/'))
  app.get('/console/*', (context) => answer(context, context.req.path.slice('/console/'.length), rules))
}
