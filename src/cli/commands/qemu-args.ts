// `vmswitch qemu-args PORT`: what to give a VMM so that its guest is attached to a port. The answer goes to standard output, ready to
// paste; what is worth knowing goes beside it, to standard error.
import type { CommandContext } from '../command-context.ts'
import { CliError } from '../exit.ts'
import type { VmmPort } from '../vmm/vmm.ts'
import { type VmmName, vmms } from '../vmm/vmms.ts'

export interface VmmArgumentOptions {
  readonly vmm: VmmName
  readonly memoryMiB: number
  /** Take the port from this configuration instead of from a running switch. */
  readonly config: string | undefined
}

export async function vmmArguments(context: CommandContext, name: string, options: VmmArgumentOptions): Promise<void> {
  const { terminal } = context
  const { vmm, memoryMiB } = options
  const port = await findPort(context, name, options.config)
  const answer = vmms[vmm](port, memoryMiB)
  if ('unsupported' in answer) {
    const { reason, remedy } = answer.unsupported
    throw new CliError('not-supported', `port "${name}": ${reason}`, remedy)
  }
  const { attachment } = answer
  if (terminal.json) return terminal.data({ vmm, port: name, ...attachment })
  for (const line of attachment.setup) terminal.line(line)
  if (attachment.arguments.length > 0) terminal.line(attachment.arguments.join(' \\\n'))
  if (attachment.text !== null) terminal.line(attachment.text)
  for (const note of attachment.notes) terminal.note(`# ${note}`)
}

async function findPort(context: CommandContext, name: string, config: string | undefined): Promise<VmmPort> {
  const ports: readonly VmmPort[] =
    config === undefined
      ? await (await context.connect()).ports()
      : (await (await import('../../manage/config/load.ts')).loadConfig(config)).switch.ports
  const port = ports.find((candidate) => candidate.name === name)
  if (port !== undefined) return withStandby(port, ports)
  const { didYouMean } = await import('../../manage/config/suggest.ts')
  throw new CliError(
    'no-such-port',
    `there is no port "${name}"`,
    didYouMean(
      name,
      ports.map((candidate) => candidate.name),
    ),
  )
}

/** A virtual function comes with the port that stands in for it. */
function withStandby(port: VmmPort, ports: readonly VmmPort[]): VmmPort {
  const { endpoint } = port
  if (endpoint.kind !== 'vf' || endpoint.standby === undefined) return port
  return { ...port, standby: ports.find(({ name }) => name === endpoint.standby) }
}
