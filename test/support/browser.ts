// Debian's Chromium for tests of the web console: a page with an eye on errors and on what it asks for elsewhere.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'

const CHROMIUM = '/usr/bin/chromium'
const WIDE = { width: 1400, height: 1000 }

/** Why there is no browser; false: there is one. */
export const noBrowser: string | false = existsSync(CHROMIUM) ? false : `${CHROMIUM} is missing: apt-get install chromium`

export interface BrowserOptions {
  readonly width?: number
  readonly height?: number
  readonly colours?: 'dark' | 'light'
  /** What the page shows when it is there; the house without it. */
  readonly shows?: string
}

export interface Browser {
  readonly page: Page
  /** Errors and warnings of the page, and requests that left its origin. */
  readonly complaints: string[]
  close(): Promise<void>
}

/** Opens `url` in a browser of its own, which takes any certificate, and waits for what it shows. */
export async function browse(url: string, options: BrowserOptions = {}): Promise<Browser> {
  const { width, height, colours = 'dark', shows = '.house' } = options
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-chromium-'))
  const context: BrowserContext = await chromium.launchPersistentContext(directory, {
    executablePath: CHROMIUM,
    headless: true,
    viewport: { width: width ?? WIDE.width, height: height ?? WIDE.height },
    colorScheme: colours,
    acceptDownloads: true,
    ignoreHTTPSErrors: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  const page = context.pages()[0] ?? (await context.newPage())
  const complaints: string[] = []
  const { origin } = new URL(url)
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`)
  })
  page.on('request', (request) => {
    const to = request.url()
    if (!to.startsWith(`${origin}/`) && !/^(data|blob):/.test(to)) complaints.push(`asks elsewhere: ${to}`)
  })
  const close = async (): Promise<void> => {
    await context.close()
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await page.goto(url)
    await page.waitForSelector(shows)
  } catch (error) {
    await close()
    throw error
  }
  return { page, complaints, close }
}

/** Whether the page is wider than its window. */
export const overflows = (page: Page): Promise<boolean> =>
  page.evaluate('document.documentElement.scrollWidth > window.innerWidth') as Promise<boolean>
