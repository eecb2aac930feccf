// A running switch with ports for guests in browsers, beside a guest of another kind, and the patience that such guests need.
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/lab/software/clock.ts'
import { SoftwareGuest } from '../../src/lab/software-guest.ts'
import { type ConsoleLab, consoleLab } from './console-lab.ts'

const ALPHA = { mac: '52:54:00:77:05:02', address: '10.77.5.2' }
export const GUEST_MAC = { node: '52:54:00:77:05:03', tab: '52:54:00:77:05:04' } as const
/** What a guest types to reach the other one, and what it writes then. */
export const PING = `ping -c 3 -W 10 ${ALPHA.address}`
export const ANSWERED = /3 packets transmitted, 3 packets received, 0% packet loss/
/** A guest boots in some seconds where nothing else runs, and in minutes where a lot does. */
const BOOT_MS = 200_000
const POLL_MS = 2

const websocket = (name: keyof typeof GUEST_MAC) => ({
  name,
  mac: GUEST_MAC[name],
  endpoint: { kind: 'websocket', listen: '127.0.0.1:0', tokenFile: `${name}.token` },
})
const ipv4 = { address: '10.77.5.1/24', pool: '10.77.5.100-10.77.5.199' }
const settings = {
  extensions: [{ use: 'dhcp-dns', options: { ipv4, statics: [{ port: 'tab', address: '10.77.5.40' }] } }],
  ports: [
    websocket('node'),
    websocket('tab'),
    { name: 'alpha', mac: ALPHA.mac, endpoint: { kind: 'stream', path: 'alpha.sock' } },
  ],
}

export interface BrowserGuestLab extends Omit<ConsoleLab, 'peer'> {
  connected(port: string): Promise<boolean>
}

export async function browserGuestLab(): Promise<BrowserGuestLab> {
  const lab = await consoleLab(settings)
  const peer = lab.peer('alpha')
  const alpha = new SoftwareGuest(ALPHA, { clock: systemClock, random: Math.random, send: (frame) => peer.send(frame) })
  const polling = setInterval(() => {
    for (let frame = peer.receive(); frame !== null; frame = peer.receive()) alpha.receive(Buffer.from(frame))
  }, POLL_MS)
  return {
    url: lab.url,
    control: lab.control,
    connected: async (port) => (await lab.control.ports()).find(({ name }) => name === port)?.connected === true,
    async close() {
      clearInterval(polling)
      alpha.close()
      await lab.close()
    },
  }
}

/** Waits for what a guest writes. Throws with the end of what it wrote. */
export async function written(text: () => string | Promise<string>, wanted: RegExp): Promise<void> {
  const end = performance.now() + BOOT_MS
  for (let now = await text(); !wanted.test(now); now = await text()) {
    if (performance.now() > end) throw new Error(`the guest did not write ${wanted}: ${now.slice(-300)}`)
    await sleep(50)
  }
}
