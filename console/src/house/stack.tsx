// The middle floor: the extensible switch with its extensions in their order. They are put into another order by dragging, or by the
// keyboard: space takes one up, arrows move it, space puts it down.
import './stack.css'
import { useRef, useState } from 'preact/hooks'
import type { ExtensionStatus } from '../../../src/manage/host.ts'
import { Dot, type Tone } from '../parts/state-dot.tsx'
import { Switch } from '../parts/switch.tsx'
import { call, segment, textOf } from '../state/api.ts'
import { refresh } from '../state/live.ts'
import { current, select, tell, update, useStore } from '../state/store.ts'
import { count, exact, nanoseconds } from '../units.ts'
import { classes, type ExtensionClass, forbidden, moved } from './order.ts'
import { stepsAt } from './trace-steps.ts'

const explained: Readonly<Record<ExtensionClass, string>> = {
  capturing: 'sees every frame first, changes nothing',
  filtering: 'may drop, hold or change frames',
  forwarding: 'decides where frames go',
}

export const extensionTone = ({ enabled, state }: Pick<ExtensionStatus, 'enabled' | 'state'>): Tone =>
  !enabled ? 'idle' : state === 'running' ? 'good' : state === 'failed' ? 'bad' : 'warn'

/** Shows what the switch answered at once; the next picture confirms it. */
function show(extensions: readonly ExtensionStatus[]): void {
  const { view } = current()
  if (view !== null) update({ view: { ...view, extensions } })
}

/** Asks for another order. The switch refuses what its rules forbid, in its own words. */
export async function reorder(names: readonly string[]): Promise<void> {
  try {
    show(await call<ExtensionStatus[]>('PUT', '/v1/extensions', { names }))
    tell('good', `The order is now ${names.join(', ')}.`)
  } catch (error) {
    tell('bad', `Not moved: ${textOf(error)}`)
  }
}

export async function changeExtension(name: string, change: { enabled: boolean } | { paused: boolean }): Promise<void> {
  try {
    await call('PATCH', `/v1/extensions/${segment(name)}`, change)
    await refresh()
  } catch (error) {
    tell('bad', textOf(error))
  }
}

/** What is being moved, and where it would stand. */
interface Move {
  readonly name: string
  readonly order: readonly string[]
  readonly rule: string | null
}

const KEY_STEPS: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }

function useMove(stack: readonly ExtensionStatus[]) {
  const [move, setMove] = useState<Move | null>(null)
  const begin = (name: string): void => setMove({ name, order: stack.map((one) => one.name), rule: null })
  const to = (order: readonly string[], name: string): void => setMove({ name, order, rule: forbidden(stack, order) })
  const end = (put: boolean): void => {
    setMove(null)
    if (!put || move === null || move.order.every((name, i) => name === stack[i]?.name)) return
    void reorder(move.order)
  }
  const key = (event: KeyboardEvent, name: string): void => {
    const step = KEY_STEPS[event.key]
    if (event.key === ' ' || event.key === 'Enter') {
      if (move === null) begin(name)
      else end(true)
    } else if (event.key === 'Escape' && move !== null) {
      event.stopPropagation()
      end(false)
    } else if (step !== undefined && move !== null) {
      const at = move.order.indexOf(name)
      const others = move.order.filter((one) => one !== name)
      to(others.toSpliced(Math.max(0, Math.min(others.length, at + step)), 0, name), name)
    } else return
    event.preventDefault()
  }
  return { move, begin, to, end, key }
}

export function Stack() {
  const stack = useStore(({ view }) => view?.extensions) ?? []
  const readOnly = useStore((state) => state.readOnly)
  const moving = useMove(stack)
  const list = useRef<HTMLDivElement>(null)
  const { move } = moving
  const byName = new Map(stack.map((one) => [one.name, one]))
  const shown = (move?.order ?? stack.map((one) => one.name)).flatMap((name) => byName.get(name) ?? [])

  const drag = (event: PointerEvent, name: string): void => {
    if (readOnly || event.button !== 0) return
    event.preventDefault()
    moving.begin(name)
    const handle = event.currentTarget as HTMLElement
    handle.setPointerCapture(event.pointerId)
    let last: Move | null = null
    const over = (at: PointerEvent): void => {
      const order = moved(stack, name, beforeAt(list.current, name, at))
      last = { name, order, rule: forbidden(stack, order) }
      moving.to(order, name)
    }
    const stop = (put: boolean) => (): void => {
      handle.removeEventListener('pointermove', over)
      for (const [kind, listener] of ends) handle.removeEventListener(kind, listener)
      moving.end(false)
      if (put && last?.order.some((one, i) => one !== stack[i]?.name)) void reorder(last.order)
    }
    const ends = [
      ['pointerup', stop(true)],
      ['pointercancel', stop(false)],
    ] as const
    handle.addEventListener('pointermove', over)
    for (const [kind, listener] of ends) handle.addEventListener(kind, listener)
  }

  return (
    <div class="stack" ref={list}>
      {classes.map((of, index) => (
        <section key={of} class={`lane ${of}`} aria-label={`${of} extensions: ${explained[of]}`} data-class={of}>
          <h3>
            <span class="number">{index + 1}</span> {of}
          </h3>
          <p class="hint">{explained[of]}</p>
          <ul>
            {shown
              .filter((one) => one.class === of)
              .map((one) => (
                <Chip
                  key={one.name}
                  extension={one}
                  place={shown.indexOf(one) + 1}
                  total={shown.length}
                  moving={move?.name === one.name}
                  wrong={move?.name === one.name && move.rule !== null}
                  readOnly={readOnly}
                  onDrag={(event) => drag(event, one.name)}
                  onKey={(event) => moving.key(event, one.name)}
                  onLeave={() => moving.end(false)}
                />
              ))}
          </ul>
          {of !== 'forwarding' && !shown.some((one) => one.class === of) && <p class="empty">no extension</p>}
          {of === 'forwarding' && <BuiltIn replaced={stack.some((one) => one.class === 'forwarding' && one.enabled)} />}
        </section>
      ))}
      <p class={`rule ${move?.rule ? 'shown' : ''}`} role="alert">
        {move?.rule}
      </p>
      <p class="unseen" aria-live="assertive">
        {move === null ? '' : `${move.name}: place ${move.order.indexOf(move.name) + 1} of ${move.order.length}`}
      </p>
    </div>
  )
}

