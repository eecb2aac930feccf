// Makes the pictures of the console that the documents show: `node test/console/pictures.ts [DIRECTORY]`, docs/images without it.
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { tcpFrame, udpFrame } from '../../src/packet/build.ts'
import { browse } from '../support/browser.ts'
import { type VfConsole, vfConsole } from '../support/vf-console.ts'

const directory = resolve(process.argv[2] ?? fileURLToPath(new URL('../../docs/images', import.meta.url)))
const MACS = { web: '52:54:00:77:00:11', database: '52:54:00:77:00:12', build: '52:54:00:77:00:13' } as const
const TELNET = 23
const stream = (name: string, more: object = {}) => ({ name, endpoint: { kind: 'stream', path: `${name}.sock` }, ...more })

const ports = [
  stream('web', { mac: MACS.web, vlan: 10 }),
  stream('database', { mac: MACS.database, vlan: 10 }),
  stream('build', { mac: MACS.build }),
  stream('spare', { mac: '52:54:00:77:00:14', link: 'down' }),
]
const extensions = [
  { use: 'capture', options: { file: 'lab0.pcapng', snapBytes: 128 } },
  { use: 'counters' },
  {
    use: 'acl',
    options: { default: 'allow', rules: [{ name: 'no-telnet', action: 'deny', protocol: 'tcp', destinationPorts: TELNET }] },
  },
  { use: 'mac-guard' },
]

/** What passes between the guests of the picture; returns what ends it. */
function traffic(lab: VfConsole): () => void {
  const addresses = { source: '10.0.0.11', destination: '10.0.0.12', tags: [], hops: 64 }
  const there = udpFrame({ ...addresses, sourceMac: MACS.web, destinationMac: MACS.database }, 5000, 5432, new Uint8Array(200))
  const answer = udpFrame({ ...addresses, sourceMac: MACS.database, destinationMac: MACS.web }, 5432, 5000, new Uint8Array(1400))
  const telnet = tcpFrame({ ...addresses, sourceMac: MACS.build, destinationMac: MACS.web }, 40_000, TELNET, { flags: 2 })
  const drain = ['web', 'database', 'build'] as const
  let turn = 0
  const timer = setInterval(() => {
    for (let i = 0; i < 8; i++) {
      lab.peer('web').send(there)
      lab.peer('database').send(answer)
    }
    if (turn++ % 40 === 0) lab.peer('build').send(telnet)
    for (const name of drain) while (lab.peer(name).receive() !== null);
  }, 5)
  return () => clearInterval(timer)
}

const place = join(tmpdir(), 'lab0')
mkdirSync(place)
const lab = await vfConsole(ports, extensions, place)
const stop = traffic(lab)
await lab.startLoad(4000)
mkdirSync(directory, { recursive: true })
const scenes: readonly (readonly [
  name: string,
  colours: 'dark' | 'light',
  width: number,
  height: number,
  act: (page: Page) => Promise<void>,
])[] = [
  [
    'console-dark',
    'dark',
    1480,
    980,
    async (page) => {
      await page.click('[data-port=web]')
      await sleep(25_000)
    },
  ],
  [
    'console-explain',
    'light',
    1480,
    980,
    async (page) => {
      await page.getByRole('button', { name: 'Explain a packet', exact: true }).click()
      await page.selectOption('.explain select >> nth=0', 'web')
      await page.selectOption('.explain select >> nth=1', 'database')
      await page.selectOption('.explain select >> nth=2', 'tcp')
      await page.locator('.explain').getByRole('button', { name: 'Explain' }).click()
      await page.waitForSelector('.verdict')
    },
  ],
  [
    'console-failover',
    'dark',
    1480,
    1020,
    async (page) => {
      await lab.host.removeVf({ port: 'alpha', surprise: true })
      await sleep(12_000)
      await lab.host.assignVf('alpha')
      await page.click('[data-port=alpha]')
      await page.getByRole('tab', { name: 'Virtual function' }).click()
      await sleep(20_000)
    },
  ],
  ['console-phone', 'light', 390, 844, () => sleep(1000)],
]
const only = process.argv[3]?.split(',')
for (const [name, colours, width, height, act] of scenes) {
  if (only !== undefined && !only.includes(name)) continue
  const { page, close } = await browse(lab.url, { width, height, colours })
  await sleep(3000)
  await act(page)
  await page.screenshot({ path: join(directory, `${name}.png`) })
  await close()
}
stop()
await lab.close()
