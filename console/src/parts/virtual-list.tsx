// A long list of which only the rows in sight exist. Rows have one height; arrows go through them.
import './virtual-list.css'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

export const ROW_HEIGHT = 34
const MORE_ROWS = 6
const FIRST_HEIGHT = 420

interface VirtualListProps<T> {
  readonly items: readonly T[]
  readonly keyOf: (item: T) => string
  readonly label: string
  /** Titles of the columns. */
  readonly head: ComponentChildren
  readonly row: (item: T) => ComponentChildren
  readonly onOpen?: ((item: T) => void) | undefined
  readonly empty: string
}

export function VirtualList<T>({ items, keyOf, label, head, row, onOpen, empty }: VirtualListProps<T>) {
  const element = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(FIRST_HEIGHT)
  const [chosen, setChosen] = useState(0)
  useEffect(() => {
    const { current } = element
    if (current === null) return undefined
    const observer = new ResizeObserver(() => setHeight(current.clientHeight))
    observer.observe(current)
    return () => observer.disconnect()
  }, [])
  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - MORE_ROWS)
  const last = Math.min(items.length, Math.ceil((top + height) / ROW_HEIGHT) + MORE_ROWS)
  const go = (to: number): void => {
    const next = Math.max(0, Math.min(items.length - 1, to))
    setChosen(next)
    const { current } = element
    if (current === null) return
    const above = next * ROW_HEIGHT
    if (above < current.scrollTop) current.scrollTop = above
    else if (above + 2 * ROW_HEIGHT > current.scrollTop + current.clientHeight)
      current.scrollTop = above + 2 * ROW_HEIGHT - current.clientHeight
  }
  const key = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(height / ROW_HEIGHT) - 1)
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: chosen + 1,
      ArrowUp: chosen - 1,
      PageDown: chosen + page,
      PageUp: chosen - page,
      Home: 0,
      End: items.length - 1,
    }
    const to = steps[event.key]
    const item = items[chosen]
    if (to !== undefined) go(to)
    else if (event.key === 'Enter' && item !== undefined) onOpen?.(item)
    else return
    event.preventDefault()
  }
  const click = (event: MouseEvent): void => {
    const index = (event.target as Element).closest<HTMLElement>('.list-row')?.dataset.index
    const item = index === undefined ? undefined : items[Number(index)]
    if (item === undefined) return
    setChosen(Number(index))
    onOpen?.(item)
  }
  const active = items[chosen]
  return (
    <div
      class="list"
      ref={element}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={key}
      onClick={click}
      role="grid"
      tabIndex={0}
      aria-label={label}
      aria-rowcount={items.length + 1}
      aria-activedescendant={active === undefined ? undefined : `row-${keyOf(active)}`}
    >
      <div class="list-head" role="row" aria-rowindex={1} tabIndex={-1}>
        {head}
      </div>
      {items.length === 0 && <p class="empty">{empty}</p>}
      <div class="list-body" role="rowgroup" style={{ height: `${items.length * ROW_HEIGHT}px` }}>
        {items.slice(first, last).map((item, i) => (
          <div
            key={keyOf(item)}
            id={`row-${keyOf(item)}`}
            class={`list-row ${first + i === chosen ? 'active' : ''} ${onOpen === undefined ? '' : 'opens'}`}
            role="row"
            tabIndex={-1}
            aria-rowindex={first + i + 2}
            data-index={first + i}
            style={{ transform: `translateY(${(first + i) * ROW_HEIGHT}px)` }}
          >
            {row(item)}
          </div>
        ))}
      </div>
    </div>
  )
}

/** A cell of a row. */
export const Cell = ({
  children,
  end,
  wide,
  low,
}: {
  children?: ComponentChildren
  end?: boolean
  wide?: boolean
  low?: boolean
}) => (
  <span
    role="gridcell"
    tabIndex={-1}
    class={`cell ${end === true ? 'end' : ''} ${wide === true ? 'wide' : ''} ${low === true ? 'low' : ''}`}
  >
    {children}
  </span>
)
