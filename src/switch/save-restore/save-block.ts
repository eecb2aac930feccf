// What an extension may complete NIC_SAVE with: checked where it answers, so that the breach is its own, and again where it is kept.
import { normalizeGuid } from '../../ndis/properties.ts'
import { type NicSaveBlock, SAVE_DATA_MAX } from '../../ndis/save-state.ts'

const FRIENDLY_NAME_MAX = 256

/** What is wrong with a block that an extension completed NIC_SAVE with, and the rule that says so; undefined if it is right. */
export function wrongBlock(output: unknown, room: number): { rule: string; what: string } | undefined {
  if (typeof output !== 'object' || output === null) return { rule: 'ES-464', what: 'completed NIC_SAVE without a block' }
  const { extensionId, extensionFriendlyName, featureClassId, saveData } = output as Partial<NicSaveBlock>
  if (typeof extensionId !== 'string' || normalizeGuid(extensionId) === undefined)
    return { rule: 'ES-465', what: 'saved a block without its ExtensionId' }
  if (typeof extensionFriendlyName !== 'string' || extensionFriendlyName.length > FRIENDLY_NAME_MAX)
    return { rule: 'ES-465', what: 'saved a block without its ExtensionFriendlyName' }
  if (typeof featureClassId !== 'string' || normalizeGuid(featureClassId) === undefined)
    return { rule: 'ES-466', what: 'saved a block without a FeatureClassId (NO_GUID for none)' }
  if (!(saveData instanceof Uint8Array)) return { rule: 'ES-464', what: 'saved a block without data' }
  if (saveData.length > SAVE_DATA_MAX) return { rule: 'ES-477', what: `saved a block of ${saveData.length} bytes` }
  if (saveData.length > room) return { rule: 'ES-467', what: `saved ${saveData.length} bytes into room for ${room}` }
  return undefined
}
