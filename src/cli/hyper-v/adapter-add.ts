// Add-VMNetworkAdapter: a port for an adapter of a VM.
import type { PortStatus } from '../../manage/host.ts'
import { portOf } from '../commands/port-add.ts'
import type { SimpleKind } from '../endpoint-kinds.ts'
import { CliError, ExitCode } from '../exit.ts'
import { adapterOutputs } from './adapter-output.ts'
import type { CmdletCall, Output } from './cmdlet.ts'
import { checkSwitch } from './targets.ts'

const portName = (text: string): string => text.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '')

export async function addPort({ given, host: connect, should }: CmdletCall): Promise<Output[]> {
  const host = await connect()
  const { name: switchName } = await host.status()
  checkSwitch(given.text('SwitchName'), switchName)
  const mac = given.text('StaticMacAddress')
  if (mac !== undefined && given.flag('DynamicMacAddress'))
    throw new CliError('usage', '-StaticMacAddress and -DynamicMacAddress exclude each other', '', ExitCode.usage)
  const ports: PortStatus[] = []
  for (const vm of given.texts('VMName')!) {
    const name = given.text('Name') ?? vm
    const port = name === vm ? portName(vm) : portName(`${vm}-${name}`)
    if (!should('Add a network adapter', vm)) continue
    ports.push(
      await host.addPort(
        portOf(port, {
          kind: given.text('EndpointKind') as SimpleKind | undefined,
          path: given.text('EndpointPath'),
          interface: given.text('EndpointInterface'),
          vm,
          mac,
          ...(name === port ? {} : { friendlyName: name }),
        }),
      ),
    )
  }
  return adapterOutputs({ host, switchName, ports })
}
