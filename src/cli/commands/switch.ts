// `vmswitch switch show|create|remove`: the switch of a service, without a file.
import { join } from 'node:path'
import type { ControlPlace } from '../../manage/control/control-place.ts'
import type { ApplyReport, ServiceCalls } from '../../manage/service/service-calls.ts'
import { connectService } from '../../manage/service/service-client.ts'
import type { CommandContext } from '../command-context.ts'
import { CliError, ExitCode } from '../exit.ts'

/** VFs of an adapter where nothing is said. */
export const VFS_DEFAULT = 8

export interface SwitchWish {
  readonly name: string
  readonly type?: 'private' | 'internal' | 'external' | undefined
  /** Interfaces of the host that lead to the network; several are a team. */
  readonly uplink?: readonly string[] | undefined
  readonly managementOs?: boolean | undefined
  readonly minimumBandwidthMode?: string | undefined
  /** VFs of an SR-IOV adapter over the uplink; without it the switch has none. */
  readonly vfs?: number | undefined
}

/** The configuration of the switch, as a file would have it. */
export function switchConfig({ name, type, uplink = [], managementOs, minimumBandwidthMode, vfs }: SwitchWish): unknown {
  const wires = uplink.map((interface_) => ({ kind: 'uplink', interface: interface_ }))
  const [first, ...others] = wires
  const endpoint = vfs === undefined ? first : { kind: 'adapter', adapter: 'sriov' }
  return {
    switch: {
      name,
      type: type ?? (wires.length === 0 ? 'private' : 'external'),
      ...(managementOs === true ? { allowManagementOS: true } : {}),
      ...(minimumBandwidthMode === undefined ? {} : { bandwidth: { minimumBandwidthMode } }),
      ports: first === undefined ? [] : [{ name: 'uplink', endpoint, ...(others.length === 0 ? {} : { uplinks: others }) }],
    },
    ...(vfs === undefined ? {} : { adapters: [{ name: 'sriov', uplink: first, vfs }] }),
  }
}

/** The service at the control socket; `no-service` where a switch runs without one. */
export async function serviceOf(control: () => Promise<ControlPlace>): Promise<ServiceCalls> {
  const client = connectService(await control())
  await client.service().catch((error: Error & { code?: string }) => {
    if (error.code !== 'no-such-route') throw error
    throw new CliError(
      'no-service',
      'the switch that runs is no service: it has the configuration of its file, as long as it runs',
      'start one with vmswitch serve, or name it with --socket',
    )
  })
  return client
}

/** Makes the switch of a service that has none. Throws CliError `switch-exists`. */
export async function makeSwitch(control: () => Promise<ControlPlace>, wish: SwitchWish): Promise<ApplyReport> {
  const service = await serviceOf(control)
  const { switch: there, stateDirectory } = await service.service()
  if (there !== null)
    throw new CliError(
      'switch-exists',
      `the service has the switch "${there}" already, and a service has one`,
      'remove it first, or start another service: vmswitch serve --state DIR --control PATH',
    )
  return service.apply({ config: switchConfig(wish), file: join(stateDirectory, 'switch.yaml') })
}

export async function createSwitch({ terminal, control }: CommandContext, wish: SwitchWish): Promise<void> {
  const report = await terminal.progress(`making switch ${wish.name}`, makeSwitch(control, wish))
  if (terminal.json) return terminal.data(report)
  terminal.line(`switch ${wish.name} runs`)
}

export async function removeSwitch({ terminal, control }: CommandContext, name: string, yes: boolean): Promise<void> {
  const service = await serviceOf(control)
  const { switch: there } = await service.service()
  if (there !== name)
    throw new CliError(
      'no-such-switch',
      `the service has ${there === null ? 'no switch' : `the switch "${there}"`}, not "${name}"`,
    )
  if (!yes)
    throw new CliError(
      'not-confirmed',
      `this takes all guests of "${name}" off the network, and forgets its ports and their properties`,
      'say --yes to do it',
      ExitCode.usage,
    )
  const answer = await service.removeSwitch()
  if (terminal.json) return terminal.data(answer)
  terminal.line(`switch ${name} is removed`)
}
