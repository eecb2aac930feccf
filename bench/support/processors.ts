// The two host processors of a data-path benchmark: one for the generator, one for the switch under test, the same for all rivals.
import { readFileSync } from 'node:fs'
import { BenchError } from '../benchmark.ts'

export interface ProcessorPair {
  /** The generator's forwarding thread, and everything that only has to run now and then. */
  readonly generator: number
  /** The switch's forwarding thread, alone. */
  readonly switch: number
}

/** The numbers of a list such as `0-2,5`. */
export function parseProcessorList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first, last] = part.split('-').map(Number) as [number, number | undefined]
      return Array.from({ length: (last ?? first) - first + 1 }, (_, i) => first + i)
    })
}

function siblings(processor: number): number[] {
  try {
    return parseProcessorList(readFileSync(`/sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`, 'utf8'))
  } catch {
    return [processor]
  }
}

/** Two processors that this process may use, on two cores where the machine has them. Throws `NEEDS_PROCESSORS`. */
export function chooseProcessors(): ProcessorPair {
  const line = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const allowed = parseProcessorList(line?.[1] ?? '')
  const generator = allowed[0]
  const others = allowed.filter((processor) => processor !== generator)
  if (generator === undefined || others.length === 0)
    throw new BenchError('NEEDS_PROCESSORS', 'this benchmark needs two processors: one for the generator, one for the switch')
  const sharing = siblings(generator)
  return { generator, switch: others.find((processor) => !sharing.includes(processor)) ?? others[0]! }
}
