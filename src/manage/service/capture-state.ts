// What is stored of a change that was made over the API: read back from the running switch, so that it is what the switch has.
//
// The rule it must not break: nothing is stored that the switch did not accept.
import type { RunningSwitch } from '../../engine/host.ts'
import type { SnoopingConfig } from '../../engine/snooping/snooping-config.ts'
import { formatPropertyVersion } from '../../ndis/properties.ts'
import type { PropertyInput, PropertyInstance } from '../../switch/policies/property.ts'
import type { VfChange } from '../adapters/adapter-calls.ts'
import type { VmmqChange } from '../adapters/queue-calls.ts'
import type { OverlayConfig, ResolvedConfig, ResolvedExtension, ResolvedPort } from '../config/types.ts'
import { plain, type StoredState, type StoredVf, withPorts } from '../store/state.ts'

const inputOf = ({ type, propertyId, propertyInstanceId, propertyVersion, value }: PropertyInstance): PropertyInput => ({
  type,
  ...(type === 'custom' ? { id: propertyId } : {}),
  instance: propertyInstanceId,
  version: formatPropertyVersion(propertyVersion),
  value,
})

const withProperties = <T extends { readonly properties?: readonly PropertyInput[] }>(
  { properties: _, ...rest }: T,
  listed: readonly PropertyInstance[],
): T => plain({ ...rest, ...(listed.length === 0 ? {} : { properties: listed.map(inputOf) }) }) as unknown as T

/** The port as the switch has it. */
export const capturedPort = (port: ResolvedPort, running: RunningSwitch): ResolvedPort =>
  withProperties(port, running.policies.list(running.portId(port.name)))

/** The configuration as the switch has it. */
export const capturedConfig = (config: ResolvedConfig, running: RunningSwitch): ResolvedConfig => ({
  ...config,
  switch: {
    ...withProperties(config.switch, running.policies.list(undefined)),
    ports: config.switch.ports.map((port) => capturedPort(port, running)),
  },
})

/** The state with `port` in place of the one of its name, or behind the others. */
export function withPort(state: StoredState, port: ResolvedPort): StoredState {
  const { ports } = state.config.switch
  const isThere = ports.some(({ name }) => name === port.name)
  return withPorts(state, isThere ? ports.map((one) => (one.name === port.name ? port : one)) : [...ports, port])
}

export const withoutPort = (state: StoredState, name: string): StoredState =>
  withPorts(
    state,
    state.config.switch.ports.filter((port) => port.name !== name),
  )

/** The state with other properties of the switch. */
export const withSwitchProperties = (state: StoredState, running: RunningSwitch): StoredState => ({
  ...state,
  config: { ...state.config, switch: withProperties(state.config.switch, running.policies.list(undefined)) },
})

/** The state with other settings of snooping; null: without it. */
export const withSnooping = (state: StoredState, snooping: SnoopingConfig | null): StoredState => {
  const { snooping: _, ...rest } = state.config.switch
  return { ...state, config: { ...state.config, switch: snooping === null ? rest : plain({ ...rest, snooping }) } }
}

/** The state with the overlay as `change` makes it; without one it stays as it is. */
export const withOverlay = (state: StoredState, change: (overlay: OverlayConfig) => OverlayConfig): StoredState => {
  const { overlay } = state.config.switch
  if (overlay === undefined) return state
  return { ...state, config: { ...state.config, switch: { ...state.config.switch, overlay: plain(change(overlay)) } } }
}

/** The state with an extension enabled or not. */
export const withExtension = (state: StoredState, name: string, enabled: boolean): StoredState =>
  withExtensions(
    state,
    state.config.switch.extensions.map((one) => (one.name === name ? { ...one, enabled } : one)),
  )

/** The state with the extensions in the order of `names`. */
export const withOrder = (state: StoredState, names: readonly string[]): StoredState =>
  withExtensions(
    state,
    state.config.switch.extensions.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name)),
  )

/** The state with one extension more, in the order of `names`. */
export const withInstalled = (state: StoredState, extension: ResolvedExtension, names: readonly string[]): StoredState =>
  withOrder(withExtensions(state, [...state.config.switch.extensions, extension]), names)

/** The state without an extension. */
export const withoutExtension = (state: StoredState, name: string): StoredState =>
  withExtensions(
    state,
    state.config.switch.extensions.filter((one) => one.name !== name),
  )

const withExtensions = (state: StoredState, extensions: ResolvedConfig['switch']['extensions']): StoredState => ({
  ...state,
  config: { ...state.config, switch: { ...state.config.switch, extensions } },
})

/** The state with other settings of a port's queue pairs; what the change does not name stays. */
export function withVmmq(state: StoredState, { port: name, vmmqEnabled, vmmqQueuePairs }: VmmqChange): StoredState {
  const port = state.config.switch.ports.find((one) => one.name === name)
  if (port === undefined) return state
  const { vmmqQueuePairs: before, ...rest } = port
  const pairs = vmmqQueuePairs === undefined ? before : (vmmqQueuePairs ?? undefined) // null: all that there are
  return withPort(state, {
    ...rest,
    ...(vmmqEnabled === undefined ? {} : { vmmqEnabled }),
    ...(pairs === undefined ? {} : { vmmqQueuePairs: pairs }),
  })
}

/** The state with further settings of a VF. */
export function withVf(state: StoredState, { adapter, vf, words }: VfChange): StoredState {
  const others = state.vfs.filter((one) => one.adapter !== adapter || one.vf !== vf)
  const before = state.vfs.find((one) => one.adapter === adapter && one.vf === vf)
  const settings: StoredVf = { adapter, vf, words: { ...before?.words, ...words } }
  return { ...state, vfs: [...others, plain(settings)] }
}
