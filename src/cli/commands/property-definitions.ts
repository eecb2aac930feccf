// `vmswitch property definitions`: the custom properties that extensions define, and what their values consist of.
import type { PropertyField } from '../../ndis/property-fields.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

/** Without a name all, with one (or a GUID) what its value consists of. */
export async function propertyDefinitions({ terminal, connect }: CommandContext, name: string | undefined): Promise<void> {
  const all = await (await connect()).propertyDefinitions()
  if (name === undefined) {
    if (terminal.json) return terminal.data(all)
    return terminal.table(
      [{ title: 'PROPERTY', flexible: true }, { title: 'VERSION' }, { title: 'OF' }, { title: 'EXTENSION' }, { title: 'GUID' }],
      all.map((one) => [one.name, one.version, one.scope, one.extension, one.id]),
      'no extension of the switch defines properties',
    )
  }
  const found = all.find((one) => one.name === name || one.id === name.toLowerCase())
  if (found === undefined) {
    const known = all.map((one) => one.name).join(', ') || 'none'
    throw new CliError('no-such-property', `no extension defines a property "${name}"`, `defined are: ${known}`, ExitCode.failed)
  }
  if (terminal.json) return terminal.data(found)
  if (found.fields === null) return terminal.line(`${found.name}: what a value is only the extension ${found.extension} knows`)
  terminal.table(
    [{ title: 'FIELD' }, { title: 'VALUE', flexible: true }, { title: 'DEFAULT' }, { title: 'MEANING', flexible: true }],
    found.fields.map((field) => [
      field.required === true ? `${field.name} *` : field.name,
      valueText(field),
      field.default === undefined ? '' : JSON.stringify(field.default),
      field.description ?? '',
    ]),
    '',
  )
  if (found.list) terminal.line('A list of such values, in JSON, is a value too.')
}

function valueText({ type, min, max, choices }: PropertyField): string {
  if (type === 'choice') return choices?.join(', ') ?? ''
  if (min === undefined && max === undefined) return type
  const unit = type === 'text' ? ' characters' : ''
  return `${type} ${min ?? ''}-${max ?? ''}${unit}`
}
