// What the conformance tests of properties, feature status and saving share: entries of the policy test extensions, and readers of what
// they logged.
import { fileURLToPath } from 'node:url'
import type { ExtensionEntry } from '../../src/engine/extension-manager.ts'
import type { PolicyBehaviour } from './extensions/policy.ts'

export { RATE } from './extensions/policy.ts'
/** GUIDs that no extension defines. */
export const UNKNOWN = '0d3c1f9f-0002-4c56-9b7e-7b0b6d0e5f0c'
export const FEATURE = '0d3c1f9f-0003-4c56-9b7e-7b0b6d0e5f0c'

export interface PolicyUse extends PolicyBehaviour {
  readonly name: string
  readonly class: 'capturing' | 'filtering' | 'forwarding'
}

/** An extension entry of the configuration. */
export function policy({ name, class: extensionClass, ...options }: PolicyUse): ExtensionEntry {
  const file = fileURLToPath(new URL(`./extensions/policy-${extensionClass}.ts`, import.meta.url))
  return { name, file, enabled: true, onFailure: 'open', options }
}

/** Lines that are about properties, features or saved data: "F: PORT_PROPERTY_ADD 1 …". */
export const about = (lines: readonly string[], pattern: RegExp): string[] => lines.filter((line) => pattern.test(line))
