// vmswitch as a library: a switch in the user's own process, and switches of other processes and machines.
export type { MemoryPeer } from './endpoints/memory/memory-peer.ts'
export { defineExtension } from './extension.ts'
export type { AdapterStatus, AssignedVfStatus, VfChange, VPortStatus } from './manage/adapters/adapter-calls.ts'
export type { QueueStatus, RssStatus } from './manage/adapters/queue-calls.ts'
export { defineConfig } from './manage/config/define-config.ts'
export { ConfigError } from './manage/config/diagnostics.ts'
export { loadConfig } from './manage/config/load.ts'
export type { Config, EndpointConfig, PortChange, PortInput, ResolvedConfig } from './manage/config/types.ts'
export { connectControl, connectTables } from './manage/control/control-client.ts'
export { ControlError } from './manage/control/control-errors.ts'
export type { ControlPlace, NetworkPlace } from './manage/control/control-place.ts'
export type * from './manage/diagnosis/diagnosis-calls.ts'
export { createSwitch, type EmbeddedOptions, type EmbeddedSwitch, type EventsQuery } from './manage/embedded.ts'
export type { NumberedEvent } from './manage/events/event-bus.ts'
export { streamEvents } from './manage/events/event-client.ts'
export type {
  CountersReport,
  DropCount,
  ExtensionStatus,
  FdbEntry,
  PortCounters,
  PortStatus,
  PropertyChange,
  PropertyDefinitionStatus,
  PropertyFilter,
  PropertyStatus,
  RemoteSwitchHost,
  RestoreReport,
  SwitchHost,
  SwitchStatus,
} from './manage/host.ts'
export type { LiveView } from './manage/live/live-view.ts'
export type { AclStatus } from './manage/policies/acl-calls.ts'
export type { ApplyReport, ApplyRequest, ServiceCalls, ServiceStatus } from './manage/service/service-calls.ts'
export { connectService } from './manage/service/service-client.ts'
