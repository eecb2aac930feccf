// A port: its state and counters, its policies, a live capture, its virtual function.
import './port-panel.css'
import type { PortStatus } from '../../../src/manage/host.ts'
import type { LivePort } from '../../../src/manage/live/live-view.ts'
import { Dot, portState } from '../parts/state-dot.tsx'
import { Switch } from '../parts/switch.tsx'
import { Tabs } from '../parts/tabs.tsx'
import { call, segment, textOf } from '../state/api.ts'
import { refresh } from '../state/live.ts'
import { select, tell, useStore } from '../state/store.ts'
import { bytes, count, exact } from '../units.ts'
import { CapturePane } from './capture-pane.tsx'
import { RateChart } from './chart.tsx'
import { Facts, PanelHead } from './panel.tsx'
import { PolicyPane } from './policy-pane.tsx'
import { PortAddresses } from './port-addresses.tsx'
import { VfPane } from './vf-pane.tsx'

async function setLink(name: string, up: boolean): Promise<void> {
  try {
    await call<PortStatus>('PATCH', `/v1/ports/${segment(name)}`, { link: up ? 'up' : 'down' })
    await refresh()
  } catch (error) {
    tell('bad', textOf(error))
  }
}

export function PortPanel({ name }: { readonly name: string }) {
  const port = useStore(({ view }) => view?.ports.find((one) => one.name === name))
  const readOnly = useStore((state) => state.readOnly)
  if (port === undefined)
    return (
      <>
        <PanelHead title={name} kind="Port" />
        <p class="empty">This port is gone.</p>
      </>
    )
  const { tone, word } = portState(port)
  const tabs = [
    { key: 'overview', title: 'Overview', content: () => <Overview port={port} /> },
    { key: 'policies', title: 'Policies', content: () => <PolicyPane port={name} /> },
    { key: 'capture', title: 'Capture', content: () => <CapturePane port={name} /> },
    ...(port.wantsVf ? [{ key: 'vf', title: 'Virtual function', content: () => <VfPane port={name} /> }] : []),
  ]
  return (
    <>
      <PanelHead title={name} kind={`Port ${port.id}, ${port.kind}`}>
        <p class="state">
          <Dot tone={tone} /> {word}
        </p>
      </PanelHead>
      <div class="panel-actions">
        <span class="toggle-line">
          <Switch
            on={port.link === 'up'}
            disabled={readOnly}
            label={`Link of ${name}`}
            onChange={(up) => void setLink(name, up)}
          />
          link {port.link}
        </span>
        <button type="button" class="small" onClick={() => select({ kind: 'explain', port: name })}>
          Explain a packet from here
        </button>
        {port.kind === 'websocket' && !readOnly && (
          <button type="button" class="small" onClick={() => window.open(`/console/guest/?port=${segment(name)}`)}>
            Boot a guest in a tab
          </button>
        )}
      </div>
      <Tabs tabs={tabs} label={`Parts of port ${name}`} />
    </>
  )
}

function Overview({ port }: { readonly port: LivePort }) {
  const { counters, name } = port
  return (
    <>
      <RateChart of={`port ${name}`} inWord="into the switch" outWord="to the guest" />
      <Facts
        facts={[
          ['Address', <code key="mac">{port.mac ?? 'learns'}</code>],
          ['VLAN', port.vlan ?? 'none'],
          ['MTU', `${port.mtu} bytes`],
          ['Queues', port.queues],
          ['Engine', port.engine ?? 'none, frames are copied'],
          ['Endpoint', <code key="place">{port.place === '' ? port.kind : port.place}</code>],
        ]}
      />
      <h3>Counters</h3>
      <table class="counters">
        <thead>
          <tr>
            <th scope="col">
              <span class="unseen">Direction</span>
            </th>
            <th scope="col">frames</th>
            <th scope="col">bytes</th>
            <th scope="col">dropped</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row" class="in">
              ▲ into the switch
            </th>
            <td title={exact(counters.receivedFrames)}>{count(counters.receivedFrames)}</td>
            <td>{bytes(counters.receivedBytes)}</td>
            <td>{count(counters.receivedDropped)}</td>
          </tr>
          <tr>
            <th scope="row" class="out">
              ▼ to the guest
            </th>
            <td title={exact(counters.sentFrames)}>{count(counters.sentFrames)}</td>
            <td>{bytes(counters.sentBytes)}</td>
            <td>{count(counters.sendDropped)}</td>
          </tr>
        </tbody>
      </table>
      <p class="hint">
        {exact(counters.receivedMulticast)} to groups, {exact(counters.floodedFrames)} went to all ports since their destination
        was not known.
      </p>
      <PortDrops name={name} />
      <PortAddresses name={name} />
    </>
  )
}

function PortDrops({ name }: { readonly name: string }) {
  const drops = useStore(({ view }) => view?.drops) ?? []
  const rates = useStore((state) => state.rates)
  const own = drops.filter(({ port }) => port === name).sort((a, b) => b.frames - a.frames)
  const most = Math.max(1, ...own.map(({ frames }) => frames))
  return (
    <>
      <h3>Drops by reason</h3>
      {own.length === 0 && <p class="empty">Nothing was dropped.</p>}
      <ul class="bars">
        {own.map(({ reason, frames }) => (
          <li key={reason}>
            <span>{reason}</span>
            <span class="figures">
              {exact(frames)}
              <small>{count(rates?.drops.get(`${name} ${reason}`) ?? 0)}/s</small>
            </span>
            <span class="bar" style={{ width: `${(100 * frames) / most}%` }} />
          </li>
        ))}
      </ul>
    </>
  )
}
