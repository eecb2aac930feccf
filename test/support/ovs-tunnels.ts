// Open vSwitch in user space as the other end of tunnels: its own daemon in a network namespace, a bridge with the tunnel and an interface of
// the namespace's kernel, a second one with the cable. Nothing of the machine's own Open vSwitch is touched.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from './temp-dir.ts'
import { until } from './until.ts'
import type { Namespace } from './veth.ts'

const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
const COMMAND_SECONDS = 20
const OVERLAY = 'br0'
const UNDERLAY = 'br1'

export interface OvsTunnel {
  readonly type: 'vxlan' | 'geneve' | 'gre'
  /** Of what it sends; what it gets may have any that begins with the same virtual subnet. */
  readonly key: number
  /** Keys of what it gets are not looked at. */
  readonly anyKey?: boolean
  readonly remote: string
}

export interface OvsEnd {
  /** The interface that the namespace has in the virtual subnet. */
  readonly device: string
  stop(): Promise<void>
}

/**
 * Starts it in `space`, where the interface `cable` is. `local`: its provider address with prefix length; `address`: that of the
 * namespace in the virtual subnet.
 */
export async function ovsEnd(
  space: Namespace,
  cable: string,
  { local, address, tunnel }: { readonly local: string; readonly address: string; readonly tunnel: OvsTunnel },
): Promise<OvsEnd> {
  const directory = temporaryDirectory()
  const at = (name: string): string => join(directory, name)
  const env = { ...process.env, OVS_RUNDIR: directory, OVS_DBDIR: directory, OVS_LOGDIR: directory, OVS_SYSCONFDIR: directory }
  const inside = ['netns', 'exec', space.name]
  const run = (program: string, ...args: string[]): string => {
    const done = spawnSync('ip', [...inside, program, ...args], { env, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stderr}`)
    return done.stdout
  }
  const start = (program: string, ...args: string[]): ChildProcess =>
    spawn('ip', [...inside, program, ...args], { env, stdio: 'ignore' })
  const configure = (...args: string[]): string =>
    run('ovs-vsctl', `--db=unix:${at('db')}`, `--timeout=${COMMAND_SECONDS}`, ...args)

  run('ovsdb-tool', 'create', at('conf.db'), SCHEMA)
  const children = [start('ovsdb-server', at('conf.db'), `--remote=punix:${at('db')}`, `--unixctl=${at('db.ctl')}`)]
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
  }
  try {
    await until(() => existsSync(at('db')), 'the database of Open vSwitch')
    configure('--no-wait', 'init')
    children.push(start('ovs-vswitchd', `unix:${at('db')}`, `--unixctl=${at('vswitchd.ctl')}`))
    await until(() => existsSync(at('vswitchd.ctl')), 'the daemon of Open vSwitch')
    const datapath = ['datapath_type=netdev', 'fail_mode=standalone']
    configure('add-br', UNDERLAY, '--', 'set', 'bridge', UNDERLAY, ...datapath, '--', 'add-port', UNDERLAY, cable)
    configure('add-br', OVERLAY, '--', 'set', 'bridge', OVERLAY, ...datapath)
    for (const [bridge, of] of [
      [UNDERLAY, local],
      [OVERLAY, address],
    ] as const) {
      await until(() => run('ip', '-o', 'link').includes(` ${bridge}:`), `the interface of ${bridge}`)
      run('ip', 'addr', 'add', of, 'dev', bridge, ...(of.includes(':') ? ['nodad'] : []))
      run('ip', 'link', 'set', bridge, 'up')
    }
    const { type, key, anyKey = false, remote } = tunnel
    const keys = anyKey ? ['options:in_key=flow', `options:out_key=${key}`] : [`options:key=${key}`]
    configure('add-port', OVERLAY, 't0', '--', 'set', 'Interface', 't0', `type=${type}`, `options:remote_ip=${remote}`, ...keys)
  } catch (error) {
    await stop()
    throw error
  }
  return { device: OVERLAY, stop }
}
