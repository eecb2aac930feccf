// Decides, before the switch is started, who the two guests of a failover lab are and what is done when.
//
// The rule it must not break: what can't be run is refused here, with what to write instead; what is replaced is said.
import { join } from 'node:path'
import type { FailoverConfig, GuestConfig, ResolvedConfig, ResolvedPort } from '../../manage/config/types.ts'
import { LabError } from '../errors.ts'
import { plainAddress } from './numbered-frames.ts'
import type { PairedGuestOptions } from './paired-guest.ts'
import type { FailoverRun } from './run-failover.ts'
import { isAdapterAction, layOut } from './schedule.ts'

/** A guest and where its cards are plugged. */
export interface PlannedCard {
  readonly options: PairedGuestOptions
  /** Socket of the port's endpoint. */
  readonly path: string
}

export interface FailoverPlan {
  /** The configuration with ports as the guests need them: what the switch must be created from. */
  readonly config: ResolvedConfig
  readonly run: FailoverRun
  readonly kind: 'software' | 'qemu'
  /** The guest that has a function, and its peer, which is a software guest always. */
  readonly guest: PlannedCard
  readonly peer: PlannedCard
  /** Socket of the function. */
  readonly functionPath: string
  readonly memoryMiB: number
  /** What a person should know: one line each. */
  readonly notes: readonly string[]
}

const ADDRESSES = ['10.99.0.1', '10.99.0.2'] as const

const refused = (message: string): LabError => new LabError('check-failed', message)

/** `kind` is the guests' kind where the configuration does not name one. Throws a LabError. */
export function planFailover(config: ResolvedConfig): FailoverPlan {
  const { failover } = config
  if (failover === undefined) throw refused(`${config.file} has no failover section; examples/failover.yaml shows one`)
  const { ports } = config.switch
  const port = named(ports, failover.port) ?? ports.find(({ iov }) => iov !== undefined)
  if (port?.iov === undefined)
    throw refused(`${port === undefined ? 'no port' : `port "${port.name}"`} has no iov section: no virtual function to try`)
  const peer = named(ports, failover.peer) ?? ports.find((one) => one !== port && one.mac !== null)
  if (peer === undefined || peer === port) throw refused('the lab needs a second port with a mac address, for the peer')
  const external = ports.find(({ endpoint }) => endpoint.kind === 'adapter')
  if (external?.endpoint.kind !== 'adapter') throw refused('the switch has no port above an SR-IOV adapter (kind: adapter)')
  const guest = config.guests.find((one) => one.port === port.name)
  const kind = guest?.kind === 'qemu' ? 'qemu' : 'software'
  const notes: string[] = []
  const changed = new Map<string, ResolvedPort>([
    [port.name, withCards(port, kind, config, notes)],
    [peer.name, withEndpoint(peer, config, notes)],
  ])
  checkNames(failover, config)
  const [guestCard, peerCard] = [port, peer].map((one, i) => cardOf(changed.get(one.name)!, config.guests, ADDRESSES[i]!)) as [
    PlannedCard,
    PlannedCard,
  ]
  const actions = layOut(failover.steps, {
    seconds: failover.load.seconds,
    port: port.name,
    adapter: external.endpoint.adapter,
  })
  return {
    config: { ...config, switch: { ...config.switch, ports: ports.map((one) => changed.get(one.name) ?? one) } },
    run: { port: port.name, peer: peer.name, load: failover.load, actions },
    kind,
    guest: guestCard,
    peer: peerCard,
    functionPath: changed.get(port.name)!.iov!.path,
    memoryMiB: guest?.memoryMiB ?? 256,
    notes,
  }
}

function named(ports: readonly ResolvedPort[], name: string | undefined): ResolvedPort | undefined {
  if (name === undefined) return undefined
  const found = ports.find((one) => one.name === name)
  if (found === undefined) throw refused(`failover: the switch has no port "${name}"`)
  return found
}

function checkNames({ steps }: FailoverConfig, { switch: { ports }, adapters = [] }: ResolvedConfig): void {
  for (const { action, port, adapter } of steps) {
    const [given, other] = isAdapterAction(action) ? [adapter, port] : [port, adapter]
    const names = (isAdapterAction(action) ? adapters : ports).map(({ name }) => name)
    if (other !== undefined) throw refused(`failover: ${action} is not done to ${port === undefined ? 'an adapter' : 'a port'}`)
    if (given !== undefined && !names.includes(given))
      throw refused(`failover: ${action} of "${given}": there is none of that name (there are: ${names.join(', ')})`)
  }
}

/** The lab's guests drive vhost-user devices. */
function withEndpoint(port: ResolvedPort, config: ResolvedConfig, notes: string[]): ResolvedPort {
  if (port.endpoint.kind === 'vhost-user' && port.endpoint.mode === 'server') return port
  notes.push(`port ${port.name}: vhost-user in place of ${port.endpoint.kind}, for the lab's guest`)
  const path = join(config.runtime.directory, `${port.name}.sock`)
  return { ...port, endpoint: { kind: 'vhost-user', path, mode: 'server', queuePairs: 1, mtu: 1500, requireSeals: true } }
}

function withCards(port: ResolvedPort, kind: 'software' | 'qemu', config: ResolvedConfig, notes: string[]): ResolvedPort {
  const iov = port.iov!
  const form = kind === 'qemu' ? 'vfio-user' : 'vhost-user'
  if (iov.form !== form)
    notes.push(`port ${port.name}: a virtual function of form ${form} in place of ${iov.form}, for the lab's guest`)
  // Whoever plugs it in place of QEMU needs no socket; the name says that somebody does.
  const qmp = iov.qmp ?? join(config.runtime.directory, `${port.name}.qmp`)
  return { ...withEndpoint(port, config, notes), iov: { ...iov, form, qmp, weight: Math.max(1, iov.weight), queuePairs: 1 } }
}

function cardOf(port: ResolvedPort, guests: readonly GuestConfig[], fallback: string): PlannedCard {
  const guest = guests.find((one) => one.port === port.name)
  if (port.mac === null) throw refused(`port "${port.name}" needs a mac address: the lab's guest has it`)
  if (port.endpoint.kind !== 'vhost-user') throw refused(`port "${port.name}" is no vhost-user port`)
  const address = guest?.address === undefined ? fallback : plainAddress(guest.address)
  return { options: { name: port.name, mac: port.mac, address }, path: port.endpoint.path }
}
