// A mark of the rules of each group: what was decided by them counts where the same rules stand, and nowhere else.
import type { FirewallOptions } from './options.ts'

/** Of the machine's order of bytes, in which blocks are written. */
export const formatMark = 0x66770102

const FNV_START = 0x811c9dc5
const FNV_PRIME = 0x01000193

function hashOf(text: string): number {
  let hash = FNV_START
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return hash
}

export class GroupMarks {
  readonly #marks: readonly number[]

  constructor({ groups, mode }: FirewallOptions) {
    // Rules name other groups by number: what these are counts too.
    const all = JSON.stringify(groups.map(({ name }) => name))
    this.#marks = groups.map((group) => hashOf(`${mode} ${all} ${JSON.stringify(group)}`))
  }

  /** The mark of a group, by its number. */
  of(group: number): number {
    return this.#marks[group] ?? 0
  }
}
