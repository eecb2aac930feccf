// The stream and dgram endpoints against a real QEMU: its network boot ROM asks for an address, is offered one, and accepts it.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createDgramEndpoint } from '../../src/endpoints/dgram/dgram-endpoint.ts'
import type { EndpointComponents, EndpointControl } from '../../src/endpoints/endpoint.ts'
import { StreamEndpoint } from '../../src/endpoints/stream/stream-endpoint.ts'
import { DataHalf } from '../support/data-half.ts'
import { bootReply, bootRequestType, DHCP_DISCOVER, DHCP_REQUEST } from '../support/dhcp.ts'
import { temporaryDirectory } from '../support/temp-dir.ts'

const QEMU = 'qemu-system-x86_64'
const BOOT_TIMEOUT_MS = 60_000
const ROMS = ['/usr/lib/ipxe/qemu/efi-virtio.rom', '/usr/lib/ipxe/qemu/pxe-virtio.rom', '/usr/share/qemu/efi-virtio.rom']

const version = spawnSync(QEMU, ['-netdev', 'help'], { encoding: 'utf8' })
const skip = version.error
  ? `${QEMU} is not installed`
  : !/^stream$/m.test(version.stdout)
    ? `this ${QEMU} has no "-netdev stream" (it needs 7.2)`
    : !ROMS.some((rom) => existsSync(rom))
      ? 'no network boot ROM is installed (package ipxe-qemu)'
      : false

const directory = temporaryDirectory()
const path = (name: string): string => join(directory, name)

const MACHINE = '-M q35 -accel tcg -m 64 -display none -nodefaults -no-reboot'
const DEVICE = 'virtio-net-pci,netdev=n0,mac=02:00:00:00:00:07,bootindex=1'

const startQemu = (netdev: string): ChildProcess =>
  spawn(QEMU, [...MACHINE.split(' '), '-netdev', netdev, '-device', DEVICE], { stdio: ['ignore', 'ignore', 'inherit'] })

async function bootsFrom(create: (components: EndpointComponents) => EndpointControl, netdev: string): Promise<void> {
  const half = new DataHalf()
  const control = create({ memory: half.memory, events: half.events })
  await control.open()
  const qemu = startQemu(netdev)
  try {
    const request = async (type: number): Promise<Buffer> => {
      let found: Buffer | undefined
      await half.until(
        () => {
          found = half.inbox.map(({ bytes }) => bytes).find((bytes) => bootRequestType(bytes) === type)
          return found !== undefined
        },
        `DHCP message ${type}`,
        BOOT_TIMEOUT_MS,
      )
      return found!
    }
    const discover = await request(DHCP_DISCOVER)
    assert.equal(discover.toString('hex', 6, 12), '020000000007')
    assert.equal(half.deliver([bootReply(discover)]), 1)
    const accepted = await request(DHCP_REQUEST)
    assert.equal(accepted.toString('hex', 6, 12), '020000000007')
  } finally {
    const gone = new Promise((resolve) => qemu.once('exit', resolve))
    qemu.kill('SIGKILL')
    await gone
    await control.close()
    half.close()
  }
}

describe('QEMU socket back-ends', { skip }, () => {
  test('a guest of QEMU as stream client boots through our server', () =>
    bootsFrom(
      (components) => new StreamEndpoint({ port: 1, path: path('a') }, components),
      `stream,id=n0,server=off,addr.type=unix,addr.path=${path('a')}`,
    ))

  test('a guest of QEMU as stream server boots through our client, which waits for it', () =>
    bootsFrom(
      (components) => new StreamEndpoint({ port: 1, path: path('b'), mode: 'client' }, components),
      `stream,id=n0,server=on,addr.type=unix,addr.path=${path('b')}`,
    ))

  test('a guest of QEMU with dgram sockets boots', () =>
    bootsFrom(
      (components) => createDgramEndpoint({ port: 1, path: path('c'), peer: path('d') }, components),
      `dgram,id=n0,local.type=unix,local.path=${path('d')},remote.type=unix,remote.path=${path('c')}`,
    ))
})
