// The policies that a network imposes on the ports of this switch, and what follows for each port.
//
// The rule it must not break: rules that did not change stay the same object, since whoever gets others compiles them anew.
import type { ExtendedAclProperty, SecurityProperty } from '../../ndis/standard-properties.ts'
import { belongsTo, type ImposedPolicy, type InForce, withImposed } from './imposed.ts'

interface Remembered {
  readonly own: unknown
  readonly rules: readonly ImposedPolicy['rules'][]
  readonly acl: ExtendedAclProperty
}

export class ImposedTable {
  #policies: readonly ImposedPolicy[] = []
  readonly #acls = new Map<number, Remembered>()

  set(policies: readonly ImposedPolicy[]): void {
    this.#policies = policies
  }

  /** The policies that belong to a port with these properties. */
  of(name: string, own: readonly InForce[]): readonly ImposedPolicy[] {
    if (this.#policies.length === 0) return this.#policies
    const security = own.find(({ type }) => type === 'security')?.property as SecurityProperty | undefined
    return this.#policies.filter((policy) => belongsTo(policy, name, security?.virtualSubnetId ?? 0))
  }

  /** What is in force at a port. */
  inForce(portId: number, name: string, own: readonly InForce[]): readonly InForce[] {
    const policies = this.of(name, own)
    if (policies.length === 0) {
      this.#acls.delete(portId)
      return own
    }
    return withImposed(own, policies).map((one) =>
      one.type === 'extended-acl' ? { ...one, property: this.#sameAcl(portId, one.property, own, policies) } : one,
    )
  }

  forget(portId: number): void {
    this.#acls.delete(portId)
  }

  #sameAcl(portId: number, merged: unknown, all: readonly InForce[], policies: readonly ImposedPolicy[]): unknown {
    const own = all.find(({ type }) => type === 'extended-acl')?.property
    const rules = policies.map((policy) => policy.rules)
    const known = this.#acls.get(portId)
    if (known?.own === own && known?.rules.length === rules.length && rules.every((one, i) => one === known.rules[i]))
      return known.acl
    this.#acls.set(portId, { own, rules, acl: merged as ExtendedAclProperty })
    return merged
  }
}
