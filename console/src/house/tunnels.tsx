// Tunnels to other hosts, behind the uplink: what goes through each of them, now.
import './tunnels.css'
import { useMemo } from 'preact/hooks'
import type { OverlayTunnel } from '../../../src/manage/overlay/overlay-calls.ts'
import { Dot } from '../parts/state-dot.tsx'
import { NO_RATE } from '../state/rates.ts'
import { useStore } from '../state/store.ts'
import { hostNames } from '../tables/network-places.ts'
import { bitRate } from '../units.ts'

/** The busiest of them; a switch may have a thousand. */
const SHOWN_MAX = 8
const kinds = { nvgre: 'NVGRE', vxlan: 'VXLAN', geneve: 'Geneve' } as const

export function Tunnels() {
  const overlay = useStore(({ view }) => view?.overlay) ?? null
  const rates = useStore((state) => state.rates)
  const network = useStore((state) => state.network)
  const names = useMemo(() => hostNames(network), [network])
  if (overlay === null) return null
  const traffic = ({ provider }: OverlayTunnel): number => {
    const { inBits, outBits } = rates?.of.get(`tunnel ${provider}`) ?? NO_RATE
    return inBits + outBits
  }
  const busiest = overlay.tunnels.toSorted((a, b) => traffic(b) - traffic(a)).slice(0, SHOWN_MAX)
  const left = overlay.tunnels.length - busiest.length
  const dropped = overlay.drops.reduce((sum, { frames }) => sum + frames, 0)
  return (
    <section class="tunnels" aria-label="Tunnels to other hosts">
      <header>
        <strong>{kinds[overlay.kind]} tunnels</strong>
        <small>
          {overlay.subnets.length} virtual subnets, {overlay.records} records
          {dropped > 0 && <span title={dropWords(overlay.drops)}>, {dropped} frames dropped</span>}
        </small>
      </header>
      {busiest.length === 0 && <p>No other host is known yet.</p>}
      <ul>
        {busiest.map((tunnel) => (
          <Tunnel key={tunnel.provider} tunnel={tunnel} host={names.get(tunnel.provider)} />
        ))}
      </ul>
      {left > 0 && (
        <small>
          and {left} more: the list <em>Network</em> has all
        </small>
      )}
    </section>
  )
}

const dropWords = (drops: readonly { readonly reason: string; readonly frames: number }[]): string =>
  drops.map(({ reason, frames }) => `${reason}: ${frames}`).join('\n')

function Tunnel({ tunnel: { provider, nextHop }, host }: { readonly tunnel: OverlayTunnel; readonly host: string | undefined }) {
  const rate = useStore(({ rates }) => rates?.of.get(`tunnel ${provider}`)) ?? NO_RATE
  return (
    <li title={nextHop === null ? 'its next hop is not known' : `by ${nextHop}`}>
      <Dot tone={nextHop === null ? 'idle' : 'good'} />
      <span class="provider">
        {host !== undefined && <strong>{host} </strong>}
        {provider}
      </span>
      <span class="card-rates">
        <span class="in">▲ {bitRate(rate.inBits)}</span>
        <span class="out">▼ {bitRate(rate.outBits)}</span>
      </span>
    </li>
  )
}
