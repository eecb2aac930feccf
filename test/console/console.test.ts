// The web console in a browser, against a running switch with real frames.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import { udpFrame } from '../../src/packet/build.ts'
import { readPcapng } from '../../src/packet/pcapng-reader.ts'
import { type Browser, browse, noBrowser, overflows } from '../support/browser.ts'
import { type ConsoleLab, consoleLab } from '../support/console-lab.ts'
import { until } from '../support/until.ts'

const MAC = { alpha: '52:54:00:00:00:0a', beta: '52:54:00:00:00:0b' }
const settings = {
  extensions: [
    { use: 'capture', options: { file: 'look.pcapng' } },
    { use: 'counters' },
    {
      use: 'acl',
      options: { default: 'allow', rules: [{ action: 'deny', protocol: 'tcp', destinationPorts: 23, name: 'no-telnet' }] },
    },
    { use: 'mac-guard' },
  ],
  ports: [
    { name: 'alpha', mac: MAC.alpha, endpoint: { kind: 'stream', path: 'alpha.sock' } },
    { name: 'beta', mac: MAC.beta, endpoint: { kind: 'stream', path: 'beta.sock' } },
  ],
}

/** Sent for each look at what passes. */
const FRAMES = 5

const addresses = { source: '10.0.0.1', destination: '10.0.0.2', tags: [], hops: 64 }
const frame = udpFrame({ ...addresses, sourceMac: MAC.alpha, destinationMac: MAC.beta }, 7, 9, new Uint8Array(800))

