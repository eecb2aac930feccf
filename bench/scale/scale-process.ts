// A network of many hosts in virtual time, in a process of its own, which may take the memory that it needs: prints its figures as JSON.
//
// The rule it must not break: every host is the reconciler that a real one has. All of them write; those that hear everything are few,
// since each holds the whole network in memory, and the others hear what can change what they write.
import { leaseKey, NETWORK_KEY, subnetKey } from '../../src/manage/cluster/keys.ts'
import { lookupId } from '../../src/manage/cluster/lookups.ts'
import { MemoryBucket, VirtualClock } from '../../src/manage/cluster/memory-store.ts'
import type { OwnPort } from '../../src/manage/cluster/own-ports.ts'
import { RECORD_VERSION, writeRecord } from '../../src/manage/cluster/records.ts'
import { SimulatedHost } from '../../src/manage/cluster/simulated-host.ts'

export interface ScaleOptions {
  readonly hosts: number
  readonly portsPerHost: number
  /** Hosts that hear everything. */
  readonly observers: number
  /** How often each kind of change is made. */
  readonly changes: number
}

/** What one change came to: in the bucket, and at the hosts. */
export interface ChangeFigures {
  readonly change: string
  /** Writes to the bucket; each is told to every host. */
  readonly writes: number
  readonly bytesWritten: number
  /** Milliseconds until a host that hears of it has changed its look-up records, of a move from when the old host lets go: each change and host. */
  readonly convergedMs: readonly number[]
}

export interface ScaleFigures {
  /** What it takes until every port of every host is known to all. */
  readonly entries: number
  readonly bytes: number
  /** Time of a processor that one entry took at a host that hears everything, microseconds; measured. */
  readonly cpuUsPerEntry: number
  /** Memory of what such a host knows, bytes, without the texts of records, which the bucket holds here; measured. */
  readonly heapPerObserver: number
  /** Of leases alone, a second of virtual time. */
  readonly leasesPerSecond: number
  readonly leaseBytesPerSecond: number
  /** Milliseconds after its end at which a host counted as lost, at each observer. */
  readonly lostMs: readonly number[]
  readonly changes: readonly ChangeFigures[]
}

const PORTS_PER_SUBNET = 100
const FIRST_SUBNET = 5000
/** One way, milliseconds. */
const DELAYS_MS = [1, 2, 3]
const SETTLE_STEP_MS = 100
const SETTLE_LIMIT_MS = 600_000
const AFTER_CHANGE_MS = 400
const LEASES_MS = 30_000
const LOSS_STEP_MS = 1000

const options = JSON.parse(process.argv[2]!) as ScaleOptions
const collect = (globalThis as { gc?: () => void }).gc
if (collect === undefined) throw new Error('start it with --expose-gc')

let seed = 1
const random = (below: number): number => {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff
  return (seed >> 8) % below
}
const delayMs = (): number => DELAYS_MS[random(DELAYS_MS.length)]!

const subnetOf = (port: number): number => FIRST_SUBNET + Math.floor(port / PORTS_PER_SUBNET)
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

// The ports of a virtual subnet are spread over hosts, as a tenant's machines are.
const portsOf = (host: number): OwnPort[] =>
  Array.from({ length: options.portsPerHost }, (_, i) => portOf(i * options.hosts + host))
function portOf(port: number): OwnPort {
  const virtualSubnetId = subnetOf(port)
  return {
    name: `vm${port}`,
    mac: `52:54:${[24, 16, 8, 0].map((shift) => hex((port >> shift) & 0xff, 2)).join(':')}`,
    virtualSubnetId,
    customerAddresses: [`10.${(port >> 16) & 0xff}.${(port >> 8) & 0xff}.${port & 0xff}`],
    vm: `vm${port}`,
    tenant: `tenant${virtualSubnetId}`,
    link: 'up',
    policies: [{ type: 'isolation', mode: 'virtual-subnet', virtualSubnetId }],
  }
}

