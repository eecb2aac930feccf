// Guests that run in a browser: a Linux under v86, in Node and in Chromium, on a running switch beside another guest.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { V86 } from 'v86'
import { commandLine, type GuestSettings } from '../../console/src/guest/settings.ts'
import { systemClock } from '../../src/lab/software/clock.ts'
import { SoftwareGuest } from '../../src/lab/software-guest.ts'
import { browse, noBrowser } from '../support/browser.ts'
import { browserImage } from '../support/browser-image.ts'
import { type ConsoleLab, consoleLab } from '../support/console-lab.ts'
import { until } from '../support/running-switch.ts'

const found = await browserImage()
const skip = typeof found === 'string' ? found : false
const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const wasmPath = fileURLToPath(new URL('../../node_modules/v86/build/v86.wasm', import.meta.url))

const ALPHA = { mac: '52:54:00:77:05:02', address: '10.77.5.2' }
const MAC = { node: '52:54:00:77:05:03', tab: '52:54:00:77:05:04' }
const MIB = 1024 * 1024
/** A guest boots in some seconds where nothing else runs; the file's own limit is longer. */
const BOOT_MS = 90_000
const ANSWERED = /3 packets transmitted, 3 packets received, 0% packet loss/
const PING = `ping -c 3 -W 10 ${ALPHA.address}`
const POLL_MS = 2

const websocket = (name: 'node' | 'tab') => ({
  name,
  mac: MAC[name],
  endpoint: { kind: 'websocket', listen: '127.0.0.1:0', tokenFile: `${name}.token` },
})
const settings = {
  extensions: [
    {
      use: 'dhcp-dns',
      options: {
        ipv4: { address: '10.77.5.1/24', pool: '10.77.5.100-10.77.5.199' },
        statics: [{ port: 'tab', address: '10.77.5.40' }],
      },
    },
  ],
  ports: [
    websocket('node'),
    websocket('tab'),
    { name: 'alpha', mac: ALPHA.mac, endpoint: { kind: 'stream', path: 'alpha.sock' } },
  ],
}

describe('guests in browsers', { skip }, () => {
  let lab: ConsoleLab
  let alpha: SoftwareGuest
  let polling: NodeJS.Timeout
  before(async () => {
    lab = await consoleLab(settings)
    const peer = lab.peer('alpha')
    alpha = new SoftwareGuest(ALPHA, { clock: systemClock, random: Math.random, send: (frame) => peer.send(frame) })
    polling = setInterval(() => {
      for (let frame = peer.receive(); frame !== null; frame = peer.receive()) alpha.receive(Buffer.from(frame))
    }, POLL_MS)
  })
  after(async () => {
    clearInterval(polling)
    alpha?.close()
    await lab?.close()
  })
  const connected = async (name: string): Promise<boolean> =>
    (await lab.control.ports()).find((port) => port.name === name)?.connected === true

  test('a Linux under v86 in Node, by the URL that the command line prints, reaches a guest of another kind', async (t) => {
    const { control } = await lab.control.status()
    const urlOf = (port: string) => promisify(execFile)(bin, ['browser-guest', 'url', port, '--socket', control])
    await assert.rejects(urlOf('alpha'), /port "alpha" is of kind stream/)
    const { stdout } = await urlOf('node')
    const guest = bootInNode(stdout.trim(), {
      name: 'node',
      addressing: 'fixed',
      address: '10.77.5.3/24',
      memoryMiB: 96,
    })
    try {
      const begin = performance.now()
      await guest.says(/node:\/# $/)
      t.diagnostic(`booted in ${((performance.now() - begin) / 1000).toFixed(1)} s`)
      await until(() => connected('node'), 'the connection of the port')
      guest.type(`${PING}\n`)
      await guest.says(ANSWERED)
      const learned = (await lab.control.fdb({})).find(({ port }) => port === 'node')
      assert.equal(learned?.mac, MAC.node)
    } finally {
      await guest.stop()
    }
    await until(async () => !(await connected('node')), 'the end of the connection')
  })

  test('the page of the console boots one in its tab, which gets an address of the switch and reaches the other guest', {
    skip: noBrowser,
  }, async (t) => {
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
      await says(page, new RegExp(`link/ether ${MAC.tab}[^]*inet 10\\.77\\.5\\.40/24`))
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
      await until(async () => !(await connected('tab')), 'the end of the connection')
      await until(async () => (await page.textContent('[data-state] dd')) === 'off', 'the end of the guest')
    } finally {
      await close()
    }
  })
})

/** Waits for what a guest writes. Throws with the end of what it wrote. */
async function written(text: () => string | Promise<string>, wanted: RegExp): Promise<void> {
  const end = performance.now() + BOOT_MS
  for (let now = await text(); !wanted.test(now); now = await text()) {
    if (performance.now() > end) throw new Error(`the guest did not write ${wanted}: ${now.slice(-300)}`)
    await sleep(50)
  }
}

/** The cursor stands behind what was written. */
const says = (page: Page, wanted: RegExp): Promise<void> =>
  written(async () => ((await page.textContent('.terminal .screen')) ?? '').replace(/ +$/, ' '), wanted)

/** A guest at the port of `url`, with v86's own relay client. */
function bootInNode(url: string, guest: GuestSettings) {
  if (typeof found === 'string') throw new Error(found)
  const file = (name: string) => {
    const { buffer, byteOffset, byteLength } = readFileSync(join(found.folder, name))
    return { buffer: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer }
  }
  const emulator = new V86({
    wasm_path: wasmPath,
    memory_size: guest.memoryMiB * MIB,
    vga_memory_size: MIB,
    bios: file('bios.bin'),
    bzimage: file('vmlinuz'),
    initrd: file('initrd.gz'),
    cmdline: commandLine(guest, { mac: MAC.node, mtu: 1500 }),
    net_device: { type: 'virtio', relay_url: url },
    autostart: true,
  })
  let said = ''
  emulator.add_listener('serial0-output-byte', (byte) => {
    said += String.fromCharCode(byte)
  })
  // The shell asks where the cursor is; a person's terminal would say.
  const text = () => said.replaceAll('\x1b[6n', '')
  return {
    type: (line: string) => emulator.serial0_send(line),
    says: (wanted: RegExp) => written(text, wanted),
    stop: () => emulator.destroy(),
  }
}
