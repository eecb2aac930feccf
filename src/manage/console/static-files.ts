// Files of pages as a build made them: read once, kept compressed, served with rules for the browser.
//
// The rule it must not break: a page may load and reach its own origin only, but for what is named, and nothing of it is taken for anything
// but what it is.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, posix } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import type { Context } from 'hono'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
}

/** Content security policy: what a page may do beside loading its own scripts and styles and asking its own origin. */
export interface PageRights {
  readonly scripts?: readonly string[]
  readonly connections?: readonly string[]
  readonly workers?: readonly string[]
}

const policy = ({ scripts = [], connections = [], workers = [] }: PageRights): string =>
  [
    "default-src 'none'",
    ["script-src 'self'", ...scripts].join(' '),
    "style-src 'self'",
    "img-src 'self' data:",
    ["connect-src 'self'", ...connections].join(' '),
    ...(workers.length === 0 ? [] : [['worker-src', ...workers].join(' ')]),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

/** What goes with every file. */
export const rulesFor = (rights: PageRights): Readonly<Record<string, string>> => ({
  'content-security-policy': policy(rights),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
})

/** Of files whose names hold a hash of what is in them. */
const FOR_EVER = 'private, max-age=31536000, immutable'

interface ConsoleFile {
  readonly bytes: Buffer
  readonly type: string
  readonly etag: string
  /** Null for what is large and kept by the browser for ever: it is sent as it is. */
  readonly br: Promise<Buffer> | null
  readonly gzip: Promise<Buffer> | null
}

const [brotli, gzipped] = [promisify(brotliCompress), promisify(gzip)]

function readFiles(directory: string): Map<string, ConsoleFile> {
  if (!existsSync(directory)) return new Map()
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => extname(name) in types)
  return new Map(
    names.map((name) => {
      const bytes = readFileSync(join(directory, name))
      const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 24)}"`
      const small = !name.endsWith('.wasm')
      const compressed = { br: small ? brotli(bytes) : null, gzip: small ? gzipped(bytes) : null }
      const file = { bytes, type: types[extname(name)]!, etag, ...compressed }
      return [name.split('\\').join(posix.sep), file]
    }),
  )
}

/** The files of a page, as they were built into `directory`: what answers for `name`, '' being the page `index` itself. */
export function filesOf(
  directory: string,
  index: string,
): (context: Context, name: string, rules: Readonly<Record<string, string>>) => Promise<Response> {
  let files: Map<string, ConsoleFile> | undefined
  return async (context, name, rules) => {
    if (files === undefined || files.size === 0) files = readFiles(directory)
    const file = files.get(name === '' ? index : name)
    if (file === undefined) {
      const built = files.has(index)
      const message = built ? `the console has no ${name}` : 'the console is not built: run node scripts/build-console.mjs'
      return context.text(message, built ? 404 : 503, rules)
    }
    const cached = name.startsWith('assets/') ? FOR_EVER : 'no-cache'
    const headers = { ...rules, 'content-type': file.type, 'cache-control': cached, etag: file.etag, vary: 'accept-encoding' }
    if (context.req.header('if-none-match') === file.etag) return context.body(null, 304, headers)
    const accepted = context.req.header('accept-encoding') ?? ''
    const wanted = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : null
    const compressed = wanted === null ? null : await file[wanted]
    const encoding = compressed === null ? null : wanted
    const bytes = compressed ?? file.bytes
    return context.body(new Uint8Array(bytes), 200, {
      ...headers,
      ...(encoding === null ? {} : { 'content-encoding': encoding }),
    })
  }
}
