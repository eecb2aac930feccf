// An SR-IOV adapter: its wire, its VPorts, and pulling it out.
import { Dot } from '../parts/state-dot.tsx'
import { call, segment, textOf } from '../state/api.ts'
import { refresh } from '../state/live.ts'
import { tell, useStore } from '../state/store.ts'
import { count, exact } from '../units.ts'
import { RateChart } from './chart.tsx'
import { Facts, PanelHead } from './panel.tsx'

export function AdapterPanel({ name }: { readonly name: string }) {
  const adapter = useStore(({ view }) => view?.adapters.find((one) => one.name === name))
  const readOnly = useStore((state) => state.readOnly)
  if (adapter === undefined)
    return (
      <>
        <PanelHead title={name} kind="Adapter" />
        <p class="empty">This adapter is gone.</p>
      </>
    )
  const pulled = adapter.state === 'removed'
  const act = async (what: 'pull' | 'plug'): Promise<void> => {
    try {
      await call('POST', `/v1/adapters/${segment(name)}/${what}`, {})
      tell('good', what === 'pull' ? `${name} was pulled: guests go on through the switch.` : `${name} is back.`)
      await refresh()
    } catch (error) {
      tell('bad', textOf(error))
    }
  }
  const drops = Object.entries(adapter.wireDrops)
  return (
    <>
      <PanelHead title={name} kind={adapter.mode === 'vmq' ? 'Adapter with queues' : 'SR-IOV adapter'}>
        <p class="state">
          <Dot tone={pulled ? 'bad' : adapter.link === 'up' ? 'good' : 'warn'} /> {pulled ? 'pulled' : `link ${adapter.link}`}
        </p>
      </PanelHead>
      <div class="panel-actions">
        <button
          type="button"
          class={pulled ? 'small primary' : 'small danger'}
          disabled={readOnly}
          onClick={() => void act(pulled ? 'plug' : 'pull')}
        >
          {pulled ? 'Put it back' : 'Pull it out'}
        </button>
        {!pulled && <span class="hint">Surprise removal: every guest falls back to the switch.</span>}
      </div>
      <div class="tab-content">
        <RateChart of={`wire ${name}`} inWord="from the wire" outWord="to the wire" />
        <Facts
          facts={[
            ['Address', <code key="mac">{adapter.mac}</code>],
            ['Virtual functions', `${adapter.vfs.allocated} of ${adapter.vfs.total} given`],
            ['From the wire', `${exact(adapter.wire.receivedFrames)} frames`],
            ['To the wire', `${exact(adapter.wire.sentFrames)} frames`],
            ...drops.map(([reason, frames]) => [`Dropped: ${reason}`, exact(frames)] as const),
          ]}
        />
        <h3>VPorts</h3>
        <table class="counters">
          <thead>
            <tr>
              <th scope="col">VPort</th>
              <th scope="col">of</th>
              <th scope="col">from it</th>
              <th scope="col">to it</th>
            </tr>
          </thead>
          <tbody>
            {adapter.vports.map(({ id, function: of, name: called, counters }) => (
              <tr key={id}>
                <th scope="row">{id}</th>
                <td>{of === 'pf' ? 'PF' : `VF ${of}, ${called}`}</td>
                <td>{count(counters.receivedFrames)}</td>
                <td>{count(counters.sentFrames)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}