/** The extension before which something would be put that is let go here; null: at the end. */
function beforeAt(list: HTMLElement | null, name: string, { clientX, clientY }: PointerEvent): string | null {
  const chips = [...(list?.querySelectorAll<HTMLElement>('[data-extension]') ?? [])].filter(
    ({ dataset }) => dataset.extension !== name,
  )
  const lane = document.elementFromPoint(clientX, clientY)?.closest<HTMLElement>('[data-class]')?.dataset.class
  const rank = classes.indexOf(lane as ExtensionClass)
  const after = chips.find((chip) => {
    const of = classes.indexOf(chip.closest<HTMLElement>('[data-class]')?.dataset.class as ExtensionClass)
    if (rank >= 0 && of !== rank) return of > rank
    const { top, height } = chip.getBoundingClientRect()
    return clientY < top + height / 2
  })
  return after?.dataset.extension ?? null
}

interface ChipProps {
  readonly extension: ExtensionStatus
  readonly place: number
  readonly total: number
  readonly moving: boolean
  readonly wrong: boolean
  readonly readOnly: boolean
  readonly onDrag: (event: PointerEvent) => void
  readonly onKey: (event: KeyboardEvent) => void
  readonly onLeave: () => void
}

function Chip({ extension, place, total, moving, wrong, readOnly, onDrag, onKey, onLeave }: ChipProps) {
  const { name, enabled, state, nsPerPacket, breaches } = extension
  const trace = useStore((of) => of.trace)
  const chosen = useStore(({ selection }) => selection?.kind === 'extension' && selection.name === name)
  const steps = stepsAt(trace, { extension: name })
  return (
    <li
      class={`chip ${moving ? 'moving' : ''} ${wrong ? 'wrong' : ''} ${chosen ? 'chosen' : ''} ${enabled ? '' : 'off'}`}
      data-extension={name}
    >
      <button
        type="button"
        class="handle"
        disabled={readOnly}
        aria-label={`Move ${name}, place ${place} of ${total}: space takes it up, arrows move it, space puts it down`}
        aria-pressed={moving}
        onPointerDown={onDrag}
        onKeyDown={onKey}
        onBlur={moving ? onLeave : undefined}
      >
        ⠿
      </button>
      <button type="button" class="chip-name" onClick={() => select({ kind: 'extension', name })}>
        <Dot tone={extensionTone(extension)} />
        <strong>{name}</strong>
        <small>
          {!enabled ? 'off' : state !== 'running' ? state : nsPerPacket > 0 ? nanoseconds(nsPerPacket) : ''}
          {enabled && state === 'running' && nsPerPacket > 0 && <span class="unit">/packet</span>}
        </small>
        {breaches > 0 && <span class="badge bad">{count(breaches)} breaches</span>}
      </button>
      {steps.length > 0 && <span class="steps">{steps.join(', ')}</span>}
      <Switch
        on={enabled}
        disabled={readOnly}
        label={`${name} takes part`}
        onChange={(on) => void changeExtension(name, { enabled: on })}
      />
    </li>
  )
}

function BuiltIn({ replaced }: { readonly replaced: boolean }) {
  const table = useStore(({ view }) => view?.macTable)
  const trace = useStore((of) => of.trace)
  const steps = stepsAt(trace, { stage: 'forwarding' })
  return (
    <div class={`built-in ${replaced ? 'off' : ''}`}>
      <strong>the switch’s own forwarding</strong>
      <small>
        {replaced
          ? 'replaced by the extension above'
          : `MAC table: ${exact(table?.used ?? 0)} of ${exact(table?.capacity ?? 0)} addresses`}
      </small>
      {steps.length > 0 && <span class="steps">{steps.join(', ')}</span>}
    </div>
  )
}
