// `vmswitch powershell-module`: writes the PowerShell module.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { packageVersion } from '../../manage/switch-host.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import { moduleManifest, moduleScript } from '../hyper-v/powershell-module.ts'

export function writePowershellModule({ terminal, cwd }: CommandContext, output: string): void {
  const directory = resolve(cwd, output)
  const files = { 'vmswitch.psd1': moduleManifest(packageVersion()), 'vmswitch.psm1': moduleScript() }
  try {
    mkdirSync(directory, { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
  } catch (error) {
    throw new CliError('not-written', `the module can't be written to ${output}: ${(error as Error).message}`)
  }
  if (terminal.json) {
    terminal.data({ directory, files: Object.keys(files) })
    return
  }
  terminal.line(`${Object.keys(files).join(' and ')} are in ${output}`)
  terminal.note(`# in pwsh: Import-Module ${join(directory, 'vmswitch.psd1')}`)
}
