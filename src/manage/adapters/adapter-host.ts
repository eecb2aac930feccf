// The part of SwitchHost that is about SR-IOV adapters, over the engine's. Translates names and shapes; decides nothing of its own.
import { AdapterOid, adapterOidName } from '../../adapter/oids.ts'
import type { SwitchAdapters } from '../../engine/adapter-config.ts'
import type { SwitchQueues } from '../../engine/queue-config.ts'
import type { SwitchRss } from '../../engine/rss/rss-config.ts'
import { ndisStatusName } from '../../ndis/status.ts'
import { ControlError } from '../control/control-errors.ts'
import type { AdapterCalls, AdapterStatus, AssignedVfStatus } from './adapter-calls.ts'

export interface AdapterHostComponents {
  readonly adapters: SwitchAdapters & { readonly queues?: SwitchQueues; readonly rss?: SwitchRss }
  readonly switchName: string
  readonly translated: <T>(work: () => Promise<T>) => Promise<T>
}

/** Levels of nesting of a payload; deeper ones are refused. */
const PAYLOAD_DEPTH_MAX = 16

export function adapterHost({ adapters, switchName, translated }: AdapterHostComponents): AdapterCalls {
  const adapter = (name: string): AdapterStatus => {
    const found = adapters.list().find((candidate) => candidate.name === name)
    if (found !== undefined) return found
    const names = adapters.list().map((one) => one.name)
    const known = names.length === 0 ? 'it has none' : `it has: ${names.join(', ')}`
    throw new ControlError('no-such-adapter', `switch "${switchName}" has no adapter "${name}" (${known})`)
  }
  const rss = (port: string): SwitchRss => {
    if (adapters.rss) return adapters.rss
    throw new ControlError('no-queue-pairs', `the guest behind port "${port}" receives on one queue pair`)
  }
  const vfs = (): AssignedVfStatus[] => adapters.list().flatMap(({ assigned }) => assigned)
  return {
    adapters: () => adapters.list(),
    adapter,
    pullAdapter: (name) =>
      translated(async () => {
        adapter(name)
        await adapters.pull(name)
        return adapter(name)
      }),
    plugAdapter: (name) =>
      translated(async () => {
        adapter(name)
        await adapters.plug(name)
        return adapter(name)
      }),
    adapterRequest: (name, { oid, type, payload, outputRoom }) =>
      translated(async () => {
        adapter(name)
        const { status, output } = await adapters.request(name, {
          oid: oidNumber(oid),
          type,
          ...(payload === undefined ? {} : { payload: fromJson(payload, 0) }),
          ...(outputRoom === undefined ? {} : { outputRoom }),
        })
        return { status, statusName: ndisStatusName(status), output: output === undefined ? null : toJson(output) }
      }),
    setVf: ({ adapter: name, vf, words }) =>
      translated(async () => {
        const { vfs: has, vports } = adapter(name)
        const { total } = has
        if (vf >= total)
          throw new ControlError(
            'no-such-vf',
            `adapter "${name}" has no VF ${vf}: ${total === 0 ? 'it has none' : `they are numbered 0 to ${total - 1}`}`,
          )
        const vport = vports.find((one) => one.function === vf)
        if (words.vlan !== undefined && vport?.filters.length === 0)
          throw new ControlError(
            'bad-vf-setting',
            `VF ${vf} of adapter "${name}" waits for its guest's driver, and its VLAN is that of port "${vport.name}": set the port's property vlan`,
          )
        return adapters.set(name, vf, words)
      }),
    vfs,
    queues: () => adapters.queues?.list() ?? [],
    setQueue: ({ port, processor }) =>
      translated(async () => {
        if (!adapters.queues)
          throw new ControlError('no-queue', `port "${port}" has no queue: the switch has no adapter in VMQ mode`)
        return adapters.queues.setProcessor(port, processor)
      }),
    rss: () => adapters.rss?.list() ?? [],
    setVmmq: ({ port, vmmqEnabled, vmmqQueuePairs }) =>
      translated(async () =>
        rss(port).set(port, {
          ...(vmmqEnabled === undefined ? {} : { vmmqEnabled }),
          ...(vmmqQueuePairs === undefined ? {} : { vmmqQueuePairs: vmmqQueuePairs ?? undefined }),
        }),
      ),
    moveRss: ({ port, entries, from, to }) => translated(async () => rss(port).move(port, { entries, from, to })),
    assignVf: (port) => translated(() => adapters.assign(port)),
    removeVf: ({ port, surprise }) => translated(() => adapters.remove(port, surprise)),
    resetVf: (port) =>
      translated(async () => {
        await adapters.reset(port)
        const found = vfs().find((candidate) => candidate.port === port)
        if (found === undefined) throw new ControlError('no-vf', `port "${port}" has no VF any more`)
        return found
      }),
  }
}

const oids = new Map(Object.values(AdapterOid).map((oid) => [adapterOidName(oid), oid as number]))

function oidNumber(oid: number | string): number {
  if (typeof oid === 'number') return oid
  const number = oids.get(oid.toUpperCase()) ?? (/^0x[0-9a-f]{1,8}$/i.test(oid) ? Number(oid) : undefined)
  if (number === undefined)
    throw new ControlError('bad-request', `"${oid}" is no OID of an adapter; one is OID_NIC_SWITCH_ENUM_VPORTS`)
  return number
}

/** `{ hex }` becomes bytes. Throws `bad-request`. */
function fromJson(value: unknown, depth: number): unknown {
  if (depth > PAYLOAD_DEPTH_MAX) throw new ControlError('bad-request', `a payload has at most ${PAYLOAD_DEPTH_MAX} levels`)
  if (Array.isArray(value)) return value.map((one) => fromJson(one, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  const { hex, ...others } = value as Record<string, unknown>
  if (typeof hex === 'string' && Object.keys(others).length === 0) {
    if (!/^([0-9a-f]{2})*$/i.test(hex)) throw new ControlError('bad-request', 'hex has two digits per byte')
    return new Uint8Array(Buffer.from(hex, 'hex'))
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fromJson(one, depth + 1)]))
}

function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') }
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toJson(one)]))
}
