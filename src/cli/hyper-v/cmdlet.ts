// What a cmdlet is: its name, its parameters with Hyper-V's names and types, and the operation of vmswitch that it stands for. The command
// line, the PowerShell module and the reference are made from these.
//
// The rule it must not break: a parameter that Hyper-V documents is either carried out as documented, or refused with what to do instead;
// none is taken and ignored, but -Confirm, which has nothing to ask here.
import type { ControlPlace } from '../../manage/control/control-place.ts'
import type { RemoteSwitchHost } from '../../manage/host.ts'
import type { Given } from './parameters.ts'

export type ParameterType = 'string' | 'switch' | 'bool' | 'int' | 'guid' | 'mac' | 'json'

export interface Parameter {
  readonly name: string
  readonly type: ParameterType
  readonly help: string
  /** Several, separated by commas. */
  readonly list?: boolean
  /** The only values, in Hyper-V's spelling; case does not matter. */
  readonly values?: readonly string[]
  readonly mandatory?: boolean
  /** Place among what stands without a name, from 0. */
  readonly position?: number
  readonly aliases?: readonly string[]
  /** Largest and smallest number; 0 and 2^31-1 without them. */
  readonly min?: number
  readonly max?: number
  /** Not of Hyper-V. */
  readonly own?: boolean
}

/** One object of an answer, with Hyper-V's property names. */
export type Output = Readonly<Record<string, unknown>>

/** What a cmdlet works with. */
export interface CmdletCall {
  readonly given: Given
  /** The running switch. */
  host(): Promise<RemoteSwitchHost>
  /** Its control socket. */
  control(): Promise<ControlPlace>
  /** Whether a change is to be made; with -WhatIf it is told only. */
  should(operation: string, target: string): boolean
  /** A line beside the answer. */
  warn(text: string): void
}

export interface Cmdlet {
  readonly name: string
  readonly synopsis: string
  /** What it stands for on the native command line. */
  readonly native: string
  readonly parameters: readonly Parameter[]
  /** Parameters that Hyper-V has and vmswitch has not: what to do instead. */
  readonly refused?: Readonly<Record<string, string>>
  /** Properties shown as a table; without them all are shown, one a line. */
  readonly columns?: readonly string[]
  /** It changes something: -WhatIf and -Confirm. */
  readonly changes?: boolean
  /** What it answers is shown with -Passthru only. */
  readonly passthru?: boolean
  readonly example?: string
  run(call: CmdletCall): Promise<readonly Output[]>
}

/** Parameters that every cmdlet refuses, since they name objects of PowerShell or other machines. */
const objects = 'takes an object of PowerShell; name it instead, with -VMName, -Name or -SwitchName'
const elsewhere = 'is not there: choose the switch with --socket PATH, or on the network with --host'
const shellOnly = 'is for PowerShell itself: vmswitch powershell-module makes a module that has it'
export const refusedEverywhere: Readonly<Record<string, string>> = {
  VM: objects,
  VMNetworkAdapter: objects,
  VMSnapshot: 'names a checkpoint, which vmswitch does not have: vmswitch save and restore keep ports',
  VMSwitch: objects,
  VMSwitchExtension: objects,
  InputObject: objects,
  Extension: 'takes an object of PowerShell; name it with -ExtensionName',
  CimSession: elsewhere,
  ComputerName: elsewhere,
  Credential: elsewhere,
  ResourcePoolName: 'is not there: vmswitch has no resource pools',
  AsJob: shellOnly,
  ThrottleLimit: shellOnly,
  ErrorAction: shellOnly,
  ErrorVariable: shellOnly,
  WarningAction: shellOnly,
  WarningVariable: shellOnly,
  InformationAction: shellOnly,
  InformationVariable: shellOnly,
  OutVariable: shellOnly,
  OutBuffer: shellOnly,
  PipelineVariable: shellOnly,
  Verbose: shellOnly,
  Debug: shellOnly,
}

/** Parameters of every cmdlet that changes something. */
export const changeParameters: readonly Parameter[] = [
  { name: 'WhatIf', type: 'switch', help: 'Tell what would be done, and do nothing.', aliases: ['wi'] },
  { name: 'Confirm', type: 'switch', help: 'Of no consequence on the command line, which asks nothing.', aliases: ['cf'] },
]

export const passthru: Parameter = { name: 'Passthru', type: 'switch', help: 'Answer with what was changed.' }

/** All parameters that `cmdlet` takes. */
export const parametersOf = (cmdlet: Cmdlet): readonly Parameter[] => [
  ...cmdlet.parameters,
  ...(cmdlet.passthru ? [passthru] : []),
  ...(cmdlet.changes ? changeParameters : []),
]
