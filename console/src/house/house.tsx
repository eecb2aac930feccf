// The host as a house: guests upstairs, the extensible switch in the middle, the adapter and its cables below.
import './house.css'
import { select, useStore } from '../state/store.ts'
import { DirectPaths } from './direct-paths.tsx'
import { Guests } from './guests.tsx'
import { Outside } from './outside.tsx'
import { Stack } from './stack.tsx'

const types: Readonly<Record<string, string>> = {
  private: 'private: guests only',
  internal: 'internal: guests and this host',
  external: 'external: guests, this host and the network',
}

export function House() {
  const name = useStore(({ view }) => view?.switch.name) ?? ''
  const type = useStore(({ view }) => view?.switch.type) ?? 'private'
  const direct = useStore(({ view }) => view?.adapters.some(({ assigned }) => assigned.some(({ state }) => state === 'active')))
  return (
    <section class="house" aria-label="The host">
      <svg class="roof" viewBox="0 0 1000 54" preserveAspectRatio="none" aria-hidden="true">
        <path d="M0 54 500 2l500 52z" />
      </svg>
      <div class={`walls ${direct === true ? 'direct' : ''}`}>
        <div class="floor upstairs">
          <h2>
            Guests <span class="hint">one port each; click one, or its cable</span>
            <span class="legend" aria-hidden="true">
              <span class="in">▲ into the switch</span>
              <span class="out">▼ to the guest</span>
              {direct === true && <span class="vf">▌past the switch</span>}
            </span>
          </h2>
          <Guests />
        </div>
        <div class="floor middle">
          <h2>
            Extensible switch <strong>{name}</strong> <span class="hint">{types[type]}</span>
            <button type="button" class="small" onClick={() => select({ kind: 'explain', port: null })}>
              Explain a packet
            </button>
          </h2>
          <Stack />
        </div>
        <div class="floor ground">
          <h2>
            Uplinks <span class="hint">adapter, functions, queues</span>
          </h2>
          <Outside />
        </div>
        <DirectPaths />
      </div>
    </section>
  )
}
