import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { createSwitch } from './embedded.ts'
import { ownCertificate } from './network/self-signed.ts'

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

test('a port with a certificate speaks TLS, alone, and only with a key that is private', async () => {
  const home = join(directory, 'tls')
  mkdirSync(home, { mode: 0o700 })
  const { certificate, key } = ownCertificate(home, ['127.0.0.1'], Date.now())
  const start = () =>
    createSwitch({
      switch: {
        name: 'tls',
        ports: [
          { name: 'a', endpoint: { kind: 'websocket' as const, listen: '127.0.0.1:0', tokenFile: 'a.token', certificate, key } },
        ],
      },
      runtime: { directory: home },
    })
  {
    await using lab = await start()
    const [port] = await lab.ports()
    assert.equal(port?.detail.tls, true)
    const rest = `${String(port?.detail.listensAt)}/?token=${readFileSync(join(home, 'a.token'), 'utf8').trim()}`
    const plain = new WebSocket(`ws://${rest}`)
    await once(plain, 'error')
    const client = new WebSocket(`wss://${rest}`, { ca: readFileSync(certificate) })
    await once(client, 'open')
    while ((await lab.ports())[0]?.connected !== true) await sleep(20)
    client.terminate()
  }
  chmodSync(key, 0o644)
  await assert.rejects(start(), /key file .* is open to others: run chmod 600/)
})
