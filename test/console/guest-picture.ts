// Makes the picture of a guest in a browser tab that the documents show: `node test/console/guest-picture.ts [FILE]`.

import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/lab/software/clock.ts'
import { SoftwareGuest } from '../../src/lab/software-guest.ts'
import { browse } from '../support/browser.ts'
import { browserImage } from '../support/browser-image.ts'
import { consoleLab } from '../support/console-lab.ts'

const file = process.argv[2] ?? fileURLToPath(new URL('../../docs/images/browser-guest.png', import.meta.url))
const ALPHA = { mac: '52:54:00:77:06:02', address: '10.77.6.2' }
const found = await browserImage()
if (typeof found === 'string') throw new Error(found)
const lab = await consoleLab({
  extensions: [
    {
      use: 'dhcp-dns',
      options: {
        ipv4: { address: '10.77.6.1/24', pool: '10.77.6.100-10.77.6.199' },
        statics: [{ port: 'tab', address: '10.77.6.40' }],
      },
    },
  ],
  ports: [
    { name: 'tab', mac: '52:54:00:77:06:01', endpoint: { kind: 'websocket', listen: '127.0.0.1:0', tokenFile: 'tab.token' } },
    { name: 'alpha', mac: ALPHA.mac, endpoint: { kind: 'stream', path: 'alpha.sock' } },
  ],
})
const peer = lab.peer('alpha')
const alpha = new SoftwareGuest(ALPHA, { clock: systemClock, random: Math.random, send: (frame) => peer.send(frame) })
const polling = setInterval(() => {
  for (let frame = peer.receive(); frame !== null; frame = peer.receive()) alpha.receive(Buffer.from(frame))
}, 2)
const { page, close } = await browse(lab.url, { width: 1100, height: 760 })
const line = async (text: string): Promise<void> => {
  await page.getByRole('textbox', { name: 'Serial console' }).click()
  await page.keyboard.type(text)
  await page.keyboard.press('Enter')
  await sleep(5000)
}
try {
  await page.goto(`${new URL(lab.url).origin}/console/guest/?port=tab`)
  await page.getByRole('button', { name: 'Start' }).click()
  while (!/tab:\/# /.test((await page.textContent('.terminal .screen').catch(() => '')) ?? '')) await sleep(200)
  await line('ip address show dev eth0')
  await line(`ping -c 3 ${ALPHA.address}`)
  await page.screenshot({ path: file })
} finally {
  await close()
  clearInterval(polling)
  alpha.close()
  await lab.close()
}
