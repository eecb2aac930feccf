// `vmswitch check FILE` and `vmswitch schema`: configurations without a switch.
import { loadConfig } from '../../manage/config/load.ts'
import type { CommandContext } from '../command-context.ts'
import { ExitCode } from '../exit.ts'

/** Prints what the file comes to. Throws ConfigError, which says what is wrong; with --json, says it as data. */
export async function check({ terminal }: CommandContext, file: string): Promise<number> {
  if (!terminal.json) {
    const config = await loadConfig(file)
    const { name, type, ports, extensions } = config.switch
    const many = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
    terminal.line(
      `${file}: switch ${name} (${type}), ${many(ports.length, 'port')}, ${many(extensions.length, 'extension')}, ${many(config.guests.length, 'guest')}: no mistakes found`,
    )
    return ExitCode.ok
  }
  const { ConfigError } = await import('../../manage/config/diagnostics.ts')
  try {
    terminal.data({ valid: true, config: await loadConfig(file) })
    return ExitCode.ok
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    terminal.data({ valid: false, code: error.code, file: error.file, diagnostics: error.diagnostics })
    return ExitCode.usage
  }
}

export async function schema({ terminal }: CommandContext): Promise<void> {
  const { jsonSchema } = await import('../../manage/config/json-schema.ts')
  terminal.data(jsonSchema())
}
