// What this host claims for its ports, and the records in which it tells the others of them.
//
// The rule it must not break: a port is told of only while this host owns all that it claims, or while it is about to move here; a claim
// that came too late is taken back.
import { claimKey, leaseKey, portKey, type Thing, thingText } from './keys.ts'
import { type PortRecord, RECORD_VERSION, writeRecord } from './records.ts'
import { type ClusterView, thingsOf } from './view.ts'

/** A port of this host that the network is to know. */
export interface OwnPort
  extends Readonly<
    Pick<
      PortRecord,
      'name' | 'mac' | 'virtualSubnetId' | 'customerAddresses' | 'vm' | 'tenant' | 'link' | 'policies' | 'movingFrom'
    >
  > {}

/** How a port of this host stands in the network. */
export interface OwnPortState {
  readonly state: 'held' | 'claiming' | 'moving' | 'refused'
  /** Why it is refused, and by whom. */
  readonly message: string | null
  readonly holder: string | null
}

/** A write that the shared store is to carry out. */
export interface Write {
  readonly key: string
  /** Null: delete it. */
  readonly value: string | null
  /** Revision at which it stands; 0: it does not. */
  readonly expected: number
}

export interface OwnPlan {
  readonly writes: readonly Write[]
  readonly states: ReadonlyMap<string, OwnPortState>
}

/** What has to be written so that the network knows `ports` of `host`, as far as the view allows. */
export function planOwnPorts(view: ClusterView, host: string, ports: readonly OwnPort[]): OwnPlan {
  const writes: Write[] = []
  const states = new Map<string, OwnPortState>()
  const wanted = new Set<string>()
  const put = (key: string, value: string): void => {
    wanted.add(key)
    if (view.ownText(key) !== value) writes.push({ key, value, expected: view.revisionOf(key) })
  }
  for (const port of ports) {
    const state = claimAll(view, host, port, put)
    states.set(port.name, state)
    const key = portKey(host, port.name)
    if (state.state === 'held' || state.state === 'moving') {
      const before = view.ownText(key)
      const { movingFrom: _, ...kept } = before === undefined ? {} : (JSON.parse(before) as Record<string, unknown>)
      put(key, writeRecord({ v: RECORD_VERSION, ...port }, kept))
    } else if (state.state === 'claiming') wanted.add(key) // what stands of it is not taken back for a moment
  }
  return { writes: [...leftOver(view, host, wanted), ...writes], states }
}

/** Claims what `port` needs. A host that is lost is no obstacle. */
function claimAll(view: ClusterView, host: string, port: OwnPort, put: (key: string, value: string) => void): OwnPortState {
  const subnet = view.subnetProblem(host, port)
  if (subnet !== null) return { state: 'refused', message: subnet.message, holder: null }
  const things = thingsOf(port)
  const claim = (thing: Thing): void => put(claimKey(host, thing), writeRecord({ v: RECORD_VERSION, port: port.name }))
  const rival = things
    .map((thing) => ({ thing, holder: rivalOf(view, host, thing) }))
    .find(({ holder }) => holder !== null && holder !== port.movingFrom)
  if (rival?.holder)
    return { state: 'refused', message: `${thingText(rival.thing)} is claimed by host ${rival.holder}`, holder: rival.holder }
  for (const thing of things) claim(thing)
  if (things.every((thing) => view.owner(thing) === host)) return { state: 'held', message: null, holder: null }
  const from = things.map((thing) => view.owner(thing)).find((owner) => owner !== null && owner === port.movingFrom)
  return from === undefined
    ? { state: 'claiming', message: null, holder: null }
    : { state: 'moving', message: null, holder: from ?? null }
}

/** The host that owns a thing before this one; null: this one owns it, or would. */
function rivalOf(view: ClusterView, host: string, thing: Thing): string | null {
  const owner = view.owner(thing)
  if (owner === null || owner === host) return null
  return view.hosts.get(owner)?.lost === true ? null : owner
}

// Ports go before their claims: nobody believes in a port whose claims are gone, and nobody is told that it is refused.
function leftOver(view: ClusterView, host: string, wanted: ReadonlySet<string>): Write[] {
  const gone = [...view.ownKeys()].filter((key) => key !== leaseKey(host) && !wanted.has(key))
  const ports = gone.filter((key) => key.startsWith(`host.${host}.port.`))
  const rest = gone.filter((key) => !key.startsWith(`host.${host}.port.`))
  return [...ports, ...rest].map((key) => ({ key, value: null, expected: view.revisionOf(key) }))
}
