// An extension of the stack: its state, what it counted, and moving it without a pointer.
import type { ExtensionStatus } from '../../../src/manage/host.ts'
import { moved } from '../house/order.ts'
import { changeExtension, extensionTone, reorder } from '../house/stack.tsx'
import { Dot } from '../parts/state-dot.tsx'
import { Switch } from '../parts/switch.tsx'
import { call, segment, textOf } from '../state/api.ts'
import { refresh } from '../state/live.ts'
import { tell, useStore } from '../state/store.ts'
import { exact, nanoseconds } from '../units.ts'
import { Facts, PanelHead } from './panel.tsx'

export function ExtensionPanel({ name }: { readonly name: string }) {
  const stack = useStore(({ view }) => view?.extensions) ?? []
  const readOnly = useStore((state) => state.readOnly)
  const extension = stack.find((one) => one.name === name)
  if (extension === undefined)
    return (
      <>
        <PanelHead title={name} kind="Extension" />
        <p class="empty">This extension is gone.</p>
      </>
    )
  const { enabled, state } = extension
  return (
    <>
      <PanelHead title={name} kind={`${extension.class} extension, ${extension.version}`}>
        <p class="state">
          <Dot tone={extensionTone(extension)} /> {enabled ? state : 'off'}
        </p>
      </PanelHead>
      <div class="panel-actions">
        <span class="toggle-line">
          <Switch
            on={enabled}
            disabled={readOnly}
            label={`${name} takes part`}
            onChange={(on) => void changeExtension(name, { enabled: on })}
          />
          {enabled ? 'takes part' : 'passed by'}
        </span>
        <Actions extension={extension} stack={stack} readOnly={readOnly} />
      </div>
      <div class="tab-content">
        {extension.lastFault !== '' && <p class="problem">{extension.lastFault}</p>}
        <Facts
          facts={[
            ['Place', `${stack.indexOf(extension) + 1} of ${stack.length}`],
            ['Time per packet', `${nanoseconds(extension.nsPerPacket)}, sampled`],
            ['If it fails', extension.onFailure === 'closed' ? 'its packets are dropped' : 'its packets pass by it'],
            ['Faults', exact(extension.faults)],
            ['Breaches of the contract', exact(extension.breaches)],
            ['Id', <code key="id">{extension.id}</code>],
          ]}
        />
        <h3>What it counted</h3>
        {Object.keys(extension.counters).length === 0 && <p class="empty">It counts nothing.</p>}
        <Facts facts={Object.entries(extension.counters).map(([word, value]) => [word, exact(value)] as const)} />
        {extension.sinks.length > 0 && <h3>Files that it writes</h3>}
        <ul class="addresses">
          {extension.sinks.map(({ path, lost }) => (
            <li key={path}>
              <code>{path}</code> {lost > 0 && <span class="badge bad">{exact(lost)} lost</span>}
            </li>
          ))}
        </ul>
      </div>
    </>
  )
}

interface ActionsProps {
  readonly extension: ExtensionStatus
  readonly stack: readonly ExtensionStatus[]
  readonly readOnly: boolean
}

function Actions({ extension, stack, readOnly }: ActionsProps) {
  const { name, state, enabled } = extension
  const at = stack.indexOf(extension)
  const reload = async (): Promise<void> => {
    try {
      await call('POST', `/v1/extensions/${segment(name)}/reload`, {})
      tell('good', `${name} was loaded anew, without losing a frame.`)
      await refresh()
    } catch (error) {
      tell('bad', textOf(error))
    }
  }
  const earlier = stack[at - 1]
  const later = stack[at + 2]
  return (
    <>
      <button
        type="button"
        class="small"
        aria-label={`Move ${name} up`}
        disabled={readOnly || earlier === undefined}
        onClick={() => void reorder(moved(stack, name, earlier?.name ?? null))}
      >
        ▲
      </button>
      <button
        type="button"
        class="small"
        aria-label={`Move ${name} down`}
        disabled={readOnly || at === stack.length - 1}
        onClick={() => void reorder(moved(stack, name, later?.name ?? null))}
      >
        ▼
      </button>
      <button
        type="button"
        class="small"
        disabled={readOnly || !enabled}
        onClick={() => void changeExtension(name, { paused: state !== 'paused' })}
      >
        {state === 'paused' ? 'Go on' : 'Pause'}
      </button>
      <button type="button" class="small" disabled={readOnly || !enabled} onClick={() => void reload()}>
        Reload
      </button>
    </>
  )
}
