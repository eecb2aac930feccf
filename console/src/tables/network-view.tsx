// The network of hosts: how it stands, each host with what goes through the tunnel to it now, and where each address is.
import './network-view.css'
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { NetworkHost, NetworkStatus } from '../../../src/manage/cluster/cluster-calls.ts'
import type { OverlayTunnel } from '../../../src/manage/overlay/overlay-calls.ts'
import { Dot, type Tone } from '../parts/state-dot.tsx'
import { Cell, VirtualList } from '../parts/virtual-list.tsx'
import { watchNetwork } from '../state/network.ts'
import { NO_RATE, type Rate, type Rates } from '../state/rates.ts'
import { useStore } from '../state/store.ts'
import { bitRate, clock, count } from '../units.ts'
import { placesOf, placesWith } from './network-places.ts'
import { Search } from './port-table.tsx'

const tones: Readonly<Record<NetworkHost['state'], Tone>> = { here: 'good', alive: 'good', lost: 'bad' }
const HERE = 'this host'
const NO_TUNNELS: readonly OverlayTunnel[] = []

export function NetworkView() {
  const network = useStore((state) => state.network)
  useEffect(watchNetwork, [])
  return (
    <div class="network-view">
      {network !== null && <Standing network={network} />}
      <Hosts network={network} />
      <Places network={network} />
    </div>
  )
}

function Standing({ network }: { readonly network: NetworkStatus }) {
  const { network: name, host, state, since, message, lagMs, lookups, servers } = network
  if (name === null)
    return <p class="hint">This host is in no network of hosts: vmswitch join nats://HOST:PORT --network NAME makes it one.</p>
  return (
    <>
      <dl class="standing">
        <div>
          <dt>Network</dt>
          <dd>
            {name}
            <small> as {host}</small>
          </dd>
        </div>
        <div class={state === 'joined' ? '' : 'warn'}>
          <dt>State</dt>
          <dd>
            {state}
            <small> since {clock(since)}</small>
          </dd>
        </div>
        <div data-figure="lag">
          <dt>Convergence</dt>
          <dd>{lagMs === null ? 'not known yet' : `${lagMs} ms`}</dd>
        </div>
        <div>
          <dt>Look-up records</dt>
          <dd>{lookups === null ? 'no overlay' : count(lookups)}</dd>
        </div>
        <div class="low">
          <dt>NATS</dt>
          <dd>{servers}</dd>
        </div>
      </dl>
      {message !== null && <p class="problem">{message}</p>}
      {network.refused.map(({ key, message: why }) => (
        <p key={key} class="problem">
          Not believed: {key}: {why}
        </p>
      ))}
    </>
  )
}

/** A host, or a tunnel to one that the network does not know. */
interface Line {
  readonly name: string
  readonly tone: Tone
  readonly word: string
  readonly providers: readonly string[]
  readonly ports: number | null
  readonly version: string
}

function linesOf(network: NetworkStatus | null, tunnels: readonly OverlayTunnel[]): readonly Line[] {
  const hosts = (network?.hosts ?? []).map(
    ({ name, state, heardMs, providerAddresses, ports, software }): Line => ({
      name,
      tone: tones[state],
      word: heardMs === null ? HERE : `${state}, heard ${(heardMs / 1000).toFixed(1)} s ago`,
      providers: providerAddresses,
      ports,
      version: software,
    }),
  )
  const known = new Set(hosts.flatMap(({ providers }) => providers))
  const others = tunnels.filter(({ provider }) => !known.has(provider))
  return [
    ...hosts,
    ...others.map(
      ({ provider }): Line => ({
        name: '–',
        tone: 'idle',
        word: 'not of the network',
        providers: [provider],
        ports: null,
        version: '',
      }),
    ),
  ]
}

function rateOf(rates: Rates | null, { providers }: Line): Rate {
  const sum = { ...NO_RATE }
  for (const provider of providers) {
    const rate = rates?.of.get(`tunnel ${provider}`) ?? NO_RATE
    for (const member of Object.keys(sum) as (keyof Rate)[]) sum[member] += rate[member]
  }
  return sum
}

