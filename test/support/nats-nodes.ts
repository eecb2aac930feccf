// A cluster of three real NATS servers with JetStream in one network namespace, each of which can be killed and started again.
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawnIn } from './spawn-in.ts'
import { run } from './veth.ts'

const CLIENT_PORT = 4222
const ROUTE_PORT = 6222
const WATCH_PORT = 8222
const START_MS = 30_000
const ASK = 'fetch(process.argv[1]).then((answer) => answer.text()).then((text) => process.stdout.write(text))'

export interface NatsNodesOptions {
  /** Name of the namespace. */
  readonly space: string
  /** Address in it that all of them listen on. */
  readonly address: string
  readonly directory: string
}

/** The servers are numbered from 0. */
export class NatsNodes {
  readonly #options: NatsNodesOptions
  readonly #children: (ChildProcess | null)[] = [null, null, null]

  constructor(options: NatsNodesOptions) {
    this.#options = options
    for (const number of this.#children.keys()) this.#configure(number)
  }

  /** What to join with: all three. */
  get urls(): string {
    return [...this.#children.keys()].map((number) => `nats://${this.#options.address}:${CLIENT_PORT + number}`).join(',')
  }

  startAll(): Promise<unknown> {
    return Promise.all([...this.#children.keys()].map((number) => this.start(number)))
  }

  /** Starts one, with what it has stored. */
  async start(number: number): Promise<void> {
    const { space, directory } = this.#options
    const child = spawnIn(space, ['nats-server', '-c', join(directory, `nats${number}.conf`)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#children[number] = child
    let text = ''
    await new Promise<void>((ready, failed) => {
      const timer = setTimeout(() => failed(new Error(`nats-server did not start: ${text}`)), START_MS)
      child.once('exit', () => failed(new Error(`nats-server ended: ${text}`)))
      child.stderr!.on('data', (chunk: Buffer) => {
        text = (text + chunk).slice(-20_000)
        if (!text.includes('Server is ready')) return
        clearTimeout(timer)
        ready()
      })
    })
  }

  /** kill -9. */
  async kill(number: number): Promise<void> {
    const child = this.#children[number]
    this.#children[number] = null
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((done) => child.once('exit', done))
    child.kill('SIGKILL')
    await ended
  }

  async killAll(): Promise<void> {
    for (const number of this.#children.keys()) await this.kill(number)
  }

  /** Number of the server that leads the stream; null: none does, as far as they say. */
  leaderOf(stream: string): number | null {
    for (const number of this.#children.keys()) {
      const detail = this.#streamAt(number, stream)
      const leader = /^n(\d)$/.exec(detail?.cluster?.leader ?? '')?.[1]
      if (leader !== undefined && this.#children[Number(leader)] !== null) return Number(leader)
    }
    return null
  }

  /** Whether each server has all of the stream. */
  isWhole(stream: string): boolean {
    const leader = this.leaderOf(stream)
    const replicas = leader === null ? [] : (this.#streamAt(leader, stream)?.cluster?.replicas ?? [])
    return replicas.length === this.#children.length - 1 && replicas.every(({ current, offline }) => current && offline !== true)
  }

  #streamAt(number: number, stream: string): StreamDetail | undefined {
    if (this.#children[number] === null) return undefined
    const { space, address } = this.#options
    const url = `http://${address}:${WATCH_PORT + number}/jsz?accounts=true&streams=true`
    try {
      const text = run('ip', 'netns', 'exec', space, process.execPath, '-e', ASK, url)
      const { account_details: accounts = [] } = JSON.parse(text) as { account_details?: { stream_detail?: StreamDetail[] }[] }
      return accounts.flatMap(({ stream_detail: streams = [] }) => streams).find(({ name }) => name === stream)
    } catch {
      return undefined // it does not answer yet
    }
  }

  #configure(number: number): void {
    const { address, directory } = this.#options
    const store = join(directory, `nats${number}`)
    rmSync(store, { recursive: true, force: true })
    mkdirSync(store, { recursive: true })
    const routes = [...this.#children.keys()].map((other) => `nats-route://${address}:${ROUTE_PORT + other}`)
    const lines = [
      `server_name: n${number}`,
      `listen: "${address}:${CLIENT_PORT + number}"`,
      `http: "${address}:${WATCH_PORT + number}"`,
      `jetstream { store_dir: "${store}" }`,
      `cluster { name: lab, listen: "${address}:${ROUTE_PORT + number}", routes: [${routes.map((one) => `"${one}"`).join(', ')}] }`,
    ]
    writeFileSync(join(directory, `nats${number}.conf`), `${lines.join('\n')}\n`)
  }
}

interface StreamDetail {
  readonly name: string
  readonly cluster?: {
    readonly leader?: string
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[]
  }
}
