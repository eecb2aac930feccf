// `vmswitch ext [enable|disable|pause|restart|reorder|reload]`: the extension stack of a running switch.
import type { ExtensionStatus } from '../../manage/host.ts'
import type { CommandContext } from '../command-context.ts'
import type { Terminal } from '../terminal.ts'
import { count } from '../units.ts'

function show(terminal: Terminal, extensions: readonly ExtensionStatus[]): void {
  terminal.table(
    [
      { title: 'EXTENSION', flexible: true },
      { title: 'CLASS' },
      { title: 'VERSION' },
      { title: 'ENABLED' },
      { title: 'STATE' },
      { title: 'ON FAILURE' },
      { title: 'FAULTS', align: 'right' },
      { title: 'BREACHES', align: 'right' },
      { title: 'NS/PACKET', align: 'right' },
    ],
    extensions.map((extension) => [
      extension.name,
      extension.class,
      extension.version,
      extension.enabled ? 'yes' : 'no',
      extension.state,
      extension.onFailure,
      count(extension.faults),
      count(extension.breaches),
      extension.nsPerPacket === 0 ? '-' : extension.nsPerPacket.toFixed(1),
    ]),
    'the switch has no extensions',
  )
  for (const { name, lastFault } of extensions) if (lastFault !== '') terminal.line(`${name}: last fault: ${lastFault}`)
}

export async function listExtensions({ terminal, connect }: CommandContext): Promise<void> {
  const answer = await (await connect()).extensions()
  if (terminal.json) return terminal.data(answer)
  show(terminal, answer)
}

export async function setExtension({ terminal, connect }: CommandContext, name: string, enabled: boolean): Promise<void> {
  const answer = await (await connect()).setExtension({ name, enabled })
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.name} is ${answer.enabled ? 'enabled' : 'disabled'} (${answer.state})`)
}

export async function pauseExtension({ terminal, connect }: CommandContext, name: string, paused: boolean): Promise<void> {
  const answer = await (await connect()).pauseExtension({ name, paused })
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.name} is ${answer.state}`)
}

export async function reorderExtensions({ terminal, connect }: CommandContext, names: readonly string[]): Promise<void> {
  const answer = await (await connect()).reorderExtensions(names)
  if (terminal.json) return terminal.data(answer)
  show(terminal, answer)
}

export async function reloadExtension({ terminal, connect }: CommandContext, name: string): Promise<void> {
  const answer = await (await connect()).replaceExtension(name)
  if (terminal.json) return terminal.data(answer)
  terminal.line(`${answer.name} ${answer.version} is loaded (${answer.state})`)
}