const heads = (titles: readonly (readonly [title: string, kind: string])[]) =>
  titles.map(([title, kind]) => (
    <span key={title} role="columnheader" tabIndex={-1} class={`cell ${kind}`}>
      {title}
    </span>
  ))

function Hosts({ network }: { readonly network: NetworkStatus | null }) {
  const tunnels = useStore(({ view }) => view?.overlay?.tunnels) ?? NO_TUNNELS
  const rates = useStore((state) => state.rates)
  const lines = useMemo(() => linesOf(network, tunnels), [network, tunnels])
  const hops = useMemo(() => new Map(tunnels.map(({ provider, nextHop }) => [provider, nextHop])), [tunnels])
  return (
    <section class="hosts">
      <h3>Hosts and tunnels</h3>
      <VirtualList
        items={lines}
        keyOf={({ name, providers }) => `host-${name}-${providers.join('-').replaceAll(/[.:]/g, '_')}`}
        label="Hosts and tunnels"
        empty="No host and no tunnel is known."
        head={heads([
          ['Host', ''],
          ['Provider address', 'wide'],
          ['Ports', 'end narrow low'],
          ['▲ in', 'end'],
          ['frames/s', 'end low'],
          ['▼ out', 'end'],
          ['frames/s ', 'end low'],
        ])}
        row={(line) => {
          const { inBits, inFrames, outBits, outFrames } = rateOf(rates, line)
          const unknown = line.providers.some((provider) => hops.get(provider) === null)
          const isTunnel = line.providers.some((provider) => hops.has(provider))
          return (
            <>
              <Cell>
                <Dot tone={line.tone} />
                <strong title={`${line.word}${line.version === '' ? '' : `, version ${line.version}`}`}>{line.name}</strong>
                {line.word === HERE ? <small>{HERE}</small> : <span class="unseen">{line.word}</span>}
              </Cell>
              <Cell wide>
                <code title={line.providers.join(', ')}>{line.providers.join(', ')}</code>
                {unknown && <small>no next hop</small>}
              </Cell>
              <span role="gridcell" tabIndex={-1} class="cell end narrow low">
                {line.ports ?? '–'}
              </span>
              <Cell end>{isTunnel ? bitRate(inBits) : '–'}</Cell>
              <Cell end low>
                {isTunnel ? count(inFrames) : '–'}
              </Cell>
              <Cell end>{isTunnel ? bitRate(outBits) : '–'}</Cell>
              <Cell end low>
                {isTunnel ? count(outFrames) : '–'}
              </Cell>
            </>
          )
        }}
      />
    </section>
  )
}

function Places({ network }: { readonly network: NetworkStatus | null }) {
  const records = useStore((state) => state.records)
  const [filter, setFilter] = useState('')
  const places = useMemo(() => placesOf(network, records), [network, records])
  const shown = useMemo(() => placesWith(places, filter), [places, filter])
  return (
    <section class="places">
      <h3>Where each address is</h3>
      <Search
        id="place-search"
        label="Find a MAC or IP address, a port, a host or a virtual subnet"
        text={filter}
        onType={setFilter}
        found={shown.length}
        total={places.length}
      />
      <VirtualList
        items={shown}
        keyOf={({ mac, subnet, host, port }) => `place-${subnet}-${mac.replaceAll(':', '')}-${host}-${port}`}
        label="Where each address is"
        empty="No address fits."
        head={heads([
          ['MAC address', ''],
          ['Subnet', 'narrow low'],
          ['IP addresses', 'low'],
          ['Port', ''],
          ['Host', ''],
          ['State', 'low'],
        ])}
        row={({ mac, subnet, addresses, port, host, state }) => (
          <>
            <Cell>
              <code>{mac}</code>
            </Cell>
            <span role="gridcell" tabIndex={-1} class="cell narrow low">
              {subnet === 0 ? '–' : subnet}
            </span>
            <Cell low>{addresses.join(', ')}</Cell>
            <Cell>{port === '' ? '–' : port}</Cell>
            <Cell>
              <strong>{host}</strong>
            </Cell>
            <Cell low>{state}</Cell>
          </>
        )}
      />
    </section>
  )
}
