// Open vSwitch as an oracle: its own daemon with ports that exist in its memory alone, into which single frames are put and from which they
// are read, under a clock that stands still. Nothing of the machine's own Open vSwitch is touched, and no network device is made.
//
// The rule it must not break: an answer is complete. When `send` returns, what the daemon made of the frame is in the ports' files.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
const START_TRIES = 500
/**
 * Requests after which a frame is through: the daemon answers at most ten of a connection before it serves its ports again.
 */
const REQUESTS_OF_A_TURN = 12
const PCAP_HEADER = 24
const PCAP_RECORD = 16

/** Why this machine can't run it; undefined if it can. */
export function whyNoOvs(): string | undefined {
  for (const program of ['ovs-vswitchd', 'ovsdb-server', 'ovs-vsctl', 'ovsdb-tool'])
    if (spawnSync(program, ['--version']).status !== 0) return `this machine has no ${program} (openvswitch-switch)`
  return existsSync(SCHEMA) ? undefined : `this machine has no ${SCHEMA}`
}

/** A port: columns and keys of its record, such as `tag=10` or `other_config:priority-tags=if-nonzero`. */
export type OraclePort = readonly string[]

/** A mirror of the bridge: numbers of ports. */
export interface OracleMirror {
  readonly sources: readonly number[]
  readonly destinations: readonly number[]
  readonly output: number
}

/** Frames that came out, by the number of their port. */
export type Outputs = ReadonlyMap<number, readonly Buffer[]>

// What a port sent, in the file that the daemon writes.
class SentFile {
  readonly #file: number
  #at = PCAP_HEADER

  constructor(path: string) {
    this.#file = openSync(path, 'r')
  }