describe('the console', { skip: noBrowser }, () => {
  let lab: ConsoleLab
  let browser: Browser
  let page: Page
  before(async () => {
    lab = await consoleLab(settings)
    browser = await browse(lab.url)
    page = browser.page
  })
  after(async () => {
    await browser?.close()
    await lab?.close()
  })
  const order = async (): Promise<string[]> => (await lab.control.extensions()).map(({ name }) => name)
  const back = () => lab.control.reorderExtensions(['capture', 'counters', 'acl', 'mac-guard'])
  /** How many of the frames that alpha sends come to beta. */
  const passed = async (): Promise<number> => {
    let got = 0
    const beta = lab.peer('beta')
    while (beta.receive() !== null);
    /** Frames of which the switch has decided: delivered, or dropped. */
    const decided = async () =>
      (await lab.control.ports()).reduce(
        (sum, { counters }) => sum + counters.sentFrames + counters.sendDropped + counters.receivedDropped,
        0,
      )
    const before = await decided()
    for (let i = 0; i < FRAMES; i++) lab.peer('alpha').send(frame)
    await until(async () => (await decided()) >= before + FRAMES, 'the frames')
    while (beta.receive() !== null) got++
    return got
  }
  const openPort = async (name: string, tab: string): Promise<void> => {
    await page.click(`[data-port=${name}]`)
    await page.getByRole('tab', { name: tab, exact: true }).click()
  }

  test('shows guests, stack and uplinks, knows nobody but its service, and complains about nothing', async () => {
    await page.waitForSelector('[data-port=alpha]')
    for (const name of ['capture', 'counters', 'acl', 'mac-guard'])
      assert.ok(await page.isVisible(`[data-extension=${name}]`), name)
    assert.match(await page.textContent('h1').then(String), /vmswitch look/)
    assert.doesNotMatch(page.url(), /token/)
    assert.deepEqual(browser.complaints, [])
  })

  test('moves its rates with the traffic', async () => {
    const rate = () => page.textContent('[data-port=alpha] .card-rates .in').then(String)
    assert.match(await rate(), /▲ 0 b\/s/)
    const timer = setInterval(() => {
      lab.peer('alpha').send(frame)
    }, 5)
    try {
      await until(async () => /[1-9].* [kM]b/.test(await rate()), 'a rate')
      await page.waitForSelector('[data-cable=alpha] .flow.in:not(.level0)', { state: 'attached' })
      assert.match(await page.textContent('[data-port=beta] .card-rates .out').then(String), /[1-9]/)
    } finally {
      clearInterval(timer)
    }
    await until(async () => /▲ 0 b/.test(await rate()), 'rest')
    while (lab.peer('beta').receive() !== null);
  })

  test('puts extensions into another order by dragging, and shows the rule that forbids one', async () => {
    const middle = async (name: string) => {
      const box = (await page.locator(`[data-extension=${name}] .handle`).boundingBox())!
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
    }
    const drag = async (name: string, onto: string, below: number): Promise<void> => {
      const [from, to] = [await middle(name), await middle(onto)]
      await page.mouse.move(from.x, from.y)
      await page.mouse.down()
      await page.mouse.move(to.x, to.y + below, { steps: 8 })
    }
    await drag('acl', 'mac-guard', 14)
    await page.mouse.up()
    await until(async () => (await order()).join() === 'capture,counters,mac-guard,acl', 'the new order')
    await page.waitForSelector('.toast.good')

    await drag('acl', 'capture', -14)
    assert.match(await page.textContent('.rule').then(String), /“acl” is a filtering extension and can't stand above .*ES-018/)
    await page.mouse.up()
    await page.waitForSelector('.toast.bad')
    assert.match(
      await page.locator('.toast.bad').last().textContent().then(String),
      /"acl" \(filtering\) cannot stand above "capture"/,
    )
    assert.equal((await order()).join(), 'capture,counters,mac-guard,acl')
    await back()
  })

  test('is used without a pointer: skip link, order by arrows, panels, tabs', async () => {
    await page.keyboard.press('Escape')
    await page.reload()
    await page.waitForSelector('[data-extension=acl]')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement.textContent.trim()'), 'Skip to the lists')
    const isAt = (label: string) =>
      page.evaluate(`(document.activeElement.getAttribute('aria-label') ?? '').startsWith(${JSON.stringify(label)})`)
    for (let tabs = 0; tabs < 30 && !(await isAt('Move acl')); tabs++) await page.keyboard.press('Tab')
    assert.ok(await isAt('Move acl'))
    await page.keyboard.press('Space')
    await page.keyboard.press('ArrowDown')
    await page.locator('.stack [aria-live=assertive]').filter({ hasText: 'acl: place 4 of 4' }).waitFor({ state: 'attached' })
    await page.keyboard.press('Space')
    await until(async () => (await order()).join() === 'capture,counters,mac-guard,acl', 'the new order')
    await back()

    await page.focus('[data-port=beta]')
    await page.keyboard.press('Enter')
    await until(async () => (await page.evaluate('document.activeElement.textContent')) === 'beta', 'the focus in the panel')
    await page.keyboard.press('Tab')
    while (!(await page.evaluate(`document.activeElement.getAttribute('role') === 'tab'`))) await page.keyboard.press('Tab')
    await page.keyboard.press('ArrowRight')
    await page.waitForSelector('[data-policy=vlan]')
    await page.keyboard.press('Escape')
    await until(async () => (await page.locator('.panel').count()) === 0, 'the end of the panel')
    await until(async () => (await page.evaluate('document.activeElement.dataset.port')) === 'beta', 'the focus back')
  })

  test('saves a policy that holds for the next frame, and refuses one that is wrong before it is sent', async () => {
    assert.equal(await passed(), 5)
    await openPort('beta', 'Policies')
    const vlan = page.locator('[data-policy=vlan]')
    await vlan.locator('[name=accessVlanId]').fill('5000')
    assert.match(await vlan.locator('.problem').textContent().then(String), /from 0 to 4094/)
    assert.ok(await vlan.getByRole('button', { name: 'Save' }).isDisabled())
    await vlan.locator('[name=accessVlanId]').fill('20')
    await vlan.getByRole('button', { name: 'Save' }).click()
    await page.waitForSelector('[data-port=beta] .badge.vlan')
    assert.equal(await passed(), 0)
    await page.locator('[data-policy=vlan]').getByRole('button', { name: 'Remove' }).click()
    await page.waitForSelector('[data-port=beta] .badge.vlan', { state: 'detached' })
    assert.equal(await passed(), 5)
  })

  test('adds a rule to the ACL of a port, counts what it met, and takes it away', async () => {
    await openPort('beta', 'Policies')
    const acl = page.getByRole('region', { name: 'ACL' })
    await acl.getByText('Add a rule').click()
    await acl.locator('[name=protocol]').selectOption('udp')
    await acl.locator('[name=localPort]').fill('9')
    await acl.getByRole('button', { name: 'Add the rule' }).click()
    await acl.getByRole('button', { name: 'Remove rule 1' }).waitFor()
    assert.equal(await passed(), 0)
    await acl
      .locator('li')
      .filter({ hasText: /rule 1.*5 packets/ })
      .waitFor()
    await acl.getByRole('button', { name: 'Remove rule 1' }).click()
    await until(async () => (await lab.control.acls({ port: 'beta' })).length === 0, 'the end of the rule')
    assert.equal(await passed(), 5)
  })

  test('shows why frames were dropped', async () => {
    await openPort('beta', 'Overview')
    await page
      .locator('.bars li')
      .filter({ hasText: /vlan-not-allowed\s*5/ })
      .waitFor()
    await page
      .locator('#tables')
      .getByRole('tab', { name: /^Drops/ })
      .click()
    assert.match(await page.locator('.drop-table .list-row').first().textContent().then(String), /betavlan-not-allowed/)
    await page
      .locator('#tables')
      .getByRole('tab', { name: /^Ports/ })
      .click()
  })

  test('explains a packet by numbered steps, in the panel and on its path', async () => {
    await page.getByRole('button', { name: 'Explain a packet', exact: true }).click()
    await page.selectOption('.explain select >> nth=2', 'tcp')
    await page.fill('.explain [name=port]', '23')
    await page.locator('.explain').getByRole('button', { name: 'Explain' }).click()
    await page.waitForSelector('.verdict.bad')
    assert.match(await page.locator('.step.dropped').textContent().then(String), /acl/)
    assert.match(await page.textContent('[data-extension=acl] .steps').then(String), /^\d/)
    await page.fill('.explain [name=port]', '80')
    await page.locator('.explain').getByRole('button', { name: 'Explain' }).click()
    await page.waitForSelector('.verdict.good')
    assert.match(await page.textContent('.verdict').then(String), /delivered to beta/)
    assert.equal(await page.textContent('[data-port=alpha] .steps'), '1')
    assert.equal(
      (await lab.control.drops()).some(({ reason }) => reason.includes('no-telnet')),
      false,
    )
  })

  test('captures frames as they pass, decodes them, and hands them over as a file', async () => {
    await openPort('alpha', 'Capture')
    await page.fill('#capture-filter', 'udp port 9')
    await page.getByRole('button', { name: 'Capture', exact: true }).click()
    await page.getByRole('button', { name: 'Stop' }).waitFor()
    lab.peer('alpha').send(frame)
    await page.waitForSelector('.frames .frame')
    assert.match(await page.textContent('.frames .summary').then(String), /UDP 10\.0\.0\.1\.7 > 10\.0\.0\.2\.9, 842 bytes/)
    await page.locator('.frames button').first().click()
    assert.match(await page.textContent('.headers').then(String), /IPv4.*10\.0\.0\.1 to 10\.0\.0\.2, TTL 64.*UDP.*7 to 9/)
    assert.match(await page.textContent('.hex').then(String), /^0000 {2}52 54 00 00 00 0b/)
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download' }).click()])
    assert.equal(download.suggestedFilename(), 'alpha.pcapng')
    const { packets } = readPcapng(readFileSync(await download.path()))
    assert.equal(packets[0]?.originalLength, frame.length)
    await page.getByRole('button', { name: 'Stop' }).click()
    await until(async () => !(await order()).some((name) => name.startsWith('live')), 'the end of the capture')
    await page.keyboard.press('Escape')
  })

  test('switches an extension off and on, and a link, and tells of it as it happens', async () => {
    await page.getByRole('switch', { name: 'acl takes part' }).click()
    await until(async () => (await lab.control.extensions()).some(({ name, enabled }) => name === 'acl' && !enabled), 'acl off')
    await page.getByRole('switch', { name: 'acl takes part' }).click()
    await until(async () => (await lab.control.extensions()).every(({ enabled }) => enabled), 'acl on')
    await openPort('beta', 'Overview')
    await page.getByRole('switch', { name: 'Link of beta' }).click()
    await page.waitForSelector('[data-cable=beta].bad', { state: 'attached' })
    await page.getByRole('switch', { name: 'Link of beta' }).click()
    await page.waitForSelector('[data-cable=beta].good', { state: 'attached' })
    await page
      .locator('#tables')
      .getByRole('tab', { name: /^Events/ })
      .click()
    await page.locator('.event-list .list-row').filter({ hasText: 'its link was set up' }).first().waitFor()
    await page.keyboard.press('Escape')
  })

  test('fits a phone without scrolling sideways, whatever is open', async () => {
    for (const width of [320, 390]) {
      await page.setViewportSize({ width, height: 800 })
      // The house is drawn anew in the frame after its width changed.
      await until(async () => !(await overflows(page)), `a house that fits ${width}`)
      for (const tab of [/^Ports/, /^Addresses/, /^Drops/, /^Events/, /^Latency/]) {
        await page.locator('#tables').getByRole('tab', { name: tab }).click()
        assert.equal(await overflows(page), false, `${tab} at ${width}`)
      }
      for (const tab of ['Overview', 'Policies', 'Capture']) {
        await openPort('alpha', tab)
        assert.equal(await overflows(page), false, `${tab} at ${width}`)
        await page.keyboard.press('Escape')
      }
    }
    await page.setViewportSize({ width: 1400, height: 1000 })
  })

  test('has larger texts on a wall, and nothing that is cut off for them', async () => {
    await page.setViewportSize({ width: 3000, height: 1600 })
    await page
      .locator('#tables')
      .getByRole('tab', { name: /^Ports/ })
      .click()
    await page.waitForSelector('.port-table .cell code')
    const texts = `[...document.querySelectorAll('body *')].filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ''))`
    const smallest = `Math.min(...${texts}.map((one) => parseFloat(getComputedStyle(one).fontSize)))`
    await until(async () => Number(await page.evaluate(smallest)) > 12, 'texts of more than 12 px')
    assert.equal(await overflows(page), false)
    const cut = `[...document.querySelectorAll('.port-table .cell')].filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)`
    assert.deepEqual(await page.evaluate(cut), [])
    await page.setViewportSize({ width: 1400, height: 1000 })
  })

  test('is dark or light as the system is, until somebody chooses', async () => {
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor') as Promise<string>
    const dark = await ground()
    await page.emulateMedia({ colorScheme: 'light' })
    await page.reload()
    await page.waitForSelector('.house')
    await until(async () => (await ground()) !== dark, 'light colours')
    await page.getByRole('button', { name: 'Switch to dark colours' }).click()
    assert.equal(await ground(), dark)
    await page.reload()
    await page.waitForSelector('.house')
    assert.equal(await ground(), dark)
  })

  test('lets nothing be changed in the mode for looking', async () => {
    await page.goto(`${page.url()}?readonly`)
    await page.waitForSelector('.badge.read-only')
    assert.ok(await page.getByRole('switch', { name: 'acl takes part' }).isDisabled())
    assert.ok(await page.locator('[data-extension=acl] .handle').isDisabled())
    await openPort('alpha', 'Policies')
    await page.waitForSelector('[data-policy=vlan] fieldset:disabled')
  })

  test('has complained about nothing until the end', () => {
    // The browser itself notes the answer to the order that was refused.
    assert.deepEqual(
      browser.complaints.filter((one) => !one.includes('409 (Conflict)')),
      [],
    )
  })
})

test('a console for looking only says so, and its service refuses changes', { skip: noBrowser }, async () => {
  const lab = await consoleLab({ ports: [{ name: 'a', endpoint: { kind: 'memory' } }] }, ['--console-read-only'])
  const browser = await browse(lab.url)
  try {
    const { page } = browser
    await page.waitForSelector('.badge.read-only')
    const refused = await page.evaluate(
      `fetch('/v1/ports/a', { method: 'PATCH', body: '{"link":"down"}' }).then((answer) => answer.json())`,
    )
    assert.equal((refused as { code: string }).code, 'read-only')
    assert.equal((await lab.control.ports())[0]?.link, 'up')
  } finally {
    await browser.close()
    await lab.close()
  }
})
