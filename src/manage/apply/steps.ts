// A plan as steps on a running switch, in the order in which they can be carried out: extensions first, since they define properties;
// ports go before ports come, since they may want the same address, socket or interface.
//
// The rule it must not break: each step undoes exactly what it did.
import { isDeepStrictEqual } from 'node:util'
import type { RunningSwitch } from '../../engine/host.ts'
import type { PortSettings } from '../../engine/port-settings.ts'
import type { PropertyInput, PropertySelector } from '../../switch/policies/property.ts'
import type { ResolvedExtension, ResolvedPort } from '../config/types.ts'
import { overlaySteps } from '../overlay/overlay-steps.ts'
import { extensionEntry } from '../switch-host.ts'
import type { Plan, PortChange } from './plan.ts'
import { type PropertyDiff, propertyText } from './property-diff.ts'
import type { Step } from './transaction.ts'

export interface StepComponents {
  readonly running: RunningSwitch
  /** The ports as configured, which are kept as they come, change and go. */
  readonly settings: Map<string, ResolvedPort>
}

/** The steps of a plan that needs no restart. */
export function stepsOf({ extensions, ports, properties, snooping, overlay }: Plan, components: StepComponents): Step[] {
  const replaced = ports.changed.filter(({ replace }) => replace)
  return [
    ...extensionSteps(extensions, components.running),
    ...[...ports.removed, ...replaced.map(({ from }) => from)].map((port) => removal(port, components)),
    ...propertySteps(undefined, properties, components.running),
    ...ports.changed.filter(({ replace }) => !replace).flatMap((change) => changeSteps(change, components)),
    ...[...replaced.map(({ to }) => to), ...ports.added].map((port) => addition(port, components)),
    ...(snooping === null ? [] : [snoopingStep(snooping, components)]),
    ...(overlay === null ? [] : overlaySteps(overlay, components.running)),
  ]
}

const snoopingStep = ({ from, to }: NonNullable<Plan['snooping']>, { running }: StepComponents): Step => ({
  what: 'snooping is changed',
  do: () => running.effects.snooping.configure(to),
  undo: () => running.effects.snooping.configure(from),
})

function extensionSteps(plan: Plan['extensions'], running: RunningSwitch): Step[] {
  const { added, removed, replaced, switched, order, orderBefore } = plan
  const stays = added.length + removed.length + replaced.length === 0
  if (stays && switched.length === 0 && isDeepStrictEqual(order, orderBefore)) return []
  const install = (extension: ResolvedExtension) => running.installExtension(extensionEntry(extension))
  const uninstall = ({ name }: ResolvedExtension) => running.uninstallExtension(name)
  const switching = ({ name, enabled }: { name: string; enabled: boolean }): Step => ({
    what: `extension ${name} is ${enabled ? 'enabled' : 'disabled'}`,
    do: () => running.setExtension(name, enabled),
    undo: () => running.setExtension(name, !enabled),
  })
  const nothing = async (): Promise<void> => undefined
  return [
    // Its undo runs after those of all others, when the extensions are those of before.
    { what: 'the order of extensions', do: nothing, undo: () => running.reorderExtensions(orderBefore) },
    ...[...removed, ...replaced.map(({ from }) => from)].map(
      (extension): Step => ({
        what: `extension ${extension.name} is taken out`,
        do: () => uninstall(extension),
        undo: () => install(extension),
      }),
    ),
    // One forwarding extension makes room for another.
    ...switched.filter(({ enabled }) => !enabled).map(switching),
    ...[...replaced.map(({ to }) => to), ...added].map(
      (extension): Step => ({
        what: `extension ${extension.name} is installed`,
        do: () => install(extension),
        undo: () => uninstall(extension),
      }),
    ),
    ...switched.filter(({ enabled }) => enabled).map(switching),
    { what: 'the order of extensions', do: () => running.reorderExtensions(order), undo: nothing },
  ]
}

const add = async (port: ResolvedPort, { running, settings }: StepComponents): Promise<void> => {
  settings.set(port.name, port) // its virtual function may be plugged before the call returns
  try {
    await running.addPort(port)
  } catch (error) {
    settings.delete(port.name)
    throw error
  }
}

const remove = async ({ name }: ResolvedPort, { running, settings }: StepComponents): Promise<void> => {
  await running.removePort(name)
  settings.delete(name)
}

const addition = (port: ResolvedPort, components: StepComponents): Step => ({
  what: `port ${port.name} is added`,
  do: () => add(port, components),
  undo: () => remove(port, components),
})

const removal = (port: ResolvedPort, components: StepComponents): Step => ({
  what: `port ${port.name} is removed`,
  do: () => remove(port, components),
  undo: () => add(port, components),
})

const settingsOf = ({
  name,
  friendlyName,
  portMirroring,
  monitorSession,
  monitorDirection,
  monitorVlan,
  tenant,
  customerAddresses,
  teaming,
  mtu,
}: ResolvedPort): Required<Omit<PortSettings, 'mtu'>> & PortSettings => ({
  friendlyName: friendlyName ?? name,
  portMirroring: portMirroring ?? 'none',
  monitorSession: monitorSession ?? 0,
  monitorDirection: monitorDirection ?? 'both',
  monitorVlan: monitorVlan ?? 0,
  tenant: tenant ?? '',
  customerAddresses: customerAddresses ?? [],
  teaming: teaming ?? {},
  ...(mtu === undefined ? {} : { mtu }),
})

function changeSteps({ from, to, properties }: PortChange, { running, settings }: StepComponents): Step[] {
  const { name } = to
  const before = settingsOf(from)
  const after = settingsOf(to)
  const set = (port: ResolvedPort, all: PortSettings, other: PortSettings) => async (): Promise<void> => {
    const changed = Object.entries(all).filter(([key, value]) => other[key as keyof PortSettings] !== value)
    await running.setPort(name, Object.fromEntries(changed) as PortSettings)
    settings.set(name, port)
  }
  return [
    ...propertySteps(name, properties, running),
    { what: `port ${name} is changed`, do: set(to, after, before), undo: set(from, before, after) },
    ...(from.link === to.link
      ? []
      : [
          {
            what: `the link of port ${name} goes ${to.link}`,
            do: () => running.setLink(name, to.link === 'up'),
            undo: () => running.setLink(name, from.link === 'up'),
          },
        ]),
  ]
}

const selectorOf = ({ type, id, instance }: PropertyInput): PropertySelector => ({
  type,
  ...(type === 'custom' ? { id } : {}),
  ...(instance === undefined ? {} : { instance }),
})

function propertySteps(port: string | undefined, { added, changed, removed }: PropertyDiff, running: RunningSwitch): Step[] {
  const { policies } = running
  const id = (): number | undefined => (port === undefined ? undefined : running.portId(port))
  const of = port === undefined ? 'of the switch' : `of port ${port}`
  const put = async (property: PropertyInput): Promise<void> => void (await policies.add(id(), property))
  const take = async (property: PropertyInput): Promise<void> => void (await policies.delete(id(), selectorOf(property)))
  const change = async (property: PropertyInput): Promise<void> => void (await policies.update(id(), property))
  return [
    ...removed.map((property) => ({
      what: `property ${propertyText(property)} ${of} is removed`,
      do: () => take(property),
      undo: () => put(property),
    })),
    ...changed.map(({ from, to }) => ({
      what: `property ${propertyText(to)} ${of} is changed`,
      do: () => change(to),
      undo: () => change(from),
    })),
    ...added.map((property) => ({
      what: `property ${propertyText(property)} ${of} is added`,
      do: () => put(property),
      undo: () => take(property),
    })),
  ]
}
