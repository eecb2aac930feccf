// A live capture at a port: decoded as it comes, and a file for Wireshark.
import './capture-pane.css'
import { useEffect, useRef, useState } from 'preact/hooks'
import { open, textOf } from '../state/api.ts'
import { type CapturedFrame, CaptureReader } from './capture-reader.ts'
import { headersOf } from './decode.ts'

const SHOWN_MAX = 500
const SNAP_BYTES = 256
const DRAW_MS = 200

interface Running {
  readonly stop: AbortController
  readonly reader: CaptureReader
}

export function CapturePane({ port }: { readonly port: string }) {
  const [filter, setFilter] = useState('')
  const [problem, setProblem] = useState('')
  const [frames, setFrames] = useState<readonly CapturedFrame[]>([])
  const [running, setRunning] = useState(false)
  const [chosen, setChosen] = useState<number | null>(null)
  const capture = useRef<Running | null>(null)
  useEffect(() => () => capture.current?.stop.abort(), [])

  const start = async (): Promise<void> => {
    const stop = new AbortController()
    const reader = new CaptureReader()
    capture.current = { stop, reader }
    setFrames([])
    setChosen(null)
    setProblem('')
    try {
      const wanted = { ports: [port], filter, snapBytes: SNAP_BYTES, dropped: true }
      const answer = await open('POST', '/v1/captures', wanted, { signal: stop.signal })
      setRunning(true)
      // Frames come faster than they can be drawn: they are drawn a few times a second.
      let waiting: CapturedFrame[] = []
      let drawn = 0
      const stream = answer.body!.getReader()
      const draw = (): void => {
        const fresh = waiting.reverse()
        waiting = []
        drawn = performance.now()
        if (fresh.length > 0) setFrames((old) => [...fresh, ...old].slice(0, SHOWN_MAX))
      }
      for (;;) {
        const { done, value } = await stream.read()
        if (done) break
        waiting = [...waiting, ...reader.take(value)].slice(-SHOWN_MAX)
        if (performance.now() - drawn > DRAW_MS) draw()
        else if (waiting.length > 0) setTimeout(draw, DRAW_MS)
      }
    } catch (error) {
      if (!stop.signal.aborted) setProblem(textOf(error))
    }
    setRunning(false)
  }
  const download = (): void => {
    const file = capture.current?.reader.file()
    if (file === undefined) return
    const link = document.createElement('a')
    link.href = URL.createObjectURL(file)
    link.download = `${port}.pcapng`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  }
  return (
    <div class="capture">
      <form
        class="line"
        onSubmit={(event) => {
          event.preventDefault()
          if (running) capture.current?.stop.abort()
          else void start()
        }}
      >
        <label class="unseen" for="capture-filter">
          Filter
        </label>
        <input
          id="capture-filter"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
          placeholder="filter, as in tcpdump: icmp or port 80"
          disabled={running}
          spellcheck={false}
          autoComplete="off"
        />
        <button type="submit" class="primary">
          {running ? 'Stop' : 'Capture'}
        </button>
        <button type="button" onClick={download} disabled={frames.length === 0}>
          Download
        </button>
      </form>
      {problem !== '' && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <p class="hint" aria-live="polite">
        {running
          ? 'Capturing; dropped frames are marked with their reason.'
          : frames.length === 0
            ? 'Frames that enter and leave this port, as they pass.'
            : 'Stopped.'}
        {capture.current?.reader.full === true && ' The file is full: the download ends at 64 MiB.'}
      </p>
      <ol class="frames">
        {frames.map((frame) => (
          <Frame
            key={frame.number}
            frame={frame}
            open={chosen === frame.number}
            onOpen={(is) => setChosen(is ? frame.number : null)}
          />
        ))}
      </ol>
    </div>
  )
}

function Frame({
  frame,
  open: isOpen,
  onOpen,
}: {
  readonly frame: CapturedFrame
  readonly open: boolean
  readonly onOpen: (open: boolean) => void
}) {
  const dropped = frame.comments.find((comment) => comment.startsWith('dropped'))
  return (
    <li class={`frame ${dropped === undefined ? '' : 'lost'}`}>
      <button type="button" aria-expanded={isOpen} onClick={() => onOpen(!isOpen)}>
        <time>{frame.time}</time>
        <span class={frame.direction}>{frame.direction === 'in' ? '▲' : frame.direction === 'out' ? '▼' : '·'}</span>
        <span class="summary">{frame.summary}</span>
      </button>
      {dropped !== undefined && <span class="badge bad">{dropped}</span>}
      {isOpen && (
        <>
          <dl class="headers">
            {headersOf(frame.data, frame.length).map(([name, text]) => (
              <div key={name + text}>
                <dt>{name}</dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
          <pre class="hex">{hex(frame.data)}</pre>
        </>
      )}
    </li>
  )
}

const ROW = 16

function hex(data: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < data.length; at += ROW) {
    const row = [...data.subarray(at, at + ROW)]
    const digits = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('')
    lines.push(`${at.toString(16).padStart(4, '0')}  ${digits.padEnd(ROW * 3 - 1)}  ${text}`)
  }
  return lines.join('\n')
}
