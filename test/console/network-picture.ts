// Makes the picture of a network that the documents show: `node test/console/network-picture.ts [DIRECTORY]`, docs/images without it. Needs root and
// nats-server.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { udpFrame } from '../../src/packet/build.ts'
import { browse } from '../support/browser.ts'
import { twoHosts } from '../support/two-hosts.ts'

const FRAMES = 8
const EVERY_MS = 5
const SETTLED_MS = 6000

const directory = resolve(process.argv[2] ?? fileURLToPath(new URL('../../docs/images', import.meta.url)))
const ends: (() => unknown)[] = []
try {
  const { one, two, url, token } = await twoHosts({ after: (end) => void ends.unshift(end as () => unknown) })
  const [web, db] = [
    { sourceMac: '52:54:00:00:00:01', destinationMac: '52:54:00:00:00:02', source: '10.1.0.1', destination: '10.1.0.2' },
    { sourceMac: '52:54:00:00:00:02', destinationMac: '52:54:00:00:00:01', source: '10.1.0.2', destination: '10.1.0.1' },
  ]
  const question = udpFrame(web, 5000, 5432, new Uint8Array(200))
  const answer = udpFrame(db, 5432, 5000, new Uint8Array(1400))
  const timer = setInterval(() => {
    for (let i = 0; i < FRAMES; i++) {
      one.guest.send(question)
      two.guest.send(answer)
    }
    for (const { guest } of [one, two]) while (guest.receive() !== null);
  }, EVERY_MS)
  ends.unshift(() => clearInterval(timer))
  for (const [name, colours, width, height] of [
    ['console-network', 'light', 1480, 1120],
    ['console-network-dark', 'dark', 1480, 1120],
    ['console-network-phone', 'dark', 390, 1500],
  ] as const) {
    if (process.argv[2] === undefined && name !== 'console-network') continue
    const { page, close } = await browse(`${url}/console/`, { width, height, colours, shows: '.sign-in' })
    ends.unshift(close)
    await page.fill('.sign-in input', readFileSync(token, 'utf8').trim())
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('tab', { name: 'Network' }).click()
    await sleep(SETTLED_MS)
    await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true })
  }
} finally {
  for (const end of ends) await end()
}
