// Which modules of a stack change their place among the others in a new order: these are paused, and restarted there (ES-038).

/** Keys in both orders whose place among the others changed. */
export function movedKeys(before: readonly number[], after: readonly number[]): number[] {
  const stayed = before.filter((key) => after.includes(key))
  const order = after.filter((key) => before.includes(key))
  return stayed.filter((key, i) => order[i] !== key)
}
