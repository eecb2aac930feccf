// Cmdlets for the extensions of the switch.
import { fileURLToPath } from 'node:url'
import { inBoxExtensionNames, inBoxExtensionUrls } from '../../extensions/catalog.ts'
import type { ExtensionStatus } from '../../manage/host.ts'
import { CliError } from '../exit.ts'
import type { Cmdlet, CmdletCall, Output, Parameter } from './cmdlet.ts'
import { checkSwitch, hasWildcard, isLike } from './targets.ts'

const types = { capturing: 'Capture', filtering: 'Filter', forwarding: 'Forwarding' } as const
const columns = ['Name', 'ExtensionType', 'SwitchName', 'Enabled', 'Running']

const extensionOutput = (extension: ExtensionStatus, switchName: string): Output => ({
  Id: extension.id,
  Name: extension.name,
  Version: extension.version,
  ExtensionType: types[extension.class as keyof typeof types] ?? extension.class,
  SwitchName: switchName,
  Enabled: extension.enabled,
  Running: extension.state === 'running',
  State: extension.state,
})

const names = (mandatory: boolean, position: number): Parameter => ({
  name: 'Name',
  type: 'string',
  list: true,
  mandatory,
  position,
  help: 'Names of extensions; * stands for any characters.',
})
const ofSwitch = (position: number): Parameter => ({
  name: 'VMSwitchName',
  type: 'string',
  list: true,
  position,
  aliases: ['SwitchName'],
  help: 'Name of the switch, as a check.',
})

async function found({ given, host: connect }: CmdletCall) {
  const host = await connect()
  const [{ name: switchName }, extensions] = await Promise.all([host.status(), host.extensions()])
  checkSwitch(given.texts('VMSwitchName'), switchName)
  const wanted = given.texts('Name')
  const missing = wanted?.find((name) => !hasWildcard(name) && !extensions.some((one) => isLike(one.name, name)))
  if (missing !== undefined)
    throw new CliError(
      'no-such-extension',
      `switch "${switchName}" has no extension "${missing}"`,
      'Get-VMSwitchExtension shows them; vmswitch ext install adds one',
    )
  return { host, switchName, extensions: extensions.filter(({ name }) => wanted?.some((one) => isLike(name, one)) ?? true) }
}

export const extensionCmdlets: readonly Cmdlet[] = [
  {
    name: 'Get-VMSwitchExtension',
    synopsis: 'Shows the extensions of the switch.',
    native: 'vmswitch ext list',
    columns,
    parameters: [ofSwitch(0), names(false, 1)],
    async run(call) {
      const { extensions, switchName } = await found(call)
      return extensions.map((one) => extensionOutput(one, switchName))
    },
  },
  ...(['Enable', 'Disable'] as const).map(
    (verb): Cmdlet => ({
      name: `${verb}-VMSwitchExtension`,
      synopsis: `${verb}s extensions of the switch.`,
      native: `vmswitch ext ${verb.toLowerCase()}`,
      example: `${verb}-VMSwitchExtension -VMSwitchName lab -Name counters`,
      changes: true,
      columns,
      parameters: [names(true, 0), ofSwitch(1)],
      async run(call) {
        const { host, extensions, switchName } = await found(call)
        const outputs: Output[] = []
        for (const { name } of extensions)
          if (call.should(`${verb} the extension`, name))
            outputs.push(extensionOutput(await host.setExtension({ name, enabled: verb === 'Enable' }), switchName))
        return outputs
      },
    }),
  ),
  {
    name: 'Get-VMSystemSwitchExtension',
    synopsis: 'Shows the extensions in the box, which any switch can have.',
    native: 'vmswitch ext install',
    columns: ['Name', 'ExtensionType', 'Version'],
    parameters: [names(false, 0)],
    async run({ given }) {
      const wanted = given.texts('Name')
      const fitting = inBoxExtensionNames.filter((name) => wanted?.some((one) => isLike(name, one)) ?? true)
      return Promise.all(
        fitting.map(async (name) => {
          const { default: definition } = (await import(inBoxExtensionUrls[name])) as {
            default: { id: string; version: string; class: keyof typeof types; description?: string }
          }
          return {
            Id: definition.id,
            Name: name,
            Version: definition.version,
            ExtensionType: types[definition.class],
            Description: definition.description ?? '',
            Path: fileURLToPath(inBoxExtensionUrls[name]),
          }
        }),
      )
    },
  },
]
