// Three hosts of one network, each a network namespace with a service of its own, and a guest behind it in a further namespace. One bridge
// joins the hosts' providers, another leads to three NATS servers, so that a host can lose the one and keep the other.
import { type ChildProcess, execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ClusterCalls, NetworkStatus } from '../../src/manage/cluster/cluster-calls.ts'
import { connectCluster } from '../../src/manage/cluster/cluster-client.ts'
import { connectControl } from '../../src/manage/control/control-client.ts'
import type { RemoteSwitchHost } from '../../src/manage/host.ts'
import { NatsNodes } from './nats-nodes.ts'
import { spawnIn } from './spawn-in.ts'
import { BUSYBOX } from './tap-world.ts'
import { temporaryDirectory } from './temp-dir.ts'
import { Namespace } from './veth.ts'

export const SUBNET = 5001
export const NETWORK = 'lab'
export const STREAM = `KV_vmswitch-${NETWORK}`
const bin = fileURLToPath(new URL('../../bin/vmswitch', import.meta.url))
const NATS_ADDRESS = '198.51.100.100'
const WIRE_MTU = 1600
const STOP_MS = 15_000
/** Time for what should happen: machines whose processors others hold take long. */
const WAIT_MS = 60_000
const LOOK_MS = 50

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Waits until `done` gives something; asks every `everyMs` milliseconds. */
export async function until<Result>(
  what: string,
  done: () => Promise<Result | false> | Result | false,
  everyMs = LOOK_MS,
): Promise<Result> {
  const end = Date.now() + WAIT_MS
  for (;;) {
    const result = await done()
    if (result !== false) return result
    if (Date.now() > end) throw new Error(`${what}: did not come about`)
    await sleep(everyMs)
  }
}

/** A guest: a namespace with the TAP interface of its port. */
export class ClusterGuest {
  readonly name: string
  readonly mac: string
  readonly address: string
  readonly space = new Namespace()
  readonly #pinging = new Set<ChildProcess>()

  constructor(number: number) {
    this.name = `g${number}`
    this.mac = `02:00:00:00:51:0${number}`
    this.address = `10.1.0.${number}`
  }

  get port(): object {
    return {
      name: this.name,
      mac: this.mac,
      customerAddresses: [this.address],
      properties: [{ type: 'security', value: { virtualSubnetId: SUBNET } }],
      endpoint: { kind: 'tap', interface: this.name },
    }
  }

  /** Takes the interface that the service of `host` made. */
  async plug(host: Namespace): Promise<void> {
    await until(`interface ${this.name}`, () => {
      try {
        host.ip('link', 'set', this.name, 'netns', this.space.name)
        return true
      } catch {
        return false // not made yet
      }
    })
    this.space.ip('link', 'set', this.name, 'address', this.mac)
    this.space.ip('addr', 'add', `${this.address}/24`, 'dev', this.name)
    this.space.ip('link', 'set', this.name, 'up')
  }

  /** Asks until an answer comes. */
  async reaches(other: ClusterGuest): Promise<void> {
    await until(`an answer of ${other.address} to ${this.address}`, () => this.asks(other))
  }

  /** Asks once; whether an answer came within a second. */
  asks({ address }: ClusterGuest): Promise<boolean> {
    const words = ['netns', 'exec', this.space.name, BUSYBOX, 'ping', '-c', '1', '-W', '1', address]
    return new Promise((done) => execFile('ip', words, (error) => done(error === null)))
  }

  /**
   * Pings five times a second. To be called when that is enough: waits until pings are answered still, and tells how many were, and how many of those
   * before them were not.
   */
  pings({ address }: ClusterGuest): () => Promise<{ readonly answered: number; readonly lost: number }> {
    const child = spawnIn(this.space.name, [BUSYBOX, 'ping', '-i', '0.2', address], { stdio: ['ignore', 'pipe', 'ignore'] })
    this.#pinging.add(child)
    const ended = new Promise((done) => child.once('close', done))
    const seen = new Set<number>()
    let last = -1
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const number = /seq=(\d+)/.exec(line)?.[1]
      if (number === undefined) return
      seen.add(Number(number))
      last = Math.max(last, Number(number))
    })
    return async () => {
      const before = last
      await until(`an answer of ${address} to ${this.address} still`, () => last > before)
      child.kill('SIGINT')
      await ended
      this.#pinging.delete(child)
      return { answered: seen.size, lost: last + 1 - seen.size }
    }
  }

  delete(): void {
    for (const child of this.#pinging) child.kill('SIGKILL')
    this.space.delete()
  }
}

