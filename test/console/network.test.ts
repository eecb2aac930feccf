// The console of a service on the network, over TLS: the page asks for a token.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ATTEMPTS_MAX } from '../../src/endpoints/attempts.ts'
import { addToken, removeToken } from '../../src/manage/network/tokens.ts'
import { type Browser, browse, noBrowser, overflows } from '../support/browser.ts'
import { until } from '../support/until.ts'

const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'vmswitch-sign-in-'))
const tokens = join(directory, 'tokens')
/** Longer than the second within which a service notices that a token was taken back. */
const TAKEN_BACK_MS = 20_000

async function startService(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const config = join(directory, 'net.json')
  const ports = [{ name: 'alpha', endpoint: { kind: 'memory' } }]
  const extensions = [{ use: 'impairment' }]
  writeFileSync(
    config,
    JSON.stringify({ switch: { name: 'net', extensions, ports }, runtime: { directory: join(directory, 'run') } }),
  )
  const state = ['--state', join(directory, 'state'), '--control', join(directory, 'c.sock'), '--apply', config]
  const listen = ['--listen', '127.0.0.1:0', '--tls-self-signed', '--token-file', tokens, '--json']
  const child = spawn(bin, ['serve', ...state, ...listen], { stdio: ['ignore', 'pipe', 'ignore'] })
  let told = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.on('close', () => reject(new Error(`vmswitch serve ended: ${told}`)))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      told += text
      const at = /"event":"ready".*"listen":"([^"]+)"/.exec(told)?.[1]
      if (at !== undefined) resolve(`https://${at}`)
    })
  })
  return { child, url }
}

