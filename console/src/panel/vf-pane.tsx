// The virtual function of a port: giving it, taking it back, and when traffic changed its way.
import './vf-pane.css'
import { useState } from 'preact/hooks'
import { call, textOf } from '../state/api.ts'
import { refresh } from '../state/live.ts'
import { tell, useStore } from '../state/store.ts'
import { clock } from '../units.ts'
import { RateChart } from './chart.tsx'
import { Facts } from './panel.tsx'
import { timelineOf } from './timeline.ts'

const SPAN_MS = 5 * 60_000
const WIDTH = 400
const HEIGHT = 92
const LANES = { vf: 20, synthetic: 56 } as const

export function VfPane({ port }: { readonly port: string }) {
  const given = useStore(({ view }) => view?.adapters.flatMap(({ assigned }) => assigned).find((one) => one.port === port))
  const readOnly = useStore((state) => state.readOnly)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  const act = async (work: () => Promise<unknown>, done: string): Promise<void> => {
    setBusy(true)
    setProblem('')
    try {
      await work()
      tell('good', done)
      await refresh()
    } catch (error) {
      setProblem(textOf(error))
    }
    setBusy(false)
  }
  const disabled = busy || readOnly
  const words =
    given === undefined
      ? 'none'
      : { waiting: 'given; waits for the guest’s driver', active: 'in use', removing: 'being taken back' }[given.state]
  return (
    <div class="vf-pane">
      <Facts
        facts={[
          ['Virtual function', given === undefined ? 'none' : `VF ${given.vf} of ${given.adapter}`],
          ['State', words],
          ['Traffic goes', given?.state === 'active' ? 'past the switch, through the VF' : 'through the switch'],
          ['Switchovers', given?.switchovers ?? '–'],
          ['Form', given?.form ?? '–'],
          ['Socket', <code key="path">{given?.path ?? '–'}</code>],
        ]}
      />
      <div class="form-actions">
        {given === undefined ? (
          <button
            type="button"
            class="primary"
            disabled={disabled}
            onClick={() => void act(() => call('POST', '/v1/vfs/assign', { port }), `${port} has a virtual function.`)}
          >
            Assign a VF
          </button>
        ) : (
          <>
            <button
              type="button"
              disabled={disabled}
              onClick={() =>
                void act(() => call('POST', '/v1/vfs/remove', { port, surprise: false }), `${port}: its VF was taken back.`)
              }
            >
              Take it back
            </button>
            <button
              type="button"
              class="danger"
              disabled={disabled}
              onClick={() =>
                void act(() => call('POST', '/v1/vfs/remove', { port, surprise: true }), `${port}: its VF was torn out.`)
              }
            >
              Tear it out
            </button>
            <button
              type="button"
              disabled={disabled}
              onClick={() => void act(() => call('POST', '/v1/vfs/reset', { port }), `${port}: its VF was reset.`)}
            >
              Reset
            </button>
          </>
        )}
      </div>
      {problem !== '' && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {given !== undefined && <RateChart of={`vport ${given.adapter} ${given.vport}`} inWord="from the VF" outWord="to the VF" />}
      <h3>Failover, the last five minutes</h3>
      <TimelineView port={port} active={given?.state === 'active'} />
    </div>
  )
}

function TimelineView({ port, active }: { readonly port: string; readonly active: boolean }) {
  const events = useStore((state) => state.events)
  const takenAt = useStore(({ view }) => view?.takenAt) ?? new Date().toISOString()
  const now = Math.max(Date.parse(takenAt), Date.parse(events[0]?.at ?? takenAt))
  const { from, to, stretches, marks } = timelineOf(events, port, active ? 'vf' : 'synthetic', now, SPAN_MS)
  const x = (at: number): number => (WIDTH * (at - from)) / (to - from)
  return (
    <>
      <svg
        class="timeline"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`Way of the traffic of ${port}: ${stretches.length - 1} changes in the last five minutes`}
      >
        <text x="0" y={LANES.vf - 9}>
          virtual function
        </text>
        <text x="0" y={LANES.synthetic - 9}>
          through the switch
        </text>
        {Object.values(LANES).map((y) => (
          <line key={y} class="lane-line" x1="0" x2={WIDTH} y1={y} y2={y} />
        ))}
        {stretches.map((stretch) => (
          <rect
            key={stretch.from}
            class={stretch.way}
            x={x(stretch.from)}
            y={LANES[stretch.way] - 5}
            width={Math.max(2, x(stretch.to) - x(stretch.from))}
            height="10"
            rx="3"
          />
        ))}
        {stretches.slice(1).map(({ from: at }) => (
          <line key={at} class="change" x1={x(at)} x2={x(at)} y1={LANES.vf - 5} y2={LANES.synthetic + 5} />
        ))}
        <text x="0" y={HEIGHT - 4}>
          {clock(new Date(from).toISOString())}
        </text>
        <text x={WIDTH} y={HEIGHT - 4} text-anchor="end">
          now
        </text>
      </svg>
      <ol class="marks">
        {marks.map((mark) => (
          <li key={`${mark.at} ${mark.code} ${mark.message}`}>
            <time>{clock(new Date(mark.at).toISOString())}</time> <strong>{mark.code}</strong> {mark.message}
          </li>
        ))}
        {marks.length === 0 && <li class="empty">Nothing changed.</li>}
      </ol>
    </>
  )
}
