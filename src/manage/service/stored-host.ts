// The switch of a service as those who manage it see it: every change is carried out, stored, and then acknowledged. Changes run one at a
// time.
//
// The rule it must not break: a change that is not stored is taken back, and who asked for it is told so.
import type { RemoteSwitchHost, SwitchHost } from '../host.ts'
import { installedExtension } from '../installed-extension.ts'
import { withoutRecord, withoutRoute, withoutSubnet, withRecord, withRoute, withSubnet } from '../overlay/overlay-edits.ts'
import type { StartedSwitch } from '../start-switch.ts'
import { type KeptState, keptPause, keptQueue, keptVf, NOTHING_KEPT } from '../store/kept.ts'
import type { StoredState } from '../store/state.ts'
import {
  capturedConfig,
  capturedPort,
  withExtension,
  withInstalled,
  withOrder,
  withOverlay,
  withoutExtension,
  withoutPort,
  withPort,
  withSnooping,
  withSwitchProperties,
  withVf,
  withVmmq,
} from './capture-state.ts'

/** `undo`: takes the change back where it can't be stored; without it, what differs between the configurations is. */
export type Change = <T>(
  work: () => Promise<T>,
  next: (state: StoredState, result: T) => StoredState,
  undo?: () => Promise<unknown>,
) => Promise<T>

export interface StoredHostComponents {
  /** The running switch. Throws `no-switch` where none runs. */
  readonly current: () => StartedSwitch
  /** Carries out a change after those before it, and stores what `next` makes of the state. */
  readonly change: Change
}

