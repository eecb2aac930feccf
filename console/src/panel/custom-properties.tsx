// The properties of a port that extensions define: as forms where a definition says what values consist of, else as JSON, which the
// extension checks when they are saved.
import { useEffect, useId, useState } from 'preact/hooks'
import type { PropertyDefinitionStatus, PropertyStatus } from '../../../src/manage/host.ts'
import { call } from '../state/api.ts'
import { useStore } from '../state/store.ts'
import { type DefinitionWithFields, FieldsForm } from './fields-form.tsx'
import { FormActions } from './form-actions.tsx'
import { jsonValue } from './property-values.ts'
import { useChange } from './use-change.ts'

const TYPE = 'custom'
const ROWS_MAX = 16

interface CustomPropertiesProps {
  readonly port: string
  readonly properties: readonly PropertyStatus[]
  readonly onSaved: () => void
}

const hasFields = (definition: PropertyDefinitionStatus | undefined): definition is DefinitionWithFields =>
  definition !== undefined && definition.fields !== null

/** Lists of values, and what an older version of the extension took, are edited as JSON. */
const isSet = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

export function CustomProperties({ port, properties, onSaved }: CustomPropertiesProps) {
  const [definitions, setDefinitions] = useState<readonly PropertyDefinitionStatus[]>([])
  // Extensions come and go: with each change of them their definitions do.
  const stack = useStore(({ view }) => view?.extensions.map(({ name, version }) => `${name} ${version}`).join() ?? '')
  useEffect(() => {
    // Without definitions all is edited as JSON.
    call<PropertyDefinitionStatus[]>('GET', '/v1/property-definitions').then(
      (all) => setDefinitions(all.filter(({ scope }) => scope === 'port')),
      () => setDefinitions([]),
    )
  }, [stack])
  return (
    <section class="policy" aria-label="Properties of extensions">
      <h3>Properties of extensions {properties.length === 0 && <span class="badge">none</span>}</h3>
      <p class="hint">What an extension is to do for this port.</p>
      {properties.map((property) => {
        const definition = definitions.find(({ id }) => id === property.id)
        return (
          <details key={`${property.instance} ${JSON.stringify(property.value)}`} class="other" open>
            <summary>
              {property.name === '' ? property.id : property.name} <small>version {property.version}</small>
            </summary>
            {hasFields(definition) && isSet(property.value) ? (
              <FieldsForm port={port} definition={definition} property={property} onSaved={onSaved} />
            ) : (
              <PropertyForm port={port} property={property} onSaved={onSaved} />
            )}
          </details>
        )
      })}
      <details key={properties.length}>
        <summary>Add a property</summary>
        <NewProperty port={port} definitions={definitions} onSaved={onSaved} />
      </details>
    </section>
  )
}

interface NewPropertyProps {
  readonly port: string
  readonly definitions: readonly PropertyDefinitionStatus[]
  readonly onSaved: () => void
}

function NewProperty({ port, definitions, onSaved }: NewPropertyProps) {
  const [chosen, setChosen] = useState('')
  const id = useId()
  const known = definitions.filter(hasFields)
  const definition = known.find((one) => one.name === chosen)
  return (
    <>
      {known.length > 0 && (
        <div class="field">
          <label for={`${id}-which`}>Which</label>
          <select
            id={`${id}-which`}
            name="definition"
            value={chosen}
            onChange={({ currentTarget }) => setChosen(currentTarget.value)}
          >
            <option value="">another, as JSON</option>
            {known.map(({ name, extension }) => (
              <option key={name} value={name}>
                {name === extension ? name : `${name} (${extension})`}
              </option>
            ))}
          </select>
        </div>
      )}
      {definition === undefined ? (
        <PropertyForm port={port} property={null} onSaved={onSaved} />
      ) : (
        <FieldsForm key={chosen} port={port} definition={definition} property={null} onSaved={onSaved} />
      )}
    </>
  )
}

interface PropertyFormProps {
  readonly port: string
  /** null: it is to be made. */
  readonly property: PropertyStatus | null
  readonly onSaved: () => void
}

function problemOf(text: string): string | null {
  try {
    jsonValue(text)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

function PropertyForm({ port, property, onSaved }: PropertyFormProps) {
  const readOnly = useStore((state) => state.readOnly)
  const [name, setName] = useState(property?.id ?? '')
  const [text, setText] = useState(property === null ? '' : JSON.stringify(property.value, null, 2))
  const [changed, setChanged] = useState(false)
  const { refused, forget, carryOut } = useChange(onSaved)
  const id = useId()
  const problem = changed && text.trim() !== '' ? problemOf(text) : null
  const told = problem ?? refused
  const which = { port, type: TYPE, id: name.trim(), ...(property === null ? {} : { instance: property.instance }) }
  const save = (event: Event): void => {
    event.preventDefault()
    const version = property === null ? {} : { version: property.version }
    const body = { ...which, ...version, value: jsonValue(text) }
    void carryOut(() => call(property === null ? 'POST' : 'PUT', '/v1/properties', body), `${port}: ${name.trim()} saved`)
  }
  const remove = (): void =>
    void carryOut(() => call('POST', '/v1/properties/remove', which), `${port}: ${property?.name ?? ''} removed`)
  const onType = (take: (text: string) => void) => (event: Event) => {
    take((event.currentTarget as HTMLInputElement | HTMLTextAreaElement).value)
    setChanged(true)
    forget()
  }
  return (
    <form onSubmit={save}>
      <fieldset disabled={readOnly}>
        <legend class="unseen">Property of an extension</legend>
        {property === null && (
          <div class="field">
            <label for={`${id}-name`}>Property</label>
            <input
              id={`${id}-name`}
              name="property"
              value={name}
              onInput={onType(setName)}
              aria-describedby={`${id}-hint`}
              autoComplete="off"
              spellcheck={false}
            />
            <p class="hint" id={`${id}-hint`}>
              its name, or its GUID
            </p>
          </div>
        )}
        <div class="field">
          <label for={`${id}-value`}>Value, as JSON</label>
          <textarea
            id={`${id}-value`}
            name="value"
            value={text}
            rows={Math.min(ROWS_MAX, Math.max(2, text.split('\n').length))}
            onInput={onType(setText)}
            aria-invalid={told !== ''}
            aria-describedby={`${id}-problem`}
            spellcheck={false}
          />
          <p class="problem" id={`${id}-problem`} role="alert">
            {told}
          </p>
        </div>
        <FormActions
          add="Add the property"
          exists={property !== null}
          disabled={!changed || problem !== null || text.trim() === '' || name.trim() === ''}
          onRemove={remove}
        />
      </fieldset>
    </form>
  )
}