describe('the console on the network', { skip: noBrowser }, () => {
  let service: Awaited<ReturnType<typeof startService>>
  let browser: Browser
  const given = { alice: '', bob: '' }
  before(async () => {
    given.alice = addToken(tokens, { name: 'alice', role: 'admin' })
    given.bob = addToken(tokens, { name: 'bob', role: 'reader' })
    service = await startService()
    browser = await browse(service.url, { shows: '.sign-in' })
  })
  after(async () => {
    await browser?.close()
    if (service !== undefined) {
      const ended = new Promise((resolve) => service.child.once('close', resolve))
      service.child.kill('SIGTERM')
      await ended
    }
    rmSync(directory, { recursive: true })
  })
  const signIn = async (token: string): Promise<void> => {
    await browser.page.fill('.sign-in input', token)
    await browser.page.getByRole('button', { name: 'Sign in' }).click()
  }
  const signOut = async (): Promise<void> => {
    await browser.page.getByRole('button', { name: 'Sign out' }).click()
    await browser.page.waitForSelector('.sign-in')
  }

  test('shows nothing of the switch to who has no token, and asks for one', async () => {
    const { page } = browser
    assert.equal(await page.locator('.house').count(), 0)
    assert.doesNotMatch(await page.content(), /alpha/)
    assert.equal(await page.evaluate('document.activeElement.name'), 'token')
    for (const path of ['v1/live', 'v1/events', 'metrics', 'console/../v1/ports'])
      assert.equal(await page.evaluate(`fetch('/${path}').then(({ status }) => status)`), 401, path)
    for (const width of [320, 1400]) {
      await page.setViewportSize({ width, height: 800 })
      assert.equal(await overflows(page), false)
    }
  })

  test('says that a token is wrong, and lets a right one in, which only the tab keeps', async () => {
    const { page } = browser
    await signIn('wrong')
    await page.locator('.sign-in [role=alert]').filter({ hasText: 'does not know this token' }).waitFor()
    await signIn(given.alice)
    await page.waitForSelector('.house [data-port=alpha]')
    assert.match(await page.textContent('.signed-in').then(String), /alice admin/)
    const kept = await page.evaluate('JSON.stringify([localStorage, document.cookie, location.href, document.body.outerHTML])')
    assert.ok(!String(kept).includes(given.alice))
    assert.equal(await page.evaluate(`Object.values(sessionStorage).join()`), given.alice)
    await page.reload()
    await page.waitForSelector('.house [data-port=alpha]')
    await page.click('[data-port=alpha]')
    await page.getByRole('switch', { name: 'Link of alpha' }).click()
    await page.waitForSelector('[data-cable=alpha].bad', { state: 'attached' })
    await page
      .locator('#tables')
      .getByRole('tab', { name: /^Events/ })
      .click()
    await page.locator('.event-list .list-row').filter({ hasText: 'link' }).first().waitFor()
    await page.keyboard.press('Escape')
  })

  test('sets isolation, routing domains and properties of extensions, as the switch reads them', async () => {
    const { page } = browser
    const asked = `fetch('/v1/properties?port=alpha', { headers: { authorization: 'Bearer ' + Object.values(sessionStorage)[0] } })`
    const values = async () => {
      const all = (await page.evaluate(`${asked}.then((answer) => answer.json())`)) as { type: string; value: unknown }[]
      return Object.fromEntries(all.map(({ type, value }) => [type, value]))
    }
    await page.click('[data-port=alpha]')
    await page.getByRole('tab', { name: 'Policies', exact: true }).click()

    const isolation = page.locator('[data-policy=isolation]')
    await isolation.locator('[name=mode]').selectOption('vlan')
    await isolation.locator('[name=defaultIsolationId]').fill('4095')
    assert.match(String(await isolation.locator('.problem').textContent()), /from 0 to 4094/)
    await isolation.locator('[name=defaultIsolationId]').fill('30')
    await isolation.getByRole('button', { name: 'Save' }).click()
    await until(async () => 'isolation' in (await values()), 'the isolation')

    const domains = page.getByRole('region', { name: 'Routing domains' })
    await domains.getByText('Add a routing domain').first().click()
    await domains.locator('[name=routingDomainId]').fill('952c5004-4465-451c-8cb8-fa9ab382b773')
    await domains.locator('[name=routingDomainName]').fill('red')
    await domains.locator('[name=isolationIds]').fill('30 web, 31')
    await domains.getByRole('button', { name: 'Add the routing domain' }).click()
    await domains.locator('summary', { hasText: 'red' }).waitFor()

    const custom = page.getByRole('region', { name: 'Properties of extensions' })
    await custom.getByText('Add a property').first().click()
    await custom.locator('[name=property]').fill('impairment')
    await custom.locator('[name=value]').fill('{ "loss": 200 }')
    await custom.getByRole('button', { name: 'Add the property' }).click()
    await custom.locator('.problem', { hasText: 'loss' }).waitFor()
    await custom.locator('[name=definition]').selectOption('impairment')
    assert.equal(await custom.locator('[name=limit]').isVisible(), false, 'what is seldom set is folded away')
    await custom.getByText('More settings').click()
    await custom.locator('[name=limit]').fill('0')
    await custom
      .locator('.field', { has: page.locator('[name=limit]') })
      .locator('.problem', { hasText: 'at least 1' })
      .waitFor()
    await custom.locator('[name=limit]').fill('')
    await custom.locator('[name=loss]').fill('200%')
    await custom.getByRole('button', { name: 'Add the property' }).click()
    await custom
      .locator('.field', { has: page.locator('[name=loss]') })
      .locator('.problem', { hasText: 'percentage' })
      .waitFor()
    await custom.locator('[name=loss]').fill('2')
    await custom.getByRole('button', { name: 'Add the property' }).click()
    await custom.locator('summary', { hasText: 'impairment' }).waitFor()
    assert.equal(await custom.locator('[data-property=impairment] [name=loss]').first().inputValue(), '2')
    assert.deepEqual(await values(), {
      isolation: { mode: 'vlan', defaultIsolationId: 30, allowUntaggedTraffic: false },
      'routing-domain': {
        routingDomainId: '952c5004-4465-451c-8cb8-fa9ab382b773',
        routingDomainName: 'red',
        isolationIds: [{ isolationId: 30, name: 'web' }, { isolationId: 31 }],
      },
      custom: { loss: 2 },
    })
    await custom.getByRole('button', { name: 'Remove' }).click()
    await until(async () => !('custom' in (await values())), 'the end of the property')
    await page.keyboard.press('Escape')
  })

  test('lets a reader look only, an operator do more at once, and nobody anything after the token was taken back', async () => {
    const { page } = browser
    await signOut()
    assert.equal(await page.evaluate('sessionStorage.length'), 0)
    await signIn(given.bob)
    await page.waitForSelector('.badge.read-only')
    await page.click('[data-port=alpha]')
    assert.ok(await page.getByRole('switch', { name: 'Link of alpha' }).isDisabled())
    writeFileSync(tokens, readFileSync(tokens, 'utf8').replace('bob reader', 'bob operator'))
    await page.locator('.badge.read-only').waitFor({ state: 'detached', timeout: TAKEN_BACK_MS })
    await until(() => page.getByRole('switch', { name: 'Link of alpha' }).isEnabled(), 'a link that may be set')
    removeToken(tokens, 'bob')
    await page.locator('.sign-in [role=alert]').filter({ hasText: 'holds no longer' }).waitFor({ timeout: TAKEN_BACK_MS })
    assert.equal(await page.locator('.house').count(), 0)
    assert.equal(await page.evaluate('sessionStorage.length'), 0)
  })

  test('tells who came with too many wrong tokens how long to wait', async () => {
    const { page } = browser
    const alert = page.locator('.sign-in [role=alert]')
    // Some wrong ones came before.
    for (let i = 0; i <= ATTEMPTS_MAX && !/try again in \d+ s/.test(String(await alert.textContent())); i++) {
      const answer = page.waitForResponse((one) => one.url().endsWith('/v1/access'))
      await signIn(`wrong${i}`)
      await answer
      await until(async () => (await alert.textContent()) !== '', 'an answer')
    }
    assert.match(String(await alert.textContent()), /Too many wrong tokens came from here: try again in \d+ s/)
    assert.ok(await page.getByRole('button', { name: 'Sign in' }).isDisabled())
  })

  // A stream is cut when its token is changed or taken back.
  test('has complained about nothing but what was refused or cut', () => {
    assert.deepEqual(
      browser.complaints.filter((one) => !/status of (401|422|429)|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(one)),
      [],
    )
  })
})
