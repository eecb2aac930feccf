// An extension that is installed on a running switch, checked as one of a configuration is.
//
// The rule it must not break: a module's path is absolute; nothing is looked up beside whatever directory the switch runs in.
import { isAbsolute } from 'node:path'
import type { z } from 'zod'
import { inBoxExtensionNames } from '../extensions/catalog.ts'
import { isModulePath, resolveExtension } from './config/resolve.ts'
import { extensionSchema } from './config/schema.ts'
import { nearest } from './config/suggest.ts'
import type { ResolvedExtension } from './config/types.ts'
import { ControlError } from './control/control-errors.ts'
import type { ExtensionInput } from './host.ts'

/** As in a configuration, but disabled unless it says otherwise. ES-032 */
export const installSchema = extensionSchema.extend({
  enabled: extensionSchema.shape.enabled.removeDefault().default(false).describe('Whether the extension takes part at once.'),
})

/** The extension as the switch takes it. Throws ControlError `bad-request`. */
export function installedExtension(input: ExtensionInput): ResolvedExtension {
  const extension: z.output<typeof installSchema> = installSchema.parse(input)
  const { use } = extension
  const isPath = isModulePath(use)
  if (isPath && !isAbsolute(use))
    throw new ControlError('bad-request', `use: "${use}" is relative; give the absolute path of the module`)
  if (!isPath && !inBoxExtensionNames.some((name) => name === use)) {
    const near = nearest(use, inBoxExtensionNames)
    const help = near === null ? `in the box are ${inBoxExtensionNames.join(', ')}` : `did you mean "${near}"?`
    throw new ControlError('bad-request', `use: no extension in the box is called "${use}": ${help}`)
  }
  return resolveExtension(extension, '/')
}
