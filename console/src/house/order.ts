// The order of the extension stack: which moves are possible, and the rule that forbids the others.
//
// The rule it must not break: the switch decides; what is said here is only said earlier.

export const classes = ['capturing', 'filtering', 'forwarding'] as const
export type ExtensionClass = (typeof classes)[number]

interface Placed {
  readonly name: string
  readonly class: string
}

/** The names with `name` taken out and put before `before`; null: at the end. */
export function moved(stack: readonly Placed[], name: string, before: string | null): string[] {
  const others = stack.map((one) => one.name).filter((one) => one !== name)
  const at = before === null ? others.length : others.indexOf(before)
  return others.toSpliced(at < 0 ? others.length : at, 0, name)
}

/** Why an order is not possible, with the numbers of its rules; null: it is. */
export function forbidden(stack: readonly Placed[], names: readonly string[]): string | null {
  const of = new Map(stack.map((one) => [one.name, one.class]))
  const rank = (name: string): number => classes.indexOf(of.get(name) as ExtensionClass)
  for (let i = 1; i < names.length; i++) {
    const [above, below] = [names[i - 1]!, names[i]!]
    if (rank(above) > rank(below))
      return `“${above}” is a ${of.get(above)} extension and can't stand above “${below}”, a ${of.get(below)} one: capturing, then filtering, then forwarding; order changes within a class only (ES-011, ES-018).`
  }
  return null
}
