// What has to happen to the properties of a port, or of the switch, so that they are as they are wanted.
//
// The rule it must not break: a property that is wanted without an instance is the one that is there, if one fits; nothing is taken away
// to be added again.
import { isDeepStrictEqual } from 'node:util'
import { isSingle, type PropertyInput } from '../../switch/policies/property.ts'

/** The GUID of a custom property by its name in its definition. */
export type PropertyNames = ReadonlyMap<string, string>

export interface PropertyDiff {
  readonly added: readonly PropertyInput[]
  readonly changed: readonly { readonly from: PropertyInput; readonly to: PropertyInput }[]
  readonly removed: readonly PropertyInput[]
}

const guid = (text: string): string => text.toLowerCase().replace(/[{}]/g, '')

/** Words for a property: its type, and what tells it from others of it. */
export const propertyText = ({ type, id }: PropertyInput): string => (type === 'custom' ? (id ?? 'custom') : type)

/** `from`: what is there, with instances; `to`: what is wanted. */
export function diffProperties(from: readonly PropertyInput[], to: readonly PropertyInput[], names: PropertyNames): PropertyDiff {
  const idOf = ({ id }: PropertyInput): string => (id === undefined ? '' : guid(names.get(id) ?? id))
  const fits = (there: PropertyInput, wanted: PropertyInput): boolean =>
    there.type === wanted.type &&
    idOf(there) === idOf(wanted) &&
    (wanted.instance === undefined || isSingle(wanted.type) || guid(there.instance ?? '') === guid(wanted.instance))
  const same = (there: PropertyInput, wanted: PropertyInput): boolean =>
    isDeepStrictEqual(there.value, wanted.value) && (wanted.version === undefined || there.version === wanted.version)

  const left = [...from]
  const take = (accepts: (there: PropertyInput) => boolean): PropertyInput | undefined => {
    const at = left.findIndex(accepts)
    return at < 0 ? undefined : left.splice(at, 1)[0]
  }
  // Those that are right already are paired first, so that none of them is changed into another.
  const open = to.filter((wanted) => take((there) => fits(there, wanted) && same(there, wanted)) === undefined)
  const added: PropertyInput[] = []
  const changed: { from: PropertyInput; to: PropertyInput }[] = []
  for (const wanted of open) {
    const there = take((candidate) => fits(candidate, wanted))
    if (there === undefined) added.push(wanted)
    else changed.push({ from: there, to: { ...wanted, instance: there.instance } })
  }
  return { added, changed, removed: left }
}
