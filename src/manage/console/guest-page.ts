// The page that boots a Linux in the browser's tab (docs/browser-guests.md), and what that Linux boots from.
//
// The rule it must not break: this page alone may run WebAssembly, and may connect to WebSocket ports of the switch, or over TLS to the
// machine that it comes from, to nothing else.
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Hono } from 'hono'
import { browserFiles, browserImageFolder, readBrowserImage } from '../../lab/browser-image.ts'
import { filesOf, rulesFor } from './static-files.ts'

const GUEST = '/console/guest/'
const fileNames: ReadonlySet<string> = new Set(Object.values(browserFiles))

/** What is said where there is no image. */
export const NO_IMAGE =
  'what guests in browsers boot is not on this machine yet: run "vmswitch browser-guest fetch" there, which gets it from Debian packages'

/**
 * Serves the page, which is built beside the console's `directory`, and the image, which is fetched into the cache that this is part of.
 * `relays` answers origins (ws://…, wss://…) of the switch's WebSocket ports; ports with TLS the page may reach without it.
 */
export function addGuestPage(app: Hono, directory: string, relays: () => Promise<readonly string[]> = async () => []): void {
  const answer = filesOf(`${directory}-guest`, 'guest.html')
  const image = browserImageFolder(dirname(directory))
  const plain = rulesFor({})
  app.get('/console/guest', (context) => context.redirect(GUEST))
  app.get(`${GUEST}image/:name`, async (context) => {
    const found = readBrowserImage(image)
    if (found === null) return context.json({ code: 'no-image', message: NO_IMAGE }, 404, plain)
    const name = context.req.param('name')
    if (name === 'image.json') return context.json(found, 200, plain)
    if (!fileNames.has(name)) return context.json({ code: 'no-image', message: `the image has no ${name}` }, 404, plain)
    const bytes = await readFile(join(image, name))
    return context.body(bytes, 200, { ...plain, 'content-type': 'application/octet-stream', 'cache-control': 'no-cache' })
  })
  app.get(`${GUEST}*`, async (context) => {
    const name = context.req.path.slice(GUEST.length)
    // Without a switch there are no ports; the page says so itself.
    const ports = await relays().catch(() => [])
    const connections = [...ports, ...ownMachine(context.req.header('host'))]
    const rights = { scripts: ["'wasm-unsafe-eval'"], connections, workers: ['blob:'] }
    return answer(context, name, name.startsWith('assets/') ? plain : rulesFor(rights))
  })
}

/** Ports with TLS of the machine that the page comes from, by the name that the browser has for it. */
function ownMachine(host = ''): string[] {
  const [, name] = /^([\w.-]+|\[[0-9a-f:]+\])(?::\d+)?$/i.exec(host) ?? []
  return name === undefined ? [] : [`wss://${name}:*`]
}
