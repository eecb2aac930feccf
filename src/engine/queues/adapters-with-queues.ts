// All adapters of a running switch: those in SR-IOV mode, and those in VMQ mode beside them. A call goes to whoever has the adapter.
//
// The rule it must not break: an adapter is in one mode (SR-129); what belongs to the other one is refused by name.
import { randomBytes } from 'node:crypto'
import type { AdapterIndication } from '../../adapter/adapter.ts'
import type { VfShown, VfWords } from '../../adapter/linux-words.ts'
import type { AdapterRequest } from '../../adapter/requests.ts'
import { HASH_KEY_BYTES } from '../../adapter/rss/toeplitz.ts'
import type { EndpointComponents, EndpointControl } from '../../endpoints/endpoint.ts'
import type { OidCompletion, OidRequest } from '../../ndis/oids.ts'
import type { AdapterConfig, AdapterStatus, VPortCounters } from '../adapter-config.ts'
import type { PortPlace } from '../adapters/adapter-port.ts'
import { RunningAdapters, type SwitchAdaptersComponents } from '../adapters/switch-adapters.ts'
import type { PortRunnerComponents } from '../port-runner.ts'
import type { RssConfig } from '../rss/rss-config.ts'
import { RunningRss } from '../rss/running-rss.ts'
import type { PortConfig } from '../switch-config.ts'
import { RunningQueues, type RunningQueuesComponents, type VmqAdapterConfig } from './running-queues.ts'

/** Of an adapter whose configuration says nothing: VM queues, and seconds between two looks at the load. */
export const QUEUES_DEFAULT = 16
export const REBALANCE_SECONDS_DEFAULT = 10
/** Driver name under which requests of operators are issued: what they make is theirs. */
const OPERATOR = 'operator'

export class WrongModeError extends Error {
  override readonly name = 'WrongModeError'
  readonly code = 'WRONG_MODE'
}

const isVmq = (config: AdapterConfig): boolean => config.mode === 'vmq'

const withDefaults = (config: AdapterConfig): VmqAdapterConfig => ({
  ...config,
  mode: 'vmq',
  queues: config.queues ?? QUEUES_DEFAULT,
  baseProcessor: config.baseProcessor ?? 0,
  rebalanceSeconds: config.rebalanceSeconds ?? REBALANCE_SECONDS_DEFAULT,
})

const noCounters: VPortCounters = {
  receivedFrames: 0,
  receivedBytes: 0,
  sentFrames: 0,
  sentBytes: 0,
  receivedDropped: 0,
  sendDropped: 0,
  receivedMulticast: 0,
}

const hashKeyOf = ({ hashKey }: RssConfig): Uint8Array =>
  hashKey === undefined ? randomBytes(HASH_KEY_BYTES) : Buffer.from(hashKey, 'hex')

type AdaptersComponents = SwitchAdaptersComponents &
  Pick<RunningQueuesComponents, 'polledFrom'> & { readonly rss?: RssConfig | undefined }

export class AdaptersWithQueues extends RunningAdapters {
  readonly queues: RunningQueues
  /** Guests with several queue pairs. */
  readonly rss: RunningRss
  readonly #queueObservers = new Set<(adapter: string, indication: AdapterIndication) => void>()

  constructor(configs: readonly AdapterConfig[], components: AdaptersComponents) {
    super(
      configs.filter((config) => !isVmq(config)),
      components,
    )
    const { rss = {} } = components
    this.rss = new RunningRss(rss, { ...components, hashKey: hashKeyOf(rss) })
    this.queues = new RunningQueues(configs.filter(isVmq).map(withDefaults), {
      ...components,
      indicate: (adapter, indication) => {
        for (const observer of this.#queueObservers) observer(adapter, indication)
      },
    })
  }

  override async start(): Promise<void> {
    await super.start()
    await this.queues.start()
  }

  override async started(): Promise<void> {
    await super.started()
    await this.queues.started()
    this.rss.started()
  }

  override portOf(name: string, place: PortPlace, components: EndpointComponents): EndpointControl {
    return this.queues.portOf(name, place, components) ?? super.portOf(name, place, components)
  }

  /** What ports ask of adapters, and tell of their queues. */
  get forPorts(): Pick<PortRunnerComponents, 'adapterPort' | 'pairsChanged'> {
    return {
      adapterPort: (name, place, components) => this.portOf(name, place, components),
      pairsChanged: (served) => this.rss.serve(served),
    }
  }

  override uplink(name: string): EndpointControl | null {
    const uplink = this.queues.uplink(name)
    return uplink === undefined ? super.uplink(name) : uplink
  }

  override carryOut(portId: number, request: OidRequest): Promise<OidCompletion> | undefined {
    return this.queues.carryOut(portId, request) ?? super.carryOut(portId, request)
  }

  override async addPort(id: number, config: PortConfig, arriving = false): Promise<void> {
    await super.addPort(id, config, arriving)
    this.queues.addPort(id, config)
    await this.rss.configure(config.name, config)
  }

  override async removePort(name: string): Promise<void> {
    await this.queues.removePort(name)
    await super.removePort(name)
  }

  override policiesChanged(portId: number): void {
    super.policiesChanged(portId)
    this.queues.policiesChanged(portId)
  }

  override async close(): Promise<void> {
    this.rss.close()
    await this.queues.close()
    await super.close()
  }

  override list(): readonly AdapterStatus[] {
    const inVmqMode = this.queues.adapters().map(
      ({ config: { name, mac, uplink }, isJoined }): AdapterStatus => ({
        name,
        mac,
        mode: 'vmq',
        state: 'running',
        uplink,
        link: isJoined ? 'up' : 'down',
        vfs: { total: 0, allocated: 0 },
        vports: [],
        wire: noCounters,
        wireDrops: {},
        shown: [],
        assigned: [],
      }),
    )
    return [...super.list(), ...inVmqMode]
  }

  override async set(adapter: string, vf: number, words: VfWords): Promise<VfShown> {
    this.#needsSriov(adapter)
    return super.set(adapter, vf, words)
  }

  override async pull(adapter: string): Promise<void> {
    this.#needsSriov(adapter)
    await super.pull(adapter)
  }

  override async plug(adapter: string): Promise<void> {
    this.#needsSriov(adapter)
    await super.plug(adapter)
  }

  #needsSriov(adapter: string): void {
    if (this.queues.uplink(adapter) !== undefined)
      throw new WrongModeError(`adapter "${adapter}" is in VMQ mode: it has no virtual functions, and is not pulled`)
  }

  override async request(
    adapter: string,
    request: AdapterRequest,
  ): Promise<{ readonly status: number; readonly output: unknown }> {
    const answer = this.queues.request(adapter, request, OPERATOR)
    if (answer === undefined) return super.request(adapter, request)
    const { status, output } = await answer
    return { status, output: output ?? null }
  }

  override observe(observer: (adapter: string, indication: AdapterIndication) => void): () => void {
    const end = super.observe(observer)
    this.#queueObservers.add(observer)
    return () => {
      this.#queueObservers.delete(observer)
      end()
    }
  }
}
