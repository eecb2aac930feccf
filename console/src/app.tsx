// The page: head, house, lists, and the side panel.
import './app.css'
import { House } from './house/house.tsx'
import { Panel } from './panel/panel.tsx'
import { Logo } from './parts/logo.tsx'
import { SignedIn, SignIn } from './sign-in.tsx'
import { dismiss, useStore } from './state/store.ts'
import { switchTheme, useTheme } from './state/theme.ts'
import { Tables } from './tables/tables.tsx'
import { bitRate, bytes, count, duration } from './units.ts'

export function App() {
  const hasView = useStore(({ view }) => view !== null)
  const open = useStore(({ selection }) => selection !== null)
  const locked = useStore((state) => state.locked)
  if (locked !== null) return <SignIn why={locked.why} />
  return (
    <>
      <a class="skip" href="#tables">
        Skip to the lists
      </a>
      <Head />
      <Trouble />
      {hasView && (
        <main class={open ? 'with-panel' : ''}>
          <div class="page">
            <House />
            <Tables />
          </div>
          <Panel />
        </main>
      )}
      <Toasts />
    </>
  )
}

function Head() {
  const view = useStore((state) => state.view)
  const rates = useStore((state) => state.rates)
  const readOnly = useStore((state) => state.readOnly)
  const theme = useTheme()
  const connected = view?.ports.filter(({ connected: is }) => is).length ?? 0
  const busy = rates?.busy ?? []
  return (
    <header class="head">
      <Logo />
      <h1>vmswitch {view !== null && <span>{view.switch.name}</span>}</h1>
      {readOnly && <span class="badge read-only">looking only</span>}
      {view !== null && (
        <dl class="figures">
          <div>
            <dt>Ports</dt>
            <dd>
              {connected}
              <small> of {view.ports.length} connected</small>
            </dd>
          </div>
          <div data-figure="rate">
            <dt>Switching</dt>
            <dd>
              {bitRate(rates?.total.inBits ?? 0)} <small>{count(rates?.total.inFrames ?? 0)} frames/s</small>
            </dd>
          </div>
          <div class={(rates?.total.drops ?? 0) > 0 ? 'warn' : ''}>
            <dt>Drops</dt>
            <dd>{count(rates?.total.drops ?? 0)}/s</dd>
          </div>
          <div>
            <dt>{busy.length > 1 ? 'Processors' : 'Processor'}</dt>
            <dd>{busy.length === 0 ? '–' : `${busy.map((share) => Math.round(100 * share)).join(', ')} %`}</dd>
          </div>
          <div class="low">
            <dt>Memory</dt>
            <dd>{bytes(view.memory.residentBytes)}</dd>
          </div>
          <div class="low">
            <dt>Up</dt>
            <dd>{duration(view.switch.uptimeSeconds)}</dd>
          </div>
        </dl>
      )}
      <SignedIn />
      <button
        type="button"
        class="theme"
        onClick={switchTheme}
        aria-label={`Switch to ${theme === 'dark' ? 'light' : 'dark'} colours`}
      >
        {theme === 'dark' ? '☀' : '☾'}
      </button>
    </header>
  )
}

function Trouble() {
  const trouble = useStore((state) => state.trouble)
  const hasView = useStore(({ view }) => view !== null)
  if (trouble === null) return hasView ? null : <p class="trouble">Reading the switch …</p>
  return (
    <div class="trouble bad" role="alert">
      <strong>{trouble.code === 'no-switch' ? 'No switch yet' : 'The picture is an old one'}</strong>
      <p>{trouble.code === 'no-switch' ? 'Give this service a configuration: vmswitch apply FILE' : trouble.message}</p>
    </div>
  )
}

function Toasts() {
  const toasts = useStore((state) => state.toasts)
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, tone, text }) => (
        <p key={id} class={`toast ${tone}`}>
          {text}
          <button type="button" class="close" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ✕
          </button>
        </p>
      ))}
    </div>
  )
}
