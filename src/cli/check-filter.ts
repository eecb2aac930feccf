// Looks at a capture filter before anybody is asked for a capture with it.
import { compileFilter, FilterError } from '../packet/filter/filter.ts'
import { CliError, ExitCode } from './exit.ts'

/** Why `filter` can't be used, with a caret under the place; undefined where it can. */
export function faultOf(filter: string): string | undefined {
  try {
    compileFilter(filter)
    return undefined
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
    // A tab stands as wide above the caret as in the filter.
    const before = filter.slice(0, error.at).replace(/[^\t]/g, ' ')
    return `${error.message}\n  ${filter}\n  ${before}^`
  }
}

/** Throws CliError `bad-filter` for a filter that can't be used. */
export function checkFilter(filter: string | undefined): void {
  const fault = filter === undefined ? undefined : faultOf(filter)
  if (fault !== undefined) throw new CliError('bad-filter', fault, '', ExitCode.usage)
}