const clock = new VirtualClock()
const bucket = new MemoryBucket(clock)
let bytesWritten = 0
{
  const put = bucket.put.bind(bucket)
  bucket.put = (key, value, expected) => {
    const result = put(key, value, expected)
    if (result.done) bytesWritten += key.length + (value?.length ?? 0)
    return result
  }
}
bucket.put(NETWORK_KEY, writeRecord({ v: RECORD_VERSION, name: 'scale', minimumVersion: 1, overlay: 'vxlan' }), 0)
const total = options.hosts * options.portsPerHost
for (let subnet = FIRST_SUBNET; subnet <= subnetOf(total); subnet++)
  bucket.put(subnetKey(subnet), writeRecord({ v: RECORD_VERSION, virtualSubnetId: subnet, tenant: `tenant${subnet}` }), 0)

const hosts = Array.from({ length: options.hosts }, (_, host) => makeHost(host))
const observers = hosts.slice(0, options.observers)

function makeHost(host: number): SimulatedHost {
  const name = `h${host}`
  const own = `host.${name}.`
  const hears = (key: string): boolean => key.startsWith(own) || !key.startsWith('host.') || key.endsWith('.lease')
  return new SimulatedHost(
    {
      host: name,
      instance: `start-of-${name}`,
      providerAddresses: [`172.16.${host >> 8}.${host & 0xff}`],
      software: '0.1.0',
    },
    host < options.observers ? bucket.connect(delayMs) : bucket.connect(delayMs, hears),
    clock,
  )
}

const progress = (text: string): void => void process.stderr.write(`${text}\n`)
const isSettled = (): boolean =>
  hosts.every(({ reconciler }) => reconciler.settled) &&
  observers.every(({ reconciler }) => reconciler.lookups.current.size === total - options.portsPerHost)

for (const [i, host] of hosts.entries()) host.setPorts(portsOf(i))
while (!isSettled()) {
  if (clock.nowMs > SETTLE_LIMIT_MS) throw new Error(`the network is not settled after ${SETTLE_LIMIT_MS / 1000} s`)
  clock.run(SETTLE_STEP_MS)
  if (clock.nowMs % 1000 === 0) progress(`${clock.nowMs / 1000} s: ${bucket.writes} writes`)
}
const entries = bucket.writes
const bytes = bytesWritten

progress('leases alone')
const leases = during(() => clock.run(LEASES_MS))

progress('changes')
const changes = [
  change('a port is added', (i) => {
    const port = portOf(total + i)
    const at = hosts[options.observers + i]!
    return { port, from: null, to: options.observers + i, make: () => at.setPorts([...at.reconciler.ports, port]) }
  }),
  change('a port moves to another host', (i) => {
    const from = options.observers + i
    const to = options.hosts - 1 - i
    const [port] = hosts[from]!.reconciler.ports
    return {
      port: port!,
      from,
      to,
      make: () => hosts[to]!.setPorts([...hosts[to]!.reconciler.ports, { ...port!, movingFrom: `h${from}` }]),
    }
  }),
  change('a port is removed', (i) => {
    const at = hosts[options.observers + i]!
    const port = at.reconciler.ports.at(-1)!
    return {
      port,
      from: options.observers + i,
      to: null,
      make: () => at.setPorts(at.reconciler.ports.filter((one) => one !== port)),
    }
  }),
]

// One host hears everything anew: what the reconciler costs, measured.
progress('a host that joins late')
const late = makeHost(options.hosts)
const standing = bucket.standing()
collect()
const heapBefore = process.memoryUsage().heapUsed
const cpu = process.cpuUsage()
late.reconciler.begin('whole')
for (let i = 0; i < standing.length; i += 500) {
  late.reconciler.entries(standing.slice(i, i + 500), clock.nowMs)
  late.reconciler.step(clock.nowMs)
}
const used = process.cpuUsage(cpu)
const cpuUsPerEntry = (used.user + used.system) / standing.length
collect()
const heapPerObserver = process.memoryUsage().heapUsed - heapBefore

