// `vmswitch join`, `leave` and `network`: the network of hosts that a service is in.
import { resolve } from 'node:path'
import type { ClusterCalls, NetworkHost, NetworkPort, NetworkStatus } from '../../manage/cluster/cluster-calls.ts'
import { connectCluster } from '../../manage/cluster/cluster-client.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import type { Terminal } from '../terminal.ts'

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
}

/** One call of the service; says what to do where the switch that runs is none. */
async function asked<T>({ control }: CommandContext, call: (cluster: ClusterCalls) => Promise<T>): Promise<T> {
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

export async function network(context: CommandContext, what: 'all' | 'hosts' | 'ports'): Promise<void> {
  const { terminal } = context
  const status = await asked(context, (cluster) => cluster.network())
  if (terminal.json) return terminal.data(what === 'all' ? status : status[what])
  if (status.network === null) return terminal.line('this host is in no network: vmswitch join nats://HOST:PORT --network NAME')
  if (what === 'all') showStanding(terminal, status)
  if (what !== 'ports') showHosts(terminal, status.hosts)
  if (what === 'all') terminal.line('')
  if (what !== 'hosts') showPorts(terminal, status.ports)
  if (what !== 'all') return
  for (const { key, code, message } of status.refused) terminal.line(`not believed: ${key} (${code}): ${message}`)
}

export async function subnets(context: CommandContext): Promise<void> {
  const { terminal } = context
  const status = await asked(context, (cluster) => cluster.network())
  showSubnets(terminal, status)
}

export async function setSubnet(context: CommandContext, virtualSubnetId: number, options: SubnetOptions): Promise<void> {
  const { routingDomain, label, tenant, hosts, prefixes } = options
  const status = await asked(context, (cluster) =>
    cluster.setSubnet({
      virtualSubnetId,
      ...(routingDomain === undefined ? {} : { routingDomainId: routingDomain }),
      ...(label === undefined ? {} : { name: label }),
      ...(tenant === undefined ? {} : { tenant }),
      ...(hosts === undefined ? {} : { hosts }),
      ...(prefixes === undefined ? {} : { prefixes }),
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

function showPorts(terminal: Terminal, ports: readonly NetworkPort[]): void {
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
    'no host has ports in it',
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
