// The table: every cmdlet that vmswitch has under Hyper-V's name, and those that it has not, with what to do instead.
import { didYouMean } from '../../manage/config/suggest.ts'
import { CliError, ExitCode } from '../exit.ts'
import { aclCmdlets } from './acl-cmdlets.ts'
import { adapterCmdlets } from './adapter-cmdlets.ts'
import type { Cmdlet } from './cmdlet.ts'
import { extensionCmdlets } from './extension-cmdlets.ts'
import { featureCmdlets } from './feature-cmdlets.ts'
import { hardwareCmdlets } from './hardware-cmdlets.ts'
import { absentOverlayCmdlets, overlayCmdlets } from './overlay-cmdlets.ts'
import { routeCmdlets } from './route-cmdlets.ts'
import { switchCmdlets } from './switch-cmdlets.ts'
import { vlanCmdlets } from './vlan-cmdlets.ts'

export const cmdlets: readonly Cmdlet[] = [
  ...switchCmdlets,
  ...adapterCmdlets,
  ...vlanCmdlets,
  ...aclCmdlets,
  ...extensionCmdlets,
  ...featureCmdlets,
  ...hardwareCmdlets,
  ...overlayCmdlets,
  ...routeCmdlets,
]

const configured = 'change the configuration file, and vmswitch apply FILE'
/** Cmdlets of Hyper-V that have no operation here. */
export const absentCmdlets: Readonly<Record<string, string>> = {
  'Add-VMSwitch': 'there are no resource pools',
  'Rename-VMSwitch': `${configured} --restart`,
  'Add-VMSwitchTeamMember': configured,
  'Remove-VMSwitchTeamMember': configured,
  'Set-VMNetworkAdapterTeamMapping':
    'the team chooses the member of each adapter; vmswitch port set --standby keeps members back',
  'Remove-VMNetworkAdapterTeamMapping':
    'the team chooses the member of each adapter; vmswitch port set --standby keeps members back',
  'Get-VMSystemSwitchExtensionPortFeature': 'Get-VMSwitchExtensionPortFeature shows the features that adapters have',
  'Get-VMSystemSwitchExtensionSwitchFeature': 'Get-VMSwitchExtensionSwitchFeature shows the features that the switch has',
  'Enable-NetAdapterVmq': `mode: vmq of an adapter: ${configured} --restart`,
  'Disable-NetAdapterVmq': `mode: sriov of an adapter: ${configured} --restart`,
  'Set-NetAdapterVmq': `queues, baseProcessor and maxProcessors of an adapter: ${configured} --restart`,
  'Enable-NetAdapterSriov': 'Set-NetAdapterSriov -NumVFs makes virtual functions of a card',
  'Disable-NetAdapterSriov': 'Set-NetAdapterSriov -NumVFs 0 takes virtual functions of a card away',
  'Get-VMNetworkAdapterFailoverConfiguration': 'there are no replicas of VMs',
  'Set-VMNetworkAdapterFailoverConfiguration': 'there are no replicas of VMs',
  ...absentOverlayCmdlets,
  'Test-VMNetworkAdapter': 'vmswitch trace follows a frame through the switch, without sending it',
}

/** The cmdlet of this name, in any case. Throws CliError `no-such-cmdlet`. */
export function cmdletOf(word: string): Cmdlet {
  const same = (name: string): boolean => name.toLowerCase() === word.toLowerCase()
  const found = cmdlets.find(({ name }) => same(name))
  if (found !== undefined) return found
  const absent = Object.keys(absentCmdlets).find(same)
  if (absent !== undefined)
    throw new CliError('no-such-cmdlet', `vmswitch does not have ${absent}`, absentCmdlets[absent], ExitCode.usage)
  const near = didYouMean(
    word,
    cmdlets.map(({ name }) => name),
  )
  throw new CliError(
    'no-such-cmdlet',
    `there is no cmdlet ${word}`,
    near.startsWith('did') ? near : 'vmswitch cmdlets lists them',
    ExitCode.usage,
  )
}
