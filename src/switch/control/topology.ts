// Which ports and connections a switch may have: by its type, by the type of the port, and by number.
import { NicType, PHYSICAL_NICS_MAX, PortType } from '../../ndis/oids.ts'
import { SwitchControlError } from './errors.ts'

/** Types of switch (spec 1.2). */
export type SwitchType = 'private' | 'internal' | 'external'

/** What the rules look at of a port. */
export interface TopologyPort {
  readonly name: string
  readonly type: PortType
  readonly nicType: NicType
  /** Physical adapters under an external port. */
  readonly physicalNics: number
  readonly isValidationPort: boolean
}

/** The adapter that belongs on a port; a generic port, made by an older management layer, takes any. ES-010 */
const nicOf: ReadonlyMap<PortType, NicType> = new Map<PortType, NicType>([
  [PortType.external, NicType.external],
  [PortType.synthetic, NicType.synthetic],
  [PortType.emulated, NicType.emulated],
  [PortType.internal, NicType.internal],
])

const nicNames = ['external', 'synthetic', 'emulated', 'internal']

/** Throws if a switch of `type` with `others` may not have `port`. */
export function checkTopology(switchName: string, type: SwitchType, port: TopologyPort, others: Iterable<TopologyPort>): void {
  const refuse = (message: string): never => {
    throw new SwitchControlError('WRONG_TYPE', `switch "${switchName}": ${message}`)
  }
  const expected = nicOf.get(port.type)
  if (expected !== undefined && expected !== port.nicType)
    refuse(`port "${port.name}" is for a ${nicNames[expected]} adapter, not for a ${nicNames[port.nicType]} one`) // ES-010
  const external = port.nicType === NicType.external
  if (!external && port.nicType !== NicType.internal) return
  if (external && type !== 'external') refuse(`a switch of type ${type} has no external connection; make it external`) // ES-004, ES-005
  if (!external && type === 'private') refuse('a private switch has no internal connection; make it internal or external') // ES-005
  if (external && !(port.physicalNics >= 1 && port.physicalNics <= PHYSICAL_NICS_MAX))
    refuse(`an external connection has 1 to ${PHYSICAL_NICS_MAX} physical adapters, not ${port.physicalNics}`) // ES-159
  if (port.isValidationPort) return
  for (const other of others)
    if (other.nicType === port.nicType && !other.isValidationPort)
      refuse(`it already has the ${nicNames[port.nicType]} connection "${other.name}"; a switch has at most one`) // ES-001, ES-002
}