export interface HostEvent {
  readonly source: string
  readonly code: string
  readonly message: string
}

const wireOf = (host: string): string => `wire-${host}`

/** A host: its namespace, and the service in it. */
export class ClusterHost {
  readonly name: string
  readonly provider: string
  readonly directory: string
  readonly socket: string
  readonly space = new Namespace()
  readonly cluster: ClusterCalls
  readonly control: RemoteSwitchHost
  /** What its services said, of all its starts. */
  readonly events: HostEvent[] = []
  #child: ChildProcess | null = null

  constructor(number: number, directory: string) {
    this.name = `h${number}`
    this.provider = `192.0.2.${number}`
    this.directory = join(directory, this.name)
    this.socket = join(this.directory, 'control.sock')
    mkdirSync(this.directory)
    this.cluster = connectCluster(this.socket)
    this.control = connectControl(this.socket)
  }

  /** Starts the service: from `ports`, or from what it stored. Answers the milliseconds until it said that it is ready. */
  async start(ports?: readonly object[]): Promise<number> {
    const began = performance.now()
    const words = [bin, 'serve', '--state', join(this.directory, 'state'), '--control', this.socket, '--json']
    const child = spawnIn(this.space.name, [...words, ...(ports === undefined ? [] : ['--apply', this.#write(ports)])], {
      cwd: this.directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    let rest = ''
    let said = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      said = (said + chunk).slice(-4000)
    })
    await new Promise<void>((ready, failed) => {
      child.stdout!.on('data', (chunk: Buffer) => {
        const lines = `${rest}${chunk}`.split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) {
          const one = JSON.parse(line) as HostEvent & { event?: string }
          said = (said + line).slice(-4000)
          if (one.event === 'ready') ready()
          else if (one.event === 'message') this.events.push(one)
        }
      })
      child.once('exit', (code, signal) => failed(new Error(`vmswitch of ${this.name} ended (${code ?? signal}): ${said}`)))
    })
    return performance.now() - began
  }

  /** Brings its switch to these ports. */
  async apply(ports: readonly object[]): Promise<void> {
    const { code, stderr, stdout } = await this.run('apply', this.#write(ports))
    if (code !== 0) throw new Error(`apply at ${this.name}: ${stderr}${stdout}`)
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#child?.kill(signal)
  }

  /** kill -9. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT')
    const late = setTimeout(() => this.signal('SIGKILL'), STOP_MS)
    await this.#end('SIGTERM')
    clearTimeout(late)
  }

  /** The command line against its service. */
  run(...words: readonly string[]): Promise<Ended> {
    const env = { ...process.env, VMSWITCH_CONTROL: this.socket, NO_COLOR: '1' }
    return new Promise((done) => {
      execFile(bin, words, { cwd: this.directory, env }, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
    })
  }

  /** Waits until it sees the network so; asks every `everyMs` milliseconds. */
  async sees(what: string, condition: (seen: NetworkStatus) => boolean, everyMs = LOOK_MS): Promise<NetworkStatus> {
    let last: NetworkStatus | undefined
    try {
      return await until(
        what,
        async () => {
          last = await this.cluster.network()
          return condition(last) && last
        },
        everyMs,
      )
    } catch (error) {
      throw new Error(`${this.name}: ${(error as Error).message}: ${JSON.stringify(last)}`)
    }
  }

  /** How often it told of something about another host since `from`. */
  told(code: string, host: string, from: number): number {
    const words = `host ${host} `
    return this.events.slice(from).filter((event) => event.code === code && `${event.message} `.includes(words)).length
  }

  #write(ports: readonly object[]): string {
    const file = join(this.directory, 'lab.yaml')
    const overlay = {
      kind: 'vxlan',
      mtu: WIRE_MTU,
      providerAddresses: [{ address: `${this.provider}/24` }],
    }
    const wire = { name: wireOf(this.name), endpoint: { kind: 'uplink', interface: 'wire' } }
    const runtime = { directory: join(this.directory, 'run') }
    writeFileSync(
      file,
      JSON.stringify({ switch: { name: this.name, type: 'external', overlay, ports: [wire, ...ports] }, runtime }),
    )
    return file
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((done) => child.once('exit', done))
    child.kill(signal)
    await ended
  }
}

/** The whole. What `open` made is gone again when it throws. */
export class ClusterWorld {
  readonly directory = temporaryDirectory()
  readonly #fabric = new Namespace()
  readonly nats = new NatsNodes({ space: this.#fabric.name, address: NATS_ADDRESS, directory: this.directory })
  readonly hosts = [1, 2, 3].map((number) => new ClusterHost(number, this.directory))
  readonly guests = [1, 2, 3].map((number) => new ClusterGuest(number))

  async open(): Promise<void> {
    process.once('exit', this.#abandon)
    process.once('SIGTERM', this.#interrupted)
    try {
      await this.#open()
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #open(): Promise<void> {
    for (const bridge of ['control', 'provider']) {
      this.#fabric.ip('link', 'add', bridge, 'type', 'bridge')
      this.#fabric.ip('link', 'set', bridge, 'up')
    }
    this.#fabric.ip('addr', 'add', `${NATS_ADDRESS}/24`, 'dev', 'control')
    for (const [i, host] of this.hosts.entries()) {
      this.#cable(host, `c${i}`, 'nats', 'control')
      this.#cable(host, `p${i}`, 'wire', 'provider')
      host.space.ip('addr', 'add', `198.51.100.${i + 1}/24`, 'dev', 'nats')
    }
    await Promise.all([this.nats.startAll(), ...this.hosts.map((host, i) => host.start([this.guests[i]!.port]))])
    for (const [i, host] of this.hosts.entries()) await this.guests[i]!.plug(host.space)
    for (const host of this.hosts) {
      const joining = ['join', this.nats.urls, '--network', NETWORK, '--name', host.name, '--plaintext']
      // The servers may still be choosing who leads them.
      await until(`${host.name} in the network`, async () => (await host.run(...joining)).code === 0)
    }
    await this.hosts[0]!.cluster.setSubnet({ virtualSubnetId: SUBNET, prefixes: ['10.1.0.0/24'] })
    await this.settled()
  }

  /**
   * All is as at first: each host in the network, alive for the others, with its guest's port held, and no other. Ports that a test left over
   * are taken away.
   */
  async settled(): Promise<void> {
    for (const [i, { control, name }] of this.hosts.entries())
      for (const port of await control.ports())
        if (port.name !== wireOf(name) && port.name !== this.guests[i]!.name) await control.removePort(port.name)
    const expected = this.guests.map(({ name }, i) => `${name} ${this.hosts[i]!.name} held`).join()
    for (const host of this.hosts)
      await host.sees(
        'the network as it was at first',
        (seen) =>
          seen.state === 'joined' &&
          seen.lookups === this.hosts.length - 1 &&
          seen.hosts.length === this.hosts.length &&
          seen.hosts.every(({ state }) => state !== 'lost') &&
          places(seen) === expected,
      )
  }

  /** Takes the link of a host to the NATS servers away, or gives it back. */
  natsLink(host: ClusterHost, up: boolean): void {
    this.#fabric.ip('link', 'set', `c${this.hosts.indexOf(host)}`, up ? 'up' : 'down')
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stop()))
    await this.nats.killAll()
    process.off('exit', this.#abandon)
    process.off('SIGTERM', this.#interrupted)
    this.#delete()
  }

  // The test is ended from outside: its processes go by themselves.
  readonly #abandon = (): void => this.#delete()
  readonly #interrupted = (): never => process.exit(1)

  #delete(): void {
    for (const guest of this.guests) guest.delete()
    for (const { space } of this.hosts) space.delete()
    this.#fabric.delete()
    rmSync(this.directory, { recursive: true, force: true })
  }

  #cable(host: ClusterHost, near: string, far: string, bridge: string): void {
    const mtu = String(WIRE_MTU)
    this.#fabric.ip('link', 'add', near, 'mtu', mtu, 'type', 'veth', 'peer', 'name', far, 'mtu', mtu, 'netns', host.space.name)
    this.#fabric.ip('link', 'set', near, 'master', bridge)
    this.#fabric.ip('link', 'set', near, 'up')
    host.space.ip('link', 'set', far, 'up')
  }
}

/** Ports of a network, as `NAME HOST STATE`, in order. */
export const places = ({ ports }: NetworkStatus): string =>
  ports.map(({ name, host, state }) => `${name} ${host} ${state}`).join()
