// One switch of several TAP ports, each in a network namespace of its own with an agent behind it, on which policies are tried one after the
// other: what comes out where, and what is dropped for which reason. Needs root.
//
// The rule it must not break: no verdict comes from waiting. Frames of a case are counted in, then a fence that nothing refuses follows them
// on the same path; what a port got is what its agent heard before the fence.
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSwitch, type RunningSwitch } from '../../src/engine/host.ts'
import type { PropertyInput } from '../../src/switch/policies/property.ts'
import { frame, mac } from './data-path-harness.ts'
import { temporaryDirectory } from './temp-dir.ts'
import { Namespace, run } from './veth.ts'

const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('port-agent.py', import.meta.url))
const FENCE_TYPE = 0x88b6
const TRIES = 1000
/** Bytes that a frame must contain for an agent to tell of it. */
export const MARK = [...Buffer.from('policy-case')]

class Agent {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #lines: Interface
  readonly #answers: AsyncIterator<string>

  constructor(namespace: string, device: string) {
    this.#process = spawn('ip', ['netns', 'exec', namespace, PYTHON, script, device], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.#process.stdout })
    this.#answers = this.#lines[Symbol.asyncIterator]()
  }

  async answer(): Promise<string> {
    const { value, done } = await this.#answers.next()
    if (done) throw new Error('an agent ended early')
    return value
  }

  say(line: string): void {
    this.#process.stdin.write(`${line}\n`)
  }

  close(): void {
    this.#process.stdin.end()
    this.#process.kill()
    this.#lines.close()
  }
}

/** Settings by port, from 1, for the time of a case: whose port it is, and its part in mirroring. */
export type Settings = Readonly<Record<number, { readonly tenant?: string; readonly portMirroring?: 'source' | 'destination' }>>

/** Properties by port, from 1, as the configuration has them. */
export type Policies = Readonly<Record<number, Readonly<Partial<Record<PropertyInput['type'], unknown>>>>>

export interface Fate {
  /** Frames by the port that they came out of. */
  readonly out: Readonly<Record<number, readonly Buffer[]>>
  /** Drops by reason, of all ports. */
  readonly drops: Readonly<Record<string, number>>
}

export class PolicyBench {
  readonly vmswitch: RunningSwitch
  readonly #sides: Namespace[]
  readonly #agents: Agent[]

  private constructor(vmswitch: RunningSwitch, sides: Namespace[], agents: Agent[]) {
    this.vmswitch = vmswitch
    this.#sides = sides
    this.#agents = agents
  }

  /**
   * Ports p1…p`count` with the addresses 02:00:00:00:00:01 and so on, the first two of one VM, and one more behind them that never has policies: what it sends is
   * counted when the processor is through with what others sent before.
   */
  static async start(count: number): Promise<PolicyBench> {
    const sides = Array.from({ length: count + 1 }, () => new Namespace())
    const devices = sides.map((_, i) => `vp${process.pid % 100000}x${i}`)
    const vmswitch = await createSwitch(
      {
        name: 'policies',
        type: 'private',
        processors: 1,
        extensions: [],
        ports: devices.map((device, i) => ({
          name: `p${i + 1}`,
          ...(i < 2 ? { vm: 'pair' } : {}),
          mac: mac(i + 1),
          macSpoofing: 'off' as const,
          learning: false,
          link: 'up' as const,
          endpoint: { kind: 'tap' as const, interface: device, mtu: 1500, queues: 1 },
        })),
        macTable: { entries: 64, ageingSeconds: 0 },
        isolateTenants: true, // of ports without a tenant all are one
        directory: temporaryDirectory(),
      },
      { log: () => {} },
    )
    const bench = new PolicyBench(vmswitch, sides, [])
    try {
      await bench.#connect(devices)
    } catch (error) {
      await bench.close()
      throw error
    }
    return bench
  }

  async #connect(devices: readonly string[]): Promise<void> {
    for (const [i, side] of this.#sides.entries()) {
      const device = devices[i]!
      run('ip', 'link', 'set', device, 'netns', side.name)
      run('ip', 'netns', 'exec', side.name, 'sysctl', '-qw', `net.ipv6.conf.${device}.disable_ipv6=1`)
      side.ip('link', 'set', device, 'arp', 'off')
      side.ip('link', 'set', device, 'up')
      this.#agents.push(new Agent(side.name, device))
    }
    for (const agent of this.#agents) await agent.answer()
    await this.#until(() => this.vmswitch.ports().every(({ connected }) => connected), 'the connection of all ports')
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      if (done()) return
      await sleep(5)
    }
    throw new Error(`${what} did not come about`)
  }

  get #last(): number {
    return this.#sides.length
  }

  #received(port: number): number {
    return this.vmswitch.ports()[port - 1]!.counters.receivedFrames
  }

  #drops(): Record<string, number> {
    const sum: Record<string, number> = {}
    for (const { port, reasons } of this.vmswitch.drops())
      for (const [reason, count] of port === `p${this.#last}` ? [] : Object.entries(reasons))
        sum[reason] = (sum[reason] ?? 0) + count
    return sum
  }

  async #send(port: number, frames: readonly Buffer[]): Promise<void> {
    const before = this.#received(port)
    for (const bytes of frames) this.#agents[port - 1]!.say(`send ${bytes.toString('hex')}`)
    await this.#until(() => this.#received(port) >= before + frames.length, `what p${port} sent`)
  }

  /** Sends `frames` from `port` while `policies` and `settings` are in force. */
  async try(policies: Policies, port: number, frames: readonly Buffer[], settings: Settings = {}): Promise<Fate> {
    const set: [number, PropertyInput['type']][] = []
    const before = this.#drops()
    for (const [number, given] of Object.entries(settings)) await this.vmswitch.setPort(`p${number}`, given)
    for (const [number, properties] of Object.entries(policies))
      for (const [name, value] of Object.entries(properties)) {
        const type = name as PropertyInput['type']
        const id = this.vmswitch.portId(`p${number}`)
        await this.vmswitch.policies.add(id, { type, value })
        set.push([id, type])
      }
    await this.#send(port, frames)
    await this.#send(this.#last, [frame(this.#last, this.#last)])
    for (const [id, type] of set) await this.vmswitch.policies.delete(id, { type })
    for (const number of Object.keys(settings)) await this.vmswitch.setPort(`p${number}`, { tenant: '', portMirroring: 'none' })
    const drops = Object.entries(this.#drops())
      .map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
      .filter(([, count]) => count !== 0)
    await this.#send(port, [frame(0xff, port, 'fence', FENCE_TYPE)])
    const out: Record<number, readonly Buffer[]> = {}
    for (const [i, agent] of this.#agents.slice(0, -1).entries()) {
      if (i + 1 === port) continue
      agent.say('collect')
      const heard = JSON.parse(await agent.answer()) as string[]
      if (heard.length !== 0) out[i + 1] = heard.map((hex) => Buffer.from(hex, 'hex'))
    }
    return { out, drops: Object.fromEntries(drops) }
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) agent.close()
    await this.vmswitch.close()
    for (const side of this.#sides) side.delete()
  }
}
