// The screen of a serial line: what the guest wrote, where its cursor is, and the keys that go to it.
import { useEffect, useRef, useState } from 'preact/hooks'
import { keyText } from './keys.ts'
import type { SerialScreen } from './serial-screen.ts'

/** Between two drawings of a screen that changes. */
const DRAW_MS = 50

interface Drawn {
  readonly above: string
  readonly at: string
  readonly behind: string
}

function drawn({ lines, column }: SerialScreen): Drawn {
  const last = (lines.at(-1) ?? '').padEnd(column + 1)
  return {
    above: [...lines.slice(0, -1), last.slice(0, column)].join('\n'),
    at: last.slice(column, column + 1),
    behind: last.slice(column + 1),
  }
}

const same = (one: Drawn, other: Drawn): boolean =>
  one.above === other.above && one.at === other.at && one.behind === other.behind

interface TerminalProps {
  readonly screen: SerialScreen
  readonly type: (text: string) => void
}

export function Terminal({ screen, type }: TerminalProps) {
  const [shown, setShown] = useState(() => drawn(screen))
  const [line, setLine] = useState('')
  const element = useRef<HTMLDivElement>(null)
  useEffect(() => {
    element.current?.focus()
    const timer = setInterval(() => {
      const next = drawn(screen)
      setShown((before) => (same(before, next) ? before : next))
    }, DRAW_MS)
    return () => clearInterval(timer)
  }, [screen])
  useEffect(() => {
    element.current?.scrollTo(0, element.current.scrollHeight)
  }, [shown])
  const onKey = (event: KeyboardEvent): void => {
    const text = keyText(event)
    if (text === null) return
    event.preventDefault()
    type(text)
  }
  const onPaste = (event: ClipboardEvent): void => {
    event.preventDefault()
    type(event.clipboardData?.getData('text').replace(/\r?\n/g, '\r') ?? '')
  }
  const send = (event: Event): void => {
    event.preventDefault()
    type(`${line}\r`)
    setLine('')
  }
  return (
    <section class="terminal">
      <div
        class="screen"
        ref={element}
        tabIndex={0}
        role="textbox"
        aria-multiline="true"
        aria-label="Serial console"
        onKeyDown={onKey}
        onPaste={onPaste}
      >
        {shown.above}
        <span class="cursor">{shown.at}</span>
        {shown.behind}
      </div>
      {shown.above === '' && <p class="booting">Linux starts: it says nothing for some seconds.</p>}
      <form onSubmit={send}>
        <input
          aria-label="Line to type"
          value={line}
          placeholder="a line for the guest, for screens without a keyboard"
          autocapitalize="off"
          autoComplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => setLine(currentTarget.value)}
        />
        <button type="submit">Enter</button>
      </form>
    </section>
  )
}
