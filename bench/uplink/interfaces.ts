// Interfaces of the host for the uplink benchmark: veth pairs, bridges, TAPs, and what the kernel counted on them.
//
// The rule it must not break: what was made goes with the scope, and nothing that was there before is touched.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { BenchError } from '../benchmark.ts'
import type { Scope } from '../support/scope.ts'

/** Runs `ip`. Throws `NEEDS_ROOT` where interfaces can't be made. */
export function ip(...args: string[]): void {
  const done = spawnSync('ip', args, { encoding: 'utf8' })
  if (done.status === 0) return
  const why = done.error?.message ?? done.stderr.trim()
  throw new BenchError('NEEDS_ROOT', `ip ${args.join(' ')}: ${why}; this benchmark makes interfaces: run it as root`)
}

let made = 0

/** A name for an interface that nobody else has. */
export const newName = (kind: string): string => `vb${process.pid % 100_000}${kind}${made++}`

/** Sets an interface up, without the host's own chatter on it. */
export function setUp(name: string): void {
  const path = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`
  if (existsSync(path)) writeFileSync(path, '1')
  ip('link', 'set', name, 'up')
}

/** Removes an interface when the scope ends; one that has gone by then is no error. */
export const removeLater = (name: string, scope: Scope): void =>
  scope.add(() => spawnSync('ip', ['link', 'delete', name], { stdio: 'ignore' }))

/** A veth pair: frames sent into `outside` come out at `inside`. */
export function makeVeth(scope: Scope): { outside: string; inside: string } {
  const outside = newName('o')
  const inside = newName('i')
  ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside)
  removeLater(outside, scope)
  setUp(outside)
  setUp(inside)
  return { outside, inside }
}

/** Frames that an interface has counted. */
export const framesOf = (name: string, direction: 'rx' | 'tx'): number =>
  Number(readFileSync(`/sys/class/net/${name}/statistics/${direction}_packets`, 'utf8'))

const BRIDGE_FILTERS = ['arptables', 'iptables', 'ip6tables'].map((table) => `/proc/sys/net/bridge/bridge-nf-call-${table}`)

/** Keeps the host's packet filter off bridged frames while the scope lasts, as it is on hosts that have not asked for it. */
export function bridgeUnfiltered(scope: Scope): void {
  for (const path of BRIDGE_FILTERS) {
    if (!existsSync(path) || readFileSync(path, 'utf8').trim() === '0') continue
    writeFileSync(path, '0')
    scope.add(() => writeFileSync(path, '1'))
  }
}
