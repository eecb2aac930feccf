// How long bursts spent in the switch: the histogram that is always on, and the processors that filled it.
import './latency.css'
import { useStore } from '../state/store.ts'
import { count, exact, nanoseconds } from '../units.ts'

export function Latency() {
  const processors = useStore(({ view }) => view?.processors) ?? []
  const busy = useStore(({ rates }) => rates?.busy) ?? []
  const octaves = Math.max(0, ...processors.map(({ latencyCounts }) => latencyCounts.length))
  const counts = Array.from({ length: octaves }, (_, octave) =>
    processors.reduce((sum, one) => sum + (one.latencyCounts[octave] ?? 0), 0),
  )
  const first = counts.findIndex((one) => one > 0)
  const last = counts.findLastIndex((one) => one > 0)
  const most = Math.max(1, ...counts)
  const all = counts.reduce((sum, one) => sum + one, 0)
  return (
    <div class="latency">
      <p class="hint">
        Time from taking a burst of frames out of a queue to its completion, since the start: {exact(all)} bursts.
      </p>
      {first < 0 ? (
        <p class="empty">No burst has passed yet.</p>
      ) : (
        <ol class="histogram" aria-label="Bursts by the time that they took">
          {counts.slice(first, last + 1).map((bursts, i) => {
            const from = 2 ** (first + i)
            return (
              <li key={from} title={`${exact(bursts)} bursts took ${nanoseconds(from)} to ${nanoseconds(from * 2)}`}>
                <span class="share">{bursts === 0 ? '' : `${((100 * bursts) / all).toFixed(bursts * 100 < all ? 2 : 0)} %`}</span>
                <span class="column" style={{ height: `${(100 * Math.log1p(bursts)) / Math.log1p(most)}%` }} />
                <span class="from">{nanoseconds(from)}</span>
                <span class="unseen">{exact(bursts)} bursts</span>
              </li>
            )
          })}
        </ol>
      )}
      <table class="counters">
        <thead>
          <tr>
            <th scope="col">Processor</th>
            <th scope="col">busy</th>
            <th scope="col">half within</th>
            <th scope="col">99 % within</th>
            <th scope="col">99.9 % within</th>
            <th scope="col">frames</th>
          </tr>
        </thead>
        <tbody>
          {processors.map(({ id, latencyNs, counters }, i) => (
            <tr key={id}>
              <th scope="row">{id}</th>
              <td>{Math.round(100 * (busy[i] ?? 0))} %</td>
              <td>{nanoseconds(latencyNs.p50)}</td>
              <td>{nanoseconds(latencyNs.p99)}</td>
              <td>{nanoseconds(latencyNs.p999)}</td>
              <td>{count(counters.frames ?? 0)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="hint">The height of a column is the logarithm of its bursts, so that rare ones can be seen.</p>
    </div>
  )
}
