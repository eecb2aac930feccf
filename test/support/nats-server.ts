// A NATS server with JetStream for tests: on a free port of the loopback interface, with a directory of its own.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

const START_MS = 20_000

/** Why there is no NATS server here; false: there is one. */
export function noNatsServer(): string | false {
  try {
    execFileSync('nats-server', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'nats-server is not installed (package nats-server)'
  }
}

export interface NatsServer {
  readonly port: number
  readonly url: string
  readonly directory: string
  stop(): Promise<void>
  /** Starts it again, with what it had stored. */
  start(): Promise<void>
}

/** Starts one; `settings`: lines of its configuration beside the usual ones. */
export async function natsServer(t: TestContext, settings = ''): Promise<NatsServer> {
  const directory = mkdtempSync(join(tmpdir(), 'vmswitch-nats-'))
  const port = await freePort()
  const file = join(directory, 'nats.conf')
  writeFileSync(file, `listen: 127.0.0.1:${port}\nserver_name: test\njetstream { store_dir: "${directory}/js" }\n${settings}\n`)
  let child: ChildProcess | null = null
  const stop = async (): Promise<void> => {
    const running = child
    child = null
    if (running === null || running.exitCode !== null) return
    await new Promise((done) => {
      running.once('exit', done)
      running.kill('SIGKILL')
    })
  }
  const start = async (): Promise<void> => {
    const starting = spawn('nats-server', ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
    child = starting
    let text = ''
    await new Promise<void>((ready, failed) => {
      const timer = setTimeout(() => failed(new Error(`nats-server did not start: ${text}`)), START_MS)
      starting.once('exit', () => failed(new Error(`nats-server ended: ${text}`)))
      starting.stderr!.on('data', (chunk: Buffer) => {
        text += chunk
        if (!text.includes('Server is ready')) return
        clearTimeout(timer)
        ready()
      })
    })
  }
  t.after(async () => {
    await stop()
    rmSync(directory, { recursive: true, force: true })
  })
  await start()
  return { port, url: `nats://127.0.0.1:${port}`, directory, stop, start }
}

function freePort(): Promise<number> {
  return new Promise((found) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => found(port))
    })
  })
}
