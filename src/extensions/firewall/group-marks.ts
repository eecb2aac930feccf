// A mark of the rules of each group: what was decided by them counts where the same rules stand, and nowhere else.
import { type FirewallOptions, type FirewallRule, RULES_MAX } from './options.ts'

/** Of the machine's order of bytes, in which blocks are written. */
export const formatMark = 0x66770102

const FNV_START = 0x811c9dc5
const FNV_PRIME = 0x01000193

function hashOf(text: string): number {
  let hash = FNV_START
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return hash
}

// Rules carry their numbers in all of the firewall, and name groups by number: a group that comes or goes must not change what is said of
// another. Who is a member of the groups that are named counts.
const withOwnNumbers = (rules: readonly FirewallRule[], first: number, groups: FirewallOptions['groups']): unknown =>
  rules.map((rule) => ({
    ...rule,
    number: rule.number - first,
    groups: rule.groups?.map((group) => [groups[group]!.name, groups[group]!.ports]),
  }))

export class GroupMarks {
  readonly #marks: readonly number[]
  readonly #first: readonly number[]

  constructor({ groups, mode }: FirewallOptions) {
    this.#first = groups.map(({ egress, ingress }) => Math.min(...[...egress, ...ingress].map(({ number }) => number), RULES_MAX))
    this.#marks = groups.map((group, i) => {
      const [egress, ingress] = [group.egress, group.ingress].map((rules) => withOwnNumbers(rules, this.#first[i]!, groups))
      return hashOf(`${mode} ${JSON.stringify({ ...group, egress, ingress })}`)
    })
  }

  /** The mark of a group, by its number. */
  of(group: number): number {
    return this.#marks[group] ?? 0
  }

  /** Number of the first rule of a group. */
  firstRule(group: number): number {
    return this.#first[group] ?? 0
  }
}