  take(): Buffer[] {
    const size = fstatSync(this.#file).size
    if (size <= this.#at) return []
    const bytes = Buffer.alloc(size - this.#at)
    readSync(this.#file, bytes, 0, bytes.length, this.#at)
    this.#at = size
    const frames: Buffer[] = []
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt32LE(at + 8)
      frames.push(bytes.subarray(at + PCAP_RECORD, at + PCAP_RECORD + length))
      at += PCAP_RECORD + length
    }
    return frames
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** A bridge with the action NORMAL. */
export class OvsOracle {
  readonly #directory: string
  readonly #env: NodeJS.ProcessEnv
  readonly #children: ChildProcess[] = []
  #control!: Socket
  #requests = 0
  #rounds = 0
  #files = new Map<number, SentFile>()

  private constructor(directory: string) {
    this.#directory = directory
    const places = { OVS_RUNDIR: directory, OVS_LOGDIR: directory, OVS_DBDIR: directory, OVS_SYSCONFDIR: directory }
    this.#env = { ...process.env, ...places }
  }

  /** Starts one that keeps its files in `directory`. */
  static async start(directory: string): Promise<OvsOracle> {
    mkdirSync(directory, { recursive: true })
    const oracle = new OvsOracle(directory)
    try {
      await oracle.#start()
      return oracle
    } catch (error) {
      await oracle.close()
      throw error
    }
  }

  async #start(): Promise<void> {
    this.#run('ovsdb-tool', 'create', this.#at('conf.db'), SCHEMA)
    this.#spawn('ovsdb-server', this.#at('conf.db'), `--remote=punix:${this.#at('db.sock')}`, `--unixctl=${this.#at('db.ctl')}`)
    await this.#appears('db.sock')
    this.#vsctl('--no-wait', 'init')
    const dummy = ['--enable-dummy=override', '--disable-system', '--no-chdir']
    this.#spawn('ovs-vswitchd', `unix:${this.#at('db.sock')}`, ...dummy, `--unixctl=${this.#at('vs.ctl')}`)
    await this.#appears('vs.ctl')
    this.#control = connect(this.#at('vs.ctl'))
    // No frame's way is remembered: each is judged by what is known then.
    this.#vsctl('set', 'Open_vSwitch', '.', 'other_config:flow-limit=0')
    await this.request('time/stop')
  }

  get #bridge(): string {
    return `br${this.#rounds}`
  }

  #at(name: string): string {
    return join(this.#directory, name)
  }

  #run(program: string, ...args: string[]): void {
    const done = spawnSync(program, args, { env: this.#env, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stderr}${done.error ?? ''}`)
  }

  #vsctl(...args: string[]): void {
    this.#run('ovs-vsctl', `--db=unix:${this.#at('db.sock')}`, '--timeout=20', ...args)
  }

  #spawn(program: string, ...args: string[]): void {
    this.#children.push(spawn(program, args, { env: this.#env, stdio: 'ignore' }))
  }

  async #appears(name: string): Promise<void> {
    for (let tries = 0; tries < START_TRIES && !existsSync(this.#at(name)); tries++) await sleep(10)
    if (!existsSync(this.#at(name))) throw new Error(`Open vSwitch made no ${name} in ${this.#directory}`)
  }

  /** One request to the daemon, as `ovs-appctl` makes it. Returns what it says. */
  request(method: string, ...params: string[]): Promise<string> {
    const socket = this.#control
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    let said = ''
    const listen = (data: Buffer): void => {
      said += data.toString('utf8')
      let answer: { result: string | null; error: string | null }
      try {
        answer = JSON.parse(said)
      } catch {
        return // not all of it is here
      }
      socket.off('data', listen)
      socket.off('error', reject)
      if (answer.error === null) resolve(answer.result ?? '')
      else reject(new Error(`${method} ${params.join(' ')}: ${answer.error}`))
    }
    socket.on('data', listen)
    socket.once('error', reject)
    socket.write(JSON.stringify({ method, params, id: this.#requests++ }))
    return promise
  }

  /** Makes the bridge anew, with ports 1…n. `ageingSeconds`: at least 15. */
  configure(ports: readonly OraclePort[], mirrors: readonly OracleMirror[] = [], ageingSeconds = 300): void {
    for (const file of this.#files.values()) file.close()
    this.#files = new Map()
    const round = ++this.#rounds
    const bridge = this.#bridge
    // One of a new name: it knows no addresses of the last one.
    const args = ['--if-exists', 'del-br', `br${round - 1}`, '--', 'add-br', bridge, '--', 'set', 'bridge', bridge]
    args.push('datapath-type=dummy', 'fail-mode=standalone', `other_config:mac-aging-time=${ageingSeconds}`)
    const paths = ports.map((_, i) => this.#at(`r${round}p${i + 1}.pcap`))
    for (const [i, columns] of ports.entries()) {
      const name = `p${i + 1}`
      args.push('--', 'add-port', bridge, name, ...columns)
      args.push('--', 'set', 'interface', name, 'type=dummy', `ofport_request=${i + 1}`, `options:tx_pcap=${paths[i]}`)
    }
    for (const { sources, destinations, output } of mirrors) {
      const named = [...new Set([...sources, ...destinations, output])]
      for (const port of named) args.push('--', `--id=@p${port}`, 'get', 'port', `p${port}`)
      const list = (of: readonly number[]): string => of.map((port) => `@p${port}`).join(',')
      args.push('--', '--id=@m', 'create', 'mirror', 'name=m', `output-port=@p${output}`)
      args.push(`select-src-port=[${list(sources)}]`, `select-dst-port=[${list(destinations)}]`)
      args.push('--', 'add', 'bridge', bridge, 'mirrors', '@m')
    }
    this.#vsctl('--', ...args)
    for (const [i, path] of paths.entries()) this.#files.set(i + 1, new SentFile(path))
  }

  /** Gives a port other columns, and forgets all addresses. */
  async change(port: number, columns: OraclePort): Promise<void> {
    const name = `p${port}`
    this.#vsctl('clear', 'port', name, 'tag', 'trunks', 'vlan_mode', '--', 'set', 'port', name, 'protected=false', ...columns)
    await this.request('fdb/flush', this.#bridge)
  }

  /** Puts a frame into a port. Returns what comes out, ports without frames left out. */
  async send(port: number, frame: Buffer): Promise<Outputs> {
    await this.request('netdev-dummy/receive', `p${port}`, frame.toString('hex'))
    for (let k = 0; k < REQUESTS_OF_A_TURN; k++) await this.request('version')
    const out = new Map<number, readonly Buffer[]>()
    for (const [number, file] of this.#files) {
      const frames = file.take()
      if (frames.length !== 0) out.set(number, frames)
    }
    return out
  }

  /** Lets time pass. */
  async wait(seconds: number): Promise<void> {
    await this.request('time/warp', `${seconds * 1000}`)
    for (let k = 0; k < REQUESTS_OF_A_TURN; k++) await this.request('version')
  }

  /** Addresses that it knows, as "mac vlan port", sorted. */
  async learned(): Promise<string[]> {
    const lines = (await this.request('fdb/show', this.#bridge)).split('\n').slice(1)
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter(([port]) => port !== undefined && port !== '' && port !== 'LOCAL')
      .map(([port, vlan, mac]) => `${mac} ${vlan} ${port}`)
      .sort()
  }

  /** Ends it. */
  async close(): Promise<void> {
    for (const file of this.#files.values()) file.close()
    this.#control?.destroy()
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null) continue
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    }
  }
}
