// A Linux under v86 in Node, with v86's own relay client, on a running switch beside another guest.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { V86 } from 'v86'
import { commandLine, type GuestSettings } from '../../console/src/guest/settings.ts'
import { ANSWERED, type BrowserGuestLab, browserGuestLab, GUEST_MAC, PING, written } from '../support/browser-guest-lab.ts'
import { browserImage } from '../support/browser-image.ts'
import { until } from '../support/until.ts'

const found = await browserImage()
const skip = typeof found === 'string' ? found : false
const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const wasmPath = fileURLToPath(new URL('../../node_modules/v86/build/v86.wasm', import.meta.url))
const MIB = 1024 * 1024

describe('a guest under v86', { skip }, () => {
  let lab: BrowserGuestLab
  before(async () => {
    lab = await browserGuestLab()
  })
  after(() => lab?.close())

  test('a Linux in Node, by the URL that the command line prints, reaches a guest of another kind', async (t) => {
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
      await until(() => lab.connected('node'), 'the connection of the port')
      guest.type(`${PING}\n`)
      await guest.says(ANSWERED)
      const learned = (await lab.control.fdb({})).find(({ port }) => port === 'node')
      assert.equal(learned?.mac, GUEST_MAC.node)
    } finally {
      await guest.stop()
    }
    await until(async () => !(await lab.connected('node')), 'the end of the connection')
  })
})

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
    cmdline: commandLine(guest, { mac: GUEST_MAC.node, mtu: 1500 }),
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
