import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FrontEnd } from '../../test/support/vhost-front-end.ts'
import { MemoryEndpoint } from '../endpoints/memory/memory-endpoint.ts'
import { createSwitch } from './host.ts'

test('a guest that moved here without announcing itself is announced to the other ports by a reverse ARP from its port', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-announce-'))
  const path = join(directory, 'guest.sock')
  const port = { macSpoofing: 'off', learning: true, link: 'up', mac: null } as const
  const running = await createSwitch(
    {
      name: 'announce',
      type: 'private',
      processors: 1,
      extensions: [],
      ports: [
        {
          ...port,
          name: 'guest',
          endpoint: { kind: 'vhost-user', path, mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true },
        },
        { ...port, name: 'other', endpoint: { kind: 'memory' } },
      ],
      macTable: { entries: 64, ageingSeconds: 300 },
      directory,
    },
    { log: () => {} },
  )
  const frontEnd = FrontEnd.connect(path)
  const endpoint = running.endpoint('other')
  assert.ok(endpoint instanceof MemoryEndpoint)
  const peer = endpoint.peer()
  try {
    await frontEnd.setUp()
    const mac = Uint8Array.of(0x52, 0x54, 0, 0, 0, 7)
    await frontEnd.tell('SEND_RARP', Buffer.concat([mac, Buffer.alloc(2)]))
    let frame: Uint8Array | null | undefined
    for (let i = 0; i < 3000 && !frame; i++) {
      frame = peer.receive()
      if (!frame) await sleep(10)
    }
    assert.ok(frame, 'a frame came')
    const text = Buffer.from(frame).toString('hex')
    assert.equal(text.slice(0, 40), `ffffffffffff5254000000078035${'000108000604'.slice(0, 12)}`)
    assert.equal(text.slice(40, 84), '0003' + '525400000007' + '00000000' + '525400000007' + '00000000')
    assert.ok(running.fdb().some((entry) => entry.mac === '52:54:00:00:00:07' && entry.port === 'guest'))
  } finally {
    peer.close()
    frontEnd.close()
    await running.close()
    rmSync(directory, { recursive: true })
  }
})
