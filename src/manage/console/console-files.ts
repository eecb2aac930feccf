// The console's files, as scripts/build-console.mjs made them: read once, kept compressed, served with rules for the browser.
//
// The rule it must not break: the page may load and reach its own origin only, and nothing of it is taken for anything but what it is.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, posix } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import type { Context, Hono } from 'hono'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const RULES = {
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** Of files whose names hold a hash of what is in them. */
const FOR_EVER = 'private, max-age=31536000, immutable'

interface ConsoleFile {
  readonly bytes: Buffer
  readonly type: string
  readonly etag: string
  readonly br: Promise<Buffer>
  readonly gzip: Promise<Buffer>
}

const [brotli, gunzipped] = [promisify(brotliCompress), promisify(gzip)]

function readFiles(directory: string): Map<string, ConsoleFile> {
  if (!existsSync(directory)) return new Map()
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => extname(name) in types)
  return new Map(
    names.map((name) => {
      const bytes = readFileSync(join(directory, name))
      const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 24)}"`
      const file = { bytes, type: types[extname(name)]!, etag, br: brotli(bytes), gzip: gunzipped(bytes) }
      return [name.split('\\').join(posix.sep), file]
    }),
  )
}

/** Serves the files of `directory` under /console/; / leads there. */
export function addConsoleRoutes(app: Hono, directory: string): void {
  let files: Map<string, ConsoleFile> | undefined
  const answer = async (context: Context): Promise<Response> => {
    if (files === undefined || files.size === 0) files = readFiles(directory)
    const name = context.req.path.slice('/console/'.length)
    const file = files.get(name === '' ? 'index.html' : name)
    if (file === undefined) {
      const built = files.has('index.html')
      const message = built ? `the console has no ${name}` : 'the console is not built: run node scripts/build-console.mjs'
      return context.text(message, built ? 404 : 503, RULES)
    }
    const cached = name.startsWith('assets/') ? FOR_EVER : 'no-cache'
    const headers = { ...RULES, 'content-type': file.type, 'cache-control': cached, etag: file.etag, vary: 'accept-encoding' }
    if (context.req.header('if-none-match') === file.etag) return context.body(null, 304, headers)
    const accepted = context.req.header('accept-encoding') ?? ''
    const encoding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : null
    const bytes = encoding === null ? file.bytes : await file[encoding]
    return context.body(new Uint8Array(bytes), 200, {
      ...headers,
      ...(encoding === null ? {} : { 'content-encoding': encoding }),
    })
  }
  app.get('/', (context) => context.redirect('/console/'))
  app.get('/console', (context) => context.redirect('/console/'))
  app.get('/console/*', answer)
}
