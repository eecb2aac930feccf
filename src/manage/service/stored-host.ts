// The switch of a service as those who manage it see it: every change is carried out, stored, and then acknowledged. Changes run one at a
// time.
//
// The rule it must not break: a change that is not stored is taken back, and who asked for it is told so.
import type { RemoteSwitchHost, SwitchHost } from '../host.ts'
import { installedExtension } from '../installed-extension.ts'
import type { StartedSwitch } from '../start-switch.ts'
import type { StoredState } from '../store/state.ts'
import {
  capturedConfig,
  capturedPort,
  withExtension,
  withInstalled,
  withOrder,
  withoutExtension,
  withoutPort,
  withPort,
  withSnooping,
  withSwitchProperties,
  withVf,
} from './capture-state.ts'

export interface StoredHostComponents {
  /** The running switch. Throws `no-switch` where none runs. */
  readonly current: () => StartedSwitch
  /** Carries out a change after those before it, and stores what `next` makes of the state. */
  readonly change: <T>(work: () => Promise<T>, next: (state: StoredState, result: T) => StoredState) => Promise<T>
}

export function storedHost({ current, change }: StoredHostComponents): RemoteSwitchHost {
  const host = (): SwitchHost => current().host
  const portNow = (name: string) => {
    const { settings, running } = current()
    const port = settings.get(name)
    return port === undefined ? undefined : capturedPort(port, running)
  }
  /** A port whose settings or properties changed; its link is the one that is stored, since settings do not tell it. */
  const changed = (state: StoredState, name: string): StoredState => {
    const port = portNow(name)
    if (port === undefined) return withoutPort(state, name)
    const link = state.config.switch.ports.find((one) => one.name === name)?.link ?? port.link
    return withPort(state, { ...port, link })
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
  const stored: Partial<RemoteSwitchHost> = {
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
