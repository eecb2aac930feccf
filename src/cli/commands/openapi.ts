// `vmswitch openapi`: the OpenAPI document of the control API, as a running switch serves it.
import { openApi } from '../../manage/openapi/document.ts'
import type { CommandContext } from '../command-context.ts'

export async function printOpenApi({ terminal }: CommandContext): Promise<void> {
  terminal.line(JSON.stringify(openApi(), null, 2))
}
