// The ground floor: the SR-IOV adapter with its physical function, virtual functions and queues, other uplinks, and the street.
import './cables.css'
import './cards.css'
import './outside.css'
import type { AdapterStatus } from '../../../src/manage/adapters/adapter-calls.ts'
import type { QueueStatus } from '../../../src/manage/adapters/queue-calls.ts'
import type { LivePort } from '../../../src/manage/live/live-view.ts'
import { Dot, portState, type Tone } from '../parts/state-dot.tsx'
import { NO_RATE, type Rate } from '../state/rates.ts'
import { select, useStore } from '../state/store.ts'
import { bitRate, flowLevel } from '../units.ts'
import { isOutside } from './layout.ts'
import { stepsAt } from './trace-steps.ts'
import { Tunnels } from './tunnels.tsx'

export function Outside() {
  const adapters = useStore(({ view }) => view?.adapters) ?? []
  const ports = useStore(({ view }) => view?.ports) ?? []
  const queues = useStore(({ view }) => view?.queues) ?? []
  const type = useStore(({ view }) => view?.switch.type)
  const uplinks = ports.filter((port) => isOutside(port) && port.kind !== 'adapter')
  if (adapters.length === 0 && uplinks.length === 0)
    return (
      <p class="closed-door">
        No cable leads out: {type === 'private' ? 'a private switch joins guests only' : 'the switch has no uplink yet'}.
      </p>
    )
  return (
    <div class="outside">
      {adapters.map((adapter) => (
        <Adapter
          key={adapter.name}
          adapter={adapter}
          port={ports.find(({ kind, place }) => kind === 'adapter' && place === adapter.name)}
          queues={queues.filter((queue) => queue.adapter === adapter.name)}
        />
      ))}
      {uplinks.map((port) => (
        <Uplink key={port.name} port={port} />
      ))}
      <Tunnels />
    </div>
  )
}

const useRate = (key: string): Rate => useStore(({ rates }) => rates?.of.get(key)) ?? NO_RATE

function Street({ rate, tone, label }: { readonly rate: Rate; readonly tone: Tone; readonly label: string }) {
  return (
    <span class={`street ${tone}`}>
      <svg class="cables" width="44" height="34" aria-hidden="true">
        <path class="wire" d="M22 0V34" />
        <path class={`flow in level${flowLevel(rate.inBits)}`} d="M22 34V0" />
        <path class={`flow out level${flowLevel(rate.outBits)}`} d="M22 34V0" />
      </svg>
      <span class="cloud">{label}</span>
    </span>
  )
}

function Adapter({
  adapter,
  port,
  queues,
}: {
  readonly adapter: AdapterStatus
  readonly port: LivePort | undefined
  readonly queues: readonly QueueStatus[]
}) {
  const { name, link, state, uplink, vfs, assigned, vports } = adapter
  const wire = useRate(`wire ${name}`)
  const chosen = useStore(({ selection }) => selection?.kind === 'adapter' && selection.name === name)
  const up = link === 'up' && state === 'running'
  const leads = uplink === null ? 'no cable' : 'interface' in uplink ? uplink.interface : uplink.kind
  return (
    <div class="uplink-column wide">
      <div class={`adapter ${chosen ? 'chosen' : ''} ${up ? '' : 'off'}`}>
        <button type="button" class="adapter-head" onClick={() => select({ kind: 'adapter', name })} aria-pressed={chosen}>
          <Dot tone={state === 'removed' ? 'bad' : up ? 'good' : 'warn'} />
          <strong>{name}</strong>
          <span class="kind">{adapter.mode === 'vmq' ? 'adapter with queues' : 'SR-IOV adapter'}</span>
          {state === 'removed' && <span class="badge bad">pulled</span>}
          <span class="card-rates">
            <span class="in">▲ {bitRate(wire.inBits)}</span>
            <span class="out">▼ {bitRate(wire.outBits)}</span>
          </span>
        </button>
        <ul class="functions" aria-label={`Functions of ${name}`}>
          <li class="function pf">
            <button type="button" onClick={() => port !== undefined && select({ kind: 'port', name: port.name })}>
              <strong>PF</strong>
              <small>{port === undefined ? 'no port' : `port ${port.name}`}</small>
              <small>to the switch</small>
            </button>
          </li>
          {Array.from({ length: vfs.total }, (_, vf) => {
            const given = assigned.find((one) => one.vf === vf)
            const vport = vports.find((one) => one.function === vf)
            return <VirtualFunction key={vf} adapter={name} vf={vf} given={given} vport={vport?.id} />
          })}
          {queues.map((queue) => (
            <Queue key={queue.queue} queue={queue} />
          ))}
        </ul>
      </div>
      <Street rate={wire} tone={uplink === null ? 'idle' : up ? 'good' : 'bad'} label={leads} />
    </div>
  )
}

interface VirtualFunctionProps {
  readonly adapter: string
  readonly vf: number
  readonly given: AdapterStatus['assigned'][number] | undefined
  readonly vport: number | undefined
}

function VirtualFunction({ adapter, vf, given, vport }: VirtualFunctionProps) {
  const rate = useRate(`vport ${adapter} ${vport}`)
  if (given === undefined)
    return (
      <li class="function free">
        <strong>VF {vf}</strong>
        <small>free</small>
      </li>
    )
  return (
    <li class={`function given ${given.state}`} data-function={`${adapter} ${vf}`}>
      <button type="button" onClick={() => select({ kind: 'port', name: given.port })}>
        <strong>VF {vf}</strong>
        <small>{given.port}</small>
        <small>{given.state === 'active' ? bitRate(rate.inBits + rate.outBits) : given.state}</small>
      </button>
    </li>
  )
}

const Queue = ({ queue }: { readonly queue: QueueStatus }) => (
  <li class="function queue">
    <button type="button" onClick={() => queue.port !== null && select({ kind: 'port', name: queue.port })}>
      <strong>{queue.queue === 0 ? 'default queue' : `queue ${queue.queue}`}</strong>
      <small>{queue.port ?? 'all others'}</small>
      <small>processor {queue.processor}</small>
    </button>
  </li>
)

function Uplink({ port }: { readonly port: LivePort }) {
  const rate = useRate(`port ${port.name}`)
  const trace = useStore((state) => state.trace)
  const chosen = useStore(({ selection }) => selection?.kind === 'port' && selection.name === port.name)
  const { tone, word } = portState(port)
  const steps = stepsAt(trace, { port: port.name })
  return (
    <div class="uplink-column">
      <button
        type="button"
        class={`card uplink ${chosen ? 'chosen' : ''}`}
        aria-pressed={chosen}
        aria-label={`${port.name}: uplink, ${word}`}
        onClick={() => select({ kind: 'port', name: port.name })}
      >
        <span class="card-head">
          <Dot tone={tone} />
          <strong>{port.name}</strong>
          <span class="kind">{port.kind}</span>
        </span>
        <span class="card-line">{port.place}</span>
        <span class="card-rates">
          <span class="in">▲ {bitRate(rate.inBits)}</span>
          <span class="out">▼ {bitRate(rate.outBits)}</span>
        </span>
        {steps.length > 0 && <span class="steps">{steps.join(', ')}</span>}
      </button>
      <Street rate={rate} tone={tone} label="network" />
    </div>
  )
}
