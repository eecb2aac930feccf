// A switch whose changes over the API are told as events, after they are done.
//
// The rule it must not break: what was refused is not told, and telling changes nothing of the answer.
import type { EventLog, RemoteSwitchHost, SwitchEvent, SwitchHost } from '../host.ts'

type Told = { readonly [Call in keyof SwitchHost]?: (...args: Parameters<SwitchHost[Call]>) => SwitchEvent }

const event = (source: string, code: string, message: string): SwitchEvent => ({ source, code, message })
const ofPort = (name: string, code: string, message: string): SwitchEvent => event(`port ${name}`, code, message)
const ofScope = (port: string | undefined, code: string, message: string): SwitchEvent =>
  event(port === undefined ? 'switch' : `port ${port}`, code, message)

const told: Told = {
  addPort: ({ name, endpoint }) => ofPort(name, 'port-added', `the port was added, of kind ${endpoint.kind}`),
  removePort: (name) => ofPort(name, 'port-removed', 'the port was removed'),
  setLink: (name, up) => ofPort(name, up ? 'link-up' : 'link-down', `its link was set ${up ? 'up' : 'down'}`),
  setPort: (name, change) => ofPort(name, 'port-changed', `changed: ${Object.keys(change).join(', ')}`),
  setExtension: ({ name, enabled }) =>
    event(`extension ${name}`, enabled ? 'extension-enabled' : 'extension-disabled', enabled ? 'enabled' : 'disabled'),
  pauseExtension: ({ name, paused }) =>
    event(`extension ${name}`, paused ? 'extension-paused' : 'extension-restarted', paused ? 'paused' : 'goes on'),
  reorderExtensions: (names) => event('switch', 'extension-order', `the order is ${names.join(', ')}`),
  replaceExtension: (name) => event(`extension ${name}`, 'extension-reloaded', 'its module was loaded anew'),
  flushFdb: ({ port }) => ofScope(port, 'fdb-flushed', 'learned addresses were forgotten'),
  setOverlayRecord: ({ vsid, mac, provider }) =>
    event('overlay', 'record-set', `${mac} of virtual subnet ${vsid} is at ${provider}`),
  removeOverlayRecord: ({ vsid, mac }) => event('overlay', 'record-removed', `${mac} of virtual subnet ${vsid}`),
  setOverlayRoute: ({ vsid, prefix, nextHop }) =>
    event(
      'overlay',
      'route-set',
      `${prefix} leads into virtual subnet ${vsid}${nextHop === undefined ? '' : ` through ${nextHop}`}`,
    ),
  removeOverlayRoute: ({ vsid, prefix }) => event('overlay', 'route-removed', `${prefix} of virtual subnet ${vsid}`),
  setOverlaySubnet: ({ vsid }) => event('overlay', 'subnet-set', `virtual subnet ${vsid}`),
  removeOverlaySubnet: (vsid) => event('overlay', 'subnet-removed', `virtual subnet ${vsid}`),
  setSnooping: (settings) =>
    event(
      'switch',
      settings === null ? 'snooping-off' : 'snooping-on',
      settings === null ? 'switched off' : JSON.stringify(settings),
    ),
  addProperty: ({ port, type }) => ofScope(port, 'property-added', `property ${type} was added`),
  setProperty: ({ port, type }) => ofScope(port, 'property-changed', `property ${type} was changed`),
  removeProperty: ({ port, type }) => ofScope(port, 'property-removed', `property ${type} was removed`),
  restore: () => event('switch', 'restored', 'ports were restored'),
  prepareMigration: () => event('switch', 'migration-prepared', 'a port was prepared for a guest that is to come'),
  holdPort: (name) => ofPort(name, 'migration-held', 'its guest may leave'),
  handOver: (name) => ofPort(name, 'migration-handed-over', 'the port left with its guest'),
  takeOver: () => event('switch', 'migration-taken-over', 'a port came with its guest'),
  abandonMigration: (name) => ofPort(name, 'migration-abandoned', 'the migration was called off'),
  setVf: ({ adapter, vf, words }) =>
    event(`adapter ${adapter}`, 'vf-changed', `VF ${vf}: changed: ${Object.keys(words).join(', ')}`),
  resetVf: (port) => ofPort(port, 'vf-reset', 'its virtual function was reset'),
}

/** `host`, whose changes are told to `log`. */
export function announcedHost(host: SwitchHost | RemoteSwitchHost, log: EventLog): RemoteSwitchHost {
  return new Proxy({} as RemoteSwitchHost, {
    get: (_, call) => {
      if (typeof call !== 'string' || call === 'then') return undefined
      const name = call as keyof SwitchHost
      const work = host[name] as (...args: readonly unknown[]) => unknown
      const tell = told[name] as ((...args: readonly unknown[]) => SwitchEvent) | undefined
      return async (...args: readonly unknown[]): Promise<unknown> => {
        const answer = await work(...args)
        if (tell !== undefined) log(tell(...args))
        return answer
      }
    },
  })
}
