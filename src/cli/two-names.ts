// Settings that have a second name on the command line: Hyper-V's word, and that of Linux or Open vSwitch.
import { CliError, ExitCode } from './exit.ts'

/** The value of a setting that was given under one of its names. Throws CliError `usage` where both were. */
export function oneOf<Value>(name: string, value: Value | undefined, other: string, same: Value | undefined): Value | undefined {
  if (value !== undefined && same !== undefined)
    throw new CliError('usage', `${name} and ${other} are two names of one setting`, 'leave one of them out', ExitCode.usage)
  return value ?? same
}