progress('a host dies')
const lostMs = loseOne()

const figures: ScaleFigures = {
  entries,
  bytes,
  cpuUsPerEntry,
  heapPerObserver,
  leasesPerSecond: (leases.writes * 1000) / LEASES_MS,
  leaseBytesPerSecond: (leases.bytes * 1000) / LEASES_MS,
  lostMs,
  changes,
}
process.stdout.write(`${JSON.stringify(figures)}\n`)

function during(work: () => void): { writes: number; bytes: number } {
  const [writes, bytes] = [bucket.writes, bytesWritten]
  work()
  return { writes: bucket.writes - writes, bytes: bytesWritten - bytes }
}

interface Change {
  readonly port: OwnPort
  readonly from: number | null
  readonly to: number | null
  readonly make: () => void
}

/** Makes a change `options.changes` times, and takes from what is written the leases that come in the same time. */
function change(name: string, plan: (i: number) => Change): ChangeFigures {
  const convergedMs: number[] = []
  let writes = 0
  let written = 0
  for (let i = 0; i < options.changes; i++) {
    const { port, from, to, make } = plan(i)
    const id = lookupId(port)
    let began = clock.nowMs
    const waiting = new Set(observers)
    for (const observer of observers)
      observer.onChange = (differences, nowMs) => {
        const isIt =
          to === null
            ? differences.removed.some((one) => lookupId(one) === id)
            : differences.set.some((one) => lookupId(one) === id && one.providerAddress === `172.16.${to >> 8}.${to & 0xff}`)
        if (!isIt || !waiting.delete(observer)) return
        convergedMs.push(nowMs - began)
      }
    const before = leaseRevisions()
    const made = during(() => {
      make()
      if (from === null || to === null) clock.run(AFTER_CHANGE_MS)
      else {
        // The guest runs at its new place: the old host lets go.
        clock.run(AFTER_CHANGE_MS / 2)
        began = clock.nowMs
        hosts[from]!.setPorts(hosts[from]!.reconciler.ports.filter((one) => one.name !== port.name))
        hosts[to]!.setPorts(hosts[to]!.reconciler.ports.map((one) => (one.name === port.name ? port : one)))
        clock.run(AFTER_CHANGE_MS)
      }
    })
    const renewed = leasesSince(before)
    writes += made.writes - renewed.writes
    written += made.bytes - renewed.bytes
    if (waiting.size > 0) throw new Error(`${name}: ${waiting.size} hosts did not follow`)
  }
  return {
    change: name,
    writes: writes / options.changes,
    bytesWritten: written / options.changes,
    convergedMs,
  }
}

function leaseRevisions(): Map<string, number> {
  const [{ reconciler }] = observers as [SimulatedHost]
  return new Map(hosts.map((_, i) => [leaseKey(`h${i}`), reconciler.view.revisionOf(leaseKey(`h${i}`))]))
}

function leasesSince(before: ReadonlyMap<string, number>): { writes: number; bytes: number } {
  const renewed = bucket.standing().filter(({ key, revision }) => before.has(key) && revision > before.get(key)!)
  return { writes: renewed.length, bytes: renewed.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0) }
}

function loseOne(): number[] {
  const dead = options.hosts - 1
  hosts[dead]!.kill()
  const began = clock.nowMs
  const times = new Map<SimulatedHost, number>()
  while (times.size < observers.length && clock.nowMs - began < SETTLE_LIMIT_MS) {
    clock.run(LOSS_STEP_MS)
    for (const observer of observers)
      if (observer.reconciler.leases.isLost(`h${dead}`) && !times.has(observer)) times.set(observer, clock.nowMs - began)
  }
  return [...times.values()]
}
