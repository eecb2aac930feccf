// The page of a guest that runs in this tab: which port it is at, what it is to be, its serial console, and what passes.
import './guest-page.css'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { PortStatus } from '../../../src/manage/host.ts'
import { ApiError, call, textOf } from '../state/api.ts'
import { signInFirst } from '../state/guest-page-link.ts'
import { bytes, exact } from '../units.ts'
import type { CableCounters } from './cable.ts'
import { Machine } from './machine.ts'
import { SerialScreen } from './serial-screen.ts'
import { type Addressing, type GuestSettings, MEMORY_MIB, problemsOf } from './settings.ts'
import { Terminal } from './terminal.tsx'

const LOOK_MS = 500
/** HTTP status of who has no token. */
const UNKNOWN = 401
const given = new URLSearchParams(location.search)
const first: GuestSettings = {
  name: given.get('name') ?? given.get('port') ?? 'tab',
  addressing: given.has('address') ? 'fixed' : 'dhcp',
  address: given.get('address') ?? '',
  memoryMiB: MEMORY_MIB[1],
}
const noCounters: CableCounters = { sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, dropped: 0 }

type Phase = 'off' | 'starting' | 'running'

export function GuestPage() {
  const [ports, setPorts] = useState<readonly string[] | null>(null)
  const [port, setPort] = useState(given.get('port') ?? '')
  const [settings, setSettings] = useState(first)
  const [phase, setPhase] = useState<Phase>('off')
  const [step, setStep] = useState('')
  const [trouble, setTrouble] = useState('')
  const [cut, setCut] = useState<string | null>('')
  const [counters, setCounters] = useState(noCounters)
  const [screen, setScreen] = useState<SerialScreen | null>(null)
  const machine = useRef<Machine | null>(null)
  // Nothing runs yet, so that nothing is lost by leaving.
  const refused = (error: unknown): void => {
    if (error instanceof ApiError && error.status === UNKNOWN) location.replace(signInFirst(location.search))
    else setTrouble(textOf(error))
  }

  useEffect(() => {
    call<PortStatus[]>('GET', '/v1/ports').then(
      (all) => {
        const names = all.filter(({ endpoint }) => endpoint.kind === 'websocket').map(({ name }) => name)
        setPorts(names)
        setPort((chosen) => (names.includes(chosen) ? chosen : (names[0] ?? '')))
      },
      (error: unknown) => {
        setPorts([])
        refused(error)
      },
    )
  }, [])
  useEffect(() => {
    if (phase !== 'running') return
    const timer = setInterval(() => setCounters({ ...(machine.current?.counters ?? noCounters) }), LOOK_MS)
    return () => clearInterval(timer)
  }, [phase])

  const problems = problemsOf(settings)
  const start = async (event: Event): Promise<void> => {
    event.preventDefault()
    const shown = new SerialScreen((text) => machine.current?.type(text))
    setScreen(shown)
    setTrouble('')
    setCut('')
    setPhase('starting')
    try {
      machine.current = await Machine.start(port, settings, {
        step: setStep,
        serial: (byte) => shown.write(byte),
        link: setCut,
      })
      setPhase('running')
    } catch (error) {
      refused(error)
      setPhase('off')
    }
    setStep('')
  }
  const stop = async (event: Event): Promise<void> => {
    // The button to start takes this one's place before the browser asks what the click is for.
    event.preventDefault()
    const stopped = machine.current
    machine.current = null
    setPhase('off')
    setCut('')
    await stopped?.stop()
  }
  const state = phase === 'off' ? 'off' : phase === 'starting' ? step : cut === null ? 'running, link up' : 'running, link down'
  return (
    <main class="guest">
      <header>
        <h1>
          Guest in this tab <span>a Linux of its own, on the switch like any other guest</span>
        </h1>
        <a href="/console/">Console</a>
      </header>
      <form onSubmit={(event) => void start(event)} aria-label="Guest">
        <fieldset disabled={phase !== 'off'}>
          <label>
            Port
            <select value={port} onChange={({ currentTarget }) => setPort(currentTarget.value)}>
              {(ports ?? []).map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <Settings settings={settings} problems={problems} change={(part) => setSettings({ ...settings, ...part })} />
        </fieldset>
        {phase === 'off' ? (
          <button key="start" type="submit" class="primary" disabled={port === '' || Object.keys(problems).length > 0}>
            Start
          </button>
        ) : (
          <button key="stop" type="button" class="danger" disabled={phase === 'starting'} onClick={(event) => void stop(event)}>
            Stop
          </button>
        )}
      </form>
      {ports?.length === 0 && trouble === '' && (
        <p class="empty">
          The switch has no port for a guest in a browser: add one of kind <code>websocket</code> to its configuration.
        </p>
      )}
      <p class="problem" role="alert">
        {trouble}
      </p>
      <dl class="guest-state">
        <div data-state={phase}>
          <dt>State</dt>
          <dd aria-live="polite">{state}</dd>
        </div>
        <div data-counter="sent">
          <dt>Sent</dt>
          <dd>
            {exact(counters.sentFrames)} frames <small>{bytes(counters.sentBytes)}</small>
          </dd>
        </div>
        <div data-counter="received">
          <dt>Received</dt>
          <dd>
            {exact(counters.receivedFrames)} frames <small>{bytes(counters.receivedBytes)}</small>
          </dd>
        </div>
        <div data-counter="dropped">
          <dt>Dropped here</dt>
          <dd>{exact(counters.dropped)}</dd>
        </div>
      </dl>
      {phase === 'running' && cut !== null && cut !== '' && <p class="problem">The link is down: {cut}. Trying again.</p>}
      {screen !== null && <Terminal screen={screen} type={(text) => machine.current?.type(text)} />}
    </main>
  )
}

interface SettingsProps {
  readonly settings: GuestSettings
  readonly problems: Partial<Record<keyof GuestSettings, string>>
  readonly change: (part: Partial<GuestSettings>) => void
}

function Settings({ settings, problems, change }: SettingsProps) {
  return (
    <>
      <label>
        Name
        <input
          name="name"
          value={settings.name}
          spellcheck={false}
          aria-invalid={problems.name !== undefined}
          title={problems.name ?? ''}
          onInput={({ currentTarget }) => change({ name: currentTarget.value })}
        />
      </label>
      <label>
        Addressing
        <select
          name="addressing"
          value={settings.addressing}
          onChange={({ currentTarget }) => change({ addressing: currentTarget.value as Addressing })}
        >
          <option value="dhcp">DHCP</option>
          <option value="fixed">fixed</option>
          <option value="none">link-local only</option>
        </select>
      </label>
      {settings.addressing === 'fixed' && (
        <label>
          Address
          <input
            name="address"
            value={settings.address}
            placeholder="10.0.0.5/24"
            spellcheck={false}
            aria-invalid={problems.address !== undefined}
            title={problems.address ?? ''}
            onInput={({ currentTarget }) => change({ address: currentTarget.value.trim() })}
          />
        </label>
      )}
      <label>
        Memory
        <select
          name="memory"
          value={settings.memoryMiB}
          onChange={({ currentTarget }) => change({ memoryMiB: Number(currentTarget.value) })}
        >
          {MEMORY_MIB.map((size) => (
            <option key={size} value={size}>
              {size} MiB
            </option>
          ))}
        </select>
      </label>
    </>
  )
}
