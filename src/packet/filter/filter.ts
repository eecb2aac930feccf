// Capture filters in the words of tcpdump, compiled once and asked per frame.
import { type FrameMatcher, generateMatcher } from './generate.ts'
import { reach } from './nodes.ts'
import { parseFilter } from './parse.ts'

export type { FrameMatcher } from './generate.ts'
export { FilterError } from './tokens.ts'

/** A filter that is ready to be asked. */
export interface FrameFilter {
  readonly matches: FrameMatcher
  /** Bytes from the frame's start that it may look at; Infinity where that depends on what stands in the frame. */
  readonly reach: number
}

/**
 * Compiles a filter such as `tcp port 80 and not host 10.0.0.1`: host, net, port, portrange, proto, ether, vlan, mpls, pppoes, protocol words,
 * byte tests, less, greater, broadcast, multicast; an empty one matches everything. Throws FilterError.
 */
export function compileFilter(text: string): FrameFilter {
  const test = parseFilter(text)
  return { matches: generateMatcher(test), reach: reach(test) }
}
