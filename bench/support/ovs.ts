// Open vSwitch with the DPDK datapath as a rival: its own database, sockets and logs in a directory of the benchmark, nothing of the
// machine's own Open vSwitch touched.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { BenchError } from '../benchmark.ts'
import { Child } from './child.ts'
import type { ProcessorPair } from './processors.ts'
import type { Scope } from './scope.ts'

const START_MS = 15_000
const COMMAND_SECONDS = 45 // the first waits until DPDK has zeroed its huge pages
const LOG_LINES = 5
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'

const BRIDGE = 'br0'
const UNDERLAY = 'br1'

/** A port of the bridge as `ovs-vsctl set Interface` takes it. A host interface is moved to where the daemon runs first. */
export interface OvsPort {
  readonly name: string
  readonly settings: readonly string[]
  readonly hostInterface?: string
}

/** A vhost-user port that connects to `path`. */
export const ovsGuestPort = (name: string, path: string): OvsPort => ({
  name,
  settings: ['type=dpdkvhostuserclient', `options:vhost-server-path=${path}`, 'options:n_rxq=1'],
})

/** Megabytes of huge pages that it takes. */
export const OVS_MEMORY_MIB = 768
/** Debian's place of the daemon with DPDK. */
export const OVS_PROGRAM = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'

export interface OvsOptions {
  readonly directory: string
  readonly processors: ProcessorPair
  /** Frames to unknown addresses go to the bridge's own interface too, as by default: a system call for each. */
  readonly floodsItself: boolean
  /** OpenFlow rules; without them all frames are NORMAL. */
  readonly flows?: readonly string[]
  /** The ports; without them two vhost-user ports, p0 and p1, with sockets in the directory. */
  readonly ports?: readonly OvsPort[]
  /** A second bridge, which tunnels of the first go through. */
  readonly underlay?: OvsUnderlay
}

/** What tunnels go through: a port to the network, and the address that the host has there. */
export interface OvsUnderlay {
  readonly port: OvsPort
  readonly mac: string
  /** IPv4 address with prefix length. */
  readonly address: string
  /** The other end, whose address is told and not asked for. */
  readonly neighbour: { readonly address: string; readonly mac: string }
}

/** A running Open vSwitch. */
export interface Ovs {
  /** The forwarding process. */
  readonly daemon: Child
  /** Sockets that the generator listens on. */
  readonly sockets: readonly [string, string]
}

function lastOf(log: string): string {
  if (!existsSync(log)) return ''
  return `; the last in its log:\n${readFileSync(log, 'utf8').trimEnd().split('\n').slice(-LOG_LINES).join('\n')}`
}

/** Starts one with a bridge and the action NORMAL. */
export async function startOvs(
  { directory, processors, floodsItself, ports, flows, underlay }: OvsOptions,
  scope: Scope,
): Promise<Ovs> {
  mkdirSync(directory, { recursive: true })
  const at = (name: string): string => join(directory, name)
  const env = { ...process.env, OVS_RUNDIR: directory, OVS_DBDIR: directory, OVS_LOGDIR: directory, OVS_SYSCONFDIR: directory }
  const run = (program: string, args: readonly string[]): void => {
    const done = spawnSync(program, args, { env, encoding: 'utf8' })
    if (done.status === 0) return
    const why = (done.stderr ?? '').trim() || done.error?.message || `code ${done.status}`
    throw new BenchError('CHILD_FAILED', `ovs: ${program} ${args.join(' ')}: ${why}${lastOf(at('vswitchd.log'))}`)
  }
  const database = `unix:${at('db.sock')}`
  const configure = (args: readonly string[], wait = true): void =>
    run('ovs-vsctl', [`--db=${database}`, `--timeout=${COMMAND_SECONDS}`, ...(wait ? [] : ['--no-wait']), ...args])
  const appears = async (child: Child, path: string): Promise<void> => {
    const timer = setInterval(() => {
      if (existsSync(path)) present.resolve()
    }, 50)
    const present = Promise.withResolvers<void>()
    try {
      await Promise.race([present.promise, child.until(path, START_MS, () => undefined)])
    } finally {
      clearInterval(timer)
    }
  }

  run('ovsdb-tool', ['create', at('conf.db'), SCHEMA])
  const server = new Child(
    {
      name: 'ovsdb-server',
      program: 'ovsdb-server',
      args: [at('conf.db'), `--remote=punix:${at('db.sock')}`, `--unixctl=${at('ovsdb.ctl')}`, `--log-file=${at('ovsdb.log')}`],
      env,
      processor: processors.generator,
    },
    scope,
  )
  await appears(server, at('db.sock'))
  configure(['init'], false)
  configure(
    [
      'set',
      'Open_vSwitch',
      '.',
      'other_config:dpdk-init=true',
      'other_config:dpdk-extra="--no-pci --no-telemetry --in-memory"',
      `other_config:dpdk-lcore-mask=0x${(2 ** processors.generator).toString(16)}`,
      `other_config:pmd-cpu-mask=0x${(2 ** processors.switch).toString(16)}`,
      `other_config:dpdk-socket-mem="${OVS_MEMORY_MIB}"`,
      `other_config:dpdk-socket-limit="${OVS_MEMORY_MIB}"`,
    ],
    false,
  )
  const daemon = new Child(
    {
      name: 'ovs',
      // In a network namespace of its own: its interfaces vanish with it, and it meets no other Open vSwitch.
      program: 'unshare',
      args: ['--net', '--', OVS_PROGRAM, database, `--unixctl=${at('vswitchd.ctl')}`, `--log-file=${at('vswitchd.log')}`],
      env,
      processor: processors.generator,
    },
    scope,
  )
  const sockets = [at('p0.sock'), at('p1.sock')] as const
  configure(['add-br', BRIDGE, '--', 'set', 'bridge', BRIDGE, 'datapath_type=netdev', 'fail_mode=secure'])
  if (underlay !== undefined) {
    const { port, mac, address, neighbour } = underlay
    const bridge = ['add-br', UNDERLAY, '--', 'set', 'bridge', UNDERLAY, 'datapath_type=netdev', `other-config:hwaddr="${mac}"`]
    configure([...bridge, '--', 'add-port', UNDERLAY, port.name, '--', 'set', 'Interface', port.name, ...port.settings])
    for (const change of [
      ['addr', 'add', address, 'dev', UNDERLAY],
      ['link', 'set', UNDERLAY, 'up'],
    ])
      run('nsenter', ['--net', '--target', String(daemon.pid), 'ip', ...change])
    run('ovs-appctl', ['-t', at('vswitchd.ctl'), 'tnl/arp/set', UNDERLAY, neighbour.address, neighbour.mac])
  }
  const members = ports ?? sockets.map((path, i) => ovsGuestPort(`p${i}`, path))
  for (const { hostInterface } of members)
    if (hostInterface !== undefined) {
      run('ip', ['link', 'set', hostInterface, 'netns', String(daemon.pid)])
      run('nsenter', ['--net', '--target', String(daemon.pid), 'ip', 'link', 'set', hostInterface, 'up'])
    }
  configure(
    members.flatMap(({ name, settings }, i) => [
      ...(i === 0 ? [] : ['--']),
      ...['add-port', BRIDGE, name, '--', 'set', 'Interface', name, ...settings],
    ]),
  )
  const control = `unix:${at(`${BRIDGE}.mgmt`)}`
  for (const flow of flows ?? ['actions=NORMAL']) run('ovs-ofctl', ['add-flow', control, flow])
  if (!floodsItself) run('ovs-ofctl', ['mod-port', control, BRIDGE, 'no-flood'])
  return { daemon, sockets }
}
