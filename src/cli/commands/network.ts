// `vmswitch join`, `leave` and `network`: the network of hosts that a service is in.
import { resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ClusterCalls, NetworkHost, NetworkPort, NetworkStatus, NetworkTunnel } from '../../manage/cluster/cluster-calls.ts'
import { connectCluster } from '../../manage/cluster/cluster-client.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import { bytes, count as countOf } from '../units.ts'

/** Over which the rates of tunnels are measured, where nobody asked just before. */
const MEASURED_MS = 1000
const BITS_PER_BYTE = 8

export interface JoinOptions {
  readonly network: string
  readonly name?: string
  readonly credential?: string
  readonly natsCa?: string
  readonly plaintext?: boolean
  readonly provider?: readonly string[]
  readonly replicas?: number
}

export interface SubnetOptions {
  readonly routingDomain?: string
  readonly label?: string
  readonly tenant?: string
  readonly hosts?: readonly string[]
  readonly prefixes?: readonly string[]
  readonly gateways?: readonly string[]
}

/** One call of the service; says what to do where the switch that runs is none. */
export async function asked<T>({ control }: CommandContext, call: (cluster: ClusterCalls) => Promise<T>): Promise<T> {
  try {
    return await call(connectCluster(await control()))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'no-such-route') throw error
    throw new CliError(
      'no-service',
      'the switch that runs is no service',
      'start one with vmswitch serve, or name it with --socket',
    )
  }
}

export async function join(context: CommandContext, servers: string, options: JoinOptions): Promise<void> {
  const { terminal, cwd } = context
  const { network, name, credential, natsCa, plaintext, provider, replicas } = options
  const work = asked(context, (cluster) =>
    cluster.join({
      servers,
      network,
      ...(name === undefined ? {} : { host: name }),
      ...(credential === undefined ? {} : { credential: resolve(cwd, credential) }),
      ...(natsCa === undefined ? {} : { ca: resolve(cwd, natsCa) }),
      ...(plaintext === undefined ? {} : { plaintext }),
      ...(provider === undefined ? {} : { providerAddresses: provider }),
      ...(replicas === undefined ? {} : { replicas }),
    }),
  )
  const status = await terminal.progress(`joining ${network}`, work)
  if (terminal.json) return terminal.data(status)
  terminal.line(`host ${status.host} is in network ${status.network}, with ${count(status.hosts.length - 1, 'other host')}`)
  for (const port of status.ports)
    if (port.host === status.host && port.state === 'refused')
      terminal.line(`  ${terminal.style('red', `port ${port.name} stays out of it`)}: ${port.message}`)
}

export async function leave(context: CommandContext): Promise<void> {
  const { terminal } = context
  const report = await asked(context, (cluster) => cluster.leave())
  if (terminal.json) return terminal.data(report)
  terminal.line('this host is in no network any more; its switch goes on')
  for (const one of report.left) terminal.line(`  ${one}`)
}

/** `words`: of ports, those that every word fits. */
export async function network(
  context: CommandContext,
  what: 'all' | 'hosts' | 'ports' | 'tunnels',
  words: readonly string[] = [],
): Promise<void> {
  const { terminal } = context
  const status = await (what === 'all' || what === 'tunnels' ? measured(context) : asked(context, (cluster) => cluster.network()))
  const ports = status.ports.filter((port) => fits(port, words))
  if (terminal.json) return terminal.data(what === 'all' ? status : what === 'ports' ? ports : status[what])
  if (status.network === null && what !== 'tunnels')
    return terminal.line('this host is in no network: vmswitch join nats://HOST:PORT --network NAME')
  if (what === 'hosts') showHosts(terminal, status.hosts)
  if (what === 'ports') showPorts(terminal, ports, words.length === 0 ? 'no host has ports in it' : 'no port fits')
  if (what === 'tunnels') showTunnels(terminal, status.tunnels)
  if (what !== 'all') return
  showStanding(terminal, status)
  showHosts(terminal, status.hosts)
  terminal.line('')
  if (status.tunnels.length > 0) {
    showTunnels(terminal, status.tunnels)
    terminal.line('')
  }
  showPorts(terminal, ports, 'no host has ports in it')
  for (const { key, code, message } of status.refused) terminal.line(`not believed: ${key} (${code}): ${message}`)
}

/** The network with the rates of its tunnels: they are over the time since it was asked for before, so it may be asked twice. */
async function measured(context: CommandContext): Promise<NetworkStatus> {
  const ask = (): Promise<NetworkStatus> => asked(context, (cluster) => cluster.network())
  const status = await ask()
  if (status.tunnels.every(({ rate }) => rate !== null)) return status
  await pause(MEASURED_MS)
  return ask()
}

const fits = (
  { name, host, mac, virtualSubnetId, customerAddresses, tenant, state }: NetworkPort,
  words: readonly string[],
): boolean => {
  const text = [name, host, mac, virtualSubnetId, ...customerAddresses, tenant, state].join(' ').toLowerCase()
  return words.every((word) => text.includes(word.toLowerCase()))
}

