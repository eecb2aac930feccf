// A thousand ports in the console, and the size of what a browser has to fetch.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { browse, noBrowser } from '../support/browser.ts'
import { consoleLab } from '../support/console-lab.ts'
import { until } from '../support/until.ts'

const BUNDLE_MAX_BYTES = 150 * 1024
const PORTS = 1000

test('what a browser fetches is below 150 KB compressed', (t) => {
  const directory = fileURLToPath(new URL('../../.cache/console/', import.meta.url))
  const files = globSync('**/*.{html,js,css}', { cwd: directory }).map((file) => readFileSync(`${directory}${file}`))
  assert.ok(files.length >= 3, 'the console is not built: node scripts/build-console.mjs')
  const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0)
  const gzip = sum(files.map((file) => gzipSync(file).length))
  t.diagnostic(`${sum(files.map((file) => brotliCompressSync(file).length))} bytes with brotli, ${gzip} with gzip`)
  assert.ok(gzip < BUNDLE_MAX_BYTES, `${gzip} bytes`)
})

test('a thousand ports are a list of which only what is in sight exists', { skip: noBrowser }, async (t) => {
  const ports = Array.from({ length: PORTS }, (_, i) => ({
    name: `guest-${String(i).padStart(4, '0')}`,
    endpoint: { kind: 'vhost-user', path: `${i}.sock` },
  }))
  const lab = await consoleLab({ ports })
  const { page, complaints, close } = await browse(lab.url)
  try {
    await page.waitForSelector('.port-table .list-row')
    const rows = () => page.locator('.port-table .list-row').count()
    assert.ok((await rows()) < 40, `${await rows()} rows`)
    assert.ok((await page.locator('.guests .card').count()) < 10, 'guests are drawn in groups')
    const list = page.getByRole('grid', { name: 'Ports' })
    assert.equal(await list.getAttribute('aria-rowcount'), String(PORTS + 1))

    // Frames of a fast scroll through the whole list, and the longest time between two.
    const scroll = (await page.evaluate(`(async () => {
      const list = document.querySelector('.port-table .list')
      const gaps = []
      let last = await new Promise(requestAnimationFrame)
      for (let at = 0; at < list.scrollHeight; at += 400) {
        list.scrollTop = at
        const now = await new Promise(requestAnimationFrame)
        gaps.push(now - last)
        last = now
      }
      gaps.sort((a, b) => a - b)
      return { frames: gaps.length, median: gaps[gaps.length >> 1], most: gaps.at(-1) }
    })()`)) as { frames: number; median: number; most: number }
    t.diagnostic(`scroll: ${scroll.frames} frames, median ${scroll.median.toFixed(1)} ms, longest ${scroll.most.toFixed(1)} ms`)
    assert.ok(await page.getByRole('row', { name: /guest-0999/ }).isVisible())
    assert.ok((await rows()) < 40)

    await list.press('Home')
    await list.press('ArrowDown')
    const opened = (await page.evaluate(`new Promise((done) => {
      const start = performance.now()
      new MutationObserver((_, seen) => {
        if (document.querySelector('.panel h2')?.textContent !== 'guest-0001') return
        seen.disconnect()
        requestAnimationFrame(() => done(performance.now() - start))
      }).observe(document.body, { childList: true, subtree: true })
      document.querySelector('.port-table .list').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
    })`)) as number
    t.diagnostic(`from the key to the drawn panel: ${opened.toFixed(0)} ms`)
    await page.fill('#port-search', '0777')
    await until(async () => (await rows()) === 1, 'the port that was looked for')
    await page.locator('.port-table .list-row').click()
    assert.equal(await page.textContent('.panel h2'), 'guest-0777')
    assert.ok(await page.isVisible('[data-port=guest-0777]'), 'the chosen one is drawn by itself')
    assert.deepEqual(complaints, [])
  } finally {
    await close()
    await lab.close()
  }
})
