// Cmdlets for what extensions offer: features, which are properties of ports and of the switch, and their data, which is feature status.
//
// On the command line a feature is named by -FeatureId or -FeatureName and its value is -SettingData, JSON; from PowerShell it is an object.
import type { PropertyFilter, PropertyStatus, RemoteSwitchHost } from '../../manage/host.ts'
import { propertyTypes } from '../../switch/policies/property.ts'
import { CliError, ExitCode } from '../exit.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import type { Given } from './parameters.ts'
import { adapterParameters, adaptersOf, checkSwitch, hasWildcard, isExternal, isLike } from './targets.ts'

/** A port, or the switch itself. */
interface Place {
  readonly port: string | undefined
  readonly output: Output
}

interface Feature {
  readonly id: string | undefined
  readonly name: string | undefined
  readonly instance: string | undefined
  readonly value: unknown
}

const filters: readonly Parameter[] = [
  { name: 'FeatureName', type: 'string', list: true, help: 'Names of features; * stands for any characters.' },
  { name: 'FeatureId', type: 'guid', list: true, help: 'GUIDs of features.' },
]
const written: readonly Parameter[] = [
  {
    name: 'VMSwitchExtensionFeature',
    type: 'json',
    help: 'The feature as an object with Id or Name, InstanceId and SettingData.',
  },
  { name: 'FeatureName', type: 'string', own: true, help: 'Name of the feature: a standard property, or one of an extension.' },
  { name: 'FeatureId', type: 'guid', own: true, help: 'Its GUID.' },
  { name: 'InstanceId', type: 'guid', own: true, help: 'GUID of the instance, where there are several.' },
]
const settingData: Parameter = { name: 'SettingData', type: 'json', own: true, help: 'Its value, as JSON.' }
const ofPorts: readonly Parameter[] = [
  ...adapterParameters('VMNetworkAdapterName'),
  { name: 'ExternalPort', type: 'switch', help: 'The port that leads to the network.' },
  { name: 'SwitchName', type: 'string', help: 'Name of the switch, as a check.' },
]
const ofSwitch: readonly Parameter[] = [
  { name: 'SwitchName', type: 'string', list: true, position: 0, help: 'Name of the switch, as a check.' },
]
const byExtension = {
  ExtensionName: 'is not there: features are known by -FeatureName and -FeatureId',
  Extension: 'is not there: features are known by -FeatureName and -FeatureId',
}

async function portPlaces(call: CmdletCall, all: boolean): Promise<{ host: RemoteSwitchHost; places: readonly Place[] }> {
  const { given } = call
  if (!given.flag('ExternalPort')) {
    const { host, ports, switchName } = await adaptersOf(call, { all })
    checkSwitch(given.text('SwitchName'), switchName)
    const places = ports.map((port) => ({
      port: port.name,
      output: { VMName: port.vm, VMNetworkAdapterName: port.friendlyName, SwitchName: switchName },
    }))
    return { host, places }
  }
  const host = await call.host()
  const [{ name }, ports] = await Promise.all([host.status(), host.ports()])
  checkSwitch(given.text('SwitchName'), name)
  const external = ports.find(isExternal)
  if (external === undefined) throw new CliError('no-external-port', `switch "${name}" has no external port`)
  return { host, places: [{ port: external.name, output: { PortName: external.name, SwitchName: name } }] }
}

async function switchPlaces(call: CmdletCall): Promise<{ host: RemoteSwitchHost; places: readonly Place[] }> {
  const host = await call.host()
  const { name } = await host.status()
  checkSwitch(call.given.texts('SwitchName'), name)
  return { host, places: [{ port: undefined, output: { SwitchName: name } }] }
}

const nameOf = ({ type, name, id }: PropertyStatus): string => (type === 'custom' ? name || (id ?? '') : type)
const bare = (guid: string | null): string => (guid ?? '').replace(/[{}]/g, '').toLowerCase()

function isWanted(given: Given, property: PropertyStatus): boolean {
  const [names, ids] = [given.texts('FeatureName'), given.texts('FeatureId')]
  return (names?.some((name) => isLike(nameOf(property), name)) ?? true) && (ids?.includes(bare(property.id)) ?? true)
}

const propertiesOf = async (host: RemoteSwitchHost, port: string | undefined): Promise<PropertyStatus[]> =>
  (await host.properties({ port })).filter((one) => one.port === (port ?? null))

const featureOutput = (place: Place, property: PropertyStatus): Output => ({
  Id: property.id ?? '',
  Name: nameOf(property),
  InstanceId: property.instance,
  Version: property.version,
  ...place.output,
  SettingData: property.value,
})

/** The features that a call names, from its object or its own parameters. Throws CliError `usage`. */
function featuresOf({ given }: CmdletCall, needsValue: boolean): Feature[] {
  const refuse = (message: string): never => {
    throw new CliError('usage', message, '-FeatureName NAME -SettingData JSON names one', ExitCode.usage)
  }
  const object = given.value('VMSwitchExtensionFeature')
  const one = {
    Id: given.text('FeatureId'),
    Name: given.text('FeatureName'),
    InstanceId: given.text('InstanceId'),
    SettingData: given.value('SettingData'),
  }
  const all = (object === undefined ? [one] : [object].flat()) as Readonly<Record<string, unknown>>[]
  return all.map((feature) => {
    const member = (name: string): unknown => (typeof feature === 'object' && feature !== null ? feature[name] : undefined)
    const text = (name: string): string | undefined => {
      const value = member(name)
      return typeof value === 'string' && value !== '' ? value : undefined
    }
    const [id, name, instance, value] = [text('Id'), text('Name'), text('InstanceId'), member('SettingData')]
    if (id === undefined && name === undefined) return refuse('no feature is named')
    if (needsValue && value === undefined) return refuse('the feature has no value: -SettingData, or SettingData of the object')
    return { id, name, instance, value }
  })
}

