import assert from 'node:assert/strict'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { WebSocket } from 'ws'
import { DataHalf } from '../../../test/support/data-half.ts'
import { temporaryDirectory } from '../../../test/support/temp-dir.ts'
import { FRAME_MAX } from '../../kernels/layout.ts'
import { ATTEMPTS_MAX } from '../attempts.ts'
import { type CompliancePeer, endpointCompliance } from '../compliance.ts'
import { testFrame } from '../compliance-frames.ts'
import type { EndpointComponents } from '../endpoint.ts'
import { FRAMES_PROTOCOL, makeTicket } from './ticket.ts'
import { WebsocketEndpoint, type WebsocketOptions } from './websocket-endpoint.ts'

const directory = temporaryDirectory()
const tokenFile = join(directory, 'token')
const options: WebsocketOptions = { port: 3, listen: '127.0.0.1:0', tokenFile, origins: [], framesPerSecond: 1_000_000 }
const urlOf = (control: WebsocketEndpoint): string =>
  `ws://${control.describe().listensAt}/?token=${readFileSync(tokenFile, 'utf8').trim()}`

// A client in a thread of its own, as a browser is a process of its own: it reads on only while somebody asks for frames.
const CLIENT = `
const { workerData: { url, port }, parentPort } = require('node:worker_threads')
const { WebSocket } = require(${JSON.stringify(join(import.meta.dirname, '../../../node_modules/ws'))})
let ahead = 0
const begin = () => {
  const client = new WebSocket(url)
  client.on('unexpected-response', () => setTimeout(begin, 5))
  client.on('error', () => {})
  client.on('message', (data) => { port.postMessage(data); if (++ahead > 64) client.pause() })
  client.on('open', () => {
    port.on('message', (frame) => { if (frame === null) { ahead = 0; client.resume() } else client.send(frame) })
    parentPort.postMessage('open')
  })
}
begin()
`

class ClientThread implements CompliancePeer {
  static readonly gone = new Set<Promise<number>>()
  readonly #worker: Worker
  readonly #port: MessagePort

  constructor(worker: Worker, port: MessagePort) {
    this.#worker = worker
    this.#port = port
  }

  static async connect(url: string): Promise<ClientThread> {
    const { port1, port2 } = new MessageChannel()
    const worker = new Worker(CLIENT, { eval: true, workerData: { url, port: port2 }, transferList: [port2] })
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    return new ClientThread(worker, port1)
  }

  send(frame: Uint8Array): boolean {
    this.#port.postMessage(frame)
    return true
  }

