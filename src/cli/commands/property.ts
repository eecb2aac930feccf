// `vmswitch property [list|add|set|remove]` and `vmswitch feature-status`: properties of ports and of the switch.
import type { FeatureFilter, PropertyChange, PropertyFilter, PropertyStatus } from '../../manage/host.ts'
import { propertyTypes } from '../../switch/policies/property.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

/** What the command line says of a property. */
export interface PropertyWords {
  readonly port?: string | undefined
  readonly instance?: string | undefined
  readonly version?: string | undefined
}

const standardTypes = propertyTypes.filter((type) => type !== 'custom')

/** `vlan` is the standard property, anything else the name or GUID of a custom one. */
function named(name: string, { port, instance }: PropertyWords): PropertyFilter {
  const type = standardTypes.find((candidate) => candidate === name)
  return { type: type ?? 'custom', ...(type ? {} : { id: name }), ...(port ? { port } : {}), ...(instance ? { instance } : {}) }
}

/** JSON, or `name=value` pairs, or plain text. */
export function parseValue(words: readonly string[]): unknown {
  const [only] = words
  const json = (text: string): unknown => {
    try {
      return JSON.parse(text) as unknown
    } catch {
      return text
    }
  }
  if (words.every((word) => /^[A-Za-z]\w*=/.test(word)))
    return Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), json(word.slice(word.indexOf('=') + 1))]))
  if (only !== undefined && words.length === 1) return json(only)
  throw new CliError(
    'usage',
    `"${words.join(' ')}" is no value`,
    'write JSON, or NAME=VALUE pairs: mode=access accessVlanId=10',
    ExitCode.usage,
  )
}

const label = ({ type, name, id }: PropertyStatus): string => (type === 'custom' ? name || (id ?? '') : type)

export async function listProperties({ terminal, connect }: CommandContext, port: string | undefined): Promise<void> {
  const answer = await (await connect()).properties({ port, imposed: true })
  if (terminal.json) return terminal.data(answer)
  terminal.table(
    [
      { title: 'PORT', flexible: true },
      { title: 'PROPERTY', flexible: true },
      { title: 'VERSION' },
      { title: 'INSTANCE' },
      { title: 'VALUE', flexible: true },
    ],
    answer.map((property) => [
      property.port ?? '(switch)',
      property.network === undefined ? label(property) : `${label(property)} (from the network: ${property.network})`,
      property.version,
      property.instance,
      JSON.stringify(property.value),
    ]),
    'there are no properties',
  )
}

export async function changeProperty(
  { terminal, connect }: CommandContext,
  call: 'addProperty' | 'setProperty',
  name: string,
  value: readonly string[],
  words: PropertyWords,
): Promise<void> {
  const { version } = words
  const change: PropertyChange = { ...named(name, words), ...(version ? { version } : {}), value: parseValue(value) }
  const answer = await (await connect())[call](change)
  if (terminal.json) return terminal.data(answer)
  const where = answer.port === null ? 'the switch' : `port "${answer.port}"`
  terminal.line(`${label(answer)} of ${where} is ${JSON.stringify(answer.value)} (instance ${answer.instance})`)
}

export async function removeProperty({ terminal, connect }: CommandContext, name: string, words: PropertyWords): Promise<void> {
  await (await connect()).removeProperty(named(name, words))
  if (terminal.json) return terminal.data({})
  terminal.line(`${name} is removed`)
}

export async function featureStatus({ terminal, connect }: CommandContext, filter: FeatureFilter): Promise<void> {
  const answer = await (await connect()).featureStatus(filter)
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.id} version ${answer.version}: ${Buffer.from(answer.data, 'base64').toString('utf8')}`)
}
