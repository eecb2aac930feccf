// Drops by port and reason, and the last dropped frames.
import './drop-table.css'
import { useEffect, useState } from 'preact/hooks'
import type { DropRecord, LastDropsReport } from '../../../src/manage/diagnosis/diagnosis-calls.ts'
import { Cell, VirtualList } from '../parts/virtual-list.tsx'
import { call } from '../state/api.ts'
import { current, select, useStore } from '../state/store.ts'
import { clock, count, exact } from '../units.ts'

const PERIOD_MS = 2000
const LAST = 30

export function DropTable() {
  const drops = useStore(({ view }) => view?.drops) ?? []
  const rates = useStore((state) => state.rates)
  const [last, setLast] = useState<readonly DropRecord[]>([])
  const [meanings, setMeanings] = useState<LastDropsReport['meanings']>({})
  useEffect(() => {
    const look = (): void => {
      call<LastDropsReport>('GET', `/v1/drops/last?last=${LAST}`).then(
        (report) => {
          setLast([...report.drops].reverse())
          setMeanings(report.meanings)
        },
        () => undefined,
      )
    }
    look()
    const timer = setInterval(look, PERIOD_MS)
    return () => clearInterval(timer)
  }, [])
  const sorted = [...drops].sort((a, b) => b.frames - a.frames)
  const open = (port: string): void => {
    if (current().view?.ports.some(({ name }) => name === port)) select({ kind: 'port', name: port })
  }
  return (
    <div class="drop-table">
      <VirtualList
        items={sorted}
        keyOf={({ port, reason }) => `${port}-${reason}`.replaceAll(' ', '_')}
        label="Drops by port and reason"
        onOpen={({ port }) => open(port)}
        empty="Nothing was dropped since the switch started."
        head={
          <>
            <span role="columnheader" tabIndex={-1} class="cell">
              Port
            </span>
            <span role="columnheader" tabIndex={-1} class="cell wide">
              Reason
            </span>
            <span role="columnheader" tabIndex={-1} class="cell end">
              Frames
            </span>
            <span role="columnheader" tabIndex={-1} class="cell end">
              Now
            </span>
          </>
        }
        row={({ port, reason, frames }) => (
          <>
            <Cell>{port}</Cell>
            <Cell wide>{reason}</Cell>
            <Cell end>{exact(frames)}</Cell>
            <Cell end>{count(rates?.drops.get(`${port} ${reason}`) ?? 0)}/s</Cell>
          </>
        )}
      />
      <div class="last-drops">
        <h3>The last ones</h3>
        <ol>
          {last.map(({ time, port, reason, extension, rule, summary }) => (
            <li key={`${time} ${port} ${reason}`}>
              <time>{clock(time)}</time> <strong>{port}</strong>{' '}
              <span class="badge bad" title={meanings[reason]}>
                {reason}
              </span>{' '}
              {(rule ?? extension) !== null && <small>by {rule ?? extension}</small>}
              <p>{summary}</p>
            </li>
          ))}
        </ol>
        {last.length === 0 && <p class="empty">None is kept.</p>}
      </div>
    </div>
  )
}
