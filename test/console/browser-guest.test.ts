// A Linux that the console's page boots in a tab of Chromium, on a running switch beside another guest.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { browse, noBrowser } from '../support/browser.ts'
import { ANSWERED, type BrowserGuestLab, browserGuestLab, GUEST_MAC, PING, written } from '../support/browser-guest-lab.ts'
import { browserImage } from '../support/browser-image.ts'
import { until } from '../support/until.ts'

const found = await browserImage()
const skip = typeof found === 'string' ? found : noBrowser

describe('a guest in a tab', { skip }, () => {
  let lab: BrowserGuestLab
  before(async () => {
    lab = await browserGuestLab()
  })
  after(() => lab?.close())

  test('the page of the console boots one in its tab, which gets an address of the switch and reaches the other guest', async (t) => {
    const { page, complaints, close } = await browse(lab.url)
    const origin = new URL(lab.url).origin
    const own = `ws://${String((await lab.control.ports()).find(({ name }) => name === 'tab')?.detail.listensAt)}/`
    const sockets: string[] = []
    page.on('websocket', (socket) => sockets.push(socket.url()))
    try {
      await page.goto(`${origin}/console/guest/?port=tab`)
      const begin = performance.now()
      await page.getByRole('button', { name: 'Start' }).click()
      await says(page, /tab:\/# $/)
      t.diagnostic(`booted in ${((performance.now() - begin) / 1000).toFixed(1)} s`)
      assert.match(String(await page.textContent('.guest-state')), /running, link up/)
      await page.getByRole('textbox', { name: 'Serial console' }).click()
      await page.keyboard.type('ip address show dev eth0')
      await page.keyboard.press('Enter')
      await says(page, new RegExp(`link/ether ${GUEST_MAC.tab}[^]*inet 10\\.77\\.5\\.40/24`))
      await page.getByRole('textbox', { name: 'Line to type' }).fill(PING)
      await page.keyboard.press('Enter')
      await says(page, ANSWERED)
      // The port's token stays where it is; nothing but the port and the page's own origin was asked.
      assert.deepEqual([...new Set(sockets)], [own])
      assert.doesNotMatch(page.url(), /token/)
      assert.deepEqual(
        complaints.filter((line) => !line.includes(own)),
        [],
      )
      await page.getByRole('button', { name: 'Stop' }).click()
      await until(async () => !(await lab.connected('tab')), 'the end of the connection')
      await until(async () => (await page.textContent('[data-state] dd')) === 'off', 'the end of the guest')
    } finally {
      await close()
    }
  })
})

/** The cursor stands behind what was written. */
const says = (page: Page, wanted: RegExp): Promise<void> =>
  written(async () => ((await page.textContent('.terminal .screen')) ?? '').replace(/ +$/, ' '), wanted)
