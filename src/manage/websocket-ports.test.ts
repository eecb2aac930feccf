import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { WebSocket } from 'ws'
import { createSwitch } from './embedded.ts'

const directory = mkdtempSync(join(tmpdir(), 'vmswitch-websocket-'))
after(() => rmSync(directory, { recursive: true }))

const address = (last: number): number[] => [0x52, 0x54, 0, 0x77, 0, last]
const frame = (to: number, from: number): Buffer =>
  Buffer.concat([Buffer.from([...address(to), ...address(from), 0x88, 0xb5]), Buffer.alloc(60, from)])

test('two clients on WebSocket ports of one switch reach each other, and one with the other port’s token reaches nobody', async () => {
  const port = (name: string) => ({
    name,
    endpoint: { kind: 'websocket' as const, listen: '127.0.0.1:0', tokenFile: join(directory, `${name}.token`) },
  })
  await using lab = await createSwitch({
    switch: { name: 'tabs', ports: [port('a'), port('b')] },
    runtime: { directory },
  })
  const ports = await lab.ports()
  const url = (name: string, token: string): string => {
    const { detail } = ports.find((one) => one.name === name)!
    return `ws://${String(detail.listensAt)}/?token=${readFileSync(join(directory, `${token}.token`), 'utf8').trim()}`
  }
  const wrong = new WebSocket(url('a', 'b'))
  const [error] = (await once(wrong, 'error')) as [Error]
  assert.match(error.message, /401/)
  const clients = ['a', 'b'].map((name) => new WebSocket(url(name, name)))
  await Promise.all(clients.map((client) => once(client, 'open')))
  const [a, b] = clients as [WebSocket, WebSocket]
  const heard = once(b, 'message')
  const again = setInterval(() => a.send(frame(2, 1)), 20) // until the port of b has its link
  assert.deepEqual((await heard)[0], frame(2, 1))
  clearInterval(again)
  const answered = once(a, 'message')
  b.send(frame(1, 2))
  assert.deepEqual((await answered)[0], frame(1, 2))
  for (const client of clients) client.terminate()
})