  receive(): Uint8Array | null {
    const got = receiveMessageOnPort(this.#port)
    if (got === undefined) this.#port.postMessage(null)
    return got === undefined ? null : (got.message as Uint8Array)
  }

  vanish(): void {
    this.#port.close()
    ClientThread.gone.add(this.#worker.terminate())
  }
}

class TriedEndpoint extends WebsocketEndpoint {
  override async close(): Promise<void> {
    await super.close()
    await Promise.all(ClientThread.gone)
    ClientThread.gone.clear()
  }
}

endpointCompliance('websocket', {
  half: () => new DataHalf(),
  create: (components) => new TriedEndpoint(options, components),
  connect: (control) => ClientThread.connect(urlOf(control)),
  refusals: [
    {
      title: 'a token file that others can read',
      says: /open to others: run chmod 600/,
      create: (components) => withTokenFile('loose', `${'a'.repeat(40)}\n`, 0o644, components),
    },
    {
      title: 'a token that is too short',
      says: /32 to 128 letters.*remove it/,
      create: (components) => withTokenFile('short', 'secret\n', 0o600, components),
    },
    {
      title: 'an address that is not of this machine',
      says: /can't be listened at .*choose another address/,
      create: (components) => new WebsocketEndpoint({ ...options, listen: '192.0.2.1:0' }, components),
    },
  ],
})

function withTokenFile(name: string, text: string, mode: number, components: EndpointComponents): WebsocketEndpoint {
  const path = join(directory, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return new WebsocketEndpoint({ ...options, tokenFile: path }, components)
}

async function withEndpoint(
  more: Partial<WebsocketOptions>,
  run: (control: WebsocketEndpoint, half: DataHalf) => Promise<void>,
): Promise<void> {
  const half = new DataHalf()
  const control = new WebsocketEndpoint({ ...options, ...more }, { memory: half.memory, events: half.events })
  await control.open()
  try {
    await run(control, half)
  } finally {
    await control.close()
    half.close()
  }
}

/** Opens a client; answers the HTTP status where it is refused. */
const tryOpen = (
  url: string,
  headers: Record<string, string> = {},
  protocols: readonly string[] = [],
): Promise<WebSocket | number> =>
  new Promise((resolve) => {
    const client = new WebSocket(url, [...protocols], { headers })
    client.on('error', () => {})
    client.on('open', () => resolve(client))
    client.on('unexpected-response', (request, response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    })
  })

async function opened(url: string, headers: Record<string, string> = {}): Promise<WebSocket> {
  const client = await tryOpen(url, headers)
  if (typeof client === 'number') throw new Error(`refused: ${client}`)
  return client
}

const closed = (client: WebSocket): Promise<number> => new Promise((resolve) => client.on('close', resolve))

describe('websocket endpoint', () => {
  test('the token is made once, private, and nobody is let in with another', () =>
    withEndpoint({}, async (control, half) => {
      assert.equal(statSync(tokenFile).mode & 0o777, 0o600)
      const base = `ws://${control.describe().listensAt}`
      for (const end of ['/', '/?token=', '/?token=wrong', `/?token=${'a'.repeat(43)}`])
        assert.equal(await tryOpen(base + end), 401)
      assert.equal(control.describe().refused, 4)
      assert.equal(half.linkUp, false)
    }))

  test('a page of another origin is refused, one of an origin that is named is not', () =>
    withEndpoint({ origins: ['http://good.example'] }, async (control, half) => {
      assert.equal(await tryOpen(urlOf(control), { origin: 'http://bad.example' }), 403)
      const client = await opened(urlOf(control), { origin: 'http://good.example' })
      await half.until(() => half.linkUp, 'the link')
      client.terminate()
    }))

  test('a second client is refused while the first is there, and let in after it', () =>
    withEndpoint({}, async (control, half) => {
      const first = await opened(urlOf(control))
      await half.until(() => half.linkUp, 'the link')
      assert.equal(await tryOpen(urlOf(control)), 409)
      first.terminate()
      await half.until(() => !half.linkUp, 'the end of the first')
      let second: WebSocket | number = 409
      while (second === 409) second = await tryOpen(urlOf(control))
      await half.until(() => half.linkUp, 'the link of the second')
      if (typeof second !== 'number') second.terminate()
    }))

  for (const [title, send] of [
    ['a text message', (client: WebSocket) => client.send('hello')],
    ['a message longer than a frame', (client: WebSocket) => client.send(Buffer.alloc(FRAME_MAX + 1))],
    [
      'fragments that together are longer than a frame',
      (client: WebSocket) => {
        for (let i = 0; i < 3; i++) client.send(Buffer.alloc(FRAME_MAX / 2), { fin: i === 2 })
      },
    ],
  ] as const)
    test(`${title} ends the connection, and the next client is served`, () =>
      withEndpoint({}, async (control, half) => {
        const client = await opened(urlOf(control))
        await half.until(() => half.linkUp, 'the link')
        send(client)
        assert.ok([1003, 1009].includes(await closed(client)))
        await half.until(() => !half.linkUp, 'the end')
        assert.equal(half.inbox.length, 0)
        let next: WebSocket | number = 409
        while (next === 409) next = await tryOpen(urlOf(control))
        await half.until(() => half.linkUp, 'the next')
        if (typeof next !== 'number') next.terminate()
      }))

  test('a frame in fragments is put together, an empty message is dropped and counted', () =>
    withEndpoint({}, async (control, half) => {
      const client = await opened(urlOf(control))
      const frame = testFrame(200, 1)
      client.send(Buffer.alloc(0))
      client.send(frame.subarray(0, 50), { fin: false })
      client.send(frame.subarray(50), { fin: true })
      await half.until(() => half.inbox.length === 1, 'the frame')
      assert.ok(half.inbox[0]!.bytes.equals(frame))
      assert.equal(control.describe().droppedEmpty, 1)
      client.terminate()
    }))

  test('what is above the frame rate is dropped and counted', () =>
    withEndpoint({ framesPerSecond: 10 }, async (control, half) => {
      const client = await opened(urlOf(control))
      for (let i = 0; i < 100; i++) client.send(testFrame(60, i))
      const dropped = (): number => Number(control.describe().droppedOverRate)
      await half.until(() => half.inbox.length + dropped() === 100, 'all frames')
      assert.ok(dropped() >= 50)
      client.terminate()
    }))

  test('bytes that are no WebSocket, and compressed messages, end the connection only', () =>
    withEndpoint({}, async (control, half) => {
      const [host, port] = String(control.describe().listensAt).split(':')
      for (const bytes of [
        '\0\0\0\0',
        'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
        'GET /?token=%00 HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
      ])
        await new Promise<void>((resolve) => {
          const socket = connect(Number(port), host, () => socket.write(bytes))
          socket.on('error', () => {})
          socket.resume().on('close', () => resolve())
        })
      const client = await opened(urlOf(control))
      assert.equal(client.extensions, '')
      await half.until(() => half.linkUp, 'the link')
      // A compressed binary message of one byte, though no compression was agreed upon.
      const raw = (client as unknown as { readonly _socket: { write(bytes: Buffer): void } })._socket
      raw.write(Buffer.from([0xc2, 0x81, 0, 0, 0, 0, 1]))
      assert.equal(await closed(client), 1002)
      await half.until(() => !half.linkUp, 'the end')
    }))

  test('a ticket lets a page of its origin in, once, without the token', () =>
    withEndpoint({}, async (control, half) => {
      const url = `ws://${control.describe().listensAt}/`
      const origin = 'http://127.0.0.1:7788'
      const offered = [FRAMES_PROTOCOL, makeTicket(readFileSync(tokenFile, 'utf8').trim(), origin, Date.now())]
      assert.equal(await tryOpen(url, { origin: 'http://bad.example' }, offered), 403)
      assert.equal(await tryOpen(url, {}, offered), 401)
      const client = await tryOpen(url, { origin }, offered)
      assert.ok(typeof client !== 'number')
      assert.equal(client.protocol, FRAMES_PROTOCOL)
      await half.until(() => half.linkUp, 'the link')
      client.terminate()
      await half.until(() => !half.linkUp, 'the end')
      assert.equal(await tryOpen(url, { origin }, offered), 403)
    }))

  test('an address that came with many wrong tokens is not heard, pages with a ticket are', () =>
    withEndpoint({}, async (control, half) => {
      const url = `ws://${control.describe().listensAt}/`
      const origin = 'http://127.0.0.1:7788'
      for (let i = 0; i < ATTEMPTS_MAX; i++) assert.equal(await tryOpen(`${url}?token=wrong`, { origin }), 403)
      for (let i = 0; i < ATTEMPTS_MAX; i++) assert.equal(await tryOpen(`${url}?token=wrong`), 401)
      assert.equal(await tryOpen(urlOf(control)), 429)
      await half.until(() => half.told.some(({ code }) => code === 'too-many-attempts'), 'the event')
      const ticket = makeTicket(readFileSync(tokenFile, 'utf8').trim(), origin, Date.now())
      const client = await tryOpen(url, { origin }, [FRAMES_PROTOCOL, ticket])
      assert.ok(typeof client !== 'number')
      client.terminate()
    }))

  test('a thread that dies is replaced by one at the same address, and the port says so', async () => {
    const half = new DataHalf()
    const threads: Worker[] = []
    const startRelay = (workerData: unknown): Worker => {
      const thread = new Worker(new URL('./relay-thread.ts', import.meta.url), { workerData })
      threads.push(thread)
      return thread
    }
    const control = new WebsocketEndpoint(options, { memory: half.memory, events: half.events }, startRelay)
    await control.open()
    try {
      const url = urlOf(control)
      const first = await opened(url)
      await half.until(() => half.linkUp, 'the link')
      const end = closed(first)
      await threads[0]?.terminate()
      await end
      await half.until(() => half.told.some(({ code }) => code === 'websocket-failed'), 'the trouble')
      await half.until(() => !half.linkUp, 'the end of the link')
      await half.until(() => half.told.some(({ code }) => code === 'websocket-listens'), 'another thread')
      assert.equal(control.describe().trouble, null)
      assert.equal(urlOf(control), url)
      const second = await opened(url)
      await half.until(() => half.linkUp, 'the link of the next')
      second.send(testFrame(80, 1))
      await half.until(() => half.inbox.length === 1, 'a frame')
      second.terminate()
    } finally {
      await control.close()
      half.close()
    }
  })
})