export async function subnets(context: CommandContext): Promise<void> {
  const { terminal } = context
  const status = await asked(context, (cluster) => cluster.network())
  showSubnets(terminal, status)
}

export async function setSubnet(context: CommandContext, virtualSubnetId: number, options: SubnetOptions): Promise<void> {
  const { routingDomain, label, tenant, hosts, prefixes, gateways } = options
  const status = await asked(context, (cluster) =>
    cluster.setSubnet({
      virtualSubnetId,
      ...(routingDomain === undefined ? {} : { routingDomainId: routingDomain }),
      ...(label === undefined ? {} : { name: label }),
      ...(tenant === undefined ? {} : { tenant }),
      ...(hosts === undefined ? {} : { hosts }),
      ...(prefixes === undefined ? {} : { prefixes }),
      ...(gateways === undefined ? {} : { gateways }),
    }),
  )
  showSubnets(context.terminal, status)
}

export async function removeSubnet(context: CommandContext, virtualSubnetId: number): Promise<void> {
  const status = await asked(context, (cluster) => cluster.removeSubnet(virtualSubnetId))
  showSubnets(context.terminal, status)
}

function showStanding(
  terminal: Terminal,
  { network: name, host, state, since, message, lagMs, lookups, servers }: NetworkStatus,
): void {
  const words = state === 'partitioned' ? `partitioned since ${since}: the last known state goes on` : `${state} since ${since}`
  terminal.line(`network ${name}, host ${host}: ${state === 'joined' ? words : terminal.style('red', words)}`)
  if (message !== null) terminal.line(`  ${message}`)
  terminal.line(`  servers      ${servers}`)
  terminal.line(`  convergence  ${lagMs === null ? 'not known yet' : `${lagMs} ms`}`)
  terminal.line(`  look-ups     ${lookups === null ? 'the switch has no overlay' : lookups}`)
  terminal.line('')
}

function showHosts(terminal: Terminal, hosts: readonly NetworkHost[]): void {
  terminal.table(
    [{ title: 'HOST' }, { title: 'STATE' }, { title: 'HEARD' }, { title: 'PROVIDER' }, { title: 'PORTS' }, { title: 'VERSION' }],
    hosts.map(({ name, state, heardMs, providerAddresses, ports, software }) => [
      name,
      state,
      heardMs === null ? '' : `${Math.round(heardMs / 100) / 10} s ago`,
      providerAddresses.join(', '),
      String(ports),
      software,
    ]),
    'no host is known',
  )
}

function showTunnels(terminal: Terminal, tunnels: readonly NetworkTunnel[]): void {
  const rateOf = (frames: number | undefined, bits: number | undefined): string[] =>
    frames === undefined || bits === undefined ? ['', ''] : [countOf(frames), `${bytes(bits / BITS_PER_BYTE)}/s`]
  terminal.table(
    [
      { title: 'TUNNEL TO' },
      { title: 'HOST' },
      { title: 'NEXT HOP' },
      { title: 'OUT/S', align: 'right' },
      { title: '', align: 'right' },
      { title: 'IN/S', align: 'right' },
      { title: '', align: 'right' },
    ],
    tunnels.map(({ provider, host, nextHop, rate }) => [
      provider,
      host ?? '',
      nextHop ?? 'not known',
      ...rateOf(rate?.sentFrames, rate?.sentBits),
      ...rateOf(rate?.receivedFrames, rate?.receivedBits),
    ]),
    'there are no tunnels',
  )
}

function showPorts(terminal: Terminal, ports: readonly NetworkPort[], empty: string): void {
  terminal.table(
    [
      { title: 'PORT' },
      { title: 'HOST' },
      { title: 'MAC' },
      { title: 'SUBNET' },
      { title: 'ADDRESSES' },
      { title: 'LINK' },
      { title: 'STATE' },
      { title: 'WHY' },
    ],
    ports.map(({ name, host, mac, virtualSubnetId, customerAddresses, link, state, message }) => [
      name,
      host,
      mac,
      virtualSubnetId === 0 ? '' : String(virtualSubnetId),
      customerAddresses.join(', '),
      link,
      state,
      message ?? '',
    ]),
    empty,
  )
}

function showSubnets(terminal: Terminal, { subnets: all }: NetworkStatus): void {
  if (terminal.json) {
    terminal.data(all)
    return
  }
  terminal.table(
    [{ title: 'SUBNET' }, { title: 'NAME' }, { title: 'DOMAIN' }, { title: 'TENANT' }, { title: 'PREFIXES' }, { title: 'PEERS' }],
    all.map(({ virtualSubnetId, name, routingDomainId, tenant, prefixes, peers }) => [
      String(virtualSubnetId),
      name ?? '',
      routingDomainId ?? '',
      tenant ?? '',
      prefixes.join(', '),
      peers.join(', '),
    ]),
    'the network has no virtual subnets',
  )
}

const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`
