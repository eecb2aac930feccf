// The control side of the switch, in ./control: ports and connections, requests and indications, references.
export { NicType, PortType } from '../ndis/oids.ts'
export type { OidChannel } from './control/channel.ts'
export type { EdgeComponents } from './control/edge.ts'
export { SwitchControlError } from './control/errors.ts'
export { type After, type ControlLimits, DEFAULT_CONTROL_LIMITS } from './control/limits.ts'
export { isVmNic, type NicUpdate, type PortOptions } from './control/records.ts'
export { type ControlComponents, type ControlOptions, SwitchControl } from './control/switch-control.ts'
