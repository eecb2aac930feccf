// Whether the set-up fetches what guests in browsers boot, and the fetching. Plain JavaScript for any Node from 20 on.
//
// The rule it must not break: it is there for comfort. Whatever goes wrong with it is one line, and stops nothing; tests do not wait for it:
// those that need the image fetch it, and skip themselves without.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** npm's scripts that fetch it; without npm, whoever runs the set-up asks for it. */
const FETCHING = ['setup', 'start', undefined]
/** A start does not try again so soon after it failed; who asks for the set-up has it tried. */
const AGAIN_MS = 24 * 3600 * 1000
const LIMIT_MS = 120_000
const COMMAND = 'vmswitch browser-guest fetch'

/**
 * `event`: npm's script, undefined without npm. `isThere`: the image is. `failedMs`: since the last try that failed, Infinity: there was none.
 */
export function wantsBrowserImage({ event, isThere, hasApt, failedMs }) {
  if (isThere || !hasApt || !FETCHING.includes(event)) return false
  return event !== 'start' || failedMs > AGAIN_MS
}

/** Fetches it into the project's cache where it is wanted and can be had. `tell` gets a line. */
export function fetchBrowserImage(root, { event, hasApt, tell, run = spawnSync }) {
  const cache = join(root, '.cache')
  const failed = join(cache, 'guest-browser.failed')
  const failedMs = existsSync(failed) ? Date.now() - statSync(failed).mtimeMs : Number.POSITIVE_INFINITY
  const isThere = existsSync(join(cache, 'guest-browser/image.json'))
  if (!wantsBrowserImage({ event, isThere, hasApt, failedMs })) return
  tell('setup: what guests in browsers boot, from Debian packages')
  const done = run(join(root, 'bin/vmswitch'), ['browser-guest', 'fetch'], { encoding: 'utf8', timeout: LIMIT_MS })
  if (done.status === 0) return
  mkdirSync(cache, { recursive: true })
  writeFileSync(failed, '')
  const why = `${done.stderr ?? ''}`.trim().split('\n').at(-1) || done.error?.message || 'it took too long'
  tell(`setup: left out, there are no guests in browsers until "${COMMAND}" gets it: ${why}`)
}
