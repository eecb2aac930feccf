// Changes of standard properties that are of one instance: put, merged, taken away, whatever was there.
//
// The rule it must not break: members that are not named stay as they are.
import type { PortStatus, PropertyFilter, PropertyStatus, RemoteSwitchHost } from '../manage/host.ts'

type Members = Readonly<Record<string, unknown>>
type Host = Pick<RemoteSwitchHost, 'properties' | 'addProperty' | 'setProperty' | 'removeProperty'>

/** The value of a port's property, or with port null of the switch's, as it was written; undefined: there is none. */
export const propertyOf = (
  all: readonly PropertyStatus[],
  port: string | null,
  type: PropertyFilter['type'],
): Members | undefined => all.find((one) => one.port === port && one.type === type)?.value as Members | undefined

/** What a port may, before it has a security property of its own: what a change of one member of it starts from. */
export const securityBefore = (port: PortStatus): Members => ({
  allowMacSpoofing: port.macSpoofing === 'on',
  allowIeeePriorityTag: true,
})

/** Makes `value` the property; null takes it away. */
export async function putProperty(
  host: Host,
  port: string | undefined,
  type: PropertyFilter['type'],
  value: Members | null,
): Promise<void> {
  const isThere = propertyOf(await host.properties({ port }), port ?? null, type) !== undefined
  if (value === null) {
    if (isThere) await host.removeProperty({ port, type })
  } else if (isThere) await host.setProperty({ port, type, value })
  else await host.addProperty({ port, type, value })
}

/** Changes members of a property; undefined takes a member away. `first`: what it starts from where there was none. */
export async function mergeProperty(
  host: Host,
  port: string | undefined,
  type: PropertyFilter['type'],
  change: Members,
  first: Members = {},
): Promise<void> {
  const before = propertyOf(await host.properties({ port }), port ?? null, type)
  const merged = Object.entries({ ...(before ?? first), ...change }).filter(([, value]) => value !== undefined)
  await putProperty(host, port, type, merged.length === 0 ? null : Object.fromEntries(merged))
}
