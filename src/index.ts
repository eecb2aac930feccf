// vmswitch as a library: a switch in the user's own process.

export type {
  AdapterConfig,
  AdapterStatus,
  AssignedVfStatus,
  IovConfig,
  SwitchAdapters,
  VPortStatus,
} from './engine/adapter-config.ts'
export type { EndpointConfig } from './engine/endpoint-factory.ts'
export type { ExtensionEntry, ExtensionStatus } from './engine/extension-manager.ts'
export { createSwitch, type PortConfig, RunningSwitch, type SwitchComponents, type SwitchConfig } from './engine/host.ts'
export { defineExtension } from './extension.ts'
export { defineConfig } from './manage/config/define-config.ts'
export { loadConfig } from './manage/config/load.ts'
