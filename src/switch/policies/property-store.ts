// The properties that were provisioned, of the switch (scope 0) and of each port (scope = port id).
//
// The rule it must not break: it holds what completed with success, and nothing else; a scope's list is replaced, never changed, so
// that whoever holds one sees it as it was.
import { NdisStatus } from '../../ndis/status.ts'
import {
  type DefinedProperty,
  identify,
  instanceOf,
  isSingle,
  PropertyError,
  type PropertyInstance,
  type PropertySelector,
  propertyText,
} from './property.ts'

/** The scope of switch properties; ports have theirs, from 1. */
export const SWITCH_SCOPE = 0
/** Properties that a port or the switch may have. */
export const PROPERTIES_MAX = 256

const sameIdentity = (a: PropertyInstance, b: PropertyInstance): boolean =>
  a.type === b.type && a.propertyId === b.propertyId && a.propertyInstanceId === b.propertyInstanceId

export class PropertyStore {
  readonly #scopes = new Map<number, readonly PropertyInstance[]>()

  /** All properties of a scope, in the order in which they were added. */
  list(scope: number): readonly PropertyInstance[] {
    return this.#scopes.get(scope) ?? []
  }

  /** The scopes that have or had properties. */
  scopes(): Iterable<number> {
    return this.#scopes.keys()
  }

  /** Throws if `property` may not be added: it is there already, or there are too many. */
  checkNew(scope: number, property: PropertyInstance): void {
    const all = this.list(scope)
    const twin = all.find((other) => sameIdentity(other, property) || (other.type === property.type && isSingle(other.type)))
    if (twin)
      throw new PropertyError(
        'PROPERTY_EXISTS',
        `there is a property ${propertyText(twin)} already (instance ${twin.propertyInstanceId}): change it, or delete it first`,
        NdisStatus.invalidParameter,
      )
    if (all.length >= PROPERTIES_MAX)
      throw new PropertyError('PROPERTY_EXISTS', `there are ${PROPERTIES_MAX} properties already`, NdisStatus.resources)
  }

  /** The instance that is meant. Throws if there is none, or several fit. */
  find(scope: number, selector: PropertySelector, definitions: readonly DefinedProperty[]): PropertyInstance {
    const { id } = identify(selector, definitions)
    const ofId = this.list(scope).filter((property) => property.type === selector.type && property.propertyId === id)
    const instance = selector.instance === undefined ? undefined : instanceOf(selector.instance)
    const fitting = instance === undefined ? ofId : ofId.filter((property) => property.propertyInstanceId === instance)
    const [only] = fitting
    if (only && fitting.length === 1) return only
    const what = selector.type === 'custom' ? (selector.id ?? '') : selector.type
    const instances = ofId.map((property) => property.propertyInstanceId).join(', ')
    if (fitting.length > 1)
      throw new PropertyError(
        'NO_SUCH_PROPERTY',
        `there are several properties ${what}: say which instance (${instances})`,
        NdisStatus.invalidParameter,
      )
    // ES-551
    throw new PropertyError(
      'NO_SUCH_PROPERTY',
      instances === '' ? `there is no property ${what}` : `there is no such instance of ${what} (there are: ${instances})`,
      NdisStatus.invalidParameter,
    )
  }

  add(scope: number, property: PropertyInstance): void {
    this.#scopes.set(scope, [...this.list(scope), property])
  }

  /** Puts `property` in the place of the instance with the same identity. */
  replace(scope: number, property: PropertyInstance): void {
    this.#scopes.set(
      scope,
      this.list(scope).map((other) => (sameIdentity(other, property) ? property : other)),
    )
  }

  remove(scope: number, property: PropertyInstance): void {
    this.#scopes.set(
      scope,
      this.list(scope).filter((other) => other !== property),
    )
  }

  /** Forgets a port that is deleted. */
  forget(scope: number): void {
    this.#scopes.delete(scope)
  }
}
