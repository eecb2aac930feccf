// Virtual functions in the console: a guest's traffic goes past the switch, falls back, and comes back, under load.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { browse, noBrowser } from '../support/browser.ts'
import { until } from '../support/until.ts'
import { vfConsole } from '../support/vf-console.ts'

const UDP_PPS = 500

test('a VF is torn out and given again, and its time line shows when traffic changed its way', { skip: noBrowser }, async () => {
  const lab = await vfConsole()
  const { page, complaints, close } = await browse(lab.url)
  const state = async () => (await lab.host.vfs())[0]?.state
  const rate = (key: string) => async () => /[1-9].*b\/s/.test(await page.textContent(key).then(String))
  try {
    await lab.startLoad(UDP_PPS)
    await page.waitForSelector('[data-port=alpha] .badge.vf')
    assert.equal(await page.textContent('[data-port=alpha] .badge.vf'), 'VF 0 active')
    await page.waitForSelector('.direct-path .flow:not(.level0)', { state: 'attached' })
    await until(rate('[data-function="nic0 0"] small:last-child'), 'a rate of the VF')

    await page.click('[data-port=alpha]')
    await page.getByRole('tab', { name: 'Virtual function' }).click()
    await page.getByRole('button', { name: 'Tear it out' }).click()
    await page.getByRole('button', { name: 'Assign a VF' }).waitFor()
    assert.equal(await state(), undefined)
    assert.equal(await page.locator('.direct-path').count(), 0)
    await page.locator('.marks li').filter({ hasText: 'vf-removed' }).waitFor()
    await until(rate('[data-port=alpha] .card-rates .in'), 'a rate on the synthetic path')

    await page.getByRole('button', { name: 'Assign a VF' }).click()
    await until(async () => (await state()) === 'active', 'the VF')
    await page.getByRole('button', { name: 'Take it back' }).waitFor()
    await page.locator('.marks li').filter({ hasText: 'vf-active' }).first().waitFor()
    const label = () => page.getAttribute('.timeline', 'aria-label').then(String)
    await until(async () => /alpha: [3-9] changes/.test(await label()), 'the changes')
    assert.ok((await page.locator('.timeline rect.vf').count()) >= 2, 'two stretches on the VF')
    assert.ok((await page.locator('.timeline rect.synthetic').count()) >= 1, 'one through the switch')

    await page.getByRole('button', { name: 'nic0' }).click()
    await page.getByRole('button', { name: 'Pull it out' }).click()
    await page.getByRole('button', { name: 'Put it back' }).waitFor()
    assert.equal((await lab.host.adapter('nic0')).state, 'removed')
    await page.getByRole('button', { name: 'Put it back' }).click()
    await until(async () => (await state()) === 'active', 'the VF, by itself')
    assert.deepEqual(complaints, [])
    await lab.finishLoad()
  } finally {
    await close()
    await lab.close()
  }
})
