// A switch with an overlay between a guest and another host: the guest is a network namespace behind a TAP, the other host one behind a
// cable. Both sides of the tunnel are real kernels; what is between them is the switch.
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../../src/manage/config/types.ts'
import { createSwitch, type EmbeddedSwitch } from '../../src/manage/embedded.ts'
import { BUSYBOX } from './tap-world.ts'
import { temporaryDirectory } from './temp-dir.ts'
import { until } from './until.ts'
import { ip, Namespace, run, VethPair } from './veth.ts'

export type OverlayInput = NonNullable<Config['switch']['overlay']>

export const SUBNET = 5001
export const GUEST_MAC = '02:00:00:00:50:01'
/** Provider addresses of the switch and of the other host, by family. */
export const providers = {
  4: { own: '192.0.2.1', peer: '192.0.2.2', length: 24 },
  6: { own: 'fd77::1', peer: 'fd77::2', length: 64 },
} as const
/** Addresses of the guest and of the other host's end in the virtual subnet. */
export const guestAddresses = ['10.9.0.1', 'fd09::1'] as const
export const peerAddresses = ['10.9.0.2', 'fd09::2'] as const
/** A minute: machines whose processors others hold take long. */
const TRANSFER_MS = 60_000
let made = 0

export interface OverlayWorld {
  readonly vmswitch: EmbeddedSwitch
  readonly guest: Namespace
  readonly outside: Namespace
  /** The cable's end in `outside`. */
  readonly cable: string
  readonly directory: string
}

/**
 * `overlay`: all but the provider address of `family`, which is filled in. `underlayMtu`: of the cable. `completed`: checksums are complete and
 * segments cut when frames enter the cable, as a card does it; else the kernel leaves that to who takes them out of it.
 */
export async function overlayWorld(
  t: TestContext,
  family: 4 | 6,
  overlay: Omit<OverlayInput, 'providerAddresses'>,
  { underlayMtu = 1600, completed = false }: { readonly underlayMtu?: number; readonly completed?: boolean } = {},
): Promise<OverlayWorld> {
  const { own, length } = providers[family]
  const directory = temporaryDirectory()
  const cable = new VethPair(underlayMtu)
  if (completed) run('ethtool', '-K', cable.near, 'tx', 'off')
  const guest = new Namespace()
  const outside = new Namespace()
  const tap = `ow${process.pid % 100000}x${made++}`
  ip('link', 'set', cable.far, 'netns', outside.name)
  outside.ip('link', 'set', cable.far, 'up')
  const open = { vmswitch: undefined as EmbeddedSwitch | undefined }
  t.after(async () => {
    await open.vmswitch?.close()
    for (const space of [guest, outside]) space.delete()
    cable.delete()
  })
  const vmswitch = await createSwitch({
    switch: {
      name: 'overlaid',
      type: 'external',
      overlay: { ...overlay, providerAddresses: [{ address: `${own}/${length}` }] },
      ports: [
        { name: 'wire', endpoint: { kind: 'uplink', interface: cable.near } },
        { name: 'guest', mac: GUEST_MAC, security: { virtualSubnetId: SUBNET }, endpoint: { kind: 'tap', interface: tap } },
      ],
    },
    runtime: { directory },
  })
  open.vmswitch = vmswitch
  ip('link', 'set', tap, 'netns', guest.name)
  guest.ip('link', 'set', tap, 'address', GUEST_MAC)
  addresses(guest, tap, guestAddresses)
  guest.ip('link', 'set', tap, 'up')
  await until(async () => (await vmswitch.ports()).every(({ connected }) => connected), 'all ports are connected')
  return { vmswitch, guest, outside, cable: cable.far, directory }
}

/** Gives an interface its addresses in the virtual subnet. */
export function addresses(space: Namespace, device: string, [v4, v6]: readonly [string, string]): void {
  space.ip('addr', 'add', `${v4}/24`, 'dev', device)
  space.ip('addr', 'add', `${v6}/64`, 'dev', device, 'nodad')
}

/** Gives the other host its provider address. */
export function plugIn({ outside, cable }: OverlayWorld, family: 4 | 6): void {
  const { peer, length } = providers[family]
  outside.ip('addr', 'add', `${peer}/${length}`, 'dev', cable, ...(family === 6 ? ['nodad'] : []))
}

/** Runs a program in a namespace, while other tests go on. */
export function within(space: Namespace, ...command: readonly string[]): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile('ip', ['netns', 'exec', space.name, ...command], (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` }),
    )
  })
}

/** Asks until an answer comes, as neighbours may have to be found first. */
export const reaches = (space: Namespace, address: string, bytes = 56): Promise<void> =>
  until(async () => {
    const family = address.includes(':') ? ['-6'] : []
    return (await within(space, BUSYBOX, 'ping', ...family, '-c', '1', '-W', '1', '-s', String(bytes), address)).status === 0
  }, `an answer of ${address} to ${bytes} bytes`)

/** Sends `bytes` over TCP from one namespace to `address` of another; true if they came as they were. */
export async function transfers(
  { directory }: OverlayWorld,
  { from, to, address, bytes }: { from: Namespace; to: Namespace; address: string; bytes: number },
): Promise<boolean> {
  const [sent, received] = [join(directory, 'sent'), join(directory, 'received')]
  const data = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += 4) data.writeUInt32LE((at * 2654435761) >>> 0, at)
  writeFileSync(sent, data)
  const port = '5000'
  const listener = spawn('ip', [...['netns', 'exec', to.name, 'sh', '-c'], `exec ${BUSYBOX} nc -l -p ${port} > ${received}`])
  const ended = new Promise((resolve) => listener.once('exit', resolve))
  try {
    await until(async () => (await within(to, 'ss', '-tln')).output.includes(`:${port} `), 'a listener')
    const script = `exec timeout 60 ${BUSYBOX} nc ${address} ${port} < ${sent}`
    const sender = spawn('ip', ['netns', 'exec', from.name, 'sh', '-c', script])
    await new Promise((resolve) => sender.once('exit', resolve))
    await Promise.race([ended, sleep(TRANSFER_MS, undefined, { ref: false })])
  } finally {
    listener.kill()
    await ended
  }
  const hash = (bytesOf: Buffer): string => createHash('sha256').update(bytesOf).digest('hex')
  return hash(readFileSync(received)) === hash(data)
}