/** The property that a feature is. */
function selector({ id, name, instance }: Feature, port: string | undefined): PropertyFilter {
  const type = propertyTypes.find((one) => one !== 'custom' && one === name) ?? 'custom'
  return {
    type,
    ...(port === undefined ? {} : { port }),
    ...(type === 'custom' ? { id: id ?? name } : {}),
    ...(instance === undefined ? {} : { instance }),
  }
}

async function shown(call: CmdletCall, places: Promise<{ host: RemoteSwitchHost; places: readonly Place[] }>): Promise<Output[]> {
  const { host, places: of } = await places
  const all = await Promise.all(of.map(async (place) => ({ place, properties: await propertiesOf(host, place.port) })))
  return all.flatMap(({ place, properties }) =>
    properties.filter((one) => isWanted(call.given, one)).map((one) => featureOutput(place, one)),
  )
}

async function changed(call: CmdletCall, verb: Verb, where: typeof switchPlaces): Promise<Output[]> {
  const features = featuresOf(call, verb !== 'Remove')
  const { host, places } = await where(call)
  const outputs: Output[] = []
  for (const place of places)
    for (const feature of features) {
      const filter = selector(feature, place.port)
      const what = feature.name ?? feature.id!
      if (!call.should(`${verb} the feature`, place.port === undefined ? what : `${what} of ${place.port}`)) continue
      if (verb === 'Remove') await host.removeProperty(filter)
      else {
        const { value } = feature
        outputs.push(featureOutput(place, await host[verb === 'Add' ? 'addProperty' : 'setProperty']({ ...filter, value })))
      }
    }
  return outputs
}

// Status of the features that are named; of those that are only there, where their extension tells one.
async function data(call: CmdletCall, places: Promise<{ host: RemoteSwitchHost; places: readonly Place[] }>): Promise<Output[]> {
  const { given } = call
  const { host, places: of } = await places
  const outputs: Output[] = []
  for (const { port, output } of of) {
    const there = (await propertiesOf(host, port)).filter((one) => one.type === 'custom' && isWanted(given, one))
    const named = given.texts('FeatureId')
    const ids = new Set(named ?? there.map(({ id }) => bare(id)))
    for (const id of ids) {
      const status = await host.featureStatus({ id, ...(port === undefined ? {} : { port }) }).catch((error: Error) => {
        if (named !== undefined) throw error
        call.warn(`${id}: ${error.message}`)
        return undefined
      })
      if (status !== undefined)
        outputs.push({
          Id: status.id,
          Version: status.version,
          ...output,
          Data: Buffer.from(status.data, 'base64').toString('utf8'),
        })
    }
  }
  const unknown = given.texts('FeatureName')?.find((name) => !hasWildcard(name))
  if (outputs.length === 0 && unknown !== undefined)
    throw new CliError(
      'no-such-feature',
      `no extension tells of a feature "${unknown}" here`,
      'name it by -FeatureId, if no port has it',
    )
  return outputs
}

const verbs = ['Add', 'Set', 'Remove'] as const
type Verb = (typeof verbs)[number]
const adverbs = { Add: 'Adds a feature to', Set: 'Changes a feature of', Remove: 'Takes a feature away from' } as const

const changers = (noun: 'Port' | 'Switch'): Cmdlet[] =>
  verbs.map((verb) => ({
    name: `${verb}-VMSwitchExtension${noun}Feature`,
    synopsis: `${adverbs[verb]} ${noun === 'Port' ? 'adapters' : 'the switch'}.`,
    native: `vmswitch property ${verb.toLowerCase()}`,
    changes: true,
    passthru: true,
    parameters: [...(noun === 'Port' ? ofPorts : ofSwitch), ...written, ...(verb === 'Remove' ? [] : [settingData])],
    run: (call) => changed(call, verb, noun === 'Port' ? (of) => portPlaces(of, false) : switchPlaces),
  }))

export const featureCmdlets: readonly Cmdlet[] = [
  {
    name: 'Get-VMSwitchExtensionPortFeature',
    synopsis: 'Shows features of adapters: standard properties, and those of extensions.',
    native: 'vmswitch property list',
    parameters: [...ofPorts, ...filters],
    refused: byExtension,
    run: (call) => shown(call, portPlaces(call, true)),
  },
  ...changers('Port'),
  {
    name: 'Get-VMSwitchExtensionSwitchFeature',
    synopsis: 'Shows features of the switch.',
    native: 'vmswitch property list',
    parameters: [...ofSwitch, ...filters],
    refused: byExtension,
    run: (call) => shown(call, switchPlaces(call)),
  },
  ...changers('Switch'),
  {
    name: 'Get-VMSwitchExtensionPortData',
    synopsis: 'Shows what extensions tell of their features at adapters.',
    native: 'vmswitch feature-status --port',
    parameters: [...ofPorts, ...filters],
    refused: byExtension,
    run: (call) => data(call, portPlaces(call, true)),
  },
  {
    name: 'Get-VMSwitchExtensionSwitchData',
    synopsis: 'Shows what extensions tell of their features of the switch.',
    native: 'vmswitch feature-status',
    parameters: [...ofSwitch, ...filters],
    refused: byExtension,
    run: (call) => data(call, switchPlaces(call)),
  },
]
