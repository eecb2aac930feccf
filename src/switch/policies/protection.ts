// The protection of a port, a policy built into the switch (spec 7.6): how its values are read, and which members of a configuration's
// `security` belong to it.
//
// The rule it must not break: no extension sees it or hears of a change (ES-253, ES-496), so it is a property of its own and never a part
// of the security property.
import type { OptionReader } from '../../ndis/module-options.ts'
import type { ProtectionProperty } from '../../ndis/standard-properties.ts'

export function parseProtection(options: OptionReader): ProtectionProperty {
  return {
    dhcpGuard: options.boolean('dhcpGuard') ?? false,
    routerGuard: options.boolean('routerGuard') ?? false,
  }
}

/** True if any guard is on. */
export const isGuarded = ({ dhcpGuard, routerGuard }: ProtectionProperty): boolean => dhcpGuard || routerGuard

const members: ReadonlySet<string> = new Set(['dhcpGuard', 'routerGuard'] satisfies (keyof ProtectionProperty)[])

/** What a person wrote under `security`, as the security property and the protection; undefined: there is nothing of it. */
export function splitSecurity(written: Readonly<Record<string, unknown>>): {
  readonly security: Readonly<Record<string, unknown>> | undefined
  readonly protection: Readonly<Record<string, unknown>> | undefined
} {
  const entries = Object.entries(written)
  const guards = entries.filter(([name]) => members.has(name))
  if (guards.length === 0) return { security: written, protection: undefined }
  const others = entries.filter(([name]) => !members.has(name))
  return {
    security: others.length === 0 ? undefined : Object.fromEntries(others),
    protection: Object.fromEntries(guards),
  }
}
