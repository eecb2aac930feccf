import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fetchBrowserImage, wantsBrowserImage } from './browser-image.mjs'

const HOUR_MS = 3600 * 1000
const fresh = { event: 'setup', isThere: false, hasApt: true, failedMs: Number.POSITIVE_INFINITY }

test('the set-up and the start fetch the image, tests and checks do not', () => {
  for (const event of ['setup', 'start', undefined]) assert.equal(wantsBrowserImage({ ...fresh, event }), true, event)
  for (const event of ['test', 'test:unit', 'check', 'bench', 'package'])
    assert.equal(wantsBrowserImage({ ...fresh, event }), false, event)
  assert.equal(wantsBrowserImage({ ...fresh, isThere: true }), false)
  assert.equal(wantsBrowserImage({ ...fresh, hasApt: false }), false)
})

test('after it failed a start leaves it for a day, the set-up does not', () => {
  assert.equal(wantsBrowserImage({ ...fresh, event: 'start', failedMs: HOUR_MS }), false)
  assert.equal(wantsBrowserImage({ ...fresh, event: 'start', failedMs: 25 * HOUR_MS }), true)
  assert.equal(wantsBrowserImage({ ...fresh, failedMs: HOUR_MS }), true)
})

test('what can not be fetched is one line that says why and what to do, and stops nothing', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'vmswitch-setup-'))
  t.after(() => rmSync(root, { recursive: true }))
  const told = []
  const ran = []
  const answer = { status: 1, stderr: 'fetching lists\nvmswitch: the sources of apt have no linux-image-686\n' }
  const run = (program) => {
    ran.push(program)
    return answer
  }
  const fetch = (event) => fetchBrowserImage(root, { event, hasApt: true, tell: (line) => told.push(line), run })
  fetch('start')
  assert.deepEqual(ran, [join(root, 'bin/vmswitch')])
  assert.match(
    told.at(-1),
    /left out.*"vmswitch browser-guest fetch" gets it: vmswitch: the sources of apt have no linux-image-686$/,
  )
  assert.ok(existsSync(join(root, '.cache/guest-browser.failed')))
  fetch('start')
  assert.equal(ran.length, 1)
  answer.status = 0
  fetch('setup')
  assert.deepEqual([ran.length, told.length], [2, 3])
  mkdirSync(join(root, '.cache/guest-browser'))
  writeFileSync(join(root, '.cache/guest-browser/image.json'), '{}')
  fetch('setup')
  assert.equal(ran.length, 2)
})
