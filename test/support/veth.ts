// Pairs of virtual Ethernet interfaces and network namespaces for tests: the cable to another host, without another host.
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'

let made = 0

/** Runs a command; throws with what it said if it fails. */
export function run(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}${done.error ?? ''}`)
  return done.stdout
}

export const ip = (...args: string[]): string => run('ip', ...args)

/** Why interfaces can't be made here; undefined if they can. */
export function whyNoVeth(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root (CAP_NET_ADMIN) to create interfaces'
  const name = `vmsp${process.pid % 10000}`
  const done = spawnSync('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`], { encoding: 'utf8' })
  if (done.error) return 'this machine has no "ip" (iproute2)'
  if (done.status !== 0) return `this machine can't make veth interfaces: ${done.stderr.trim()}`
  ip('link', 'delete', name)
  return undefined
}

/** Keeps the host's own chatter off an interface. */
function quiet(name: string): void {
  const path = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`
  if (existsSync(path)) writeFileSync(path, '1')
}

/** Two interfaces that are joined, both up and quiet: `near` for the switch, `far` for the other side. */
export class VethPair {
  readonly near: string
  readonly far: string
  readonly mtu: number

  constructor(mtu = 1500) {
    const id = `${process.pid % 100000}x${made++}`
    this.near = `vn${id}`
    this.far = `vf${id}`
    this.mtu = mtu
    this.create()
  }

  create(): void {
    ip('link', 'add', this.near, 'mtu', `${this.mtu}`, 'type', 'veth', 'peer', 'name', this.far, 'mtu', `${this.mtu}`)
    for (const name of [this.near, this.far]) {
      quiet(name)
      ip('link', 'set', name, 'up')
    }
  }

  delete(): void {
    spawnSync('ip', ['link', 'delete', this.near])
  }
}

/** A network namespace that goes with `delete`. */
export class Namespace {
  readonly name = `vms${process.pid % 100000}n${made++}`

  constructor() {
    ip('netns', 'add', this.name)
    this.ip('link', 'set', 'lo', 'up')
  }

  ip(...args: string[]): string {
    return ip('-n', this.name, ...args)
  }

  /** Moves an interface of the host here, gives it an address and sets it up. */
  take(device: string, address: string): void {
    ip('link', 'set', device, 'netns', this.name)
    this.ip('addr', 'add', address, 'dev', device)
    this.ip('link', 'set', device, 'up')
  }

  delete(): void {
    spawnSync('ip', ['netns', 'delete', this.name])
  }
}
