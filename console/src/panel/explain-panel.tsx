// Explains a packet: a frame is followed through the switch as it is now, without sending it; its steps are numbered here and on the path.
import './explain-panel.css'
import { useEffect, useId, useState } from 'preact/hooks'
import type { TraceReport, TraceStep, TraceTunnel } from '../../../src/manage/diagnosis/diagnosis-calls.ts'
import { call, textOf } from '../state/api.ts'
import { update, useStore } from '../state/store.ts'
import { type FrameKind, type FrameWish, frameKinds, frameOf } from './frames.ts'
import { Input } from './input.tsx'
import { PanelHead } from './panel.tsx'

const UNKNOWN_MAC = '02:00:00:00:00:01'
const kindWords: Readonly<Record<FrameKind, string>> = {
  ping: 'ping (ICMP echo request)',
  tcp: 'TCP connection (SYN)',
  udp: 'UDP datagram',
  arp: 'ARP request',
  hex: 'these bytes',
}

export function ExplainPanel({ from }: { readonly from: string | null }) {
  const ports = useStore(({ view }) => view?.ports) ?? []
  const trace = useStore((state) => state.trace)
  const [source, setSource] = useState(from ?? (ports.find(({ mac }) => mac !== null) ?? ports[0])?.name ?? '')
  const [target, setTarget] = useState(ports.find(({ name, mac }) => name !== source && mac !== null)?.name ?? '')
  const [wish, setWish] = useState<Pick<FrameWish, 'kind' | 'source' | 'destination' | 'port' | 'vlan' | 'hex'>>({
    kind: 'ping',
    source: '10.0.0.1',
    destination: '10.0.0.2',
    port: '80',
    vlan: '',
    hex: '',
  })
  const [problem, setProblem] = useState('')
  const id = useId()
  const macOf = (name: string): string | undefined => ports.find((one) => one.name === name)?.mac ?? undefined
  const follow = async (): Promise<void> => {
    setProblem('')
    try {
      const destinationMac = macOf(target) ?? ''
      const frame = frameOf({ ...wish, sourceMac: macOf(source) ?? UNKNOWN_MAC, destinationMac })
      update({ trace: await call<TraceReport>('POST', '/v1/trace', { port: source, frame }) })
    } catch (error) {
      update({ trace: null })
      setProblem(textOf(error))
    }
  }
  // A click on a cable wants an answer at once.
  useEffect(() => {
    if (from !== null) void follow()
  }, [])
  const change = (key: keyof typeof wish) => (text: string) => setWish({ ...wish, [key]: text })
  const withMac = ports.filter(({ mac }) => mac !== null)
  const addressed = wish.kind !== 'hex'
  return (
    <>
      <PanelHead title="Explain a packet" kind="Nothing is sent, counted or learned" />
      <div class="tab-content">
        <form
          class="explain"
          onSubmit={(event) => {
            event.preventDefault()
            void follow()
          }}
        >
          <div class="two">
            <Choice
              id={`${id}-from`}
              label="From port"
              value={source}
              onChoose={setSource}
              options={ports.map(({ name }) => [name, name])}
            />
            {wish.kind !== 'arp' && addressed && (
              <Choice
                id={`${id}-to`}
                label="To the address of"
                value={target}
                onChoose={setTarget}
                options={[...withMac.map(({ name }) => [name, name] as const), ['', 'everybody (broadcast)']]}
              />
            )}
          </div>
          <Choice
            id={`${id}-kind`}
            label="What"
            value={wish.kind}
            onChoose={(kind) => change('kind')(kind)}
            options={frameKinds.map((kind) => [kind, kindWords[kind]])}
          />
          {addressed && (
            <div class="two">
              <Input
                id={`${id}-source`}
                field={{ key: 'source', label: 'From IP address', kind: 'text' }}
                text={wish.source}
                problem={undefined}
                onType={change('source')}
              />
              <Input
                id={`${id}-destination`}
                field={{ key: 'destination', label: 'To IP address', kind: 'text' }}
                text={wish.destination}
                problem={undefined}
                onType={change('destination')}
              />
            </div>
          )}
          <div class="two">
            {(wish.kind === 'tcp' || wish.kind === 'udp') && (
              <Input
                id={`${id}-port`}
                field={{ key: 'port', label: 'To port', kind: 'number' }}
                text={wish.port}
                problem={undefined}
                onType={change('port')}
              />
            )}
            {addressed && wish.kind !== 'arp' && (
              <Input
                id={`${id}-vlan`}
                field={{ key: 'vlan', label: 'VLAN tag', kind: 'number', hint: 'empty: untagged' }}
                text={wish.vlan}
                problem={undefined}
                onType={change('vlan')}
              />
            )}
          </div>
          {wish.kind === 'hex' && (
            <Input
              id={`${id}-hex`}
              field={{ key: 'hex', label: 'Bytes, in hexadecimal', kind: 'text' }}
              text={wish.hex}
              problem={undefined}
              onType={change('hex')}
            />
          )}
          {problem !== '' && (
            <p class="problem" role="alert">
              {problem}
            </p>
          )}
          <button type="submit" class="primary">
            Explain
          </button>
        </form>
        {trace !== null && <Steps trace={trace} />}
      </div>
    </>
  )
}

interface ChoiceProps {
  readonly id: string
  readonly label: string
  readonly value: string
  readonly options: readonly (readonly [string, string])[]
  readonly onChoose: (value: string) => void
}

const Choice = ({ id, label, value, options, onChoose }: ChoiceProps) => (
  <div class="field">
    <label for={id}>{label}</label>
    <select id={id} value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
      {options.map(([key, text]) => (
        <option key={key} value={key}>
          {text}
        </option>
      ))}
    </select>
  </div>
)

const throughTunnel = ({ packet, provider, host }: TraceTunnel): string => {
  const where = host === null ? provider : `${provider}, host ${host}`
  return `${packet > 1 ? `Packet ${packet}: through` : 'Through'} the tunnel to ${where}. What becomes of it there: vmswitch trace --follow`
}

function Steps({ trace }: { readonly trace: TraceReport }) {
  const lost = trace.delivered.length === 0
  return (
    <section class="trace" aria-live="polite">
      <p class={`verdict ${lost ? 'bad' : 'good'}`}>
        {lost ? 'It would be delivered to nobody.' : `It would be delivered to ${trace.delivered.join(', ')}.`}
      </p>
      <p class="hint">{trace.summary}</p>
      {trace.tunnels.map((tunnel) => (
        <p key={tunnel.packet} class="hint">
          {throughTunnel(tunnel)}
        </p>
      ))}
      <ol>
        {trace.steps.map((step, index) => (
          <Step key={`${index} ${step.text}`} step={step} number={index + 1} />
        ))}
      </ol>
    </section>
  )
}

const Step = ({ step, number }: { readonly step: TraceStep; readonly number: number }) => (
  <li class={`step ${step.dropped === undefined ? step.stage : 'dropped'}`}>
    <span class="steps">{number}</span>
    <span>
      <strong>{step.stage}</strong> <em>{step.extension ?? 'switch'}</em>
      {step.packet > 1 && <span class="badge">packet {step.packet}</span>}
      <br />
      {step.text}
      {step.why !== undefined && <small class="why">{step.why}</small>}
    </span>
  </li>
)