export function storedHost({ current, change }: StoredHostComponents): RemoteSwitchHost {
  const host = (): SwitchHost => current().host
  const portNow = (name: string) => {
    const { settings, running } = current()
    const port = settings.get(name)
    return port === undefined ? undefined : capturedPort(port, running)
  }
  /** A port whose settings or properties changed; its link and its queue pairs are those that are stored: settings do not tell them. */
  const changed = (state: StoredState, name: string): StoredState => {
    const port = portNow(name)
    if (port === undefined) return withoutPort(state, name)
    const { link = port.link, vmmqEnabled, vmmqQueuePairs } = state.config.switch.ports.find((one) => one.name === name) ?? port
    const stored = withPort(state, { ...port, link })
    return withVmmq(stored, { port: name, vmmqEnabled, vmmqQueuePairs: vmmqQueuePairs ?? null })
  }
  const properties = (state: StoredState, port: string | undefined): StoredState =>
    port === undefined ? withSwitchProperties(state, current().running) : changed(state, port)
  /** Everything that restoring may have touched. */
  const restored = (state: StoredState): StoredState => {
    const { settings, running } = current()
    let next = state
    for (const name of settings.keys()) next = changed(next, name)
    const links = new Map(running.ports().map(({ name, link }) => [name, link]))
    for (const port of next.config.switch.ports) next = withPort(next, { ...port, link: links.get(port.name) ?? port.link })
    return { ...next, config: capturedConfig(next.config, running) }
  }
  const keeping = (state: StoredState, next: (kept: KeptState) => KeptState): StoredState => ({
    ...state,
    kept: next(state.kept ?? NOTHING_KEPT),
  })
  const stored: Partial<RemoteSwitchHost> = {
    pauseExtension: (wanted) =>
      change(
        async () => host().pauseExtension(wanted),
        (state) => keeping(state, (kept) => keptPause(kept, wanted.name, wanted.paused)),
        async () => host().pauseExtension({ ...wanted, paused: !wanted.paused }),
      ),
    assignVf: (port) =>
      change(
        async () => host().assignVf(port),
        (state) => keeping(state, (kept) => keptVf(kept, port, true)),
        async () => host().removeVf({ port, surprise: true }),
      ),
    removeVf: (wanted) =>
      change(
        async () => host().removeVf(wanted),
        (state) => keeping(state, (kept) => keptVf(kept, wanted.port, false)),
        async () => host().assignVf(wanted.port),
      ),
    // Ports get their virtual functions by weight again.
    plugAdapter: (name) =>
      change(
        async () => host().plugAdapter(name),
        (state) => keeping(state, (kept) => ({ ...kept, assigned: [] })),
        async () => host().pullAdapter(name),
      ),
    setQueue: async (wanted) => {
      const before = (await host().queues()).find(({ port }) => port === wanted.port)
      return change(
        async () => host().setQueue(wanted),
        (state) => keeping(state, (kept) => keptQueue(kept, wanted.port, wanted.processor)),
        async () => host().setQueue({ port: wanted.port, processor: before?.pinned === true ? before.processor : null }),
      )
    },
    setVmmq: async (wanted) => {
      const before = (await host().rss()).find(({ port }) => port === wanted.port)
      return change(
        async () => host().setVmmq(wanted),
        (state) => withVmmq(state, wanted),
        async () => before && host().setVmmq(before),
      )
    },
    setExtension: (wanted) =>
      change(
        async () => host().setExtension(wanted),
        (state) => withExtension(state, wanted.name, wanted.enabled),
      ),
    installExtension: async (input) => {
      const { status } = await change(
        async () => {
          const installed = await host().installExtension(input)
          return { status: installed, order: (await host().extensions()).map(({ name }) => name) }
        },
        (state, { order }) => withInstalled(state, installedExtension(input), order),
      )
      return status
    },
    uninstallExtension: (name) =>
      change(
        async () => host().uninstallExtension(name),
        (state) => withoutExtension(state, name),
      ),
    reorderExtensions: (names) =>
      change(
        async () => host().reorderExtensions(names),
        (state) => withOrder(state, names),
      ),
    addPort: (port) =>
      change(
        async () => host().addPort(port),
        (state) => changed(state, port.name),
      ),
    removePort: (name) =>
      change(
        async () => host().removePort(name),
        (state) => withoutPort(state, name),
      ),
    setLink: (name, up) =>
      change(
        async () => host().setLink(name, up),
        (state) => {
          const port = portNow(name)
          return port === undefined ? state : withPort(state, { ...port, link: up ? 'up' : 'down' })
        },
      ),
    setPort: (name, wanted) =>
      change(
        async () => host().setPort(name, wanted),
        (state) => changed(state, name),
      ),
    setOverlayRecord: (record) =>
      change(
        async () => host().setOverlayRecord(record),
        (state) => withOverlay(state, (overlay) => withRecord(overlay, record)),
      ),
    removeOverlayRecord: (of) =>
      change(
        async () => host().removeOverlayRecord(of),
        (state) => withOverlay(state, (overlay) => withoutRecord(overlay, of)),
      ),
    setOverlayRoute: (route) =>
      change(
        async () => host().setOverlayRoute(route),
        (state) => withOverlay(state, (overlay) => withRoute(overlay, route)),
      ),
    removeOverlayRoute: (of) =>
      change(
        async () => host().removeOverlayRoute(of),
        (state) => withOverlay(state, (overlay) => withoutRoute(overlay, of)),
      ),
    setOverlaySubnet: (subnet) =>
      change(
        async () => host().setOverlaySubnet(subnet),
        (state) => withOverlay(state, (overlay) => withSubnet(overlay, subnet)),
      ),
    removeOverlaySubnet: (vsid) =>
      change(
        async () => host().removeOverlaySubnet(vsid),
        (state) => withOverlay(state, (overlay) => withoutSubnet(overlay, vsid)),
      ),
    setSnooping: (settings) =>
      change(
        async () => host().setSnooping(settings),
        (state) => withSnooping(state, settings),
      ),
    addProperty: (wanted) =>
      change(
        async () => host().addProperty(wanted),
        (state) => properties(state, wanted.port),
      ),
    setProperty: (wanted) =>
      change(
        async () => host().setProperty(wanted),
        (state) => properties(state, wanted.port),
      ),
    removeProperty: (filter) =>
      change(
        async () => host().removeProperty(filter),
        (state) => properties(state, filter.port),
      ),
    restore: (saved) =>
      change(
        async () => host().restore(saved),
        (state) => restored(state),
      ),
    // A port that is only prepared for a migration is not stored: until its guest has come, it is the source's.
    handOver: (name) =>
      change(
        async () => host().handOver(name),
        (state) => withoutPort(state, name),
      ),
    takeOver: (saved) =>
      change(
        async () => host().takeOver(saved),
        (state, report) => report.ports.reduce((next, { name }) => changed(next, name), state),
      ),
    setVf: (wanted) =>
      change(
        async () => host().setVf(wanted),
        (state) => withVf(state, wanted),
      ),
  }
  // All other calls go to the switch that runs when they come. It is no promise, whatever asks for `then`.
  return new Proxy(stored, {
    get: (own, call) => {
      const name = call as keyof SwitchHost
      if (typeof call !== 'string' || call === 'then' || own[name] !== undefined) return own[name]
      return async (...args: readonly unknown[]) => (host()[name] as (...args: readonly unknown[]) => unknown)(...args)
    },
  }) as RemoteSwitchHost
}
